"""Values as JSON can write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from wordlength.objectives.report import TrialReport
from wordlength.space import Format, Slot


def json_types(value: Any) -> Any:
    """JSON types: dataclasses by field, formats and slots as text, what is no finite number as null."""
    match value:
        case Format() | Slot() | Path():
            return str(value)
        case TrialReport():
            kept = ("values", "quality", "standard_error", "memory_bytes", "gains", "seconds")
            return {"formats": value.candidate.to_dict()} | {key: json_types(getattr(value, key)) for key in kept}
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): json_types(part) for key, part in value.items()}
        case list() | tuple():
            return [json_types(part) for part in value]
    if is_dataclass(value):
        return {field.name: json_types(getattr(value, field.name)) for field in fields(value)}
    return value
