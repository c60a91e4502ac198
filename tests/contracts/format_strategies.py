"""Random formats of every class, in all their options."""

from hypothesis import strategies as st

from wordlength.space import Binary, Fixed, Float32, Overflow, PowerOfTwo, Rounding, VirtualBitShift
from wordlength.space.formats import MAX_FIXED_BITS, MAX_PO2_BITS, MAX_POSITION, MAX_WRAP_BITS, VBS_BITS

positions = st.integers(-MAX_POSITION, MAX_POSITION)
roundings = st.sampled_from(Rounding)

float32_formats = st.just(Float32())
fixed_formats = st.builds(Fixed, st.integers(1, MAX_FIXED_BITS), positions, st.booleans(), roundings)
wrap_formats = st.builds(
    Fixed, st.integers(1, MAX_WRAP_BITS), positions, st.booleans(), roundings, st.just(Overflow.WRAP)
)
channel_formats = st.builds(
    Fixed,
    st.integers(1, MAX_WRAP_BITS),
    st.lists(st.integers(-MAX_POSITION, MAX_POSITION - 1), min_size=2, max_size=6).map(tuple),
    st.booleans(),
    roundings,
    st.sampled_from(Overflow),
)
po2_formats = st.builds(PowerOfTwo, st.integers(1, MAX_PO2_BITS), positions)
zero_po2_formats = st.builds(PowerOfTwo, st.integers(2, MAX_PO2_BITS), positions, st.just(True))
vbs_formats = st.builds(
    VirtualBitShift, st.integers(*VBS_BITS), st.one_of(st.sampled_from(["tensor", "channel"]), st.integers(1, 40))
)
binary_formats = st.builds(Binary, st.floats(0, 1000, exclude_min=True), st.booleans())

all_formats = st.one_of(
    float32_formats,
    fixed_formats,
    wrap_formats,
    channel_formats,
    po2_formats,
    zero_po2_formats,
    vbs_formats,
    binary_formats,
)
