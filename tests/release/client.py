"""A user's own file, for mypy --strict against an installed wordlength: every name has its type."""

from collections.abc import Mapping
from typing import assert_type

from wordlength import Candidate, Fixed, Format, FrontPoint, Slot, StudyView, load_study, parse_format


def smallest(study: str, quality: float) -> FrontPoint | None:
    """The smallest point that reaches a quality."""
    view = assert_type(load_study(study), StudyView)
    good = [point for point in view.front if assert_type(point.quality, float) >= quality]
    return min(good, key=lambda point: point.memory_bytes, default=None)


def bits(formats: Mapping[Slot, Format]) -> int:
    """All bits of fixed-point formats, once each."""
    return sum(assert_type(fmt.bits, int) for fmt in formats.values() if isinstance(fmt, Fixed))


assert_type(smallest("demo", 0.1), FrontPoint | None)
assert_type(Candidate.from_dict({"dense.weights": "po2<4,-1>"}).digest, str)
assert_type(parse_format("fixed<16,2>"), Format)
