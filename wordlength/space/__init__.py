"""Which formats exist, and which a study may choose from."""

from wordlength.space.candidate import Candidate
from wordlength.space.formats import Fixed, Float32, Format, PowerOfTwo, parse_format
from wordlength.space.search_space import Anchors, KindRange, SearchSpace, SlotRange
from wordlength.space.slots import Role, Slot, SlotInfo, find_slots

__all__ = [
    "Anchors",
    "Candidate",
    "Fixed",
    "Float32",
    "Format",
    "KindRange",
    "PowerOfTwo",
    "Role",
    "SearchSpace",
    "Slot",
    "SlotInfo",
    "SlotRange",
    "find_slots",
    "parse_format",
]
