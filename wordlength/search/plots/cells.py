"""How a format looks as a small cell: colour by bits, a mark by kind; the same on every page.

The scale is one for all studies, so that a colour means the same width everywhere: viridis (van der Walt & Smith),
ordered in lightness and safe for the colour-blind, from 1 bit (light) to 32 (dark), stretched where few bits are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from wordlength.space import Float32, Format

_VIRIDIS = "fde725 c2df23 85d54a 51c56a 2bb07f 1e9b8a 25858e 2d708e 38598c 433e85 482173 440154"
"""Twelve equal steps of the map, light to dark."""
_ANCHORS = tuple(tuple(bytes.fromhex(text)) for text in _VIRIDIS.split())
_STRETCH_BITS = 6.0

KIND_NAMES = {
    "fixed": "fixed point",
    "po2": "power of two",
    "vbs": "virtual bit shift",
    "binary": "binary",
    "float32": "float32",
}

CELL_STYLE = """
.c{background:var(--fill);color:var(--ink)}
.po2{background:linear-gradient(225deg,var(--ink) 4.6px,transparent 5.2px) var(--fill)}
.vbs{background:linear-gradient(225deg,var(--ink) 4.6px,transparent 5.2px),
linear-gradient(315deg,var(--ink) 4.6px,transparent 5.2px) var(--fill)}
.binary{outline:1.5px solid var(--ink);outline-offset:-3.5px}
.float32{background:repeating-linear-gradient(135deg,#ffffff48 0 2px,transparent 2px 6px) var(--fill)}
.plain{--fill:#aeb8c2;--ink:#14171a}
"""
"""The marks of the kinds, none for fixed point; `bits_style` gives the colours."""


def bits_colour(bits: int) -> tuple[str, str]:
    """Fill of a width of 1 to 32 bits, and the colour of text that can be read on it."""
    share = (1 - math.exp((1 - bits) / _STRETCH_BITS)) / (1 - math.exp(-31 / _STRETCH_BITS))
    place = min(max(share, 0.0), 1.0) * (len(_ANCHORS) - 1)
    low = min(int(place), len(_ANCHORS) - 2)
    fill = [round(a + (b - a) * (place - low)) for a, b in zip(_ANCHORS[low], _ANCHORS[low + 1], strict=True)]
    # On these, black is the better of the two down to a luminance of 0.18 (WCAG contrast of 4.6 or more with either).
    return "#" + bytes(fill).hex(), "#000000" if _luminance(fill) > 0.18 else "#ffffff"


def _luminance(colour: Iterable[int]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def bits_style(widths: Iterable[int]) -> str:
    """A CSS class per width, `b4` and so on."""
    colours = {bits: bits_colour(bits) for bits in sorted(set(widths))}
    return "\n".join(f".b{bits}{{--fill:{fill};--ink:{ink}}}" for bits, (fill, ink) in colours.items())


def cell_class(fmt: Format) -> str:
    """The CSS classes of a format's cell."""
    return f"c b{fmt.width_bits} {fmt.kind}"


def short_text(fmt: Format) -> str:
    """The brief text without its kind, which the cell's mark tells: `4,-1`; for float32, `f32`."""
    if isinstance(fmt, Float32):
        return "f32"
    kind, _, inside = fmt.brief.partition("<")
    return ("u" if kind == "ufixed" else "") + (inside.removesuffix(">") or str(fmt.width_bits))


def key_html(formats: Iterable[Format]) -> str:
    """What colours and marks mean, for the widths and kinds that occur."""
    ordered = sorted(set(formats), key=lambda fmt: fmt.width_bits)
    cells = "".join(f'<span class="c b{bits}">{bits}</span>' for bits in dict.fromkeys(f.width_bits for f in ordered))
    kinds = {fmt.kind for fmt in ordered}
    marks = "".join(
        f'<span class="kind"><span class="c plain {kind}"></span>{name}</span>'
        for kind, name in KIND_NAMES.items()
        if kind in kinds
    )
    return f'<div class="cells"><span class="scale">bits {cells}</span> {marks}</div>' if ordered else ""


KEY_STYLE = """
.cells{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:center;font-size:.82rem;color:var(--soft)}
.cells .c{display:inline-block;min-width:20px;height:16px;line-height:16px;padding:0 3px;text-align:center;
font-size:11px;vertical-align:middle}
.cells .kind .c{margin-right:6px}
"""
