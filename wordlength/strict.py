"""How settings are read from a study file: unknown keys refused, the strings below fields as their descriptions."""

from __future__ import annotations

from typing import Any

STRICT: dict[str, Any] = {"extra": "forbid", "use_attribute_docstrings": True}
"""pydantic's configuration for plain dataclasses, which themselves need no pydantic."""


def require_units(what: str, *counts: int) -> None:
    """Raise ValueError for a layer of no or too many units."""
    for count in counts:
        if not 1 <= count <= 4096:
            raise ValueError(f"{what} must be between 1 and 4096, but got {count}")
