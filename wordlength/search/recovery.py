"""Running trials that no launch runs any more: one whose report is there is told, another's candidate queued again."""

from __future__ import annotations

from collections.abc import Iterable

from wordlength.objectives.report import TrialReport
from wordlength.search.home import StudyFolder
from wordlength.search.study import StudyStore
from wordlength.search.trials import ENDED, TrialRow
from wordlength.space import Candidate


def end_left(store: StudyStore, folder: StudyFolder, left: Iterable[TrialRow]) -> int:
    """End these running trials, whose launch is dead or ends; how many candidates are queued again."""
    return sum(_end(store, folder, row) for row in left)


def known_result(store: StudyStore, folder: StudyFolder, candidate: Candidate) -> TrialReport | None:
    """The report of a trial that ended with this candidate, and would end so again."""
    rows = (row for row in store.rows_of(candidate) if row.state in ENDED and row.repeatable)
    return next((report for row in rows if (report := folder.read_report(row.number)) is not None), None)


def _end(store: StudyStore, folder: StudyFolder, row: TrialRow) -> bool:
    """Whether its candidate is queued again."""
    report = folder.read_report(row.number)
    if report is None or row.candidate is None or report.candidate != row.candidate:
        store.interrupt(row.number)
        return True
    known = known_result(store, folder, row.candidate)
    store.tell(report, known.number if known else None)
    return False
