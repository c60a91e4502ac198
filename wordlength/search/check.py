"""Whether a study's three places agree: Optuna's storage, which is the truth, the study's folder, and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.drivers import LOOKING_ON, Drivers, joined
from wordlength.search.home import Home, StudyFolder, Turn
from wordlength.search.recovery import end_left
from wordlength.search.study import StudyStore, load_study
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import (
    RUN_STATUS,
    WEIGHTS,
    Description,
    Recorded,
    RecordedTrial,
    Tracker,
    answering,
    recorded,
    remove_runs,
)
from wordlength.search.trials import StudyView, TrialRow

STATUS = {state.value: status for state, status in RUN_STATUS.items()}
"""State of a trial in the storage → status of its run in MLflow."""


@dataclass(frozen=True)
class Violation:
    """What does not agree. `trial`: its number, None for the study as a whole."""

    what: str
    trial: int | None = None

    def __str__(self) -> str:
        return self.what if self.trial is None else f"trial {self.trial}: {self.what}"


def check_study(spec: StudySpec, home: Home) -> list[Violation]:
    """Everything that does not agree. Raises SpecError if one of the places does not answer."""
    folder = home.study(spec.name)
    drivers = Drivers(folder.path, LOOKING_ON)
    live = not drivers.alone
    with folder.one_at_a_time(Turn.TAKE):
        view = load_study(spec.name, home)
    known = recorded(home.tracking_address(spec), spec.name)
    return [*_in_storage(view, drivers), *_in_folder(view, folder, live), *_in_mlflow(view, known, live)]


def repair_study(spec: StudySpec, home: Home, describe: Callable[[str], Description]) -> None:
    """Mend MLflow, and what is left running, from the storage. `describe`: the study's identity → what MLflow is told.

    Raises SpecError while a launch of the study runs: it mends all this itself.
    """
    folder, address = home.study(spec.name), home.tracking_address(spec)
    opened = closing(StudyStore.open(spec.name, home.optuna_address(spec)))
    with folder.locked(), joined(folder.path) as drivers, opened as store, answering(spec.name):
        end_left(store, folder, store.running(drivers.is_nobodys))
        view = store.view()
        known = recorded(address, spec.name)
        wrong = {run.run_id for run in known.trials} - _good_runs(view, known)
        remove_runs(address, spec.name, [*wrong, *known.parents[1:]])
        tracker = Tracker(address, home.artifact_root(spec), spec.name)
        tracker.begin(describe(str(store.attributes.get("id", ""))))
        for row in view.rows:
            if row.state in STATUS and row.number not in tracker.trials:
                tracker.log_trial(_report(row, folder), row.label)
        tracker.show(view, folder.weights, final=True)
        tracker.finish("FINISHED" if view.finished >= view.wanted else "KILLED")


def _in_storage(view: StudyView, drivers: Drivers) -> Iterator[Violation]:
    for row in view.rows:
        if row.state == "running" and drivers.is_nobodys(row.driver):
            yield Violation("it is running, but no launch runs it", row.number)
    if view.finished > (asked := max(view.wanted, view.most_wanted)):
        yield Violation(f"{view.finished} trials count, but {asked} were asked for")
    counted = [row for row in view.rows if row.state in STATUS and row.reused_from is None and row.repeatable]
    times = Counter(row.candidate for row in counted)
    for row in counted:
        if times[row.candidate] > 1:
            yield Violation("its candidate was run more than once", row.number)


def _in_folder(view: StudyView, folder: StudyFolder, live: bool) -> Iterator[Violation]:
    for row in view.rows:
        if row.state in STATUS and not folder.report(row.number).exists():
            yield Violation("its report is missing", row.number)
    for point in view.front if not live else ():
        if not folder.weights(point.number).exists():
            yield Violation("it is on the front, but its weights are missing", point.number)


def _in_mlflow(view: StudyView, known: Recorded, live: bool) -> Iterator[Violation]:
    """While a launch runs, what is on its way to MLflow is no violation."""
    if len(known.parents) != 1 and not (live and not known.parents):
        yield Violation(f"MLflow must have one summary of the study, but it has {len(known.parents)}")
    if known.parents and not live:
        yield from (Violation(f"in MLflow the study's {name} is missing") for name in known.missing)
    rows = {row.number: row for row in view.rows if row.state in STATUS}
    runs = Counter(run.number for run in known.trials)
    if not live:
        yield from (Violation("MLflow has no run of it", number) for number in rows if number not in runs)
    yield from (Violation(f"MLflow has {count} runs of it", number) for number, count in runs.items() if count > 1)
    front = {point.number for point in view.front}
    for run in known.trials:
        if run.number not in rows:
            if not live:
                yield Violation(f"MLflow has run {run.run_id} of it, but the storage no such result", run.number)
            continue
        if live and run.status == "RUNNING":
            continue
        yield from (Violation(f"in MLflow {text}", run.number) for text in _differences(rows[run.number], run))
        if not live and run.on_front != (run.number in front):
            yield Violation(f"in MLflow it is {'' if run.on_front else 'not '}on the front", run.number)


def _differences(row: TrialRow, run: RecordedTrial) -> Iterator[str]:
    assert row.candidate is not None
    formats = {str(slot): str(fmt) for slot, fmt in row.candidate.pairs}
    compared: Sequence[tuple[str, object, object]] = (
        ("status", run.status, STATUS[row.state]),
        ("digest", run.digest, row.candidate.digest),
        *((name, run.metrics.get(name), row.values.get(name)) for name in row.goals.names if name != "memory_bytes"),
        ("memory_bytes", run.metrics.get("memory_bytes"), row.memory_bytes),
    )
    yield from (f"{name} is {there}, but {here} in the storage" for name, there, here in compared if there != here)
    if run.on_front and WEIGHTS not in run.files:
        yield "its weights are missing"
    if run.formats != formats:
        yield "its formats are others than in the storage"


def _good_runs(view: StudyView, known: Recorded) -> set[str]:
    """Of each trial the first run that tells it as it is; runs left half written can be completed."""
    rows = {row.number: row for row in view.rows if row.state in STATUS}
    good: dict[int, str] = {}
    for run in known.trials:
        row = rows.get(run.number)
        half_written = row is not None and row.candidate is not None and run.digest == row.candidate.digest
        if row is not None and (half_written if run.status == "RUNNING" else not [*_differences(row, run)]):
            good.setdefault(run.number, run.run_id)
    return set(good.values())


def _report(row: TrialRow, folder: StudyFolder) -> TrialReport:
    """The trial's own, or what the storage knows of it."""
    if (report := folder.read_report(row.number)) is not None:
        return report
    if row.candidate is None:
        raise SpecError(f"a trial must have a candidate, but trial {row.number} has none")
    return TrialReport(
        row.number,
        row.candidate,
        TrialState(row.state),
        row.memory_bytes or 0,
        row.values,
        row.quality,
        row.standard_error,
        row.difference,
        row.difference_error,
        row.gains,
        row.reason,
        seconds={"trial": row.seconds or 0.0},
    )
