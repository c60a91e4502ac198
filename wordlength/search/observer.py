"""What a launch tells while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.search.trials import StudyView

if TYPE_CHECKING:
    from wordlength.search.jobs import Retried
    from wordlength.search.rungs import RungCounts


class Observer:
    """The methods do nothing unless overridden."""

    def data(self, stage: str, done: int, total: int) -> None:
        """Preparing data: "render", "hash", "train", "validation", "test"."""

    def prepared(self, data: PreparedData) -> None:
        """The data is ready."""

    def baseline(self, progress: BaselineProgress | Baseline) -> None:
        """After each epoch of the float baseline; last, the Baseline."""

    def tracked(self, experiment_id: str) -> None:
        """The study has its place in MLflow: an experiment with its views."""

    def study(self, view: StudyView, again: int, workers: int) -> None:
        """The study is open; `again` candidates of trials that were cut off are queued again."""

    def phase(self, name: str, share: float) -> None:
        """So much is done of what serves many trials, which may run beside it: "first front", "shared weights"."""

    def screened(self, counts: RungCounts) -> None:
        """A candidate was judged on a lower rung."""

    def trial(self, view: StudyView) -> None:
        """A trial was begun or has ended."""

    def workers(self, ready: int) -> None:
        """So many workers are ready, at work or not."""

    def retried(self, told: Retried) -> None:
        """A worker died; its job goes to another one."""

    def tracking(self, line: str) -> None:
        """MLflow is away, or back, or has refused something; called in a thread of its own."""
