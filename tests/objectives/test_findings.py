"""The words that an analysis is told in: exact sentences for constructed figures, and who comes first."""

import dataclasses

import pytest

from wordlength.objectives.findings import WEIGHTS, findings, percent, ranked, severity
from wordlength.objectives.report import Accumulator, LayerAnalysis
from wordlength.space import Binary, Fixed, Float32, Format, Overflow, PowerOfTwo, Role, Rounding, Slot, VirtualBitShift

CONV = Slot("conv_2", Role.ACTIVATIONS)
KLEIN = Fixed(16, 2)
LIMIT = 0.05


def row(fmt: Format = KLEIN, slot: Slot = CONV, **figures: object) -> LayerAnalysis:
    """A row without trouble but for the figures given; minimum and maximum follow the histogram's top if not given."""
    plain: dict[str, object] = {field.name: 0.0 for field in dataclasses.fields(LayerAnalysis)}
    plain |= {"slot": slot, "format": fmt, "step": 2, "epoch": 1, "count": 1000, "integer_bits_needed": 0}
    return LayerAnalysis(**plain | {"histogram": ()} | figures)  # type: ignore[arg-type]


def sentences(*rows: LayerAnalysis, limit: float = LIMIT) -> list[str]:
    return [finding.sentence for finding in findings(rows, (), limit)]


# 21 of 1,000 values above 4: 20 below 16, one near 300.
LARGE = {"overflow": 0.021, "minimum": 0.0, "maximum": 300.0, "max_magnitude": 300.0}
LARGE_BINS = ((-3, 500), (1, 479), (2, 12), (3, 8), (8, 1))


def test_overflow_names_the_end_and_the_bits_for_all_and_for_nearly_all() -> None:
    assert sentences(row(**LARGE, histogram=LARGE_BINS)) == [
        "conv_2 activations: 2.1 % overflow above 3.9999; 9 integer bits would hold all, 4 hold 99.9 %"
    ]


@pytest.mark.parametrize(
    ("fmt", "figures", "told"),
    [
        (Fixed(16, 2), {"minimum": -9.0}, "below -4; 4 integer bits would hold all"),
        (Fixed(16, 2), {"minimum": -9.0, "maximum": 5.0}, "above 3.9999 or below -4; 4 integer bits would hold all"),
        # −8 itself fits three integer bits, +8 does not.
        (Fixed(16, 2), {"minimum": -8.0, "maximum": 5.0}, "above 3.9999 or below -4; 3 integer bits would hold all"),
        (Fixed(16, 2), {"minimum": 0.0, "maximum": 8.0}, "above 3.9999; 4 integer bits would hold all"),
        # Above the highest value, though two integer bits reach it: only one more holds it.
        (Fixed(4, 2), {"maximum": 3.9}, "above 3.5, by less than one step; 3 integer bits would hold all"),
        (Fixed(8, -3), {"maximum": 0.2}, "above 0.12402; -2 integer bits would hold all"),
        (Fixed(8, -1), {"maximum": 1.5}, "above 0.49609; 1 integer bit would hold all"),
        (Fixed(24, 2), {"maximum": 9.0}, "above 3.9999995; 4 integer bits would hold all"),
        (Fixed(1, 0), {"maximum": 0.3}, "above 0, by less than one step; not even 32 integer bits would hold all"),
        (Fixed(8, 2), {"maximum": 1e30}, "above 3.9688; not even 32 integer bits would hold all"),
        (Fixed(8, 2, signed=False), {"minimum": -0.1}, "below 0; only a signed format holds negative values"),
        (Fixed(8, 2, signed=False), {"maximum": 4.1}, "above 3.9844; 3 integer bits would hold all"),
        (
            Fixed(8, 2, overflow=Overflow.WRAP),
            {"maximum": 5.0},
            "above 3.9688 and wrap around; 3 integer bits would hold all",
        ),
        (PowerOfTwo(4, -1), {"maximum": 7.5}, "above 0.5; an exponent up to 3 would hold all"),
        (PowerOfTwo(4, -1), {"maximum": 8.0, "minimum": -1.0}, "above 0.5 or below -0.5; an exponent up to 3"),
        (PowerOfTwo(4, -1), {"maximum": 8.1}, "above 0.5; an exponent up to 4 would hold all"),
        (Fixed(8, (0, 2)), {"max_magnitude": 4.25}, "the range of their channel; the largest magnitude is 4.25"),
        (VirtualBitShift(4, "channel"), {"max_magnitude": 17.0}, "the range of their channel; the largest magnitude"),
        (
            VirtualBitShift(4, "channel"),
            {"max_magnitude": 0.9},
            "the range of their channel, by less than one step; the largest magnitude is 0.9",
        ),
        (VirtualBitShift(4), {"max_magnitude": 17.0}, "the range of their tensor; the largest magnitude is 17"),
        (VirtualBitShift(4, 16), {"max_magnitude": 17.0}, "the range of their block; the largest magnitude is 17"),
    ],
)
def test_overflow_by_format_and_side(fmt: Format, figures: dict[str, float], told: str) -> None:
    weights = Slot("dense_2", Role.WEIGHTS)
    (sentence,) = sentences(row(fmt, weights, overflow=0.5, **figures))
    assert sentence.startswith(f"dense_2 weights: 50.0 % overflow {told}"), sentence


def test_nearly_all_is_told_of_powers_of_two_too() -> None:
    assert sentences(row(PowerOfTwo(4, 2), **LARGE, histogram=LARGE_BINS)) == [
        "conv_2 activations: 2.1 % overflow above 4; an exponent up to 9 would hold all, one up to 4 holds 99.9 %"
    ]


def test_nearly_all_is_left_out_where_it_says_nothing_new() -> None:
    # The format holds 99.9 % already.
    (rare,) = sentences(row(overflow=0.0009, maximum=300.0, histogram=((0, 9991), (8, 9)), count=10_000))
    assert rare == "conv_2 activations: 0.1 % overflow above 3.9999; 9 integer bits would hold all"
    # Nearly all needs as many as all.
    (many,) = sentences(row(overflow=0.3, maximum=300.0, histogram=((0, 700), (8, 300))))
    assert many.endswith("; 9 integer bits would hold all")


def test_few_bits_lose_a_part_of_the_topmost_bin() -> None:
    # fixed<3,·>: the highest value is 3/4 of the next power of two, so half of the topmost bin lies above it.
    bins = ((0, 900), (2, 60), (7, 40))
    (sentence,) = sentences(row(Fixed(3, 1), overflow=0.1, maximum=130.0, histogram=bins))
    assert sentence == "conv_2 activations: 10.0 % overflow above 1.5; 8 integer bits would hold all"
    (wide,) = sentences(row(Fixed(16, 1), overflow=0.1, maximum=130.0, histogram=((0, 900), (2, 99), (7, 1))))
    assert wide.endswith("; 8 integer bits would hold all, 3 hold 99.9 %")


@pytest.mark.parametrize(
    ("fmt", "told"),
    [
        (Fixed(8, -1), "underflow to 0; the smallest magnitude is 0.003906 (2^-8)"),
        (PowerOfTwo(4, -1), "underflow to the smallest power, 0.003906 (2^-8)"),
        (PowerOfTwo(4, -1, zero=True), "underflow to 0; the smallest magnitude is 0.007812 (2^-7)"),
        (Fixed(8, (0, 1)), "underflow to 0, too small for the steps of their channel"),
        (VirtualBitShift(4, 16), "underflow to 0, too small for the steps of their block"),
    ],
)
def test_underflow_by_format(fmt: Format, told: str) -> None:
    assert sentences(row(fmt, underflow=0.12)) == [f"conv_2 activations: 12.0 % of the non-zero values {told}"]


def test_precision_names_its_limit_and_the_bits_that_are_missing() -> None:
    # Step 2^-4: half of it is 5 % of 0.625. Two more fraction bits make 0.15625 safe: only 2^-4 … 2^-3 is not,
    # three more make 0.078 safe, which leaves the bin from 2^-4 in danger; four leave 0.039.
    values = {"precision": 0.642, "histogram": ((-4, 600), (1, 400))}
    assert sentences(row(Fixed(6, 1), **values)) == [
        "conv_2 activations: 64.2 % precision violations (moved by more than 5 %); "
        "4 more fraction bits would leave at most 1 %"
    ]
    assert sentences(row(Fixed(6, 1, rounding=Rounding.FLOOR), **values))[0].endswith(
        "; 5 more fraction bits would leave at most 1 %"
    )
    assert sentences(row(Fixed(6, 1), **values), limit=0.1) == [
        "conv_2 activations: 64.2 % precision violations (moved by more than 10 %); "
        "3 more fraction bits would leave at most 1 %"
    ]


def test_the_promised_fraction_bits_keep_their_promise() -> None:
    import numpy as np

    x = np.random.default_rng(0).laplace(scale=0.1, size=20_000).astype(np.float32)
    exponents, counts = np.unique(np.floor(np.log2(np.abs(x))).astype(int), return_counts=True)

    def violations(fmt: Fixed) -> float:
        return float(np.mean(np.abs(fmt.round(x) - x) > LIMIT * np.abs(x)))

    for rounding in Rounding:
        fmt = Fixed(5, 1, rounding=rounding)
        bins = tuple(zip(exponents.tolist(), counts.tolist(), strict=True))
        (sentence,) = sentences(row(fmt, precision=violations(fmt), count=x.size, histogram=bins))
        more = int(sentence.split("; ")[1].split()[0])
        assert violations(dataclasses.replace(fmt, bits=5 + more)) <= 0.01 < violations(fmt)
        assert violations(dataclasses.replace(fmt, bits=5 + more - 2)) > 0.01


@pytest.mark.parametrize(
    ("fmt", "underflow", "told"),
    [
        (PowerOfTwo(4, -1), 0.0, "; more bits add no values between the powers of two"),
        (PowerOfTwo(4, -1), 0.001, ""),
        (Fixed(8, (0, 1)), 0.0, ""),
        (VirtualBitShift(4), 0.0, ""),
        (Fixed(32, 1), 0.0, ""),
    ],
)
def test_precision_promises_only_what_is_known(fmt: Format, underflow: float, told: str) -> None:
    bins = ((-30, 500), (0, 500))
    (sentence,) = sentences(row(fmt, precision=0.8, underflow=underflow, histogram=bins))
    assert sentence == f"conv_2 activations: 80.0 % precision violations (moved by more than 5 %){told}"


def test_zero_gradients() -> None:
    biases = Slot("conv_1", Role.BIASES)
    assert sentences(row(slot=biases, zero_gradient=0.31)) == ["conv_1 biases: 31.0 % of the elements got no gradient"]
    assert sentences(row(slot=biases, zero_gradient=1.0)) == ["conv_1 biases: no element got a gradient"]


def test_of_binary_tensors_only_zero_gradients_count() -> None:
    noisy = row(Binary(), overflow=0.5, underflow=0.5, precision=0.9, zero_gradient=0.2)
    assert sentences(noisy) == ["conv_2 activations: 20.0 % of the elements got no gradient"]
    assert severity(noisy) == pytest.approx(0.1)


def test_no_trouble_is_one_sentence_and_nothing_analysed_is_none() -> None:
    calm = row(underflow=0.009, precision=0.009, zero_gradient=0.009)
    (finding,) = findings([calm, row(Float32())], (), LIMIT)
    assert finding.sentence == (
        "nothing overflows in all 2 tensors, and underflow, precision violations and zero gradients stay below 1 % each"
    )
    assert (finding.place, finding.severity, finding.figure) == ("", 0.0, "none")
    assert findings((), (), LIMIT) == ()


def test_the_worst_comes_first_and_equals_keep_their_order() -> None:
    slots = [Slot(f"dense_{n}", Role.WEIGHTS) for n in range(5)]
    rows = [
        row(slot=slots[0], zero_gradient=1.0),
        row(slot=slots[1], precision=0.9),
        row(slot=slots[2], underflow=0.4),
        row(slot=slots[3], overflow=0.02, maximum=5.0),
        row(slot=slots[4], precision=0.9),
    ]
    assert [r.slot for r in ranked(rows)] == [slots[n] for n in (3, 1, 4, 2, 0)]
    assert [f.place for f in findings(rows, (), LIMIT)] == [f"dense_{n}.weights" for n in (3, 1, 4, 2, 0)]


def test_severity_is_the_weighted_sum_of_the_shares() -> None:
    shares = {"overflow": 0.01, "underflow": 0.2, "precision": 0.3, "zero_gradient": 0.4}
    suffers = row(**shares, maximum=5.0)
    assert severity(suffers) == pytest.approx(1 + 0.4 + 0.3 + 0.2)
    told = findings([suffers], (), LIMIT)
    assert {f.figure: f.severity for f in told} == pytest.approx({f: WEIGHTS[f] * share for f, share in shares.items()})
    assert sum(f.severity for f in told) == pytest.approx(severity(suffers))


@pytest.mark.parametrize(
    ("fmt", "slight", "real"),
    [
        (Fixed(4, 2), {"maximum": 3.9}, {"maximum": 4.0}),
        (Fixed(4, 2), {"minimum": -4.4}, {"minimum": -4.5}),
        (VirtualBitShift(4, "channel"), {"max_magnitude": 15.9}, {"max_magnitude": 16.0}),
    ],
)
def test_overflow_by_less_than_a_step_weighs_as_a_precision_violation(fmt: Format, slight, real) -> None:
    weights = Slot("conv_1", Role.WEIGHTS)
    assert severity(row(fmt, weights, overflow=0.1, **slight)) == pytest.approx(0.1)
    assert severity(row(fmt, weights, overflow=0.1, **real)) == pytest.approx(10)
    wraps = row(Fixed(4, 2, overflow=Overflow.WRAP), overflow=0.1, maximum=3.9)
    assert severity(wraps) == pytest.approx(10)


def accumulator(**changes: object) -> Accumulator:
    plain: dict[str, object] = {"layer": "conv_4", "kernel": "pointwise_kernel", "step": 2, "epoch": 1}
    plain |= {"lowest_worst": -500.0, "highest_worst": 300.0, "lowest_used": -15.0, "highest_used": 9.0}
    return Accumulator(**plain | {"fraction_bits": 17, "bounded": True} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "conv_4 (pointwise): 27 bits can never overflow, 22 held all sums seen"),
        (
            {"lowest_used": 0.0, "highest_used": 0.0},
            "conv_4 (pointwise): 27 bits can never overflow, and all sums seen were 0",
        ),
        ({"kernel": "kernel"}, "conv_4: 27 bits can never overflow, 22 held all sums seen"),
        (
            {"fraction_bits": None, "bounded": False},
            "conv_4 (pointwise): its input has no format, so only integer bits are known: "
            "9 integer bits hold the sums of any input within the range seen, 4 held all sums seen",
        ),
        (
            {"fraction_bits": None},
            "conv_4 (pointwise): a factor is float or an average no power of two, so only integer bits are known: "
            "9 integer bits can never overflow, 4 held all sums seen",
        ),
    ],
)
def test_accumulators_are_told_last(changes: dict[str, object], sentence: str) -> None:
    trouble, told = findings([row(zero_gradient=0.5)], [accumulator(**changes)], LIMIT)
    assert trouble.figure == "zero_gradient"
    assert (told.sentence, told.place, told.figure, told.severity) == (sentence, "conv_4", "accumulator", 0.0)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (1, "100.0 %"), (0.0213, "2.1 %"), (0.00047, "0.047 %"), (1.23e-7, "0.000012 %"), (0.0005, "0.1 %")],
)
def test_percent_never_rounds_to_none_or_all(share: float, text: str) -> None:
    assert percent(share) == text
    assert percent(0.99995) == "more than 99.9 %"
