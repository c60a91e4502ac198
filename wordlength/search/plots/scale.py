"""What all drawings of a front share: the points by kind, the axes, what is marked, colours and fonts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wordlength.search.front import Baseline, FrontPoint, indistinct, knee
from wordlength.search.plots.paper import paper_mark, point_name

LOG_SPREAD = 8.0
"""Largest over smallest memory from which the memory axis is logarithmic."""

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
MEMORY_TITLE = "memory in kB (1 kB = 1000 bytes)"

_UNIFORM_SYMBOLS = (
    ("diamond-open", "D"),
    ("square-open", "s"),
    ("triangle-up-open", "^"),
    ("triangle-down-open", "v"),
    ("pentagon-open", "p"),
    ("hexagon-open", "h"),
)

Points = Iterable[FrontPoint]
Front = Sequence[FrontPoint]


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
class View:
    """The points by kind and the axes; memory in kB. `uniform` members of the front are in `front` too."""

    front: tuple[FrontPoint, ...]
    dominated: tuple[FrontPoint, ...]
    uniform: tuple[FrontPoint, ...]
    baseline: Baseline
    title: str
    counts: Mapping[str, int]
    logarithmic: bool
    memory_kb: tuple[float, float]
    improvement: tuple[float, float]
    alike: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Trial → neighbours on the front that it is not told apart from."""

    @property
    def points(self) -> tuple[FrontPoint, ...]:
        """Every point once: dominated, front, then the rest of the uniform ones."""
        return tuple({p.number: p for p in (*self.dominated, *self.front, *self.uniform)}.values())

    @property
    def hidden(self) -> str:
        """Says how many trials lie below the shown range; empty if none."""
        count = sum(point.stoi_improvement < self.improvement[0] for point in self.points)
        return f"{count} trial{'s' if count > 1 else ''} below this range" if count else ""

    @property
    def ended(self) -> str:
        """How the trials ended, in words; empty if unknown."""
        named = [f"{count:,} {state}" for state, count in self.counts.items() if count or state == "complete"]
        unseen = sum(self.counts.get(state, 0) for state in ("pruned", "failed"))
        lost = " Pruned and failed trials have no STOI improvement and are not drawn." if unseen else ""
        return f"Trials: {', '.join(named)}.{lost}" if named else ""

    @property
    def ticks_kb(self) -> tuple[float, ...]:
        """Round numbers within the range for the logarithmic axis, closer together if it is short."""
        low, high = self.memory_kb
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 60 else (1, 2, 5)
        return tuple(m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Smallest, knee and best member, ascending in memory, their texts clear of each other.

        Above and left of a front no trial can lie: there is room for text.
        """
        placed: list[Mark] = []
        for point, text in marked(self.front):
            heights = (mark.up_px for mark in placed if self._near(mark.point, point))
            placed.append(Mark(point, text, max([*heights, -2]) + 18, self.place(point)[0] < 0.2))
        return tuple(placed)

    def place(self, point: FrontPoint) -> tuple[float, float]:
        """Where the point lies between the axes' ends, 0…1 from left to right and from bottom to top."""
        low, high = self.memory_kb
        x = point.memory_bytes / 1000
        along = math.log(x / low) / math.log(high / low) if self.logarithmic else (x - low) / (high - low)
        bottom, top = self.improvement
        return along, (point.stoi_improvement - bottom) / (top - bottom)

    def _near(self, one: FrontPoint, other: FrontPoint) -> bool:
        """Whether texts of the same offset would touch: a text is about a fifth as wide as a small figure."""
        (x, y), (u, v) = self.place(one), self.place(other)
        return abs(x - u) < 0.22 and abs(y - v) < 0.07


def view_of(
    points: Points,
    front: Front,
    baseline: Baseline,
    study: str,
    trial_count: int | None = None,
    counts: Mapping[str, int] | None = None,
) -> View:
    """`points`: all complete trials; `trial_count`: trials that ended in any way; `counts`: state → trials."""
    every = tuple(points)
    members = {point.number for point in front}
    special = tuple(point for point in every if is_reference(point))
    drawn = members | {point.number for point in special}
    sizes = [point.memory_bytes / 1000 for point in (*every, *front)] + [baseline.memory_bytes / 1000]
    logarithmic = min(sizes) > 0 and max(sizes) / min(sizes) > LOG_SPREAD
    count = len(every) if trial_count is None else trial_count
    return View(
        front=tuple(front),
        dominated=tuple(point for point in every if point.number not in drawn),
        uniform=special,
        baseline=baseline,
        title=f"{study}: Pareto front of {count} trial{'' if count == 1 else 's'}",
        counts=dict(counts or {}),
        logarithmic=logarithmic,
        memory_kb=(min(sizes) / 1.35, max(sizes) * 1.15) if logarithmic else (0.0, max(sizes) * 1.05),
        improvement=_improvement_range([p.stoi_improvement for p in (*every, *front)], baseline.stoi_improvement),
        alike=indistinct(front),
    )


def is_reference(point: FrontPoint) -> bool:
    """Whether the point gets a symbol of its own: it has a label, or the paper's formats."""
    return bool(point.label or paper_mark(point.candidate))


def marked(front: Front) -> list[tuple[FrontPoint, str]]:
    """The members that have a name, ascending in memory: (point, "smallest, knee")."""
    if not front:
        return []
    names: dict[int, list[str]] = {}
    for point, name in ((front[0], "smallest"), (knee(front), "knee"), (front[-1], "best")):
        names.setdefault(point.number, []).append(name)
    return [(point, ", ".join(names[point.number])) for point in front if point.number in names]


def styled(points: Sequence[FrontPoint]) -> Iterable[tuple[FrontPoint, str, str, tuple[str, str]]]:
    """Reference points with name, colour and symbols (plotly's, matplotlib's)."""
    for place, point in enumerate(points):
        symbols = _UNIFORM_SYMBOLS[place % len(_UNIFORM_SYMBOLS)]
        yield point, point_name(point), UNIFORM_COLOURS[place % len(UNIFORM_COLOURS)], symbols


def _improvement_range(values: Sequence[float], reference: float) -> tuple[float, float]:
    """Bottom and top of the y axis. Trials far below zero, which nobody would deploy, must not squash the rest."""
    top = max([*values, reference, 0.0])
    bottom = min([value for value in values if value > -0.5 * top or top == 0] + [reference, 0.0])
    height = (top - bottom) or 0.01
    # Above the best member stands its name.
    return bottom - 0.06 * height, top + 0.11 * height
