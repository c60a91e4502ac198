import numpy as np
import pytest

from wordlength.errors import FormatError
from wordlength.objectives.noise import paired_difference
from wordlength.objectives.proposals import proposed
from wordlength.objectives.sensitivity import Effect, all_but, everything, only, ranged, sensitivity
from wordlength.space import Candidate, Fixed, FixedRange, Float32, PowerOfTwo, Role, Slot, VirtualBitShift


def of_role(candidate: Candidate, role: Role) -> list:
    return [fmt for slot, fmt in candidate.pairs if slot.role is role]


def test_only_and_all_but_change_exactly_the_others_and_this(tiny_baseline) -> None:
    candidate = everything(tiny_baseline, "fixed", 4)
    assert Float32() not in candidate.values()
    for slot in candidate:
        alone, spared = only(candidate, slot), all_but(candidate, slot)
        assert list(alone) == list(spared) == list(candidate)
        assert {other for other, fmt in alone.pairs if fmt != Float32()} == {slot}
        assert {other for other, fmt in spared.pairs if fmt == Float32()} == {slot}
        assert alone[slot] == candidate[slot]
        assert all(spared[other] == candidate[other] for other in candidate if other != slot)


@pytest.mark.parametrize(("kind", "expected"), [("fixed", Fixed), ("po2", PowerOfTwo), ("vbs", VirtualBitShift)])
def test_everything_stands_on_the_proposals(tiny_baseline, kind: str, expected: type) -> None:
    candidate = everything(tiny_baseline, kind, 3)
    for slot, fmt in candidate.pairs:
        assert fmt == proposed(tiny_baseline, slot, *ranged(kind, 3, slot.role))
        assert fmt.width_bits == 3
    assert all(isinstance(fmt, expected) for fmt in of_role(candidate, Role.WEIGHTS) + of_role(candidate, Role.BIASES))
    # No shifts that follow stored values where nothing is stored.
    activations = Fixed if kind == "vbs" else expected
    assert all(isinstance(fmt, activations) for fmt in of_role(candidate, Role.ACTIVATIONS))


def test_roles_that_take_no_part_stay_float(tiny_baseline) -> None:
    candidate = everything(tiny_baseline, "po2", 4, [Role.BIASES])
    assert all(fmt == Float32() for fmt in of_role(candidate, Role.WEIGHTS) + of_role(candidate, Role.ACTIVATIONS))
    assert all(isinstance(fmt, PowerOfTwo) for fmt in of_role(candidate, Role.BIASES))


@pytest.mark.parametrize(("kind", "bits"), [("fixed", 0), ("fixed", 33), ("po2", 17), ("vbs", 1)])
def test_widths_that_the_kind_has_not_are_refused(kind: str, bits: int) -> None:
    with pytest.raises(FormatError, match=rf"{kind} bits must be .*but got {bits}"):
        ranged(kind, bits, Role.WEIGHTS)


def test_virtual_bit_shifts_leave_activations_fixed() -> None:
    assert ranged("vbs", 4, Role.ACTIVATIONS) == (FixedRange((4, 4)), 4)


def test_rows_are_the_measures_of_hand_made_candidates(tiny_baseline, tiny_evaluator) -> None:
    chosen = {Slot("conv_2", Role.WEIGHTS): Fixed(3, 0), Slot("dense_1", Role.ACTIVATIONS): Fixed(4, 1)}
    slots = [info.slot for info in tiny_baseline.slots]
    assert set(chosen) <= set(slots)
    base = {slot: Float32() for slot in slots}
    gains = {
        name: tiny_evaluator.measure_untrained(Candidate.of(base | formats)).per_mixture
        for name, formats in {
            "none": {},
            "both": chosen,
            **{str(slot): {slot: fmt} for slot, fmt in chosen.items()},
        }.items()
    }
    rows = list(
        sensitivity(
            tiny_evaluator.measure_untrained, Candidate.of(base | chosen), tiny_baseline.gains, gains["both"].tolist()
        )
    )
    assert [row.slot for row in rows] == [slot for slot in slots if slot in chosen]
    np.testing.assert_allclose(gains["none"], tiny_baseline.gains, atol=1e-6)
    for row, other in zip(rows, rows[::-1], strict=True):
        assert row.format == chosen[row.slot]
        assert row.only == Effect(*paired_difference(gains[str(row.slot)], tiny_baseline.gains))
        # Of two quantized slots, all but this is only the other.
        assert row.all_but == Effect(*paired_difference(gains[str(other.slot)], gains["both"]))
        assert row.only.difference != 0


def test_rows_come_as_they_are_measured(tiny_baseline, tiny_evaluator) -> None:
    measured = []

    def measure(candidate: Candidate):
        measured.append(candidate)
        return tiny_evaluator.measure_untrained(candidate)

    candidate = everything(tiny_baseline, "fixed", 4, [Role.BIASES])
    rows = sensitivity(measure, candidate, tiny_baseline.gains, tiny_baseline.gains)
    assert measured == []
    first = next(rows)
    assert measured == [only(candidate, first.slot), all_but(candidate, first.slot)]
    rows.close()


def test_clear_effects_are_beyond_two_standard_errors() -> None:
    assert Effect(-0.0021, 0.001).clear
    assert Effect(0.0021, 0.001).clear
    assert not Effect(-0.002, 0.001).clear
    assert not Effect(0.0, 0.0).clear
