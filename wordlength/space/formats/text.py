"""Formats as text: `fixed<16,2>`, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from wordlength.errors import FormatError
from wordlength.space.formats.base import Float32, Format
from wordlength.space.formats.binary import Binary
from wordlength.space.formats.fixed import Fixed, Overflow, Rounding
from wordlength.space.formats.power_of_two import PowerOfTwo
from wordlength.space.formats.virtual_bit_shift import VirtualBitShift

_WHOLE = r"[+-]?[0-9]{1,9}"


@lru_cache(4096)
def parse_format(text: str) -> Format:
    """Read `fixed<16,2>`, `ufixed<8,1,floor,wrap>`, `fixed<8,1/0/2>` (integer bits per channel), `po2<4,-1,zero>`,
    `vbs<4,group=channel>`, `binary<steepness=25>` or `float32`; `fixed:16,2` saves quoting in a shell.

    Raises FormatError naming the rule, the text and an example.
    """
    match = re.fullmatch(r"\s*([A-Za-z0-9]+?)\s*(?:<([^<>]*)>|:([^<>]*))?\s*", str(text))
    name = match[1] if match else ""
    if match is None or name not in _READERS:
        forms = ", ".join(reader.form for reader in _READERS.values())
        near = get_close_matches(name.lower(), _READERS, n=1)
        hint = f"; did you mean {_READERS[near[0]].form}?" if near else ""
        raise FormatError(f"format must be one of {forms}, but got {_shown(text)}{hint}")
    inside = match[2] if match[2] is not None else match[3]
    return _READERS[name].read([] if inside is None else [part.strip() for part in inside.split(",")], text)


@dataclass(frozen=True)
class _Reader:
    """How one name is read: positional numbers, then words and key=value options in any order."""

    form: str
    example: str
    build: Callable[..., Format]
    numbers: tuple[Callable[[str], Any], ...] = ()
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)

    def read(self, arguments: list[str], text: str) -> Format:
        count = len(self.numbers)
        if lacking := self._lacking(arguments):
            raise FormatError(
                f"a format must be written {self.form}, but got {_shown(text)} without {lacking}; {self.example}"
            )
        try:
            numbers = [read(part) for read, part in zip(self.numbers, arguments[:count], strict=True)]
            options: dict[str, Any] = {}
            for part in arguments[count:]:
                key, _, value = part.partition("=")
                found = {key: self.keys[key](value)} if key in self.keys else self.words[part]
                if options.keys() & found.keys():
                    raise ValueError
                options |= found
        except FormatError:
            raise
        except (ValueError, KeyError):
            raise FormatError(f"a format must be written {self.form}, but got {_shown(text)}; {self.example}") from None
        try:
            return self.build(*numbers, **options)
        except FormatError as error:
            raise FormatError(f"{error} in {_shown(text)}; {self.example}") from None

    def _lacking(self, arguments: list[str]) -> str:
        """The numbers that are not there, as the form calls them."""
        names = re.findall(r"\w+", self.form)[1:]
        return " and ".join(names[len([part for part in arguments if part]) :])


def _shown(text: object) -> str:
    shown = repr(str(text))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _whole(text: str) -> int:
    if not re.fullmatch(_WHOLE, text):
        raise ValueError
    return int(text)


def _positions(text: str) -> int | tuple[int, ...]:
    positions = tuple(_whole(part) for part in text.split("/"))
    return positions if len(positions) > 1 else positions[0]


def _group(text: str) -> str | int:
    return int(text) if re.fullmatch(_WHOLE, text) else text


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", text):
        raise ValueError
    return float(text)


_FIXED_WORDS: dict[str, dict[str, Any]] = {
    **{str(rounding): {"rounding": rounding} for rounding in Rounding},
    **{str(overflow): {"overflow": overflow} for overflow in Overflow},
}
_READERS = {
    "float32": _Reader("float32", "for example float32", Float32),
    "fixed": _Reader(
        "fixed<bits,integer_bits>",
        "for example fixed<16,2>: 1 sign, 2 integer, 13 fraction bits; options are half_up, floor and wrap",
        Fixed,
        (_whole, _positions),
        _FIXED_WORDS,
    ),
    "ufixed": _Reader(
        "ufixed<bits,integer_bits>",
        "for example ufixed<8,1>: 1 integer, 7 fraction bits; options are half_up, floor and wrap",
        lambda bits, integer_bits, **options: Fixed(bits, integer_bits, False, **options),
        (_whole, _positions),
        _FIXED_WORDS,
    ),
    "po2": _Reader(
        "po2<bits,max_exponent>",
        "for example po2<4,-1>: sign and 3 exponent bits, up to 2^-1; option is zero",
        PowerOfTwo,
        (_whole, _whole),
        {"zero": {"zero": True}},
    ),
    "vbs": _Reader(
        "vbs<bits>",
        "for example vbs<4>, vbs<4,group=channel>, or vbs<4,group=16> for blocks of 16 values",
        VirtualBitShift,
        (_whole,),
        keys={"group": _group},
    ),
    "binary": _Reader(
        "binary",
        "for example binary or binary<steepness=25>; option is fixed_threshold",
        Binary,
        words={"fixed_threshold": {"learn_threshold": False}},
        keys={"steepness": _number},
    ),
}
