"""The pages without scripts: formats along the front, and importance of parameters."""

import csv
import io
import math
import re

import pytest
from front_points import BASELINE, FIXED_313, MIXED, POWERS, SLOTS, cloud, crowd
from strict_page import StrictPage
from two_goals import front_point

from wordlength.search.front import pareto_front
from wordlength.search.plots import formats_html, importance_csv, importance_html
from wordlength.search.plots.formats import NUMBER_CELLS, WIDE_CELLS
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot, SlotInfo, TensorInfo


class Page(StrictPage):
    """The text of every cell as well."""

    def __init__(self, text: str) -> None:
        self.cells: list[tuple[dict[str, str | None], str]] = []
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "td":
            self.cells.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "td":
            self.cells[-1] = (self.cells[-1][0], self.cells[-1][1] + data)

    @property
    def formats(self) -> dict[str, list[str]]:
        """Slot → its texts as told on pointing, left to right."""
        found: dict[str, list[str]] = {}
        for attrs, _ in self.cells:
            if (attrs.get("class") or "").startswith("c b"):
                slot, brief = str(attrs["title"]).split(": ")
                found.setdefault(slot, []).append(brief)
        return found


def self_contained(page: str) -> bool:
    return not re.findall(r"<script|https?:|url\(|@import|<link|<img|\son\w+=", page)


def test_every_slot_of_every_member_has_its_cell():
    front = pareto_front(cloud())
    page = formats_html(front, BASELINE, "klein")
    found = Page(page).formats
    assert found == {str(slot): [point.candidate[slot].brief for point in front] for slot in SLOTS}
    assert self_contained(page)
    assert "STOI improvement" in page
    assert re.findall(r'class="flag named">(.*?)<', page) == ["smallest", "knee", "best"]
    for point in front:
        assert f"{point.memory_bytes / 1000:,.1f}" in page
        assert f"{point.quality:.4f}" in page


def test_a_role_with_one_format_takes_one_line():
    front = [front_point(0, 0.01, 1000, POWERS), front_point(1, 0.02, 2000, FIXED_313)]
    page = formats_html(front, BASELINE, "klein")
    assert re.findall(r"<p>All (\w+): .*?(\w+&lt;.*?&gt;)", page) == [
        ("biases", "fixed&lt;16,2&gt;"),
        ("activations", "fixed&lt;16,2&gt;"),
    ]
    assert set(Page(page).formats) == {"conv_1.weights", "dense_1.weights"}


def test_text_makes_way_where_members_are_many():
    def texts(count: int) -> list[str]:
        page = Page(formats_html(crowd(count), BASELINE, "many"))
        assert len(page.formats) == 27
        assert all(len(row) == count for row in page.formats.values())
        return [text for attrs, text in page.cells if (attrs.get("class") or "").startswith("c b")]

    assert all("," in text for text in texts(WIDE_CELLS))
    assert all(text.isdigit() for text in texts(NUMBER_CELLS))
    assert set(texts(60)) == {""}


def shares(page: str) -> list[str]:
    return re.findall(r'class="stack" role="img" title="(.*?)"', page)


def test_bars_share_parameters_or_slots_by_kind_and_width():
    formats = {slot: Fixed(16, 2) for slot in SLOTS} | {
        Slot("conv_1", Role.WEIGHTS): PowerOfTwo(4, -1),
        Slot("dense_1", Role.WEIGHTS): Fixed(8, 0),
        Slot("conv_1", Role.ACTIVATIONS): Fixed(8, 2),
    }
    front = [front_point(0, 0.01, 1000, Candidate.of(formats))]
    half = "fixed point, 8 bits: 50.0 %; power of two, 4 bits: 50.0 %"
    outputs = "fixed point, 8 bits: 50.0 %; fixed point, 16 bits: 50.0 %"
    assert shares(formats_html(front, BASELINE, "klein")) == [half, outputs]
    counts = {"conv_1": 900, "dense_1": 100}
    infos = [
        SlotInfo(slot, () if slot.role is Role.ACTIVATIONS else (TensorInfo("kernel", (counts[slot.layer],)),))
        for slot in SLOTS
    ]
    sized = formats_html(front, BASELINE, "klein", infos)
    assert shares(sized) == ["fixed point, 8 bits: 10.0 %; power of two, 4 bits: 90.0 %", outputs]
    assert "share of<br>parameters" in sized
    assert "share of<br>slots" in sized


def test_an_empty_front_and_one_of_equal_formats_are_pages_too():
    assert "No trial is complete yet." in formats_html((), BASELINE, "klein")
    uniform = Page(formats_html([front_point(0, 0.01, 1000, FIXED_313)], BASELINE, "klein"))
    assert uniform.formats == {}


@pytest.mark.parametrize("hostile", ["</title><script>x</script>", "<img src=x onerror=y>", '"><b>'])
def test_hostile_names_stay_text(hostile: str):
    slot = Slot(hostile, Role.WEIGHTS)
    front = [front_point(n, 0.01 + n, 1000 + n, Candidate.of({slot: Fixed(4 + n, 0)}), hostile) for n in range(2)]
    assert hostile not in formats_html(front, BASELINE, hostile)
    page = importance_html({hostile: {hostile: 0.5}}, hostile, 3)
    assert hostile not in page
    Page(page)
    Page(formats_html(front, BASELINE, hostile))


IMPORTANCE = {
    "STOI improvement": {"conv_1.weights bits": 0.2, "dense_1.weights kind": 0.7, "conv_2.biases bits": 0.1},
    "memory": {"conv_1.weights bits": 0.9, "dense_1.weights kind": 0.1},
}


def test_importance_is_sorted_by_the_first_objective():
    page = importance_html(IMPORTANCE, "klein", 48)
    Page(page)
    assert self_contained(page)
    order = re.findall(r'scope="row">(.*?)</th>', page)
    assert [name.replace("<wbr>", "") for name in order] == [
        "dense_1.weights kind",
        "conv_1.weights bits",
        "conv_2.biases bits",
    ]
    assert re.findall(r"<span>(.*?)</span>", page) == ["70.0 %", "10.0 %", "20.0 %", "90.0 %", "10.0 %"]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%\"", page)]
    assert max(widths) == widths[3] == pytest.approx(76.0)
    assert widths[0] == pytest.approx(76.0 * 0.7 / 0.9, abs=0.05)
    assert "best tenth" in page
    assert "From 48 trials." in page


def test_the_least_important_unfold():
    many = {"STOI improvement": {f"layer_{n}.weights bits": 1 / (n + 2) for n in range(41)}}
    page = importance_html(many, "klein", 1)
    assert "<summary>11 more parameters</summary>" in page
    assert page.index("layer_29.") < page.index("<details>") < page.index("layer_30.")
    assert "From 1 trial." in page


def test_importance_that_nobody_knows_yet():
    assert "Not known yet" in importance_html({}, "klein", 0)
    assert "Not known yet" in importance_html({"STOI improvement": {}, "memory": {}}, "klein", 2)
    assert importance_csv({}) == "parameter\n"
    odd = {"STOI improvement": {"a": math.nan, "b": 0.0}}
    Page(importance_html(odd, "klein", 2))
    assert importance_csv(odd) == "parameter,STOI improvement\na,\nb,0\n"


def test_importance_as_csv_has_a_column_per_objective():
    rows = list(csv.reader(io.StringIO(importance_csv(IMPORTANCE))))
    assert rows == [
        ["parameter", "STOI improvement", "memory"],
        ["dense_1.weights kind", "0.7", "0.1"],
        ["conv_1.weights bits", "0.2", "0.9"],
        ["conv_2.biases bits", "0.1", ""],
    ]


def test_mixed_candidates_are_no_uniform_ones():
    assert "uniform" not in formats_html([front_point(0, 0.01, 1000, MIXED)], BASELINE, "klein")
