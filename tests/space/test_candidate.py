import json
import pickle
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot

FORMATS = [Float32(), Fixed(8, 2), Fixed(8, 2, signed=False), Fixed(8, -1), Fixed(4, -1), PowerOfTwo(4, -1)]
SLOTS = [Slot(layer, role) for layer in ("conv_1", "dense.2", "dénse") for role in Role]

pairs = st.dictionaries(st.sampled_from(SLOTS), st.sampled_from(FORMATS)).map(lambda chosen: list(chosen.items()))


@given(pairs, st.randoms(use_true_random=False))
def test_equality_hash_and_digest_do_not_depend_on_order(chosen, random) -> None:
    shuffled = random.sample(chosen, len(chosen))
    one, other = Candidate.of(chosen), Candidate.of(shuffled)
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest
    assert re.fullmatch("[0-9a-f]{16}", one.digest)
    assert list(one.items()) == chosen  # its own order is kept


@given(pairs, pairs)
def test_different_choices_differ(chosen, other) -> None:
    assume(dict(chosen) != dict(other))
    assert Candidate.of(chosen) != Candidate.of(other)
    assert Candidate.of(chosen).digest != Candidate.of(other).digest


def test_every_format_gives_another_digest() -> None:
    digests = {Candidate.of({SLOTS[0]: fmt}).digest for fmt in FORMATS}
    assert len(digests) == len(FORMATS)


def test_digest_is_the_same_in_every_process() -> None:
    assert Candidate.of({SLOTS[0]: Fixed(8, 2), SLOTS[1]: PowerOfTwo(4, -1)}).digest == "b5e5896ac17bcc34"


@given(pairs)
def test_round_trips(chosen) -> None:
    candidate = Candidate.of(chosen)
    for copy in (
        Candidate.from_json(candidate.to_json()),
        Candidate.from_dict(json.loads(json.dumps(candidate.to_dict()))),
        pickle.loads(pickle.dumps(candidate)),
    ):
        assert copy == candidate
        assert hash(copy) == hash(candidate)
        assert list(copy.items()) == chosen


@given(pairs)
def test_it_is_a_mapping(chosen) -> None:
    candidate = Candidate.of(dict(chosen))
    assert len(candidate) == len(chosen)
    assert dict(candidate) == dict(chosen)
    for slot in SLOTS:
        assert (slot in candidate) == (slot in dict(chosen))
        assert candidate.get(slot) == dict(chosen).get(slot)


def test_unknown_slot_is_a_key_error() -> None:
    with pytest.raises(KeyError, match=r"dense\.2"):
        Candidate.of({SLOTS[0]: Float32()})[Slot("dense.2", Role.WEIGHTS)]


def test_it_equals_no_other_mapping() -> None:
    assert Candidate.of({SLOTS[0]: Float32()}) != {SLOTS[0]: Float32()}


def test_a_slot_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names each slot once, but got \['conv_1.weights', 'conv_1.weights'\]"):
        Candidate.of([(SLOTS[0], Float32()), (SLOTS[0], Fixed(8, 2))])


@pytest.mark.parametrize(
    ("plain", "error", "message"),
    [
        ({"conv_1.kernel": "float32"}, ValueError, r"a slot is written .* but got 'conv_1\.kernel'"),
        ({"conv_1.weights": "fixed<8>"}, FormatError, r"but got 'fixed<8>'"),
    ],
)
def test_bad_text_is_named(plain, error, message) -> None:
    with pytest.raises(error, match=message):
        Candidate.from_dict(plain)


def test_uniform_gives_one_format_per_role() -> None:
    candidate = Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(8, 2))
    assert len(candidate) == len(SLOTS)
    by_role = {Role.WEIGHTS: PowerOfTwo(4, -1), Role.BIASES: Fixed(16, 2), Role.ACTIVATIONS: Fixed(8, 2)}
    assert all(fmt == by_role[slot.role] for slot, fmt in candidate.items())


@given(pairs)
def test_parameters_only_leaves_activations_float(chosen) -> None:
    parameters = Candidate.of(chosen).parameters_only()
    assert list(parameters) == [slot for slot, _ in chosen]
    for slot, fmt in chosen:
        assert parameters[slot] == (Float32() if slot.role is Role.ACTIVATIONS else fmt)
    assert parameters.parameters_only() == parameters


def test_it_is_frozen() -> None:
    candidate = Candidate.of({SLOTS[0]: Float32()})
    with pytest.raises(AttributeError, match="pairs"):
        candidate.pairs = ()  # type: ignore[misc]
