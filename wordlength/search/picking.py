"""The rules that pick a point of a front, as text: what is none is refused before anything is read or loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from wordlength.search.near import near_name

RULES = ("knee", "best", "smallest", "trial=N", "max-bytes=SIZE")
"""How `front.pick` may be asked to choose; SIZE as in 120kB."""

UNIT_BYTES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2, "GB": 1000**3, "GiB": 1024**3}
"""Size unit → bytes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` is that of one of RULES; `number` the trial's, or the size in bytes, 0 where the rule takes neither."""

    name: Literal["knee", "best", "smallest", "trial", "max-bytes"]
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read a rule. Raises ValueError naming the text, and the rule that it may have meant."""
        name, equals, value = text.strip().partition("=")
        match (name, value):
            case ("knee" | "best" | "smallest", "") if not equals:
                return cls(name)
            case ("trial", _) if value:
                return cls(name, _trial(value))
            case ("max-bytes", _) if value:
                return cls(name, parse_bytes(value))
        hint = f"; did you mean {near}?" if (near := _near(name, value)) else ""
        raise ValueError(f"a front member is picked by one of {', '.join(RULES)}, but got {text!r}{hint}")


def parse_bytes(text: str) -> int:
    """Read a size: `120kB` = 120,000 bytes, `1.5 MiB`, `236506`. Fractions of a byte are dropped.

    Raises ValueError naming the text.
    """
    match = re.fullmatch(rf"\s*(\d{{1,15}})(\.\d{{1,9}})?\s*({'|'.join(UNIT_BYTES)})?\s*", text)
    if match is None or (match[2] and not match[3]):
        units = ", ".join(UNIT_BYTES)
        raise ValueError(f"a size is a number and one of {units} (or whole bytes), such as 120kB, but got {text!r}")
    # Decimal: 1.001 kB is 1000.99… bytes in binary fractions, and would lose one.
    return int(Decimal(match[1] + (match[2] or "")) * UNIT_BYTES[match[3] or "B"])


def _trial(value: str) -> int:
    if not re.fullmatch(r"\d{1,12}", value):
        raise ValueError(f"trial= takes a trial number, but got {value!r}")
    return int(value)


def _near(name: str, value: str) -> str:
    """The rule most like it: a number alone is taken for a trial's, a size alone for max-bytes; empty if none is."""
    if re.fullmatch(r"\d{1,12}", name):
        return f"trial={name}"
    if re.fullmatch(rf"\d+(\.\d+)? ?({'|'.join(UNIT_BYTES)})", name):
        return f"max-bytes={name}"
    near = near_name(name.lower(), [rule.partition("=")[0] for rule in RULES])
    if near in ("trial", "max-bytes"):
        return f"{near}={value or ('N' if near == 'trial' else 'SIZE')}"
    return near
