"""What is wanted of a slot: a format, or a kind and width at the position that the float model's values propose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wordlength.errors import FormatError
from wordlength.space.formats import Format, Overflow, Rounding, parse_format
from wordlength.space.ranges import FixedRange, KindRange, PowerOfTwoRange
from wordlength.space.slots import Role


@dataclass(frozen=True, slots=True)
class AtProposal:
    """One kind and width, written `fixed:8`; the float model's values propose the position. `limits`: of one width."""

    limits: KindRange

    @property
    def bits(self) -> int:
        """Width in bits, sign included."""
        return self.limits.widths[0]

    def unfit(self, role: Role) -> str:
        """Why tensors of this role cannot have the kind; empty if they can."""
        return self.limits.unfit(role)

    def __str__(self) -> str:
        plain = _range(self.limits.kind, self.bits, "")
        options = _WORDS[self.limits.kind].items()
        words = [word for word, option in options if _has(self.limits, option) and not _has(plain, option)]
        return ",".join([f"{self.limits.kind}:{self.bits}", *words])


Wish = Format | AtProposal
"""A format as it is, or the proposal of a kind and width."""

_WORDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "fixed": {
        "channel": {"per_channel": True},
        **{str(mode): {"rounding": mode} for mode in Rounding},
        **{str(mode): {"overflow": mode} for mode in Overflow},
    },
    "po2": {"zero": {"zero": True}},
}
"""Kind → words that may follow the width → what they set."""


def parse_wish(text: str) -> Wish:
    """Read `fixed:8`, `fixed:8,channel`, `po2:4,zero`, the proposals of such a width, or a whole format.

    Raises FormatError naming rule, text and an example.
    """
    match = re.fullmatch(r"\s*(fixed|po2)\s*:\s*([0-9]{1,6})\s*((?:,\s*[a-z_]+\s*)*)", str(text))
    try:
        return parse_format(text) if match is None else AtProposal(_range(match[1], int(match[2]), match[3]))
    except FormatError as error:
        raise FormatError(f"{error}; fixed:4 asks for the proposal with 4 bits") from None


def _range(kind: str, bits: int, words: str) -> KindRange:
    chosen: dict[str, Any] = {}
    for word in re.findall(r"[a-z_]+", words):
        if word not in _WORDS[kind]:
            raise FormatError(f"{kind} options must be {', '.join(_WORDS[kind])}, but got {word!r}")
        chosen |= _WORDS[kind][word]
    return FixedRange((bits, bits), **chosen) if kind == "fixed" else PowerOfTwoRange((bits, bits), **chosen)


def _has(limits: KindRange, option: Mapping[str, Any]) -> bool:
    return all(getattr(limits, name) == value for name, value in option.items())
