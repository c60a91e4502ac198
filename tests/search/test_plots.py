"""The interactive page of the front: its figure, the data it carries, and that it needs nothing else."""

import html
import json
import math
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from front_points import (
    BASELINE,
    FIXED_313,
    MIXED,
    OTHER_NETWORK,
    POWERS,
    SLOTS,
    alike_pair,
    cloud,
    crowd,
    ended,
    study_of,
)
from two_goals import float_point, front_point

from wordlength.search.front import pareto_front
from wordlength.search.plots import drawn, marked, paper_mark, pareto_html, plotly_figure, point_name
from wordlength.search.plots.cells import bits_colour, cell_class, key_html, short_text
from wordlength.search.plots.page import script_json
from wordlength.search.trials import TrialRow
from wordlength.space import Binary, Candidate, Fixed, Float32, PowerOfTwo, Role, Slot, VirtualBitShift

HOSTILE = "</script><!--<b>\u2028'\"&{{data}}"


def figure_of(points, baseline=BASELINE):
    return plotly_figure(drawn(points, pareto_front(points), baseline, "study"))


def named(figure, name):
    return next(trace for trace in figure["data"] if trace.get("name", "").startswith(name))


def page_of(points, baseline=BASELINE, study="study", others=()):
    return pareto_html(study_of(points, *others, baseline=baseline, name=study))


def embedded(page: str, name: str):
    """The JSON of one of the page's data elements, found as a browser finds it: up to the first end tag."""
    start = page.index(f'<script type="application/json" id="{name}">')
    return json.loads(page[page.index(">", start) + 1 : page.index("</script", start)])


def test_plotly_accepts_the_figure():
    import plotly.graph_objects as go

    figure = go.Figure(figure_of(cloud()))
    assert [trace.name for trace in figure.data] == [
        "other trials",
        "Pareto front",
        "uniform po2&lt;4,-1&gt; (the paper’s)",
        "uniform fixed&lt;16,2&gt; (the paper’s 3.13)",
        None,
        "float32 baseline",
        "published by the paper<br>(other data; click to show)",
    ]


def test_every_point_is_drawn_once_by_kind():
    figure = figure_of(cloud())
    other, front, first, second, _, baseline, _ = figure["data"]
    assert sorted(other["x"]) == [300.0, 320.0, 350.0]
    assert front["x"] == [130.0, 182.143, 937.906]
    assert front["line"]["shape"] == "hv"
    assert (first["x"], second["x"]) == ([236.506], [937.906])
    assert (baseline["x"], baseline["y"]) == ([1875.812], [0.034])
    assert first["marker"]["symbol"] != second["marker"]["symbol"]


def test_customdata_leads_to_the_point_itself():
    points = cloud()
    figure, data = figure_of(points), embedded(page_of(points), "data")
    trials = data["points"]
    seen = set()
    for trace in figure["data"]:
        for x, y, row in zip(trace["x"], trace["y"], trace.get("customdata", ()), strict=False):
            bytes_, gain = trials[row][2:4] if row < len(trials) else data["references"][row - len(trials)][2:4]
            assert (bytes_, gain) == (round(x * 1000), y)
            seen.add(row)
    assert seen == set(range(len(trials) + len(data["references"])))


def test_cells_hold_the_format_of_every_slot():
    points = [*cloud(), front_point(9, 0.0, 400_000, Candidate.of({SLOTS[0]: Fixed(3, 0)}))]
    data = embedded(page_of(points), "data")
    by_number = {point.number: point for point in points}
    assert len(data["slots"]) == len(SLOTS)
    for number, *_, cells, _ in data["points"]:
        told = {
            f"{data['layers'][layer]}.{data['roles'][role]}": data["formats"][place][0]
            for (layer, role), place in zip(data["slots"], cells, strict=True)
            if place >= 0
        }
        assert told == {str(slot): fmt.brief for slot, fmt in by_number[number].candidate.pairs}


def test_points_tell_errors_differences_and_neighbours():
    trials = embedded(page_of(alike_pair()), "data")["points"]
    assert trials[0][:9] == [0, "", 100_000, 0.02, None, -0.03, 0.001, [1], "smallest"]
    assert trials[2][7:9] == [[], "knee, best"]
    figure = figure_of(alike_pair())
    assert named(figure, "Pareto front")["marker"]["symbol"] == ["circle-open", "circle-open", "circle"]


def test_unknown_and_infinite_errors_are_null():
    points = [front_point(0, 0.1, 1000, MIXED, "", math.inf, (), math.nan, None)]
    assert embedded(page_of(points), "data")["points"][0][4:7] == [None, None, None]


def test_smallest_knee_and_best_are_named_once_each():
    names = [(point.number, text) for point, text in marked(pareto_front(cloud()))]
    assert names == [(2, "smallest"), (3, "knee"), (1, "best")]
    assert [text for _, text in marked(pareto_front(cloud()[:1]))] == ["smallest, knee, best"]
    assert marked(()) == []
    texts = [note["text"] for note in figure_of(cloud())["layout"]["annotations"]]
    assert texts == ["smallest", "knee", "best"]


def test_names_of_close_members_stand_above_each_other():
    close = [front_point(n, 0.02 + n / 10_000, 200_000 + 100 * n, MIXED) for n in range(5)]
    heights = [mark.up_px for mark in drawn(close, pareto_front(close), BASELINE, "s").marks]
    assert len(heights) == 2  # The straight line's knee is its better end.
    assert all(b - a >= 16 for a, b in pairwise(heights))


@pytest.mark.parametrize(
    ("candidate", "mark"),
    [
        (POWERS, "the paper’s"),
        (FIXED_313, "the paper’s 3.13"),
        (MIXED, ""),
        (Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(8, 2)), ""),
        (Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(12, 2), Fixed(16, 2)), ""),
        (Candidate.uniform(SLOTS, PowerOfTwo(4, 0), Fixed(16, 2), Fixed(16, 2)), ""),
        (Candidate.uniform(SLOTS, Fixed(16, 2, signed=False), Fixed(16, 2), Fixed(16, 2)), ""),
        (Candidate.of({**POWERS, Slot("conv_1", Role.WEIGHTS): PowerOfTwo(3, -1)}), ""),
        (Candidate.of({}), ""),
    ],
    ids=["po2", "3.13", "mixed", "activations", "biases", "exponent", "unsigned", "one layer", "nothing"],
)
def test_the_papers_formats_are_known_by_the_candidate(candidate, mark):
    assert paper_mark(candidate, "irm_cnn") == mark


def test_another_network_has_no_paper():
    other = float_point(0.034, 1_875_812, "spectrum_dnn")
    assert (paper_mark(POWERS, "spectrum_dnn"), paper_mark(POWERS, "")) == ("", "")
    names = [trace.get("name", "") for trace in figure_of(cloud(), other)["data"]]
    assert "uniform po2&lt;4,-1&gt;" in names
    assert not [name for name in names if "paper" in name]
    assert "paper" not in json.dumps(embedded(page_of(cloud(), other), "data"))


def test_a_label_alone_makes_no_paper():
    liar = front_point(0, 0.1, 1000, MIXED, "uniform po2<4,-1>")
    assert point_name(liar, "irm_cnn") == "uniform po2<4,-1>"
    searched = front_point(1, 0.1, 1000, POWERS)
    assert point_name(searched, "irm_cnn") == "uniform po2<4,-1> (the paper’s)"
    assert named(figure_of([searched]), "uniform po2")
    assert point_name(front_point(2, 0.1, 1000, MIXED), "irm_cnn") == ""


def test_the_papers_results_show_only_with_the_papers_network():
    published = named(figure_of(cloud()), "published")
    assert published["visible"] == "legendonly"
    assert (published["x"], published["y"]) == ([1875.812, 236.506], [0.074, 0.067])
    assert not [t for t in figure_of(cloud(), OTHER_NETWORK)["data"] if t.get("name", "").startswith("published")]
    assert len(embedded(page_of(cloud(), OTHER_NETWORK), "data")["references"]) == 1


def test_memory_axis_is_logarithmic_only_for_a_wide_spread():
    wide = figure_of(cloud())["layout"]["xaxis"]
    assert wide["type"] == "log"
    assert wide["ticktext"][:3] == ["100", "150", "200"]
    narrow = [front_point(0, 0.01, 900_000, MIXED), front_point(1, 0.02, 1_000_000, MIXED)]
    axis = figure_of(narrow)["layout"]["xaxis"]
    assert "type" not in axis
    assert axis["range"][0] == 0.0


def test_trials_far_below_are_counted_not_shown():
    assert figure_of(cloud())["layout"]["yaxis"]["range"][0] > -0.02
    assert "1 trial below this range" in page_of(cloud())
    assert "below this range" not in page_of(cloud()[:6])


def test_axes_have_units_and_the_title_its_study():
    layout = figure_of(cloud())["layout"]
    assert layout["xaxis"]["title"]["text"] == "memory in kB (1 kB = 1000 bytes)"
    assert layout["yaxis"]["title"]["text"] == "STOI improvement"
    page = page_of(cloud(), study="a <b> & c", others=ended("failed", 39))
    assert "<h1>a &lt;b&gt; &amp; c: Pareto front of 46 trials</h1>" in page


def test_caption_tells_how_the_trials_ended():
    told = page_of(cloud(), others=[*ended("pruned", 2_100), TrialRow(9, "running", None)])
    assert "Trials: 7 complete, 2,100 pruned. Pruned and failed trials have no STOI improvement" in told
    assert "Trials: 7 complete. " in page_of(cloud())


def test_page_needs_nothing_else_and_sends_nothing():
    page = page_of(cloud(), study="study <1>")
    assert "<title>study &lt;1&gt;: Pareto front of 7 trials</title>" in page
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    config = embedded(page, "figure")["config"]
    assert "sendChartToCloud" in config["modeBarButtonsToRemove"]
    assert config["plotlyServerURL"] == ""
    from plotly.offline import get_plotlyjs

    own = page.replace(get_plotlyjs(), "")
    assert len(own) < len(page) - 1_000_000
    assert not re.findall(r"https?:|//[a-z]+\.|url\(|@import|\beval\b|innerHTML", own)


def test_hostile_names_stay_text():
    slot = Slot("</script><img src=x>", Role.WEIGHTS)
    points = [front_point(0, 0.1, 1000, Candidate.of({slot: Fixed(4, 0)}), HOSTILE)]
    page = page_of(points, study=HOSTILE)
    assert embedded(page, "data")["points"][0][1] == HOSTILE
    assert embedded(page, "data")["layers"] == ["</script><img src=x>"]
    assert named(embedded(page, "figure"), html.escape(HOSTILE, quote=False))
    assert page.count("</script>") == page_of(cloud()).count("</script>")
    assert f"<h1>{html.escape(HOSTILE)}: Pareto front" in page
    assert script_json(HOSTILE).isascii()
    assert "<" not in script_json(HOSTILE)


def test_two_thousand_points_stay_small():
    from plotly.offline import get_plotlyjs

    points = crowd(2000)
    page = page_of(points)
    assert len(page.encode()) - len(get_plotlyjs().encode()) < 500_000
    assert len(embedded(page, "data")["points"]) == 2000


@pytest.mark.parametrize("points", [[], cloud()[:1], cloud()[6:]], ids=["none", "one", "one far below"])
def test_small_studies_are_drawn_too(points):
    import plotly.graph_objects as go

    go.Figure(figure_of(points))
    data = embedded(page_of(points), "data")
    assert len(data["points"]) == len(points)
    assert ("No trial is complete yet." in page_of(points)) is (not points)


def luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (b / 255 for b in bytes.fromhex(colour[1:]))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_more_bits_are_darker_and_every_text_can_be_read():
    colours = [bits_colour(bits) for bits in range(1, 33)]
    fills = [luminance(fill) for fill, _ in colours]
    assert all(a > b for a, b in pairwise(fills[:24]))
    assert all(a >= b for a, b in pairwise(fills))
    for fill, ink in colours:
        low, high = sorted((luminance(fill), luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_kind_has_its_mark_and_short_text():
    formats = [Fixed(16, 2), PowerOfTwo(4, -1), VirtualBitShift(8), Binary(), Float32(), Fixed(8, 2, signed=False)]
    assert [short_text(fmt) for fmt in formats] == ["16,2", "4,-1", "8", "1", "f32", "u8,2"]
    assert [cell_class(fmt) for fmt in formats[:2]] == ["c b16 fixed", "c b4 po2"]
    key = key_html(formats)
    assert re.findall(r">(\d+)</span>", key) == ["1", "4", "8", "16", "32"]
    assert re.findall(r"plain (\w+)", key) == ["fixed", "po2", "vbs", "binary", "float32"]
    assert key_html([]) == ""


def test_importing_draws_nothing_in():
    heavy = "{'plotly', 'matplotlib', 'mlflow', 'tensorflow'}"
    code = f"import sys, wordlength.search.plots; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_baseline_is_a_point_of_its_own():
    data = embedded(page_of(cloud(), float_point(0.05, 2_000)), "data")
    assert data["references"] == [["float32 baseline", "", 2_000, 0.05, []]]
    assert data["cost"] == {"head": "", "unit": "bytes", "decimals": 0, "float32": 2_000}
