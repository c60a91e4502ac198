"""The weights of a finished trial: kept, retrained, or trained again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialJob, TrialReport, TrialState, Weights
from wordlength.search.front import FrontPoint
from wordlength.search.home import Home
from wordlength.search.retrain import RetrainedTrial, retrained_result
from wordlength.search.trials import StudyView
from wordlength.search.weights import load_weights

if TYPE_CHECKING:
    from wordlength.objectives.evaluate import Evaluator

MODEL_TOLERANCE = 1e-6
"""How far a figure measured again may lie from the logged one."""


def retrained_weights(view: StudyView, point: FrontPoint, home: Home) -> tuple[RetrainedTrial, Weights]:
    """What `wordlength retrain` gave. Raises SpecError if it has not been run for this trial."""
    found = retrained_result(home.study(view.name), point)
    if found is None or found[0].validation is None:
        raise SpecError(
            f"a trial must have been retrained to have retrained weights, but trial {point.number} has not; "
            f"run: wordlength retrain {view.name} --pick trial={point.number} (--retrained)"
        )
    return found


def own_weights(
    view: StudyView, point: FrontPoint, home: Home, evaluator: Evaluator, tell: Callable[[str], None]
) -> tuple[TrialReport | None, Weights]:
    """The trial's report and its own weights; one that is not on the front is trained again, and `tell` is told.

    Raises SpecError if that gives other figures than the logged ones.
    """
    kept = home.study(view.name)
    weights = load_weights(kept.weights(point.number))
    if weights is not None:
        return kept.read_report(point.number), weights
    tell(f"the weights of trial {point.number} were not kept, since it is not on the front; training it again")
    report, weights = evaluator.evaluate(TrialJob(point.number, point.candidate, home.find(view.name).seed))
    off = abs((report.quality or 0.0) - point.quality)
    if report.state is not TrialState.COMPLETE or off > MODEL_TOLERANCE:
        raise SpecError(
            f"training trial {point.number} again must give its logged {view.goals.quality.title} "
            f"{point.quality:.7f}, but gave {report.quality} ({report.state}); "
            "was it trained on another machine?"
        )
    return report, weights
