"""Each objective against the contract."""

import sys
from pathlib import Path

import pytest
from goal_contract import (
    NETWORK,
    RATE_HZ,
    CostContract,
    QualityContract,
    costed,
    mixtures,
    test_every_known_objective_has_a_contract,  # noqa: F401  collected here
)

from wordlength.errors import SpecError
from wordlength.objectives.goals import ObjectiveSettings, require_measurable
from wordlength.space import Binary, Fixed, PowerOfTwo

OWN = ObjectiveSettings(
    "loudness.py:level",
    direction="maximize",
    unit="phon",
    source="import numpy as np\n\n\ndef level(heard):\n"
    "    return -float(np.mean(np.square(heard.enhanced - heard.clean)))\n",
)
OWN_COST = ObjectiveSettings(
    "own/chip.py:area",
    direction="minimize",
    kind="cost",
    unit="mm2",
    source="def area(costed):\n    return sum(f.width_bits for _, f in costed.candidate.pairs) / 8\n",
)


class TestStoiImprovement(QualityContract):
    objective = ObjectiveSettings("stoi_improvement")
    nothing_done = 0.0


class TestStoi(QualityContract):
    """Of a network that changes nothing it is the noisy mixtures' own."""

    objective = ObjectiveSettings("stoi")

    def test_nothing_done_has_the_known_value(self) -> None:
        from pystoi import stoi

        noisy = [stoi(m.clean, m.noisy, RATE_HZ) for m in mixtures(1.0)]
        assert self.fresh().measure(mixtures(1.0)).value == pytest.approx(sum(noisy) / 4, abs=1e-6)
        assert 0.2 < min(noisy) < max(noisy) < 1

    def test_it_is_the_improvement_and_what_the_noisy_mixtures_have(self) -> None:
        """Also where nothing is improved, and so the one has a front that dominates something, the other none."""
        improvement = TestStoiImprovement().fresh()
        had = self.fresh().measure(mixtures(1.0)).value
        for share in (1.3, 0.5):
            reached = self.fresh().measure(mixtures(share)).value
            assert reached == pytest.approx(had + improvement.measure(mixtures(share)).value, abs=1e-9)
            assert self.goal.extent(reached, had) == reached > 0
            assert self.goal.kept(reached, had) == pytest.approx(reached / had)


class TestExtendedStoiImprovement(QualityContract):
    objective = ObjectiveSettings("estoi_improvement")
    nothing_done = 0.0


class TestSiSdr(QualityContract):
    objective = ObjectiveSettings("si_sdr_improvement_db")
    nothing_done = 0.0

    def test_a_tenth_of_the_noise_is_20_db(self) -> None:
        assert self.fresh().measure(mixtures(0.1)).value == pytest.approx(20, abs=0.2)


class TestPesq(QualityContract):
    objective = ObjectiveSettings("pesq_improvement")
    nothing_done = 0.0
    shares = (1.0, 0.1, 0.02)  # What is no speech it takes for bad either way, until the noise is nearly gone.

    def fresh(self):
        pytest.importorskip("pesq")
        return super().fresh()

    def test_it_is_refused_where_it_does_not_fit(self) -> None:
        pytest.importorskip("pesq")
        super().test_it_is_refused_where_it_does_not_fit()
        with pytest.raises(SpecError, match="sampling rate of 8000 or 16000 Hz, but got 44100"):
            require_measurable([self.objective], "irm", 44_100)

    def test_without_its_package_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "pesq", raising=False)
        monkeypatch.setattr(sys, "path", [place for place in sys.path if not (Path(place) / "pesq").exists()])
        with pytest.raises(
            SpecError, match=r"needs the package pesq, but it is not installed; pip install \"wordlength\[pesq\]\""
        ):
            require_measurable([self.objective], "irm", RATE_HZ)


class TestPearson(QualityContract):
    objective = ObjectiveSettings("pearson_correlation")
    nothing_done = 0.0816496580927726 / 0.2  # Checked below against numpy.

    def test_nothing_done_has_the_known_value(self) -> None:
        import numpy as np

        pairs = [(float(m.outputs.mean()), float(m.targets.mean())) for m in mixtures(1.0)]
        assert self.fresh().measure(mixtures(1.0)).value == pytest.approx(np.corrcoef(*zip(*pairs, strict=True))[0, 1])

    def test_perfect_estimates_correlate_to_one(self) -> None:
        assert self.fresh().measure(mixtures(0.0)).value == pytest.approx(1, abs=1e-6)


class TestSpearman(QualityContract):
    objective = ObjectiveSettings("spearman_correlation")

    def test_nothing_done_has_the_known_value(self) -> None:
        from scipy.stats import spearmanr

        pairs = [(float(m.outputs.mean()), float(m.targets.mean())) for m in mixtures(1.0)]
        wanted = spearmanr(*zip(*pairs, strict=True))[0]
        assert self.fresh().measure(mixtures(1.0)).value == pytest.approx(wanted)


class TestRootMeanSquare(QualityContract):
    objective = ObjectiveSettings("rmse")
    nothing_done = 0.2


class TestOwnQuality(QualityContract):
    objective = OWN

    def test_nothing_done_has_the_known_value(self) -> None:
        noise = [m.noisy - m.clean for m in mixtures(1.0)]
        wanted = -sum(float((part**2).mean()) for part in noise) / 4
        assert self.fresh().measure(mixtures(1.0)).value == pytest.approx(wanted, rel=1e-4)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("    return float('nan')\n", "must be finite, but .* gives nan"),
            ("    return heard.loudness\n", "must give a number, but .* fails: AttributeError"),
            ("    return None\n", "must give a number, but .* fails: TypeError"),
        ],
    )
    def test_what_it_does_wrong_is_one_line(self, body: str, message: str) -> None:
        from dataclasses import replace

        from wordlength.objectives.goals.own import OwnQuality

        wrong = replace(OWN, source=f"def level(heard):\n{body}")
        with pytest.raises(SpecError, match=message) as told:
            OwnQuality(wrong.goal, wrong).measure(mixtures(0.5))
        assert "\n" not in str(told.value)


class TestMemory(CostContract):
    objective = ObjectiveSettings("memory_bytes")
    by_hand = 1024 + 512 + 2 * (64 + 8)


class TestInferenceMemory(CostContract):
    objective = ObjectiveSettings("inference_memory_bytes")
    by_hand = TestMemory.by_hand + 16 * 4 + 64 * 2

    def test_binary_maps_take_a_bit_each(self) -> None:
        """While dense_1 runs: 16 inputs in float32, 64 outputs of one bit."""
        assert self.fresh().measure(costed(Fixed(8, 0), Binary())) == TestMemory.by_hand + 16 * 4 + 64 // 8


class TestOperations(CostContract):
    objective = ObjectiveSettings("operations_per_frame")
    by_hand = 2 * (1024 + 512)
    varies = False

    def test_powers_of_two_shift_and_binary_maps_select(self) -> None:
        measure = self.fresh().measure
        assert measure(costed(PowerOfTwo(4, -1))) == 1024 + 512
        assert measure(costed(Fixed(8, 0), Binary())) == 2 * 1024 + 512

    def test_a_study_may_weigh_them_itself(self) -> None:
        from wordlength.objectives.goals.meter import _cost

        own = _cost(ObjectiveSettings("operations_per_frame", table={"shift": 0.5, "addition": 0.0}))
        assert own.measure(costed(PowerOfTwo(4, -1))) == (1024 + 512) / 2


class TestEnergy(CostContract):
    objective = ObjectiveSettings("energy_pj_per_frame")
    # The first layer reads float32; the second 16 bits: products of 8 × 16 bits, sums of 30.
    by_hand = (
        (1024 * 3.7 + 1024 * 0.9)
        + 512 * (3.1 * 8 * 16 / 1024 + 0.1 * 30 / 32)
        + 5 * (8 * TestMemory.by_hand + 2 * (16 * 32 + 64 * 16 + 8 * 16)) / 32
    )


class TestOwnCost(CostContract):
    objective = OWN_COST
    by_hand = 2 * (8 + 16 + 16) / 8


def test_facts_survive_json() -> None:
    assert type(NETWORK).from_json(NETWORK.to_json()) == NETWORK
