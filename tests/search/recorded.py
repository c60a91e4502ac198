"""Reports, studies as they stand, and what MLflow then holds."""

from datetime import datetime, timedelta
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import ViewType
from two_goals import float_point, reached, values

from wordlength.objectives.report import LayerAnalysis, TrialReport, TrialState
from wordlength.search.tracking import Tracker
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot, SlotInfo
from wordlength.space.slots import TensorInfo

BASELINE = float_point(0.034, 100_000)
SLOTS = [Slot(f"dense_{n}", role) for n in range(1, 10) for role in Role]
INFOS = tuple(
    SlotInfo(slot, () if slot.role is Role.ACTIVATIONS else (TensorInfo(slot.role, (100,)),)) for slot in SLOTS
)
FIGURES_OF_STUDY = {"baseline_stoi_improvement": 0.034, "baseline_memory_bytes": 100_000.0}


def candidate(bits: int = 4) -> Candidate:
    return Candidate.uniform(SLOTS, PowerOfTwo(bits, -1), Fixed(16, 2), Fixed(bits + 4, 2))


def report(number: int, state: TrialState = TrialState.COMPLETE, **changes) -> TrialReport:
    formats = candidate(changes.pop("bits", 4))
    rows = tuple(
        LayerAnalysis(slot, fmt, step, epoch, 100, 0.01 * epoch, 0, 0, 0, 3.0, 2, -3.0, 3.0, 0.0, 1.0, float("inf"))
        for step, formats_of_step in ((1, formats.parameters_only()), (2, formats))
        for epoch in (1, 2)
        for slot, fmt in formats_of_step.pairs
    )
    fields = {
        "memory_bytes": 25_000,
        "standard_error": 0.001,
        "constraints": {"overflow": -0.02},
        "losses": ((0.5, 0.4), (0.3, float("nan"))),
        "analyses": rows,
        "seconds": {"step1": 20.0, "step2": 10.5},
    }
    stoi, memory = changes.pop("stoi", 0.03), changes.get("memory_bytes", fields["memory_bytes"])
    told = reached(stoi, memory) if state is TrialState.COMPLETE else {}
    return TrialReport(number, formats, state, **(fields | told | changes))


def children(tracker: Tracker, store: str, view=ViewType.ACTIVE_ONLY):
    found = MlflowClient(store).search_runs([tracker.experiment_id], "tags.kind = 'trial'", view)
    return {int(run.data.tags["trial.number"]): run for run in found}


def parent(tracker: Tracker, store: str):
    return MlflowClient(store).get_run(tracker.run_id)


def artifact(tracker: Tracker, store: str, name: str) -> bytes:
    return Path(MlflowClient(store).download_artifacts(tracker.run_id, name)).read_bytes()


def view(*rows: tuple[int, float, int], wanted: int = 50, candidates=None) -> StudyView:
    """A study whose trials (number, STOI improvement, bytes) ended in this order."""
    start = datetime(2026, 1, 1)
    return StudyView(
        "study",
        tuple(
            TrialRow(
                number,
                "complete",
                candidates[number] if candidates else candidate(),
                values=values(stoi, memory),
                memory_bytes=memory,
                ended=start + timedelta(seconds=place),
            )
            for place, (number, stoi, memory) in enumerate(rows)
        ),
        BASELINE,
        wanted,
    )


def curve(tracker: Tracker, store: str, name: str = "hypervolume") -> list[tuple[int, float]]:
    history = MlflowClient(store).get_metric_history(tracker.run_id, name)
    return sorted((point.step, point.value) for point in history)
