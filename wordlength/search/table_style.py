"""How the commands' tables look where they hold many columns."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD

NARROW: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": 0, "show_edge": False, "pad_edge": False}
"""For tables of numbers that must fit 80 characters."""
SPACED = NARROW | {"padding": (0, 1, 0, 0)}
"""For tables with columns of text."""
