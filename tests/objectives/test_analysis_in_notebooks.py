"""How a notebook shows analyses."""

from xml.etree import ElementTree

from test_report import SLOTS, report_of, row

from wordlength.objectives.html import HEADS


def rows_of(html: str) -> list[list[str]]:
    return [[cell.text or "" for cell in line] for line in ElementTree.fromstring(html).iter("tr")]


def test_one_tensor_has_its_four_shares_with_bars() -> None:
    html = row(overflow=0.006, underflow=0.5, precision=0.25, zero_gradient=0.125, epoch=3)._repr_html_()
    heads, (tensor, fmt, *figures) = rows_of(html)
    assert tuple(heads) == HEADS
    assert (tensor, fmt) == (str(SLOTS[0]), "fixed<8,2>")
    assert figures[:4] == ["0.6 %", "50.0 %", "25.0 %", "12.5 %"]
    assert "step 1, epoch 3" in html
    for width in ("0.6%", "50.0%", "25.0%", "12.5%"):
        assert f"transparent {width}" in html


def test_a_report_has_the_worst_tensor_first() -> None:
    mild, bad, epoch_before = row(SLOTS[0], precision=0.1), row(SLOTS[1], overflow=0.2), row(SLOTS[0], overflow=0.9)
    html = report_of(epoch_before, mild, bad)._repr_html_()
    assert [line[0] for line in rows_of(html)[1:]] == [str(SLOTS[1]), str(SLOTS[0])]
    assert "worst first" in html


def test_a_report_without_analysis_says_so() -> None:
    assert "last analysis: none" in report_of()._repr_html_()
