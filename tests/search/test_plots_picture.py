"""The front as a PNG."""

import subprocess
import sys
import threading

import pytest
from front_points import alike_pair, cloud, ended, png_size, study_of
from two_goals import front_point

from wordlength.search.front import FrontPoint
from wordlength.search.plots import pareto_png
from wordlength.search.plots.scale import drawing_of


def test_png_has_its_size_and_is_the_same_each_time():
    points = cloud()
    first = pareto_png(study_of(points, name="cost $1 of $2"))
    assert png_size(first) == (816, 480)
    assert first == pareto_png(study_of(points, name="cost $1 of $2"))


def test_png_leaves_matplotlib_as_it_was():
    code = (
        "import sys, matplotlib\n"
        # Reading the backend would choose one, and import pyplot for it.
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from wordlength.search.front import FloatPoint\n"
        "from wordlength.search.plots import pareto_png\n"
        "from wordlength.search.trials import StudyView\n"
        "own = FloatPoint({'stoi_improvement': 0.034, 'memory_bytes': 1000}, 1000)\n"
        "assert pareto_png(StudyView('empty', (), own, 9))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={"PATH": "", "HOME": "/tmp"})


def test_png_in_several_threads():
    study = study_of(cloud())
    found = []
    draw = [threading.Thread(target=lambda: found.append(pareto_png(study))) for _ in range(3)]
    for thread in draw:
        thread.start()
    for thread in draw:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "points", [[], cloud()[:1], cloud()[6:], alike_pair()], ids=["none", "one", "one far below", "alike"]
)
def test_small_studies_are_drawn_too(points):
    assert png_size(pareto_png(study_of(points, *ended("pruned", 3)))) == (816, 480)


def overlapping(figure) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes meet, and (text, "edge") for one that leaves the picture."""
    from matplotlib.text import Text

    renderer = figure.canvas.get_renderer()
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    # matplotlib has ticks beyond both ends of an axis, which it does not draw.
    undrawn = [
        tick.label1
        for axis in axes
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in undrawn]
    # An annotation's own extent holds its arrow too.
    boxes = [(t.get_text(), Text.get_window_extent(t, renderer)) for t in texts]
    found = [
        (one, other)
        for place, (one, box) in enumerate(boxes)
        for other, beside in boxes[place + 1 :]
        if box.overlaps(beside)
    ]
    inside = figure.bbox.padded(1)
    return found + [
        (text, "edge") for text, box in boxes if not (inside.contains(*box.min) and inside.contains(*box.max))
    ]


def close_by(best: float = 0.0225) -> list[FrontPoint]:
    """Smallest, knee and best within a few pixels of each other, and one trial far away."""
    near = [(0, best - 0.0025), (400, best - 0.0003), (2_000, best)]
    points = [front_point(n, gain, 200_000 + more, cloud()[2].candidate) for n, (more, gain) in enumerate(near)]
    return [*points, front_point(9, 0.01, 900_000, cloud()[2].candidate)]


@pytest.mark.parametrize(
    ("points", "study"),
    [(cloud(), "klein"), (cloud(), "n" * 63), (close_by(), "klein"), (close_by(0.034), "klein")],
    ids=["cloud", "long", "close", "close below the title"],
)
def test_no_text_lies_on_another(points, study, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig

    def keep(figure, *arguments, **settings):
        save(figure, *arguments, **settings)
        drawn.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    shown = study_of(points, *ended("pruned", 1_234), *ended("failed", 1_234), name=study)
    pareto_png(shown)
    assert overlapping(drawn[0]) == []
    texts = {text.get_text() for text in drawn[0].axes[0].texts}
    assert {mark.text for mark in drawing_of(shown).marks} <= texts
