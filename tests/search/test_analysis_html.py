"""The analysis page: well-formed, complete, self-contained, and drawn where the formats' limits are."""

import dataclasses
import math
import re
import time
from html import escape

import pytest
from strict_page import StrictPage
from two_goals import reached

from wordlength.objectives.findings import findings, percent
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport, TrialState
from wordlength.search.pages.analysis import analysis_html
from wordlength.search.pages.charts import Axis, magnitudes_svg, quantiles
from wordlength.space import Binary, Candidate, Fixed, Float32, Format, PowerOfTwo, Role, Slot, VirtualBitShift

LAYERS = [f"conv_{n}" for n in range(1, 7)] + [f"dense_{n}" for n in range(1, 4)]
SLOTS = [Slot(layer, role) for layer in LAYERS for role in Role]
FORMATS = {Role.WEIGHTS: PowerOfTwo(4, -1), Role.BIASES: Fixed(16, 2), Role.ACTIVATIONS: Fixed(8, 2, signed=False)}
LIMIT = 0.05
FACTS = {"study": "klein", "float32 baseline": "+0.0332"}


class Page(StrictPage):
    """The text and the cells of each row as well."""

    def __init__(self, text: str) -> None:
        self.text = ""
        self.rows: list[tuple[str, list[str]]] = []
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.rows.append((self._open[-2], []))
        elif tag in ("td", "th"):
            self.rows[-1][1].append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and wanted.items() <= a.items()]


def row(slot: Slot, fmt: Format, step: int = 2, epoch: int = 1, **figures: object) -> LayerAnalysis:
    plain: dict[str, object] = {field.name: 0.0 for field in dataclasses.fields(LayerAnalysis)}
    plain |= {"slot": slot, "format": fmt, "step": step, "epoch": epoch, "count": 1000, "integer_bits_needed": 0}
    bins = tuple((exponent, 5 + (exponent + 9) ** 2) for exponent in range(-9, 3))
    return LayerAnalysis(**plain | {"histogram": bins} | figures)  # type: ignore[arg-type]


def accumulator(layer: str, **changes: object) -> Accumulator:
    plain: dict[str, object] = {"layer": layer, "kernel": "pointwise_kernel", "step": 2, "epoch": 1}
    plain |= {"lowest_worst": -500.0, "highest_worst": 300.0, "lowest_used": -15.0, "highest_used": 9.0}
    return Accumulator(**plain | {"fraction_bits": 17, "bounded": True} | changes)  # type: ignore[arg-type]


def report_of(rows: list[LayerAnalysis], **changes: object) -> TrialReport:
    candidate = Candidate.of({row.slot: row.format for row in rows})
    plain: dict[str, object] = {
        **reached(0.031, 236_506),
        "standard_error": 0.0042,
        "baseline_difference": -0.0022,
        "baseline_difference_error": 0.0009,
    }
    report = TrialReport(17, candidate, TrialState.COMPLETE, 236_506, analyses=tuple(rows))
    return dataclasses.replace(report, **plain | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report() -> TrialReport:
    """27 slots, two epochs in each of two steps, every share of every row different."""
    rows = []
    for step in (1, 2):
        for epoch in (1, 2):
            for n, slot in enumerate(SLOTS):
                part = (n + 30 * epoch + 70 * step) / 1000
                shares = {"overflow": part, "underflow": part / 3, "precision": part * 3, "zero_gradient": part / 7}
                numbers = {"minimum": -part, "maximum": 9.0 + n, "max_magnitude": 9.0 + n, "sqnr_db": 10 * part}
                rows.append(row(slot, FORMATS[slot.role], step, epoch, **shares, **numbers))
    sums = (accumulator("conv_2"), accumulator("conv_1", fraction_bits=None, bounded=False))
    return report_of(rows, accumulators=sums)


@pytest.fixture(scope="module")
def source(report: TrialReport) -> str:
    return analysis_html("klein, trial 17", report, LIMIT, FACTS)


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_the_page_needs_nothing_else(source: str, page: Page) -> None:
    assert "http" not in source
    assert not re.search(r"url\(|@import|javascript|<script|<link|<img|<iframe", source)
    assert all(link["href"] and link["href"].startswith("#") for link in page.all("a"))
    assert not {"src", "srcset", "xlink:href"} & {name for _, given in page.elements for name in given}


def test_links_lead_to_the_tensors(page: Page) -> None:
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids)) == len(SLOTS)
    assert {str(link["href"])[1:] for link in page.all("a")} <= set(ids)
    assert page.all("a")


def test_every_sentence_slot_and_figure_is_there(report: TrialReport, page: Page) -> None:
    for finding in findings(report.last_analyses(), report.last_accumulators(), LIMIT):
        assert finding.sentence in page.text
    for analysed in report.analyses:
        assert str(analysed.slot) in page.text
        for share in (analysed.overflow, analysed.underflow, analysed.precision, analysed.zero_gradient):
            assert percent(share) in page.text
        for number in (analysed.minimum, analysed.maximum, analysed.mean, analysed.std):
            assert f"{number:.3g}" in page.text
    for text in ("+0.0310 ± 0.0042", "-0.0022 ± 0.0009", "236,506 bytes", "po2<4,-1>\u00a0×\u00a09", *FACTS.values()):
        assert text in page.text


def test_findings_come_worst_first(report: TrialReport, page: Page) -> None:
    places = [page.text.index(finding.sentence) for finding in findings(report.last_analyses(), (), LIMIT)]
    assert places == sorted(places)


def test_tables_have_a_head_for_every_column(page: Page) -> None:
    width = 0
    for part, cells in page.rows:
        if part == "thead":
            width = len(cells)
            assert set(cells) == {"th"}
        else:
            assert len(cells) == width
            assert cells[0] == "th"
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert len([part for part, _ in page.rows if part == "thead"]) == 7


def test_drawings_have_text_alternatives(page: Page) -> None:
    drawings = page.all("svg")
    assert len(drawings) == 4 + 27 + 27 * 5 + 27
    for drawing in drawings:
        assert drawing.get("aria-hidden") == "true" or (drawing["role"] == "img" and drawing["aria-label"])
    assert [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)].count("h1") == 1
    assert page.all("html", lang="en")
    assert page.all("meta", name="viewport")


def test_the_page_is_small_and_soon_made(report: TrialReport) -> None:
    wide = tuple((exponent, 3 + exponent % 5) for exponent in range(-32, 32))
    rows = [dataclasses.replace(analysed, histogram=wide) for analysed in report.analyses]
    largest = dataclasses.replace(report, analyses=tuple(rows))
    began = time.process_time()
    text = analysis_html("klein", largest, LIMIT, FACTS)
    assert time.process_time() - began < 0.5  # 0.04 s alone on a core; workers share theirs.
    assert len(text.encode()) < 350_000
    assert len(analysis_html("klein", report, LIMIT, FACTS).encode()) < 300_000


@pytest.mark.parametrize(
    "fmt",
    [Fixed(16, 2), Fixed(4, -1), Fixed(1, 3), Fixed(8, (0, 2)), PowerOfTwo(4, -1), VirtualBitShift(4), Float32()],
    ids=str,
)
def test_the_band_lies_at_the_formats_limits(fmt: Format) -> None:
    weights = row(SLOTS[0], fmt)
    axis = Axis.over([weights])
    drawn = Page(magnitudes_svg(weights, axis))
    (svg,), (band,) = drawn.all("svg"), drawn.all("rect", **{"class": "band"})
    left, right = float(band["x"] or ""), float(band["x"] or "") + float(band["width"] or "")
    assert left == pytest.approx(math.log2(fmt.smallest_magnitude), abs=1e-5)
    assert right == pytest.approx(math.log2(fmt.highest or -fmt.lowest), abs=1e-5)
    assert svg["viewbox"] == f"{axis.low} 0 {axis.high - axis.low} 62"


def _bars(drawn: Page) -> dict[str, list[tuple[float, float]]]:
    bars: dict[str, list[tuple[float, float]]] = {"b": [], "o": [], "u": []}
    for rect in drawn.all("rect"):
        if rect["class"] in bars:
            x = float(rect["x"] or "")
            bars[str(rect["class"])].append((x, x + float(rect["width"] or "")))
    return bars


def test_what_sticks_out_has_the_warning_colour() -> None:
    # Steps of 1/8, highest 3.875: up to 1/16 becomes zero; the bin from 2 to 4 ends beyond the range.
    analysed = row(
        SLOTS[0], Fixed(6, 2), overflow=0.1, underflow=0.1, histogram=((-6, 1), (-5, 1), (-4, 9), (1, 9), (2, 1))
    )
    bars = _bars(Page(magnitudes_svg(analysed, Axis.over([analysed]))))
    assert [left for left, _ in bars["u"]] == pytest.approx([-5.95, -4.95])
    assert [left for left, _ in bars["b"]] == pytest.approx([-3.95, 1.05])
    assert bars["o"] == [pytest.approx((2.05, 2.95))]
    coarse = dataclasses.replace(analysed, format=Fixed(3, 2), histogram=((1, 9),))
    bars = _bars(Page(magnitudes_svg(coarse, Axis.over([coarse]))))
    assert bars["b"] == [pytest.approx((1.05, math.log2(3)), abs=1e-5)]
    assert bars["o"] == [pytest.approx((math.log2(3), 1.95), abs=1e-5)]


def test_a_calm_tensor_has_no_warning_colour() -> None:
    # 2^-1 itself is the highest power and lies in the bin above it.
    analysed = row(SLOTS[0], PowerOfTwo(4, -1), histogram=((-8, 5), (-1, 5)))
    bars = _bars(Page(magnitudes_svg(analysed, Axis.over([analysed]))))
    assert (len(bars["b"]), bars["o"], bars["u"]) == (2, [], [])


def test_powers_without_zero_underflow_below_the_smallest() -> None:
    analysed = row(SLOTS[0], PowerOfTwo(4, -1), underflow=0.5, histogram=((-9, 5), (-8, 5)))
    assert [left for left, _ in _bars(Page(magnitudes_svg(analysed, Axis.over([analysed]))))["u"]] == [-8.95]


def test_quantiles_are_those_of_the_values() -> None:
    assert quantiles(((0, 50), (1, 50)), (0.25, 0.5, 0.75)) == (0.5, 1.0, 1.5)
    assert quantiles(((3, 1), (-4, 99)), (0.5, 1.0)) == pytest.approx((-4 + 50 / 99, 4.0))
    assert quantiles((), (0.5,)) == ()


def test_everything_is_escaped() -> None:
    layer = '<b>"x"&'
    text = analysis_html(
        "<i>&", report_of([row(Slot(layer, Role.WEIGHTS), Fixed(8, 0), overflow=0.1)]), LIMIT, {"<u>": "<s>&"}
    )
    page = Page(text)
    assert not {"i", "u", "s"} & {tag for tag, _ in page.elements}
    assert len(page.all("b")) == 1  # The name beside the drawing is bold.
    assert page.text.count("<i>&") == 2
    assert escape("<s>&") in text
    assert f"{layer} weights" in page.text
    assert layer in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"analyses": (), "quality": None, "baseline_difference": None},
        {
            "state": TrialState.PRUNED,
            "reason": "overflow of <x>",
            "quality": None,
            "baseline_difference": None,
        },
        {"standard_error": None, "baseline_difference_error": None},
    ],
    ids=["no analysis", "pruned", "no errors"],
)
def test_reports_that_lack_something(changes: dict[str, object]) -> None:
    page = Page(analysis_html("t", report_of([row(SLOTS[0], Fixed(8, 0))], **changes), LIMIT, {}))
    assert "236,506 bytes" in page.text
    assert str(changes.get("reason", "")) in page.text
    assert "Accumulators" not in page.text


def test_odd_tensors_are_drawn() -> None:
    rows = [
        row(SLOTS[0], Float32(), sqnr_db=math.inf),
        row(SLOTS[1], Fixed(8, 0), histogram=(), sqnr_db=-math.inf),
        row(SLOTS[2], Binary(), zero_gradient=0.25),
    ]
    page = Page(analysis_html("t", report_of(rows), LIMIT, {}))
    assert "∞" in page.text
    labels = [str(svg.get("aria-label")) for svg in page.all("svg")]
    assert any("float32 represents them all" in label for label in labels)
    assert any("only zeros" in label for label in labels)
    assert any("binary has no range" in label for label in labels)
    numbers = [
        value
        for _, given in page.elements
        for name, value in given.items()
        if name in ("x", "y", "width", "d", "cx", "cy")
    ]
    assert not any("nan" in str(value) or "inf" in str(value) for value in numbers)
