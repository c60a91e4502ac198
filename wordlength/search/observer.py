"""What a launch tells while it runs."""

from __future__ import annotations

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, BaselineProgress
from wordlength.search.trials import StudyView


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

    def study(self, view: StudyView, recovered: int, workers: int) -> None:
        """The study is open; `recovered` candidates of a killed launch are queued again."""

    def trial(self, view: StudyView) -> None:
        """A trial was begun or has ended."""
