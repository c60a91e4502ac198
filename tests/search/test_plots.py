import csv
import html
import io
import re
import struct
import subprocess
import sys
import threading

import pytest

from wordlength.search.front import Baseline, FrontPoint, pareto_front
from wordlength.search.plots import _view, front_csv, pareto_html, pareto_png, plotly_figure
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot

SLOTS = [Slot(layer, role) for layer in ("conv_1", "dense_1") for role in Role]
BASELINE = Baseline(0.034, 1_875_812)


def cloud() -> list[FrontPoint]:
    """Two uniform references, front members, dominated trials and one far below."""
    uniform = Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(16, 2))
    other = Candidate.uniform(SLOTS, Fixed(6, -1), Fixed(16, 2), Fixed(12, 2))
    rows = [
        (0.016, 236_506, uniform, "uniform po2<4,-1>"),
        (0.032, 937_906, uniform, "uniform fixed<16,2>"),
        (0.001, 130_000, other, ""),
        (0.021, 182_143, other, ""),
        (0.019, 300_000, other, ""),
        (0.015, 350_000, other, ""),
        (-0.300, 320_000, other, ""),
    ]
    return [FrontPoint(n, s, m, c, label, 0.0011 if n % 2 else None) for n, (s, m, c, label) in enumerate(rows)]


def figure_of(points, study="study", trial_count=None):
    return plotly_figure(_view(points, pareto_front(points), BASELINE, study, trial_count))


def test_plotly_accepts_the_figure():
    import plotly.graph_objects as go

    figure = go.Figure(figure_of(cloud()))
    assert [trace.name for trace in figure.data] == [
        "other trials",
        "Pareto front",
        "uniform po2&lt;4,-1&gt;",
        "uniform fixed&lt;16,2&gt;",
        "float32 baseline",
    ]


def test_every_point_is_drawn_once_by_kind():
    points = cloud()
    other, front, first, second, baseline = figure_of(points)["data"]
    assert sorted(other["x"]) == [300.0, 320.0, 350.0]
    assert front["x"] == [130.0, 182.143, 937.906]
    assert front["line"]["shape"] == "hv"
    assert (first["x"], second["x"]) == ([236.506], [937.906])
    assert (baseline["x"], baseline["y"]) == ([1875.812], [0.034])
    assert first["marker"]["symbol"] != second["marker"]["symbol"]


def test_hover_tells_figures_and_formats_of_each_layer():
    text = html.unescape(figure_of(cloud())["data"][1]["text"][1]).replace("\u00a0", " ")
    assert text.split("<br>") == [
        "<b>trial 3</b>",
        "182,143 bytes, 90.3 % saved",
        "STOI improvement 0.0210 ± 0.0011",
        "",
        "layer    weights      biases       activations",
        "conv_1   fixed<6,-1>  fixed<16,2>  fixed<12,2>",
        "dense_1  fixed<6,-1>  fixed<16,2>  fixed<12,2>",
    ]


def test_hover_leaves_out_an_unknown_error():
    assert "±" not in figure_of(cloud())["data"][1]["text"][0]


def test_memory_axis_is_logarithmic_only_for_a_wide_spread():
    wide = figure_of(cloud())["layout"]["xaxis"]
    assert wide["type"] == "log"
    assert wide["ticktext"][:3] == ["150", "200", "300"]
    narrow = [FrontPoint(0, 0.01, 900_000, cloud()[0].candidate), FrontPoint(1, 0.02, 1_000_000, cloud()[0].candidate)]
    axis = figure_of(narrow)["layout"]["xaxis"]
    assert "type" not in axis
    assert axis["range"][0] == 0.0


def test_trials_far_below_are_counted_not_shown():
    layout = figure_of(cloud())["layout"]
    assert layout["yaxis"]["range"][0] > -0.02
    assert layout["annotations"][0]["text"].startswith("1 trial below this range")
    assert figure_of(cloud()[:6])["layout"]["annotations"][0]["text"] == ""


def test_axes_have_units_and_the_title_its_study():
    layout = figure_of(cloud(), "a <b> & c", 46)["layout"]
    assert layout["xaxis"]["title"]["text"] == "memory in kB (1 kB = 1000 bytes)"
    assert layout["yaxis"]["title"]["text"] == "STOI improvement"
    assert layout["title"]["text"] == "a &lt;b&gt; &amp; c: Pareto front of 46 trials"


def test_page_needs_nothing_else_and_sends_nothing():
    points = cloud()
    page = pareto_html(points, pareto_front(points), BASELINE, "study <1>")
    assert "<title>study &lt;1&gt;: Pareto front of 7 trials</title>" in page
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    assert "sendChartToCloud" in page.split('"modeBarButtonsToRemove"')[-1].split("]")[0]
    assert len(page) > 1_000_000


def png_size(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_png_has_its_size_and_is_the_same_each_time():
    points = cloud()
    first = pareto_png(points, pareto_front(points), BASELINE, "cost $1 of $2", 46)
    assert png_size(first) == (816, 480)
    assert first == pareto_png(points, pareto_front(points), BASELINE, "cost $1 of $2", 46)


def test_png_leaves_matplotlib_as_it_was():
    code = (
        "import sys, matplotlib\n"
        # Reading the backend would choose one, and import pyplot for it.
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from wordlength.search.front import Baseline\n"
        "from wordlength.search.plots import pareto_png\n"
        "assert pareto_png([], [], Baseline(0.034, 1000), 'empty')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={"PATH": "", "HOME": "/tmp"})


def test_png_in_several_threads():
    points = cloud()
    found = []
    draw = [
        threading.Thread(target=lambda: found.append(pareto_png(points, pareto_front(points), BASELINE, "threads")))
        for _ in range(3)
    ]
    for thread in draw:
        thread.start()
    for thread in draw:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_importing_draws_nothing_in():
    heavy = "{'plotly', 'matplotlib', 'mlflow', 'tensorflow'}"
    code = f"import sys, wordlength.search.plots; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("points", [[], cloud()[:1], cloud()[6:]], ids=["none", "one", "one far below"])
def test_small_studies_are_drawn_too(points):
    import plotly.graph_objects as go

    go.Figure(figure_of(points))
    assert png_size(pareto_png(points, pareto_front(points), BASELINE, "small")) == (816, 480)


def test_csv_has_a_column_per_slot():
    points = cloud()
    rows = list(csv.reader(io.StringIO(front_csv(pareto_front(points), BASELINE.memory_bytes))))
    noise = ["stoi_standard_error", "baseline_difference", "baseline_difference_error", "indistinct_from"]
    assert rows[0][:5] == ["trial", "label", "stoi_improvement", "memory_bytes", "saved_percent"]
    assert rows[0][5:] == [*noise, *(str(slot) for slot in SLOTS)]
    assert rows[2][:5] == ["3", "", "0.021", "182143", "90.29"]
    assert rows[2][8:10] == ["", "fixed<6,-1>"]
    assert rows[3][1] == "uniform fixed<16,2>"
    assert len(rows) == 4
    assert front_csv((), 100).startswith("trial,label,stoi_improvement,memory_bytes,saved_percent,")


def alike_pair() -> list[FrontPoint]:
    """Two front members that the mixtures do not tell apart, and a third that they do."""
    gains = ((0.01, 0.03), (0.032, 0.01), (0.06, 0.0601))
    return [
        FrontPoint(
            number,
            sum(pair) / 2,
            (number + 1) * 100_000,
            Candidate.uniform(SLOTS, Fixed(6, -1), Fixed(16, 2), Fixed(12, 2)),
            gains=pair,
            difference=sum(pair) / 2 - 0.05,
            difference_error=0.001,
        )
        for number, pair in enumerate(gains)
    ]


def test_members_that_are_not_told_apart_are_hollow_and_named():
    front = pareto_front(alike_pair())
    assert len(front) == 3
    drawn = next(trace for trace in figure_of(front)["data"] if trace["name"] == "Pareto front")
    assert drawn["marker"]["symbol"] == ["circle-open", "circle-open", "circle"]
    assert "not told apart from trial 1" in drawn["text"][0]
    assert "not told apart" not in drawn["text"][2]
    assert "against float32 -0.0300 ± 0.0010 (paired)" in drawn["text"][0]
    rows = list(csv.reader(io.StringIO(front_csv(front, BASELINE.memory_bytes))))
    assert [row[8] for row in rows[1:]] == ["1", "0", ""]
    assert png_size(pareto_png(front, front, BASELINE, "alike")) == (816, 480)
