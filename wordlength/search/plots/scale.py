"""What all drawings of a front share: the points by kind, the axes, what is marked, colours and fonts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wordlength.objectives.goals import Goals
from wordlength.search.front import FloatPoint, FrontPoint, indistinct, pick, plane
from wordlength.search.plots.height import quality_range
from wordlength.search.plots.paper import paper_mark, point_name
from wordlength.search.trials import StudyView

LOG_SPREAD = 8.0
"""Largest over smallest cost from which its axis is logarithmic."""

_TEXT_PX, _SMALL_FIGURE_PX = 18, 300
"""Heights of a mark's text and of a small figure's axes."""

FRONT_COLOUR = "#d62728"
OTHER_COLOUR = "#b8c4d0"
BASELINE_COLOUR = "#222222"
UNIFORM_COLOURS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e08214", "#17a2b8", "#5a6b7b")
"""Colours of the uniform formats; with seven colours and six symbols 42 formats stay distinct."""
TEXT_COLOUR = "#333333"
SOFT_COLOUR = "#5f6872"
GRID_COLOUR = "#e6e9ec"
FONT = "Helvetica, Arial, DejaVu Sans, sans-serif"
PLOTLY_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
    # plotly.js 4 has a button that uploads the figure to plotly's cloud: a study's results stay where they are.
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "sendChartToCloud"],
    "plotlyServerURL": "",
}

_UNIFORM_SYMBOLS = (
    ("diamond-open", "D"),
    ("square-open", "s"),
    ("triangle-up-open", "^"),
    ("triangle-down-open", "v"),
    ("pentagon-open", "p"),
    ("hexagon-open", "h"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A member with a name of its own, as "smallest, knee"; its text stands `up_px` above the point.

    It ends left of the point, or is centred where the left end of the axis is near.
    """

    point: FrontPoint
    text: str
    up_px: int
    centred: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The points by kind and the axes: first cost from left to right, bytes in kB, first quality upwards.

    Where less of the quality is better its axis is turned, so that better is higher in every drawing. `uniform`
    members of the front are in `front` too; `line`: those of the front that none beats in these two objectives.
    """

    front: tuple[FrontPoint, ...]
    dominated: tuple[FrontPoint, ...]
    uniform: tuple[FrontPoint, ...]
    baseline: FloatPoint
    title: str
    counts: Mapping[str, int]
    logarithmic: bool
    costs: tuple[float, float]
    qualities: tuple[float, float]
    alike: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Trial → neighbours on the front that it is not told apart from."""

    @property
    def goals(self) -> Goals:
        """What the study aims at."""
        return self.baseline.goals

    @property
    def line(self) -> tuple[FrontPoint, ...]:
        """The front's members that the front's line goes through."""
        return plane(self.front)

    def x(self, cost: float) -> float:
        """Where a cost is drawn."""
        return self.goals.cost.drawn(cost)

    def y(self, quality: float) -> float:
        """Where a quality is drawn."""
        return self.goals.quality.drawn(quality)

    @property
    def points(self) -> tuple[FrontPoint, ...]:
        """Every point once: dominated, front, then the rest of the uniform ones."""
        return tuple({p.number: p for p in (*self.dominated, *self.front, *self.uniform)}.values())

    @property
    def hidden(self) -> str:
        """Says how many trials lie below the shown range; empty if none."""
        better = self.goals.quality.ahead
        count = sum(better(point.quality) < better(self.qualities[0]) for point in self.points)
        return f"{count} trial{'s' if count > 1 else ''} below this range" if count else ""

    @property
    def ended(self) -> str:
        """How the trials ended, in words; empty if unknown."""
        named = [f"{count:,} {state}" for state, count in self.counts.items() if count or state == "complete"]
        unseen = sum(self.counts.get(state, 0) for state in ("pruned", "failed"))
        lost = f" Pruned and failed trials have no {self.goals.quality.title} and are not drawn." if unseen else ""
        return f"Trials: {', '.join(named)}.{lost}" if named else ""

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers within the range for the logarithmic axis, closer together if it is short."""
        low, high = self.costs
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 60 else (1, 2, 5)
        return tuple(m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Smallest, knee and best member, cheapest first, their texts clear of each other; none below the range.

        Above and left of a front no trial can lie: there is room for text.
        """
        placed: list[Mark] = []
        for point, text in marked(self.front):
            if self.place(point)[1] < 0:
                continue
            heights = (mark.up_px for mark in placed if self._near(mark.point, point))
            placed.append(Mark(point, text, max([*heights, -2]) + 18, self.place(point)[0] < 0.2))
        return tuple(placed)

    def place(self, point: FrontPoint) -> tuple[float, float]:
        """Where the point lies between the axes' ends, 0…1 from left to right and from bottom to top."""
        low, high = self.costs
        x = self.x(point.cost)
        along = math.log(x / low) / math.log(high / low) if self.logarithmic else (x - low) / (high - low)
        bottom, top = self.qualities
        return along, (self.y(point.quality) - bottom) / (top - bottom)

    def _near(self, one: FrontPoint, other: FrontPoint) -> bool:
        """Whether texts of the same offset would touch: a text is about a fifth as wide as a small figure."""
        (x, y), (u, v) = self.place(one), self.place(other)
        return abs(x - u) < 0.22 and abs(y - v) < 0.07


def drawing_of(study: StudyView) -> Drawing:
    """A study's front as it stands."""
    count = study.finished
    title = f"{study.name}: Pareto front of {count} trial{'' if count == 1 else 's'}"
    return drawn(study.points, study.front, study.baseline, title, study.ended)


def drawn(
    points: Iterable[FrontPoint],
    front: Sequence[FrontPoint],
    baseline: FloatPoint,
    title: str,
    counts: Mapping[str, int] | None = None,
    filling: Iterable[float] = (),
) -> Drawing:
    """`points`: all complete trials; `counts`: state → trials, empty if unknown.

    `filling`: qualities that fill the y axis with the baseline's, where those of the front do not.
    """
    every = tuple(points)
    filling = tuple(filling) or [point.quality for point in plane(front)]
    members = {point.number for point in front}
    special = tuple(point for point in every if _is_reference(point, baseline.network))
    shown = members | {point.number for point in special}
    goals = baseline.goals
    sizes = [goals.cost.drawn(point.cost) for point in (*every, *front)] + [goals.cost.drawn(baseline.cost)]
    logarithmic = min(sizes) > 0 and max(sizes) / min(sizes) > LOG_SPREAD
    drawing = Drawing(
        front=tuple(front),
        dominated=tuple(point for point in every if point.number not in shown),
        uniform=special,
        baseline=baseline,
        title=title,
        counts=dict(counts or {}),
        logarithmic=logarithmic,
        costs=(min(sizes) / 1.35, max(sizes) * 1.15) if logarithmic else (min(0.0, *sizes), max(sizes) * 1.05),
        qualities=quality_range(goals.quality, filling, [p.quality for p in (*every, *front)], baseline.quality),
        alike=indistinct(front),
    )
    return _with_room(_with_room(drawing))  # A longer axis draws points together, and then more texts stand on others.


def _with_room(drawing: Drawing) -> Drawing:
    """The drawing with a quality axis so long that the marks' texts end below the title."""
    bottom, top = drawing.qualities
    longest = top - bottom
    for mark in drawing.marks:
        reach = (drawing.y(mark.point.quality) - bottom) / (1 - (mark.up_px + _TEXT_PX) / _SMALL_FIGURE_PX)
        longest = max(longest, reach, key=abs)
    return dataclasses.replace(drawing, qualities=(bottom, bottom + longest))


def _is_reference(point: FrontPoint, network: str) -> bool:
    """Whether the point gets a symbol of its own: it has a label, or the paper's formats."""
    return bool(point.label or paper_mark(point.candidate, network))


def marked(front: Sequence[FrontPoint]) -> list[tuple[FrontPoint, str]]:
    """The members that have a name, cheapest first: (point, "smallest, knee")."""
    if not front:
        return []
    names: dict[int, list[str]] = {}
    for name in ("smallest", "knee", "best"):
        point = pick(front, name)
        names.setdefault(point.number, []).append(name)
    return [(point, ", ".join(names[point.number])) for point in front if point.number in names]


def styled(drawing: Drawing) -> Iterable[tuple[FrontPoint, str, str, tuple[str, str]]]:
    """Reference points with name, colour and symbols (plotly's, matplotlib's)."""
    for place, point in enumerate(drawing.uniform):
        symbols = _UNIFORM_SYMBOLS[place % len(_UNIFORM_SYMBOLS)]
        yield point, point_name(point, drawing.baseline.network), UNIFORM_COLOURS[place % len(UNIFORM_COLOURS)], symbols
