"""How a notebook shows what the rooms hold: small tables that suit light and dark pages.

Colours are the page's own, or half transparent over them. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from wordlength.space.slots import Role, Slot

if TYPE_CHECKING:
    from wordlength.space.candidate import Candidate

_CELL = "padding:2px 10px;border:0;border-bottom:1px solid rgba(128,128,128,.35);background:none;white-space:nowrap"
_NUMBER = "text-align:right;font-variant-numeric:tabular-nums"
_BAR = "linear-gradient(90deg,rgba(213,94,0,.4) {0:.1f}%,transparent {0:.1f}%)"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its text, `share` from 0 to 1 that a bar behind it shows, `hint` where the mouse rests."""

    text: str
    share: float = 0.0
    hint: str = ""
    is_text: bool = False
    """Whether it begins at the left, and is no number."""


def words(text: str, hint: str = "") -> Cell:
    """A cell that is no number."""
    return Cell(text, hint=hint, is_text=True)


def table_html(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table with a caption above it; columns of text begin at the left, all others end at the right."""
    body = list(rows)
    sides = [body[0][place].is_text if body else True for place in range(len(heads))]
    head = "".join(
        f'<th style="{_style(Cell("", is_text=side))}">{escape(name)}</th>'
        for name, side in zip(heads, sides, strict=True)
    )
    lines = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in body)
    above = f'<caption style="caption-side:top;text-align:left;padding:4px 10px">{escape(caption)}</caption>'
    whole = f"{above}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody>"
    return f'<table style="border-collapse:collapse;color:inherit">{whole}</table>'


def candidate_html(candidate: Candidate) -> str:
    """A row per layer, a column per role; the whole format where the mouse rests."""
    layers = dict.fromkeys(slot.layer for slot in candidate)
    rows = [[words(layer), *(_format(candidate, Slot(layer, role)) for role in Role)] for layer in layers]
    return table_html(f"candidate {candidate.digest}", ("layer", *Role), rows)


def _format(candidate: Candidate, slot: Slot) -> Cell:
    fmt = candidate.get(slot)
    return words("–") if fmt is None else words(fmt.brief, hint=str(fmt))


def _cell(cell: Cell) -> str:
    hint = f' title="{escape(cell.hint)}"' if cell.hint else ""
    return f'<td style="{_style(cell)}"{hint}>{escape(cell.text)}</td>'


def _style(cell: Cell) -> str:
    bar = f";background:{_BAR.format(100 * min(cell.share, 1))}" if cell.share > 0 else ""
    return f"{_CELL};{'text-align:left' if cell.is_text else _NUMBER}{bar}"
