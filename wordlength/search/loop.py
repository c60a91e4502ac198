"""ask → submit → tell → record, until the study has as many trials as it wants.

The order of writes is weights, report, then Optuna, then MLflow: whatever Optuna calls finished can be recorded and
exported, and what MLflow misses is made up for at the next launch (docs/reliability.md).
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field

from wordlength.atomic import write_atomically
from wordlength.errors import WorkerError
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.search.delivery import Delivery
from wordlength.search.drivers import Drivers
from wordlength.search.home import StudyFolder, Turn
from wordlength.search.jobs import Finished, Retried, Told
from wordlength.search.observer import Observer
from wordlength.search.recovery import end_left, known_result
from wordlength.search.scheduler import Scheduler
from wordlength.search.stopping import Stopping
from wordlength.search.study import StudyStore
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import TrackerProcess
from wordlength.search.trials import ENDED, StudyView, TrialRow
from wordlength.search.weights import save_weights
from wordlength.search.workers import WorkerPool
from wordlength.space import Candidate, SearchSpace

MOST_FAILURES_IN_A_ROW = 8
"""After so many failed trials with none in between that ended otherwise, the study stops: it would burn its budget."""
MOST_REPEATS_IN_A_ROW = 20
"""After so many proposals of candidates that are known, the study ends: its space is as good as exhausted."""
RECOVER_SECONDS = 15.0
"""Between looks at running trials whose launch may have died."""
STOP_SECONDS = 30.0
"""How long a launch that ends before its time waits for the storage, and for MLflow."""


@dataclass
class Loop:
    """Keeps every worker busy and every finished trial told and recorded."""

    spec: StudySpec
    folder: StudyFolder
    store: StudyStore
    space: SearchSpace
    baseline: Baseline
    pool: WorkerPool
    tracker: TrackerProcess
    drivers: Drivers
    observer: Observer
    stopping: Stopping
    # Trials that wait for another one with the same candidate.
    twins: dict[int, Candidate] = field(default_factory=dict)
    failures: int = 0
    repeats: int = 0
    recovered_at: float = 0.0
    scheduler: Scheduler = field(init=False)
    delivery: Delivery = field(init=False)

    def run(self) -> StudyView:
        """Go on until enough trials are finished; on any exception every running trial is told before it goes on."""
        self.delivery = Delivery(self.tracker, self.folder, self.drivers.shared, self.observer.tracking)
        try:
            self._recover()
            self.scheduler = Scheduler(
                self.spec, self.space, self.baseline, self.folder, self.pool, self.store, self.observer
            )
            self._catch_up()
            self.observer.study(self.store.view(), self.store.queued_again, self.pool.count)
            self._work()
            self._catch_up()
            self._deliver_rest("FINISHED", 60 * self.spec.storage.patience_minutes)
        except BaseException as error:
            with self.stopping.undisturbed():
                self._stop(error)
            raise
        return self.store.view()

    def _work(self) -> None:
        while True:
            something = True
            while something and self.pool.free and self._wants_more():
                something = self._give_work()
            if self._is_over(something) and not (self.store.has_others and self._recover()):
                return
            finished = self.store.view().finished
            for told in self.pool.wait(timeout_seconds=1.0):
                self._take(told)
            self._settle_twins()
            if self.store.view().finished != finished:
                self._show()
            if self.store.has_others and time.monotonic() - self.recovered_at > RECOVER_SECONDS:
                self._recover()
            self.stopping.check()
            self.observer.workers(self.pool.ready)
            self.observer.trial(self.store.view())

    def _take(self, told: Told) -> None:
        match told:
            case Retried():
                self.observer.retried(told)
            case Finished(job=TrialJob() as job):
                self._record(job, told)
            case _:
                self.scheduler.record(told)

    def _is_over(self, something: bool) -> bool:
        """Whether this launch can end; what another one still runs may come back here, if it dies.

        `something`: whether there was something to do when a worker was last asked.
        """
        if self.pool.running or self.twins:
            return False
        view = self.store.view()
        return view.finished >= view.wanted or self._exhausted or not something

    @property
    def _exhausted(self) -> bool:
        return self.repeats >= MOST_REPEATS_IN_A_ROW

    def _wants_more(self) -> bool:
        view = self.store.view()
        return not self._exhausted and view.finished + view.under_way < view.wanted

    def _give_work(self) -> bool:
        """Whether there was something to do for a free worker."""
        if self.scheduler.submit():
            return True
        if self.store.queued or self.scheduler.samples:
            self._propose()
            return True
        return False

    def _propose(self) -> None:
        drawn = self.scheduler.draw() if self.scheduler.samples and not self.store.queued else None
        with self.folder.one_at_a_time(Turn.TAKE):
            if self.scheduler.samples:
                taken = self.store.ask(self.space, self.drivers.id, drawn)
            elif (queued := self.store.take(self.drivers.id)) is not None:
                taken = queued
            else:
                return  # Another launch was faster.
        number, candidate, _ = taken
        report = known_result(self.store, self.folder, candidate)
        self.repeats += 1
        if report is not None:
            self._finish(dataclasses.replace(report, number=number), None, reused_from=report.number)
        elif self.store.view().is_under_way(candidate, before=number):
            self.twins[number] = candidate
        elif self.store.counted(number) >= self.store.view().wanted:
            self.store.interrupt(number)  # Another launch was faster.
        else:
            self.pool.submit(TrialJob(number, candidate, self.spec.seed))
            self.repeats = 0

    def _settle_twins(self) -> None:
        """End those whose candidate has a result now; run those whose candidate is nobody's any more."""
        for number, candidate in list(self.twins.items()):
            view = self.store.view()
            if (report := known_result(self.store, self.folder, candidate)) is not None:
                del self.twins[number]
                self._finish(dataclasses.replace(report, number=number), None, reused_from=report.number)
            elif not view.is_under_way(candidate, before=number):
                del self.twins[number]
                if view.finished + view.under_way > view.wanted:
                    self.store.interrupt(number)  # The trial that it waited for counts, although it failed.
                else:
                    self.pool.submit(TrialJob(number, candidate, self.spec.seed))

    def _record(self, job: TrialJob, finished: Finished) -> None:
        report, weights = finished.result or (self._lost(job, finished.reason), None)
        self._finish(report, weights)
        self._count_failure(report)

    def _lost(self, job: TrialJob, reason: str) -> TrialReport:
        size = memory_bytes(self.baseline.slots, job.candidate)
        return TrialReport(job.number, job.candidate, TrialState.FAILED, size, reason=reason)

    def _finish(self, report: TrialReport, weights: Weights | None, reused_from: int | None = None) -> None:
        if weights is not None and report.state is TrialState.COMPLETE:
            save_weights(self.folder.weights(report.number), weights)
        # After the weights: who finds a report has all that came of the trial.
        write_atomically(self.folder.report(report.number), report.to_json().encode())
        self.store.tell(report, reused_from)
        label = next(row.label for row in self.store.rows_of(report.candidate) if row.number == report.number)
        self.delivery.trial(report.number, label, self.scheduler.figures(report.candidate))

    def _show(self) -> None:
        view = self.store.view()
        self.delivery.show(view, self.scheduler.files())
        self._drop_weights(view)

    def _drop_weights(self, view: StudyView) -> None:
        """Those of finished trials that are not on the front."""
        members = {point.number for point in view.front}
        finished = {row.number for row in view.rows if row.ended is not None} - members
        for path in self.folder.weights(0).parent.glob("*.npz"):
            if path.stem.isdigit() and int(path.stem) in finished:
                path.unlink(missing_ok=True)

    def _recover(self) -> int:
        """End what a launch that died left running, if its report is there, or queue it again; how many are queued."""
        self.recovered_at = time.monotonic()
        # Of several launches one does it.
        with self.folder.one_at_a_time(Turn.TAKE):
            self.store.read_again()
            return end_left(self.store, self.folder, self._left_running())

    def _left_running(self) -> list[TrialRow]:
        mine = {job.number for job in self.pool.trials} | self.twins.keys()
        return [row for row in self.store.running(self.drivers.is_nobodys) if row.number not in mine]

    def _catch_up(self) -> None:
        """Deliver what a launch that died told Optuna but not MLflow."""
        view, told = self.store.view(), self.tracker.trials
        ended = (row for row in view.rows if row.state in ENDED and row.number not in told)
        left = (row for row in ended if self.drivers.is_nobodys(row.driver))
        self.delivery.catch_up(
            (row.number, row.label, self.scheduler.figures(row.candidate) if row.candidate else ()) for row in left
        )
        self.delivery.show(view, self.scheduler.files(), final=True)

    def _count_failure(self, report: TrialReport) -> None:
        self.failures = self.failures + 1 if report.state is TrialState.FAILED else 0
        if self.failures >= MOST_FAILURES_IN_A_ROW:
            raise WorkerError(
                f"trials must not all fail, but the last {self.failures} did; the latest: {report.reason}"
            )

    def _deliver_rest(self, state: str, patience_seconds: float) -> None:
        if left := self.delivery.end(state, patience_seconds):
            self.observer.tracking(
                f"MLflow misses {left} trials; the same command, or wordlength check {self.spec.name} --repair, "
                "delivers them"
            )

    def _stop(self, error: BaseException) -> None:
        patience = min(STOP_SECONDS, 60 * self.spec.storage.patience_minutes)
        try:
            self.store.wait_at_most(patience)
            end_left(self.store, self.folder, self.store.running(lambda driver: driver == self.drivers.id))
            self.observer.trial(self.store.view())
            if hasattr(self, "scheduler"):
                self._catch_up()
            state = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
            self._deliver_rest(state, patience)
        except Exception as second:  # The first error is the one to tell.
            error.add_note(f"the study could not be told that it has stopped: {second}")
        finally:
            self.delivery.close()
