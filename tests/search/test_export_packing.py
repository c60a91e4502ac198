"""weights.bin: as long as the memory objective says, in the documented order, and read back as it was."""

import keras
import numpy as np
import pytest
from integer_networks import NETWORKS, network, random_candidate

from wordlength.errors import BundleError
from wordlength.objectives.integer import Parameter, parameters_of
from wordlength.objectives.memory import memory_bytes
from wordlength.search.export.packing import laid_out, pack, table, unpack
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot, TensorInfo, VirtualBitShift, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def packed(model: keras.Model, candidate: Candidate) -> tuple[bytes, dict]:
    parts = laid_out(parameters_of(model, candidate))
    return pack(parts), table(parts)


@pytest.mark.parametrize("seed", range(25))
def test_the_file_is_as_long_as_the_memory_objective_says(seed: int) -> None:
    model = network(list(NETWORKS)[seed % 3], seed)
    candidate = random_candidate(model, seed, bits=(2, 24))
    if seed % 5 == 0:
        candidate = Candidate.of({**candidate, find_slots(model)[0].slot: Float32()})
    payload, described = packed(model, candidate)
    assert len(payload) == memory_bytes(find_slots(model), candidate)
    for found, written in zip(unpack(payload, described), parameters_of(model, candidate), strict=True):
        assert (found.slot, found.info, found.format) == (written.slot, written.info, written.format)
        values = np.asarray(getattr(model.get_layer(found.slot.layer), found.info.name))
        rounded = found.format.round(values.reshape(found.info.packed_shape))
        assert (found.format.decode(found.encoded) == rounded).all()


def one(fmt: object, values: list[float]) -> bytes:
    info = TensorInfo("kernel", (1, len(values)))
    return pack(laid_out([Parameter.of(Slot("d", Role.WEIGHTS), info, fmt, np.array([values]))]))  # type: ignore[arg-type]


def test_bits_lie_as_documented() -> None:
    # −4, 3, 1 in 3 bits: 100, 011, 001, the first lowest: 0b001_011_100 = 0x05C.
    assert one(Fixed(3, 2), [-4, 3, 1]) == bytes([0x5C, 0x00])
    # Sign and exponent: 2^0 = 0|11, −2^−3 = 1|00: 0b100_011.
    assert one(PowerOfTwo(3, 0), [1, -0.125]) == bytes([0b100011])
    # Three codes of 4 bits, then one shift of 4: position 1, a shift of 3 places from 4.
    assert one(VirtualBitShift(4), [1.0, -1.0, 0.25]) == bytes([0b1100_0100, 0b0011_0001])
    # Two codes of 4 bits, then integer bits 1 and −2 in 6: 000001, 111110.
    assert one(Fixed(4, (1, -2)), [0.25, 0.03125]) == bytes([0b0001_0001, 0b10_000001, 0b1111])
    assert one(Float32(), [1.0]) == np.array([1.0], "<f4").tobytes()


def test_other_bytes_than_described_are_refused() -> None:
    model = network("stack")
    payload, described = packed(model, random_candidate(model, 1))
    with pytest.raises(BundleError, match=r"weights\.bin must hold \d+ bytes of c\.biases, but ends after"):
        unpack(payload[:-1], described)
    with pytest.raises(BundleError, match="and nothing else"):
        unpack(payload + b"\0", described)
    rows = described["tensors"]
    with pytest.raises(BundleError, match=r"weights\.json must describe weights\.bin, all of it"):
        unpack(payload, described | {"tensors": [rows[0] | {"size_bytes": 3}, *rows[1:]]})
    for broken in ({}, [], {"tensors": {}}, {"tensors": [{"slot": "a.weights"}]}):
        with pytest.raises(BundleError, match="must have a row for every tensor, but has not"):
            unpack(payload, broken)
