import itertools
import random
import re
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.space import (
    Anchors,
    Binary,
    BinaryRange,
    Candidate,
    Fixed,
    FixedRange,
    PowerOfTwo,
    PowerOfTwoRange,
    Role,
    SearchSpace,
    Slot,
    SlotRange,
    VirtualBitShift,
    VirtualBitShiftRange,
)
from wordlength.space.search_space import Group

A, B, C, D = (Slot(name, Role.WEIGHTS) for name in "abcd")
BIAS, OUTPUT = Slot("a", Role.BIASES), Slot("a", Role.ACTIVATIONS)
ORDER = (A, BIAS, OUTPUT, B, C, D)
FIRST_POSITION = {A: -3, B: 0, C: 2, D: -1, BIAS: 1, OUTPUT: 4}
"""Proposed position of every slot at 2 bits; each further bit moves it by one."""


def space_of(*groups: Group, **positions: int) -> SearchSpace:
    """A space over these groups whose anchors differ from slot to slot, kind to kind and width to width."""
    order = tuple(slot for slot in ORDER if any(slot in group.slots for group in groups))
    bare = SearchSpace(groups, order)
    anchors = {
        (slot, limits.kind, bits): positions.get(
            slot.layer, FIRST_POSITION[slot] - bits + 2 - (5 if limits.kind == "po2" else 0)
        )
        for slot, limits, bits in bare.needed_anchors()
    }
    return SearchSpace(groups, order, Anchors(anchors))


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """One slot with both kinds, two tied slots, a pinned one and one with a single width and offset."""
    return space_of(
        Group("a", (A,), SlotRange(fixed=FixedRange((2, 5), (-1, 1)), po2=PowerOfTwoRange((2, 4)))),
        Group("tied", (B, C), SlotRange(fixed=FixedRange((3, 4), (0, 2)))),
        Group("a", (BIAS,), Fixed(16, 2)),
        Group("a", (OUTPUT,), SlotRange(po2=PowerOfTwoRange((5, 5)))),
    )


class Draws:
    """The two methods a search space asks of a trial, answered at random or from given parameters."""

    def __init__(self, seed: int = 0, given: dict[str, Any] | None = None) -> None:
        self.parameters: dict[str, Any] = {}
        self._random = random.Random(seed)
        self._given = given

    def suggest_int(self, name: str, low: int, high: int) -> int:
        assert low <= high
        return self._answer(name, range(low, high + 1))

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        return self._answer(name, choices)

    def _answer(self, name: str, choices: Sequence[Any]) -> Any:
        assert name not in self.parameters
        value = self._random.choice(choices) if self._given is None else self._given[name]
        assert value in choices
        self.parameters[name] = value
        return value


def every_candidate(space: SearchSpace) -> list[Candidate]:
    """All answers a trial could give, by brute force over every parameter's choices."""

    class Needed(Exception):
        pass

    class Script(Draws):
        def _answer(self, name: str, choices: Sequence[Any]) -> Any:
            if name not in self._given:
                raise Needed(name, list(choices))
            return super()._answer(name, choices)

    done, waiting = [], [{}]
    while waiting:
        parameters = waiting.pop()
        try:
            done.append(space.suggest(Script(given=parameters)))
        except Needed as needed:
            name, choices = needed.args
            waiting += [parameters | {name: choice} for choice in choices]
    return done


@given(seed=st.integers(0, 2**32))
def test_suggest_and_parameters_are_inverse(space: SearchSpace, seed: int) -> None:
    draws = Draws(seed)
    candidate = space.suggest(draws)
    assert tuple(candidate) == space.order
    assert space.contains(candidate)
    assert space.parameters(candidate) == draws.parameters
    assert space.suggest(Draws(given=draws.parameters)) == candidate


@pytest.mark.parametrize("seed", range(10))
def test_the_protocol_is_optunas(space: SearchSpace, seed: int) -> None:
    draws = Draws(seed)
    candidate = space.suggest(draws)
    trial = optuna.trial.FixedTrial(draws.parameters)
    assert space.suggest(trial) == candidate
    assert trial.params == draws.parameters


def test_a_real_study_stays_inside(space: SearchSpace) -> None:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        candidate = space.suggest(trial)
        assert space.parameters(candidate) == trial.params
        study.tell(trial, 0.0)
    study.enqueue_trial(space.parameters(candidate))
    assert space.suggest(study.ask()) == candidate
    optuna.logging.set_verbosity(verbosity)


def test_count_is_the_number_of_all_candidates(space: SearchSpace) -> None:
    candidates = every_candidate(space)
    assert len(candidates) == space.count() == (4 * 3 + 3) * (2 * 3) * 1
    assert len(set(candidates)) == len(candidates)
    assert all(space.contains(candidate) for candidate in candidates)


def test_no_other_candidate_is_contained(space: SearchSpace) -> None:
    """Against brute force: every combination of formats around the space belongs to it or does not."""
    inside = set(every_candidate(space))
    offered = {slot: {candidate[slot] for candidate in inside} for slot in space.order}
    offered[A] |= {Fixed(6, -7), Fixed(2, -3, signed=False), PowerOfTwo(2, 0)}
    combinations = [dict(zip(offered, formats, strict=True)) for formats in itertools.product(*offered.values())]
    assert len(combinations) > 2 * len(inside)
    for formats in combinations:
        candidate = Candidate.of(formats)
        assert space.contains(candidate) == (candidate in inside)


def test_a_tie_shares_the_choice_but_each_slot_keeps_its_anchor(space: SearchSpace) -> None:
    parameters = {"a.weights.kind": "po2", "a.weights.po2.bits": 3, "a.weights.po2.offset": 0}
    parameters |= {"tied.weights.fixed.bits": 4, "tied.weights.fixed.offset": 1}
    parameters |= {"a.activations.po2.bits": 5, "a.activations.po2.offset": 0}
    assert dict(space.suggest(Draws(given=parameters))) == {
        A: PowerOfTwo(3, -3 - 1 - 5),
        BIAS: Fixed(16, 2),
        OUTPUT: PowerOfTwo(5, 4 - 3 - 5),
        B: Fixed(4, 0 - 2 + 1),
        C: Fixed(4, 2 - 2 + 1),
    }


def test_pinned_formats_need_no_parameter_and_nothing_else_is_contained() -> None:
    space = space_of(Group("a", (A, B), Fixed(8, 2)))
    draws = Draws()
    candidate = space.suggest(draws)
    assert candidate == Candidate.of({A: Fixed(8, 2), B: Fixed(8, 2)})
    assert draws.parameters == {} == space.parameters(candidate)
    assert space.count() == 1
    assert space.needed_anchors() == ()
    assert not space.contains(Candidate.of({A: Fixed(8, 2), B: Fixed(8, 1)}))


@pytest.mark.parametrize("slots", [(), (A,), (A, B, C)])
def test_a_candidate_with_other_slots_lies_outside(slots: tuple[Slot, ...]) -> None:
    space = space_of(Group("tied", (A, B), Fixed(8, 2)))
    assert not space.contains(Candidate.of(dict.fromkeys(slots, Fixed(8, 2))))


@pytest.mark.parametrize("end", [32, -32])
@pytest.mark.parametrize("kind", ["fixed", "po2"])
def test_positions_end_at_32(kind: str, end: int) -> None:
    """Offsets beyond the end give the same format, so fewer candidates than `count` says."""
    limits = {"fixed": FixedRange, "po2": PowerOfTwoRange}[kind]((4, 4), (-2, 2))
    space = space_of(Group("a", (A,), SlotRange(**{kind: limits})), a=end)
    candidates = every_candidate(space)
    assert space.count() == len(candidates) == 5
    build = Fixed if kind == "fixed" else PowerOfTwo
    inner = [end - offset if end > 0 else end + offset for offset in range(3)]
    assert {candidate[A] for candidate in candidates} == {build(4, position) for position in inner}
    for candidate in candidates:
        parameters = space.parameters(candidate)
        assert parameters is not None
        assert space.suggest(Draws(given=parameters)) == candidate


def test_needed_anchors_are_those_a_suggestion_asks_for(space: SearchSpace) -> None:
    needed = [(slot, limits.kind, bits) for slot, limits, bits in space.needed_anchors()]
    assert len(set(needed)) == len(needed) == 4 + 3 + 2 * 2 + 1
    assert set(needed) == {
        *((A, "fixed", bits) for bits in (2, 3, 4, 5)),
        *((A, "po2", bits) for bits in (2, 3, 4)),
        *((slot, "fixed", bits) for slot in (B, C) for bits in (3, 4)),
        (OUTPUT, "po2", 5),
    }


def test_a_missing_anchor_is_named(space: SearchSpace) -> None:
    bare = SearchSpace(space.groups, space.order)
    with pytest.raises(FormatError, match=r"no proposal is known for a\.weights as (fixed|po2) with \d bits"):
        bare.suggest(Draws())


def test_the_sweep_stays_inside_and_meets_every_width_of_the_weights(space: SearchSpace) -> None:
    swept = list(space.sweep())
    assert swept
    assert all(tuple(candidate) == space.order and space.contains(candidate) for candidate in swept)
    assert {(candidate[A].kind, candidate[A].width_bits) for candidate in swept} == {
        *(("fixed", bits) for bits in (2, 3, 4, 5)),
        *(("po2", bits) for bits in (2, 3, 4)),
    }
    for candidate in swept:
        offset = candidate[A].integer_bits if isinstance(candidate[A], Fixed) else candidate[A].max_exponent
        assert offset == space.anchors.positions[A, candidate[A].kind, candidate[A].width_bits]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedRange((5, 4)), r"bits must be \[low, high\] with low <= high, but got \[5, 4\]"),
        (lambda: FixedRange((4, 5), (1, 0)), r"offset must be \[low, high\] with low <= high, but got \[1, 0\]"),
        (lambda: FixedRange((0, 4)), "fixed bits must be a whole number between 1 and 32, but got 0"),
        (lambda: FixedRange((4, 33)), "fixed bits must be a whole number between 1 and 32, but got 33"),
        (lambda: FixedRange((4, 32), overflow="wrap"), "fixed bits must be at most 24 to wrap, but got 32"),
        (lambda: PowerOfTwoRange((4, 17)), "po2 bits must be a whole number between 1 and 16, but got 17"),
        (lambda: PowerOfTwoRange((1, 4), zero=True), "po2 bits must be at least 2 to have a zero, but got 1"),
        (lambda: VirtualBitShiftRange((1, 4)), "vbs bits must be a whole number between 2 and 32, but got 1"),
        (lambda: VirtualBitShiftRange((2, 4), group=0), r"vbs group .* must be a whole number between 1 .* but got 0"),
        (lambda: BinaryRange(steepness=0), "binary steepness must be above 0 and at most 1000, but got 0"),
        (lambda: SlotRange(), "a searched slot needs at least one of fixed, po2, vbs, binary"),
    ],
)
def test_bad_ranges_are_refused(build, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        build()


@pytest.fixture(scope="module")
def further() -> SearchSpace:
    """Kinds without a position, options that every format of a range has, and one position per channel."""
    groups = (
        Group(
            "a", (A,), SlotRange(po2=PowerOfTwoRange((3, 4), zero=True), vbs=VirtualBitShiftRange((2, 4), "channel"))
        ),
        Group("b", (B,), SlotRange(fixed=FixedRange((4, 5), (0, 1), per_channel=True, rounding="floor"))),
        Group("a", (OUTPUT,), SlotRange(fixed=FixedRange((8, 8)), binary=BinaryRange(steepness=25))),
    )
    anchors = {(A, "po2", 3): -1, (A, "po2", 4): -1, (OUTPUT, "fixed", 8): 3}
    anchors |= {(B, "fixed", 4): (1, 31, -4), (B, "fixed", 5): (0, 30, -4)}
    return SearchSpace(groups, (A, OUTPUT, B), Anchors(anchors))


def test_every_kind_has_its_formats(further: SearchSpace) -> None:
    candidates = every_candidate(further)
    assert len(candidates) == further.count() == (2 + 3) * 4 * 2
    assert {candidate[A] for candidate in candidates} == {
        *(PowerOfTwo(bits, -1, zero=True) for bits in (3, 4)),
        *(VirtualBitShift(bits, "channel") for bits in (2, 3, 4)),
    }
    assert {candidate[OUTPUT] for candidate in candidates} == {Fixed(8, 3), Binary(25)}
    assert {candidate[B] for candidate in candidates} == {
        Fixed(4, (1, 31, -4), rounding="floor"),
        Fixed(4, (2, 31, -3), rounding="floor"),  # Positions end at 31.
        Fixed(5, (0, 30, -4), rounding="floor"),
        Fixed(5, (1, 31, -3), rounding="floor"),
    }


@given(seed=st.integers(0, 2**32))
def test_suggest_and_parameters_are_inverse_for_every_kind(further: SearchSpace, seed: int) -> None:
    draws = Draws(seed)
    candidate = further.suggest(draws)
    assert further.parameters(candidate) == draws.parameters
    assert further.suggest(Draws(given=draws.parameters)) == candidate


def test_a_kind_without_position_needs_no_proposal(further: SearchSpace) -> None:
    assert {(slot, limits.kind) for slot, limits, _ in further.needed_anchors()} == {
        (A, "po2"),
        (B, "fixed"),
        (OUTPUT, "fixed"),
    }


@pytest.mark.parametrize(
    ("limits", "role", "message"),
    [
        (SlotRange(binary=BinaryRange()), Role.WEIGHTS, "weights cannot be binary: it is 0 or 1, for activations"),
        (SlotRange(vbs=VirtualBitShiftRange((4, 4))), Role.ACTIVATIONS, "activations cannot be vbs<4>: .* use fixed"),
        (SlotRange(fixed=FixedRange((4, 4), per_channel=True)), Role.ACTIVATIONS, "integer bits per channel are for"),
    ],
)
def test_a_range_knows_which_role_cannot_have_it(limits: SlotRange, role: Role, message: str) -> None:
    assert re.search(message, limits.unfit(role))
    assert not SlotRange(fixed=FixedRange((4, 4))).unfit(role)


def test_examples_show_every_kind_of_every_slot(further: SearchSpace, space: SearchSpace) -> None:
    assert {(slot, fmt.kind) for slot, fmt in further.examples()} == {
        (A, "po2"),
        (A, "vbs"),
        (B, "fixed"),
        (OUTPUT, "fixed"),
        (OUTPUT, "binary"),
    }
    assert (BIAS, Fixed(16, 2)) in space.examples()
    modes = {fmt.rounding for slot, fmt in further.examples() if slot == B}
    assert modes == {"floor"}
