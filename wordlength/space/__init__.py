"""Which formats exist, and which a study may choose from."""

from wordlength.space.candidate import Candidate
from wordlength.space.formats import (
    Binary,
    Encoded,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Rounding,
    VirtualBitShift,
    parse_format,
)
from wordlength.space.ranges import (
    BinaryRange,
    FixedRange,
    KindRange,
    PowerOfTwoRange,
    SlotRange,
    VirtualBitShiftRange,
)
from wordlength.space.search_space import Anchors, SearchSpace
from wordlength.space.slots import Role, Slot, SlotInfo, TensorInfo, find_slots
from wordlength.space.wishes import AtProposal, Wish, parse_wish

__all__ = [
    "Anchors",
    "AtProposal",
    "Binary",
    "BinaryRange",
    "Candidate",
    "Encoded",
    "Fixed",
    "FixedRange",
    "Float32",
    "Format",
    "KindRange",
    "Overflow",
    "PowerOfTwo",
    "PowerOfTwoRange",
    "Role",
    "Rounding",
    "SearchSpace",
    "Slot",
    "SlotInfo",
    "SlotRange",
    "TensorInfo",
    "VirtualBitShift",
    "VirtualBitShiftRange",
    "Wish",
    "find_slots",
    "parse_format",
    "parse_wish",
]
