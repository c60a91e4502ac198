"""How settings are read from a study file: unknown keys refused, the strings below fields as their descriptions."""

from __future__ import annotations

from typing import Any

STRICT: dict[str, Any] = {"extra": "forbid", "use_attribute_docstrings": True}
"""pydantic's configuration for plain dataclasses, which themselves need no pydantic."""
