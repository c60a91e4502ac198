import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from wordlength.objectives.audio import prepare, subsets
from wordlength.objectives.fidelity import LADDER, Outcomes, ladder, rank_fidelity, train_all
from wordlength.objectives.noise import paired_difference
from wordlength.objectives.reach import ReachMeter, SlotReach, float_reach, watched_formats
from wordlength.objectives.report import TrialReport, TrialState, integer_bits_for
from wordlength.space import Candidate, Fixed, Float32, PowerOfTwo, Role, Slot

SLOT = Slot("a", Role.WEIGHTS)


def report(gains: Sequence[float]) -> TrialReport:
    return TrialReport(
        0,
        Candidate.of({SLOT: Float32()}),
        TrialState.COMPLETE,
        1,
        quality=float(np.mean(gains)),
        gains=tuple(gains),
        seconds={"a": 1.0, "b": 0.5},
    )


def outcomes(*gains: Sequence[float]) -> Outcomes:
    return Outcomes(len(gains), {f"c{n}": report(each) for n, each in enumerate(gains)})


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8, 1.0])
def test_subsets_are_those_of_a_study_with_that_fraction(
    tiny_data, tiny_data_settings, study_cache, tmp_path, fraction: float
) -> None:
    other = prepare(dataclasses.replace(tiny_data_settings, subset_fraction=fraction), tmp_path)
    found = subsets(tiny_data_settings, tiny_data.train, [fraction], study_cache)
    np.testing.assert_array_equal(found[fraction], other.subset_windows)
    assert found[fraction].dtype == tiny_data.subset_windows.dtype
    if fraction == tiny_data_settings.subset_fraction:
        np.testing.assert_array_equal(found[fraction], tiny_data.subset_windows)


def test_subsets_cache_nothing(tiny_data, tiny_data_settings, study_cache) -> None:
    before = {path: path.stat().st_mtime_ns for path in study_cache.rglob("*")}
    subsets(tiny_data_settings, tiny_data.train, [0.3, 1.0], study_cache)
    assert {path: path.stat().st_mtime_ns for path in study_cache.rglob("*")} == before


def test_the_ladder_is_spread_from_its_beginning(tiny_baseline) -> None:
    found = ladder(tiny_baseline, 6)
    assert list(found)[:3] == ["fixed 8, fixed 16", "fixed 2, fixed 8", "po2 4, fixed 16"]
    for candidate, (kind, bits, width) in zip(found.values(), LADDER, strict=False):
        assert {fmt.width_bits for slot, fmt in candidate.pairs if slot.role is Role.WEIGHTS} == {bits}
        assert {fmt.width_bits for slot, fmt in candidate.pairs if slot.role is Role.BIASES} == {16}
        assert {fmt.width_bits for slot, fmt in candidate.pairs if slot.role is Role.ACTIVATIONS} == {width}
        kinds = {type(fmt) for slot, fmt in candidate.pairs if slot.role is Role.WEIGHTS}
        assert kinds == {Fixed if kind == "fixed" else PowerOfTwo}
    assert len(ladder(tiny_baseline, len(LADDER))) == len(LADDER)


@pytest.fixture(scope="module")
def trained(tiny_baseline, tiny_evaluator) -> Callable[[np.ndarray], Outcomes]:
    """Trains three candidates that pass the gate on some windows."""
    slots = [info.slot for info in tiny_baseline.slots]
    candidates = {
        str(fmt): Candidate.uniform(slots, fmt, Fixed(16, 2), Fixed(16, 4))
        for fmt in (Fixed(8, 0), Fixed(3, 0), PowerOfTwo(4, -1))
    }

    def train(windows: np.ndarray) -> Outcomes:
        *_, last = train_all(lambda job, part: tiny_evaluator.evaluate(job, part)[0], candidates, windows, seed=0)
        return last

    return train


def test_all_windows_equal_themselves(trained, tiny_data) -> None:
    """Fraction 1: trained twice, measured twice, no difference at all."""
    subset, full = trained(tiny_data.train.windows), trained(tiny_data.train.windows)
    assert subset is not full
    assert list(full.reports) == ["fixed<8,0>", "fixed<3,0>", "po2<4,-1>"]
    ranks = rank_fidelity(subset, full, full)
    assert (ranks.spearman, ranks.kendall) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (ranks.mean_difference, ranks.paired_error, ranks.swapped_pairs) == (0.0, 0.0, 0)


def test_another_subset_trains_otherwise(trained, tiny_data) -> None:
    small, full = trained(tiny_data.subset_windows), trained(tiny_data.train.windows)
    assert all(small.reports[label].losses != full.reports[label].losses for label in full.reports)
    assert small.seconds > 0


def test_rank_figures_by_hand() -> None:
    subset = outcomes([0.01, 0.03], [0.05, 0.07], [0.02, 0.04], [0.08, 0.10])
    full = outcomes([0.02, 0.04], [0.03, 0.05], [0.05, 0.07], [0.08, 0.12])
    ranks = rank_fidelity(subset, full, full)
    # Ranks 0 2 1 3 against 0 1 2 3: 1 − 6·2 / (4·15), and 5 of 6 pairs agree.
    assert ranks.spearman == pytest.approx(0.8)
    assert ranks.kendall == pytest.approx((5 - 1) / 6)
    assert ranks.mean_difference == pytest.approx(np.mean([0.01, 0.02, 0.03, 0.01]))
    assert ranks.paired_error == pytest.approx(np.mean([0, 0, 0, 0.01]), abs=1e-12)
    # The first three differ by constants: told apart without doubt; the last by 0.06 ± 0.01, 0.05 ± 0.01, 0.03 ± 0.01.
    assert ranks.clear_pairs == 6
    assert ranks.swapped_pairs == 1


def test_pairs_that_all_windows_do_not_tell_apart_may_be_swapped() -> None:
    full = outcomes([0.1, 0.3], [0.25, 0.05])
    ranks = rank_fidelity(outcomes([0.0, 0.0], [0.2, 0.2]), full, full)
    assert paired_difference([0.1, 0.3], [0.25, 0.05])[1] > 0.1
    assert (ranks.clear_pairs, ranks.swapped_pairs) == (0, 0)
    assert ranks.spearman == pytest.approx(-1)


def test_a_pair_is_told_apart_only_if_both_trainings_agree() -> None:
    """Utterances say nothing of the training's own chance; a second order of the windows does."""
    full = outcomes([0.1, 0.2], [0.3, 0.4])
    subset = outcomes([0.3, 0.4], [0.1, 0.2])
    for again, clear in (
        (outcomes([0.1, 0.2], [0.2, 0.3]), 1),
        (outcomes([0.3, 0.4], [0.1, 0.2]), 0),
        (outcomes([0.1, 0.3], [0.25, 0.05]), 0),
    ):
        ranks = rank_fidelity(subset, full, again)
        assert (ranks.clear_pairs, ranks.swapped_pairs) == (clear, clear)
        assert rank_fidelity(again, full, again).swapped_pairs == 0


def test_constants_have_no_rank() -> None:
    same = outcomes([0.1, 0.2], [0.1, 0.2], [0.1, 0.2])
    full = outcomes([0.1, 0.2], [0.2, 0.3], [0.3, 0.4])
    ranks = rank_fidelity(same, full, full)
    assert math.isnan(ranks.spearman)
    assert math.isnan(ranks.kendall)


def test_candidates_that_diverged_are_left_out() -> None:
    failed = TrialReport(0, Candidate.of({SLOT: Float32()}), TrialState.FAILED, 1, reason="diverged")
    good = report([0.1, 0.2])
    answers = iter([good, failed, good])
    steps = list(
        train_all(
            lambda job, part: next(answers),
            dict.fromkeys("abc", good.candidate),
            np.zeros(1, np.int32),
            seed=0,
        )
    )
    assert [step.tried for step in steps] == [1, 2, 3]
    assert list(steps[-1].reports) == ["a", "c"]
    assert steps[-1].seconds == 1.5
    ranks = rank_fidelity(steps[-1], steps[1], steps[1])
    assert ranks.mean_difference == 0.0
    assert math.isnan(rank_fidelity(Outcomes(0, {}), steps[1], steps[1]).mean_difference)


@pytest.fixture(scope="module")
def meter(tiny_evaluator, tiny_baseline, tiny_data) -> ReachMeter:
    steps = []
    meter = float_reach(
        tiny_evaluator.quantized, tiny_baseline, tiny_data.train, lambda done, total: steps.append((done, total))
    )
    assert steps[-1][0] == steps[-1][1] == len(steps) > 1
    return meter


@pytest.fixture(scope="module")
def activations(tiny_evaluator, tiny_baseline, tiny_data) -> list[np.ndarray]:
    """The float model's activations on all training windows, (windows, …) per slot, by Keras itself."""
    windows = tiny_data.train.windows
    inputs = tiny_data.train.features[windows[:, np.newaxis] + np.arange(-15, 1)]
    quantized = tiny_evaluator.quantized
    quantized.model.set_weights(list(tiny_baseline.weights))
    quantized.assign(Candidate.uniform((info.slot for info in tiny_baseline.slots), *[Float32()] * 3))
    *taps, _ = quantized.taps.predict(inputs, batch_size=256, verbose=0)
    return taps


@pytest.mark.parametrize("part", ["all", "subset", "one mixture"])
def test_reach_is_numpys_on_the_same_windows(
    meter: ReachMeter, activations, tiny_baseline, tiny_data, part: str
) -> None:
    windows = {
        "all": tiny_data.train.windows,
        "subset": tiny_data.subset_windows,
        "one mixture": tiny_data.train.windows_of(3),
    }[part]
    chosen = np.isin(tiny_data.train.windows, windows)
    formats = watched_formats(tiny_baseline)
    rows = meter.reach(windows)
    assert [row.slot for row in rows] == [i.slot for i in tiny_baseline.slots if i.slot.role is Role.ACTIVATIONS]
    for row, values in zip(rows, activations, strict=True):
        seen = values[chosen]
        # Another batch size sums in another order.
        assert row.lowest == pytest.approx(seen.min(), rel=1e-5, abs=1e-6)
        assert row.highest == pytest.approx(seen.max(), rel=1e-5, abs=1e-6)
        assert row.largest == max(-row.lowest, row.highest)
        assert row.integer_bits == integer_bits_for(row.lowest, row.highest)
        assert list(row.overflow) == ["fixed<16,2>", "8-bit proposal"]
        for label, share in row.overflow.items():
            fmt = formats[label][row.slot]
            assert share == pytest.approx(np.mean((seen < fmt.lowest) | (seen > fmt.highest)), abs=2 / seen.size)


def test_reach_traces_once_and_sees_every_window(meter: ReachMeter, activations, tiny_data) -> None:
    assert meter.traces == 1
    assert len(tiny_data.train.windows) % 512 != 0
    sizes = [values[0].size for values in activations]
    counts = np.bincount(tiny_data.train.mixture_of_window)
    np.testing.assert_array_equal(meter._counts, counts[:, np.newaxis] * sizes)


def test_watched_formats_are_the_papers_and_the_proposals(tiny_baseline) -> None:
    formats = watched_formats(tiny_baseline)
    assert set(formats["fixed<16,2>"].values()) == {Fixed(16, 2)}
    assert {fmt.width_bits for fmt in formats["8-bit proposal"].values()} == {8}


def test_overflow_is_counted_against_the_formats_given(tiny_evaluator, tiny_baseline, tiny_data) -> None:
    slots = tiny_evaluator.quantized.activation_slots
    nothing, everything = Fixed(8, 32), Fixed(8, -32)
    meter = ReachMeter(
        tiny_evaluator.quantized,
        tiny_data.train,
        {"nothing": dict.fromkeys(slots, nothing), "everything": dict.fromkeys(slots, everything)},
    )
    for _ in meter.measure():
        pass
    rows = meter.reach(tiny_data.train.windows)
    assert all(row.overflow["nothing"] == 0 for row in rows)
    assert rows[-1].overflow["everything"] == 1  # a sigmoid is never 0


def test_missed_bits_are_octaves() -> None:
    def reach(lowest: float, highest: float) -> SlotReach:
        return SlotReach(Slot("a", Role.ACTIVATIONS), lowest, highest, {})

    assert reach(-1.0, 2.0).missed_bits(reach(-8.0, 2.0)) == 2
    assert reach(0.0, 4.0).missed_bits(reach(0.0, 4.0)) == 0
    assert reach(0.0, 0.0).missed_bits(reach(0.0, 0.0)) == 0
    assert reach(0.0, 0.0).missed_bits(reach(0.0, 1.0)) == math.inf
    assert reach(-4.0, 0.0).integer_bits == 2
    assert reach(-4.1, 4.0).integer_bits == 3
