"""ask → submit → tell → record, until the study has as many trials as it wants.

The order of writes is report and weights, then Optuna, then MLflow: whatever Optuna calls finished can be
recorded and exported, and what MLflow misses is made up for at the next launch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from wordlength.atomic import write_atomically
from wordlength.errors import WorkerError
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.search.home import StudyFolder
from wordlength.search.observer import Observer
from wordlength.search.scheduler import Scheduler
from wordlength.search.spec import StudySpec
from wordlength.search.stopping import Stopping
from wordlength.search.study import StudyStore
from wordlength.search.tracking import Tracker
from wordlength.search.trials import StudyView, TrialRow
from wordlength.search.weights import save_weights
from wordlength.search.workers import Finished, WorkerPool
from wordlength.space import Candidate, SearchSpace

MOST_FAILURES_IN_A_ROW = 8
"""After so many failed trials with none in between that ended otherwise, the study stops: it would burn its budget."""
MOST_REPEATS_IN_A_ROW = 20
"""After so many proposals of candidates that are known, the study ends: its space is as good as exhausted."""


@dataclass
class Loop:
    """Keeps every worker busy and every finished trial told and recorded."""

    spec: StudySpec
    folder: StudyFolder
    store: StudyStore
    space: SearchSpace
    baseline: Baseline
    pool: WorkerPool
    tracker: Tracker
    observer: Observer
    stopping: Stopping
    # Trials that wait for a running one with the same candidate: digest → numbers.
    twins: dict[str, list[int]] = field(default_factory=dict)
    failures: int = 0
    repeats: int = 0
    scheduler: Scheduler = field(init=False)
    # Further artifacts of the study's run: name → content.
    files: Callable[[], Mapping[str, bytes]] = dict

    def run(self) -> StudyView:
        """Go on until enough trials are finished; on any exception every running trial is told before it goes on."""
        try:
            recovered = self.store.recover()
            self.scheduler = Scheduler(
                self.spec, self.space, self.baseline, self.folder, self.pool, self.store, self.observer
            )
            self.files = self.scheduler.files
            self._catch_up()
            self.observer.study(self.store.view(), recovered, self.pool.count)
            self._work()
            self._show(final=True)
        except BaseException as error:
            with self.stopping.undisturbed():
                self._stop(error)
            raise
        self.tracker.finish()
        return self.store.view()

    def _work(self) -> None:
        while True:
            while self.pool.free and self._wanted() > 0 and self.repeats < MOST_REPEATS_IN_A_ROW:
                if not self._give_work():
                    break
            if not self.pool.running:
                return
            for told in self.pool.wait(timeout_seconds=1.0):
                if isinstance(told, Finished) and isinstance(told.job, TrialJob):
                    self._record(told.job, told)
                else:
                    self.scheduler.record(told)
            self.stopping.check()
            self._show()
            self.observer.trial(self.store.view())

    def _give_work(self) -> bool:
        """Whether there was something to do for a free worker."""
        if self.scheduler.submit():
            return True
        if self.scheduler.samples and not self.store.queued:
            self.scheduler.propose()
        if self.store.queued or self.scheduler.samples:
            self._propose()
            return True
        return False

    def _wanted(self) -> int:
        return self.spec.search.trials - self.store.view().finished - len(self.pool.trials)

    def _propose(self) -> None:
        number, candidate, _ = self.store.ask(self.space)
        report = self._known_result(candidate)
        if report is not None:
            self._finish(dataclasses.replace(report, number=number), None, reused_from=report.number)
        elif any(job.candidate == candidate for job in self.pool.trials):
            self.twins.setdefault(candidate.digest, []).append(number)
        else:
            self.pool.submit(TrialJob(number, candidate, self.spec.seed))
            self.repeats = -1
        self.repeats += 1
        self.observer.trial(self.store.view())

    def _known_result(self, candidate: Candidate) -> TrialReport | None:
        rows = (row for row in self.store.rows() if row.candidate == candidate and _has_result(row))
        return next((report for row in rows if (report := self._load_report(row.number)) is not None), None)

    def _record(self, job: TrialJob, finished: Finished) -> None:
        twins = self.twins.pop(job.candidate.digest, [])
        report, weights = finished.result or (self._lost(job, finished.reason), None)
        self._finish(report, weights)
        if finished.result is None and twins:
            # The worker failed, not the candidate: the next trial with it is run after all.
            self.pool.submit(TrialJob(twins.pop(0), job.candidate, job.seed))
            self.twins |= {job.candidate.digest: twins} if twins else {}
            twins = []
        for twin in twins:
            self._finish(dataclasses.replace(report, number=twin), None, reused_from=job.number)
        self._count_failure(report)

    def _lost(self, job: TrialJob, reason: str) -> TrialReport:
        size = memory_bytes(self.baseline.slots, job.candidate)
        return TrialReport(job.number, job.candidate, TrialState.FAILED, size, reason=reason)

    def _finish(self, report: TrialReport, weights: Weights | None, reused_from: int | None = None) -> None:
        write_atomically(self.folder.report(report.number), report.to_json().encode())
        if weights is not None and report.state is TrialState.COMPLETE:
            save_weights(self.folder.weights(report.number), weights)
        self.store.tell(report, reused_from)
        view = self.store.view()
        members = {point.number for point in view.front}
        label = next(row.label for row in view.rows if row.number == report.number)
        self.tracker.log_trial(report, label, self.scheduler.figures(report.candidate))
        self._show()
        self._drop_weights(members)

    def _show(self, final: bool = False) -> None:
        self.tracker.show(self.store.view(), self.folder.weights, final, self.files)

    def _drop_weights(self, members: Iterable[int]) -> None:
        kept = {self.folder.weights(number) for number in members}
        for path in self.folder.weights(0).parent.glob("*.npz"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        """Record what a killed launch told Optuna but not MLflow."""
        for row in self.store.view().rows:
            if row.number not in self.tracker.trials and row.state in ("complete", "pruned", "failed"):
                report = self._load_report(row.number)
                if report is not None:
                    self.tracker.log_trial(report, row.label, self.scheduler.figures(report.candidate))
        self._show(final=True)

    def _load_report(self, number: int) -> TrialReport | None:
        try:
            return TrialReport.from_json(self.folder.report(number).read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            return None

    def _count_failure(self, report: TrialReport) -> None:
        self.failures = self.failures + 1 if report.state is TrialState.FAILED else 0
        if self.failures >= MOST_FAILURES_IN_A_ROW:
            raise WorkerError(
                f"trials must not all fail, but the last {self.failures} did; the latest: {report.reason}"
            )

    def _stop(self, error: BaseException) -> None:
        self.store.recover()  # Whatever runs is this launch's: it holds the study's lock.
        self.observer.trial(self.store.view())
        try:
            self._show(final=True)
            self.tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        except Exception as second:  # The first error is the one to tell.
            error.add_note(f"MLflow could not be told that the study has stopped: {second}")


def _has_result(row: TrialRow) -> bool:
    return row.state in ("complete", "pruned", "failed") and row.repeatable
