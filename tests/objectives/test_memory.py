import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.objectives.memory import float_bytes, memory_bytes, slot_bytes
from wordlength.objectives.models import IrmCnn, build_model
from wordlength.objectives.shape import NetworkShape
from wordlength.space import (
    Candidate,
    Fixed,
    Float32,
    Format,
    PowerOfTwo,
    Role,
    Slot,
    SlotInfo,
    TensorInfo,
    VirtualBitShift,
    find_slots,
)

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def slots():
    infos = find_slots(build_model(IrmCnn(), NetworkShape(16, 64, 129), seed=0))
    assert len(infos) == 27
    return infos


def uniform(slots, weights: Format, rest: Format) -> Candidate:
    return Candidate.uniform([info.slot for info in slots], weights, rest, rest)


@pytest.mark.parametrize(
    ("weights", "rest", "wanted"),
    [
        (Float32(), Float32(), 1_875_812),
        (PowerOfTwo(4, -1), Fixed(16, 2), 236_506),
        (Fixed(16, 2), Fixed(16, 2), 937_906),
    ],
    ids=str,
)
def test_the_case_study(slots, weights: Format, rest: Format, wanted: int) -> None:
    assert memory_bytes(slots, uniform(slots, weights, rest)) == wanted


def test_float_bytes_are_those_of_float32(slots) -> None:
    assert float_bytes(slots) == memory_bytes(slots, uniform(slots, Float32(), Float32())) == 4 * 468_953


@given(bits=st.integers(1, 32), counts=st.lists(st.integers(1, 50), min_size=1, max_size=3))
def test_every_tensor_starts_on_a_byte(bits: int, counts: list[int]) -> None:
    """A stream of bits per tensor, filled up to whole bytes: the definition, counted out."""
    slot = Slot("a", Role.WEIGHTS)
    info = SlotInfo(slot, tuple(TensorInfo(f"kernel{number}", (count, 1)) for number, count in enumerate(counts)))
    streams = [("0" * bits) * count for count in counts]
    wanted = sum(math.ceil(len(stream) / 8) for stream in streams)
    assert slot_bytes(info, Candidate.of({slot: Fixed(bits, 0)})) == wanted


def test_two_tensors_of_a_slot_do_not_share_a_byte() -> None:
    slot = Slot("a", Role.WEIGHTS)
    info = SlotInfo(slot, (TensorInfo("depthwise_kernel", (1,)), TensorInfo("pointwise_kernel", (1,))))
    assert slot_bytes(info, Candidate.of({slot: PowerOfTwo(4, 0)})) == 2


@pytest.mark.parametrize(
    ("fmt", "wanted"),
    [
        # 3·3·2·2 depthwise elements in 4 output channels, 4·3 pointwise ones in 3; bits, then bytes per tensor.
        (VirtualBitShift(3), [36 * 3 + 4, 12 * 3 + 4]),
        (VirtualBitShift(3, "channel"), [36 * 3 + 4 * 4, 12 * 3 + 3 * 4]),
        (VirtualBitShift(3, 5), [36 * 3 + 8 * 4, 12 * 3 + 3 * 4]),
        (VirtualBitShift(3, 1000), [36 * 3 + 4, 12 * 3 + 4]),
        (Fixed(3, tuple(range(7))), [36 * 3 + 4 * 6, 12 * 3 + 3 * 6]),
        (Fixed(3, 0), [36 * 3, 12 * 3]),
    ],
    ids=str,
)
def test_side_information_counts_tensor_by_tensor(fmt: Format, wanted: list[int]) -> None:
    depthwise = TensorInfo("depthwise_kernel", (3, 3, 2, 2), channel_axes=2)
    info = SlotInfo(Slot("a", Role.WEIGHTS), (depthwise, TensorInfo("pointwise_kernel", (1, 1, 4, 3))))
    assert slot_bytes(info, Candidate.of({info.slot: fmt})) == sum(math.ceil(bits / 8) for bits in wanted)


def test_a_position_per_channel_costs_six_bits_each(slots) -> None:
    def candidate(per_channel: bool) -> Candidate:
        positions = {info: (0,) * sum(tensor.packed_shape[-1] for tensor in info.tensors) for info in slots}
        return Candidate.of(
            (info.slot, Fixed(8, positions[info] if per_channel and info.tensors else 0)) for info in slots
        )

    channels = [tensor.packed_shape[-1] for info in slots for tensor in info.tensors]
    assert memory_bytes(slots, candidate(False)) == 468_953
    assert memory_bytes(slots, candidate(True)) == 468_953 + sum(math.ceil(6 * count / 8) for count in channels)


def test_activations_cost_nothing(slots) -> None:
    few, many = (
        Candidate.uniform([info.slot for info in slots], Fixed(4, 0), Fixed(8, 0), activations)
        for activations in (Fixed(1, 0), Float32())
    )
    assert memory_bytes(slots, few) == memory_bytes(slots, many)


def test_more_bits_never_cost_less(slots) -> None:
    sizes = [memory_bytes(slots, uniform(slots, Fixed(bits, 0), Fixed(bits, 0))) for bits in range(1, 33)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 32
    assert sizes[-1] == 1_875_812


def test_a_slot_without_format_is_a_key_error(slots) -> None:
    with pytest.raises(KeyError, match=r"conv_1"):
        memory_bytes(slots, Candidate.of({}))
