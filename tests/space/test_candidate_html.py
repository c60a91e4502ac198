"""How a notebook shows a candidate, and tables at large."""

from xml.etree import ElementTree

from wordlength.space import Binary, Candidate, Fixed, PowerOfTwo, Role, Slot
from wordlength.space.html import Cell, table_html, words


def cells(html: str) -> list[list[str]]:
    """Texts of all rows; raises unless the markup is well-formed."""
    tree = ElementTree.fromstring(html)
    return [[cell.text or "" for cell in row] for row in tree.iter("tr")]


def test_a_candidate_is_a_row_per_layer_with_its_roles() -> None:
    candidate = Candidate.of(
        {
            Slot("conv_1", Role.WEIGHTS): PowerOfTwo(4, -1),
            Slot("conv_1", Role.BIASES): Fixed(16, 2),
            Slot("relu", Role.ACTIVATIONS): Binary(),
        }
    )
    assert cells(candidate._repr_html_()) == [
        ["layer", "weights", "biases", "activations"],
        ["conv_1", "po2<4,-1>", "fixed<16,2>", "–"],
        ["relu", "–", "–", Binary().brief],
    ]
    assert candidate.digest in candidate._repr_html_()


def test_a_brief_format_tells_the_whole_where_the_mouse_rests() -> None:
    fmt = Fixed(8, (0, 1, 2))
    slot = Slot("conv_1", Role.WEIGHTS)
    (cell,) = [
        cell
        for cell in ElementTree.fromstring(Candidate.of({slot: fmt})._repr_html_()).iter("td")
        if cell.text == fmt.brief
    ]
    assert cell.get("title") == str(fmt) != fmt.brief


def test_text_is_escaped_and_numbers_end_at_the_right() -> None:
    html = table_html("<a> & b", ["<i>", "n"], [[words("<script>", hint='"'), Cell("1", share=0.25)]])
    assert cells(html) == [["<i>", "n"], ["<script>", "1"]]
    assert "<script>" not in html
    text, number = ElementTree.fromstring(html).iter("td")
    assert text.get("title") == '"'
    assert "text-align:left" in text.get("style", "")
    assert "text-align:right" in number.get("style", "")
    assert "25.0%" in number.get("style", "")


def test_colours_are_the_pages_own_or_half_transparent() -> None:
    html = table_html("t", ["n"], [[Cell("1", share=0.5)]])
    assert "rgba(" in html
    assert "#" not in html
    assert html.replace("color:inherit", "").count("color:") == 0
