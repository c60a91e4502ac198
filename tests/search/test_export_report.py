"""The two reports of a bundle: Markdown and HTML say the same, and the page needs nothing else."""

import dataclasses
import re

import pytest
from front_points import BASELINE, crowd
from strict_page import StrictPage
from two_goals import front_point

from wordlength.objectives.findings import findings
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport, TrialState
from wordlength.search.export.config import (
    Arithmetic,
    BundleConfig,
    Features,
    FloatBaseline,
    HeldOutFigures,
    LayerProof,
    Objectives,
    Retraining,
    Target,
)
from wordlength.search.export.facts import head_facts
from wordlength.search.export.report import report_markdown
from wordlength.search.export.report_html import SHOWN_MEMBERS, report_html
from wordlength.search.front import FrontPoint
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot, SlotInfo, TensorInfo

LAYERS = {"conv_1": (3, 3, 1, 2), "dense_1": (6, 4)}
SLOTS = tuple(
    SlotInfo(
        Slot(layer, role), () if role is Role.ACTIVATIONS else (TensorInfo(role, shape if role == "weights" else (4,)),)
    )
    for layer, shape in LAYERS.items()
    for role in Role
)
CANDIDATE = Candidate.of(
    {
        Slot("conv_1", Role.WEIGHTS): PowerOfTwo(4, -1),
        Slot("conv_1", Role.BIASES): Fixed(8, (0, 2, 1, 0)),
        Slot("conv_1", Role.ACTIVATIONS): Fixed(16, 2),
        Slot("dense_1", Role.WEIGHTS): Fixed(4, -1),
        Slot("dense_1", Role.BIASES): Fixed(16, 2),
        Slot("dense_1", Role.ACTIVATIONS): Fixed(16, 2),
    }
)
PROOF = (LayerProof(layer="conv_1", largest_alone=0, unequal_alone=0.0, largest=0, unequal=0.0),)
PROOF += (LayerProof(layer="dense_1", largest_alone=1, unequal_alone=1.5e-7, largest=2, unequal=0.0193),)
ARITHMETIC = Arithmetic(
    input_format="fixed<16,3>",
    output_exponent=-13,
    vectors=1000,
    layers=PROOF,
    quality=0.031001,
    no_hls4ml={},
)
TEST = HeldOutFigures(
    quality=0.0288,
    standard_error=0.0031,
    float_quality=0.0301,
    difference=-0.0013,
    difference_error=0.0006,
)
RETRAINING = Retraining(settings={"epochs": 7}, test=TEST)


class Page(StrictPage):
    """The text as well."""

    def __init__(self, text: str) -> None:
        self.text = ""
        super().__init__(text)

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and wanted.items() <= a.items()]


def points() -> list[FrontPoint]:
    rows = [(0, 0.031, 60_000), (1, 0.033, 90_000), (2, 0.020, 80_000), (3, -0.2, 70_000)]
    return [front_point(n, gain, size, CANDIDATE, "", 0.0042, (), -0.003, 0.0011) for n, gain, size in rows]


def study(members: list[FrontPoint], name: str = "klein") -> StudyView:
    rows = (TrialRow(p.number, "complete", p.candidate, values=p.values, memory_bytes=p.memory_bytes) for p in members)
    return StudyView(name, tuple(rows), BASELINE, 48)


def config_of(point: FrontPoint, **changes: object) -> BundleConfig:
    plain: dict[str, object] = {
        "study": "klein",
        "trial": point.number,
        "label": point.label,
        "candidate": point.candidate.to_dict(),
        "candidate_digest": point.candidate.digest,
        "objectives": Objectives(
            name="stoi_improvement",
            title="STOI improvement",
            unit="STOI",
            maximize=True,
            quality=point.quality,
            standard_error=point.standard_error,
            values=point.values,
            baseline_difference=point.difference,
            baseline_difference_error=point.difference_error,
            memory_bytes=point.memory_bytes,
        ),
        "quality_of_the_exported_model": None,
        "float_baseline": FloatBaseline(values=BASELINE.values, memory_bytes=1_875_812, digest="b"),
        "retraining": None,
        "data_digest": "d" * 64,
        "features": Features(
            kind="log_mel",
            sample_rate_hz=16_000,
            frame_samples=256,
            hop_samples=128,
            bins=64,
            frames_before=15,
            frames_after=0,
            power_floor=1e-6,
            mean=(),
            std=(),
        ),
        "target": Target(kind="irm", outputs=129, measure=None, mean=(), std=()),
        "arithmetic": ARITHMETIC,
        "no_arithmetic": "",
        "needs_wordlength": {"conv_1.weights": "po2<4,-1> has a `<b>zero</b>` of its own"},
        "wider_in_qkeras": {"dense_1.biases": "17 bits there & 16 here"},
        "study_settings": {},
        "versions": {},
    }
    return BundleConfig.model_validate(plain | changes)


def report_of(candidate: Candidate) -> TrialReport:
    rows = []
    for n, (slot, fmt) in enumerate(candidate.pairs):
        figures: dict[str, object] = {field.name: 0.0 for field in dataclasses.fields(LayerAnalysis)}
        figures |= {"slot": slot, "format": fmt, "step": 2, "epoch": 1, "count": 1000, "integer_bits_needed": 0}
        figures |= {"overflow": 0.01 * n, "underflow": 0.02 * n, "sqnr_db": 10.0 + n, "histogram": ((-3, 9), (1, 4))}
        rows.append(LayerAnalysis(**figures | {"minimum": -9.0, "maximum": 9.0, "max_magnitude": 9.0}))  # type: ignore[arg-type]
    ends = {"lowest_worst": -500.0, "highest_worst": 300.0, "lowest_used": -15.0, "highest_used": 9.0}
    sums = tuple(Accumulator(name, "kernel", 2, 1, **ends, fraction_bits=17, bounded=True) for name in LAYERS)
    return TrialReport(0, candidate, TrialState.COMPLETE, 60_000, analyses=tuple(rows), accumulators=sums)


def both(number: int = 0, report: TrialReport | None = None, **changes: object) -> tuple[str, str]:
    """report.md and report.html of one trial."""
    members = points()
    told = study(members), members[number], SLOTS, report, config_of(members[number], **changes), 0.1
    return report_markdown(*told), report_html(*told)


def fragments(markdown: str) -> list[str]:
    """Every cell, sentence and line of code of a report.md but its head figures and the figures of its analysis."""
    body = markdown[markdown.index("## ") :]
    body = re.sub(r"\| tensor \|.*?\n\n", "", body, flags=re.DOTALL)
    found = []
    for line in body.splitlines():
        parts = line.strip("|").split("|") if line.startswith("|") else [re.sub(r"^(#+|-) |:$|^```\w*", "", line)]
        found += [part.strip().replace("`", "").replace("**", "") for part in parts]
    return [part for part in found if part and not re.fullmatch(r"-+:?", part)]


@pytest.mark.parametrize(
    "changes",
    [
        {"report": report_of(CANDIDATE)},
        {"report": report_of(CANDIDATE), "retraining": RETRAINING, "number": 1},
        {"arithmetic": None, "no_arithmetic": "conv_1 is <odd> & `float32`"},
        {"needs_wordlength": {}, "wider_in_qkeras": {}, "number": 2},
    ],
    ids=["all", "retrained", "no integers, no analysis", "off the front"],
)
def test_the_page_says_what_the_markdown_says(changes: dict[str, object]) -> None:
    markdown, html = both(**changes)  # type: ignore[arg-type]
    page = Page(html)
    told = fragments(markdown)
    assert len(told) > 50
    shown = "".join(page.text.split())
    for part in told:
        assert "".join(part.split()) in shown, part
    number = changes.pop("number", 0)
    changes.pop("report", None)
    members = points()
    for fact in head_facts(study(members), members[number], config_of(members[number], **changes)):  # type: ignore[index]
        for text in (fact.name, fact.text, fact.note):
            assert text in markdown
            assert text in page.text


def test_head_figures_are_those_of_the_trial() -> None:
    markdown, _ = both(retraining=RETRAINING)
    head = markdown[: markdown.index("##")]
    for text in (
        "+0.0310 ± 0.0042",
        "float32: +0.0340",
        "91.2 %",  # 0.031 of 0.034
        "-0.0030 ± 0.0011",
        "+0.0288 ± 0.0031 (float32: +0.0301)",
        "60,000 bytes (float32: 1,875,812 bytes)",
        "96.8 %",
        "one of its 2 points",
    ):
        assert text in head
    assert "none of its 2 points" in both(2)[0]


def test_markdown_has_findings_accumulators_and_rows_that_add_up() -> None:
    report = report_of(CANDIDATE)
    markdown, _ = both(report=report)
    for finding in findings(report.last_analyses(), report.last_accumulators(), 0.1):
        assert f"- {finding.sentence}" in markdown.splitlines()
    assert "| `conv_1` | kernel | 9 | 4 | 17 | 27 | 22 |" in markdown
    assert markdown.index("| dense_1.activations |") < markdown.index("| conv_1.biases |")
    assert "| conv_1 | 22 | `po2<4,-1>` | `fixed<8,0/2/1/0>` | `fixed<16,2>` |" in markdown
    _, table, _ = markdown[markdown.index("## Formats") :].split("\n\n", 2)
    rows = [line.split("|") for line in table.splitlines()[2:]]
    counts, sizes = ([int(row[column].replace(",", "")) for row in rows] for column in (2, 6))
    assert counts == [22, 28, 50]
    assert sizes[0] + sizes[1] == sizes[2]
    assert "Accumulators" not in both()[0]


def test_the_page_needs_nothing_else() -> None:
    _, source = both(report=report_of(CANDIDATE), retraining=RETRAINING)
    page = Page(source)
    assert "http" not in source
    assert not re.search(r"@import|javascript|<script|<link|<img|<iframe|url\((?!#)", source)
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    leads = {str(given[name]) for _, given in page.elements for name in ("href", "xlink:href") if name in given}
    leads |= set(re.findall(r"url\((#[^)]*)\)", source))
    assert {lead[1:] for lead in leads if lead.startswith("#")} <= set(ids)
    assert all(lead.startswith("#") for lead in leads)
    assert len(page.all("a")) > len(page.all("h2"))
    assert len(source.encode()) < 150_000
    assert source == both(report=report_of(CANDIDATE), retraining=RETRAINING)[1]


def test_the_page_can_be_heard() -> None:
    page = Page(both(report=report_of(CANDIDATE))[1])
    for drawing in page.all("svg"):
        assert drawing.get("aria-hidden") == "true" or (drawing["role"] == "img" and drawing["aria-label"])
    fronts = [svg for svg in page.all("svg") if "trial 0: STOI improvement +0.0310" in str(svg.get("aria-label"))]
    assert len(fronts) == 2
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)].count("h1") == 1
    assert page.all("html", lang="en")
    assert page.all("nav")
    for scrolled in (*page.all("div", **{"class": "scroll"}), *page.all("pre")):
        assert scrolled["tabindex"] == "0"
        assert scrolled["aria-label"]


def test_formats_are_coloured_cells_and_escaped() -> None:
    source = both()[1]
    page = Page(source)
    assert '<span class="c b4 po2">po2&lt;4,-1&gt;</span>' in source
    assert '<span class="c b8 fixed">fixed&lt;8,0…2&gt;</span>' in source
    assert "fixed<8,0/2/1/0>" in page.text
    assert ".b16{--fill:" in source
    assert not {"b", "zero"} & {tag for tag, _ in page.elements}
    assert "<b>zero</b>" in page.text


def test_names_are_escaped() -> None:
    point = dataclasses.replace(points()[0], label="<i>&")
    config = config_of(point, study="<u>")
    source = report_html(study([point], "<u>"), point, SLOTS, None, config)
    page = Page(source)
    assert page.text.count("<u>, trial 0 (<i>&)") == 2
    assert not {"i", "u"} & {tag for tag, _ in page.elements}
    assert "one of its 1 point" in page.text


def test_this_trial_is_marked_in_picture_and_table() -> None:
    for number in (0, 1, 2):
        source = both(number)[1]
        assert source.count(f">this trial, {number}</text>") == 2
        assert source.count("(this one)") == (number < 2)
    assert f'<span class="here">{1} (this one)</span>' in both(1)[1]
    assert both(3)[1].count("(below this range)") == 2


def test_the_picture_has_the_axis_figures_and_the_pages_colours() -> None:
    source = both()[1]
    picture = source[source.index("<figure>") : source.index("</figure>")]
    heights = re.findall(r">(0\.\d+)</text>", picture)
    assert {"0.0310", "0.0335"} <= set(heights)
    assert len(heights) == 2 * len(set(heights))
    assert {"2,000", "100"} <= set(re.findall(r">([\d,]+)</text>", picture))
    assert "var(--text)" in picture
    assert not re.search("#333333|#ffffff|font-family", picture)


def test_a_long_front_folds() -> None:
    members = crowd(300)
    view = study(members)
    assert len(view.front) > SHOWN_MEMBERS
    source = report_html(view, view.front[0], (), None, config_of(view.front[0]))
    assert f"<summary>All {len(view.front)} points</summary>" in source
    Page(source)


def test_the_analysis_of_retrained_weights_is_not_claimed() -> None:
    claim = "the retrained weights were not analysed"
    for text in both(report=report_of(CANDIDATE), retraining=RETRAINING):
        assert claim in text
        assert "before retraining, this one reached +0.0310" in text
        assert "7 passes" in text
    for text in both(report=report_of(CANDIDATE)):
        assert claim not in text
        assert "Test mixtures" not in text
    for text in both(retraining=RETRAINING):
        assert "Fixed-point analysis" not in text


def test_input_and_output_are_told_as_the_study_has_them() -> None:
    moments = {"mean": (), "std": ()}
    common = {"sample_rate_hz": 8000, "frame_samples": 128, "hop_samples": 64, "power_floor": 1e-6, **moments}
    features = Features(kind="log_spectrum", bins=65, frames_before=3, frames_after=2, **common)
    assert features.text == "(n, 6, 65) standardised log-spectrum"
    told = {
        "psm": "(n, 65) mask",
        "spectrum": "(n, 65) standardised log-magnitude",
    }
    for kind, text in told.items():
        assert Target(kind=kind, outputs=65, measure=None, **moments).text == text
    assert Target(kind="score", outputs=1, measure="pesq", **moments).text == "(n, 1) estimated pesq"
