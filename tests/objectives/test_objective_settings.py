import pytest

from wordlength.objectives.settings import AnalysisSettings, GateSettings, TrainingSettings


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TrainingSettings(baseline_epochs=0), "baseline_epochs must be between 1 and 10000, but got 0"),
        (lambda: TrainingSettings(baseline_patience=-1), "baseline_patience must be between 0 and 10000, but got -1"),
        (lambda: TrainingSettings(step_one_epochs=0), "step_one_epochs must be between 1 and 10000, but got 0"),
        (lambda: TrainingSettings(step_two_epochs=-1), "step_two_epochs must be between 1 and 10000, but got -1"),
        (lambda: TrainingSettings(batch_size=0), "batch_size must be between 1 and 65536, but got 0"),
        (lambda: TrainingSettings(learning_rate=0), "learning_rate must be above 0 and at most 1, but got 0"),
        (lambda: TrainingSettings(learning_rate=1.5), r"learning_rate must be above 0 and at most 1, but got 1\.5"),
        (lambda: TrainingSettings(learning_rate=float("nan")), "learning_rate must be above 0 .* but got nan"),
        (lambda: TrainingSettings(quantized_learning_rate=2), "quantized_learning_rate must be above 0 .* but got 2"),
        (lambda: TrainingSettings(step_one_learning_rate=0), "step_one_learning_rate must be above 0 .* but got 0"),
        (lambda: TrainingSettings(distillation=1.5), r"distillation must be between 0 and 1, but got 1\.5"),
        (lambda: AnalysisSettings(windows=0), "windows must be between 1 and 100000, but got 0"),
        (lambda: AnalysisSettings(precision_limit=-0.1), r"precision_limit must be between 0 and 1, but got -0\.1"),
        (lambda: GateSettings(overflow=1.1), r"overflow must be between 0 and 1, but got 1\.1"),
        (lambda: GateSettings(underflow=float("nan")), "underflow must be between 0 and 1, but got nan"),
        (lambda: GateSettings(precision=-1), "precision must be between 0 and 1, but got -1"),
    ],
)
def test_values_out_of_range_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_limits_are_the_gates_fields() -> None:
    assert GateSettings(0.1, 0.2, 0.3).limits == {"overflow": 0.1, "underflow": 0.2, "precision": 0.3}
