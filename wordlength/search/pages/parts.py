"""What all our pages are made of: the page around its content, a section, a table."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def page_html(title: str, style: str, body: str, kind: str = "") -> str:
    """A page that needs nothing else. `kind`: the class of its main part, if the style knows one."""
    main = f'<main class="{kind}">' if kind else "<main>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>{main}\n{body}\n</main></body></html>\n"
    )


def section(title: str, inside: str, anchor: str = "") -> str:
    """HTML below a heading; `anchor`: a name to link to."""
    named = f' id="{anchor}"' if anchor else ""
    return f"<section{named}><h2>{escape(title)}</h2>\n{inside}</section>"


def table_html(
    kind: str, caption: str, heads: Iterable[str], body: Iterable[tuple[str, Iterable[str]]], first: str = "tensor"
) -> str:
    """HTML cells → a table of a style's kind that scrolls on narrow screens; the first column heads its row."""
    head = "".join(f'<th scope="col">{text}</th>' for text in (first, *heads))
    rows = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>' for name, cells in body
    )
    label = escape(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table class="{kind}">'
        f"<caption>{label}</caption><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )
