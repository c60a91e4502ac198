"""Points for the tests of drawings and tables of a front."""

import random
import struct
from collections.abc import Iterable

from two_goals import float_point, front_point

from wordlength.search.front import FloatPoint, FrontPoint
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot

SLOTS = [Slot(layer, role) for layer in ("conv_1", "dense_1") for role in Role]
BASELINE = float_point(0.034, 1_875_812)
OTHER_NETWORK = float_point(0.034, 1_875_816)

POWERS = Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(16, 2))
FIXED_313 = Candidate.uniform(SLOTS, Fixed(16, 2), Fixed(16, 2), Fixed(16, 2))
MIXED = Candidate.of({slot: Fixed(6 if slot.layer == "conv_1" else 5, -1) for slot in SLOTS})


def cloud() -> list[FrontPoint]:
    """Two uniform references, front members, dominated trials and one far below."""
    rows = [
        (0.016, 236_506, POWERS, "uniform po2<4,-1>"),
        (0.032, 937_906, FIXED_313, "uniform fixed<16,2>"),
        (0.001, 130_000, MIXED, ""),
        (0.021, 182_143, MIXED, ""),
        (0.019, 300_000, MIXED, ""),
        (0.015, 350_000, MIXED, ""),
        (-0.300, 320_000, MIXED, ""),
    ]
    return [front_point(n, s, m, c, label, 0.0011 if n % 2 else None) for n, (s, m, c, label) in enumerate(rows)]


def study_of(
    points: Iterable[FrontPoint], *others: TrialRow, baseline: FloatPoint = BASELINE, name: str = "klein"
) -> StudyView:
    """A study of these complete trials, and others."""
    return StudyView(name, (*map(_row, points), *others), baseline, 20)


def _row(point: FrontPoint) -> TrialRow:
    return TrialRow(
        point.number,
        "complete",
        point.candidate,
        point.label,
        values=point.values,
        standard_error=point.standard_error,
        gains=point.gains,
        difference=point.difference,
        difference_error=point.difference_error,
        memory_bytes=point.memory_bytes,
    )


def ended(state: str, count: int) -> list[TrialRow]:
    """So many trials that are no points."""
    return [TrialRow(10_000 + number, state, None) for number in range(count)]


def alike_pair() -> list[FrontPoint]:
    """Two front members that the mixtures do not tell apart, and a third that they do."""
    gains = ((0.01, 0.03), (0.032, 0.01), (0.06, 0.0601))
    return [
        front_point(
            number,
            sum(pair) / 2,
            (number + 1) * 100_000,
            MIXED,
            gains=pair,
            difference=sum(pair) / 2 - 0.05,
            difference_error=0.001,
        )
        for number, pair in enumerate(gains)
    ]


def crowd(count: int) -> list[FrontPoint]:
    """So many trials of nine layers, no two alike, a twentieth of them about on the front."""
    rng = random.Random(7)
    layers = [f"conv_{n}" for n in range(1, 7)] + [f"dense_{n}" for n in range(1, 4)]
    slots = [Slot(layer, role) for layer in layers for role in Role]

    def formats() -> Candidate:
        choice = [Fixed(bits, place) for bits in range(2, 17) for place in range(-2, 5)]
        return Candidate.of({slot: rng.choice(choice) for slot in slots})

    def point(number: int) -> FrontPoint:
        memory = rng.randint(120_000, 1_000_000)
        gain = 0.03 - 2_000 / memory - abs(rng.gauss(0, 0.003))
        gains = tuple(gain + rng.gauss(0, 0.01) for _ in range(60))
        return front_point(number, gain, memory, formats(), "", 0.0012, gains, gain - 0.034, 0.0009)

    return [point(number) for number in range(count)]


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height
