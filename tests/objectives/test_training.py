import dataclasses
import math
from collections.abc import Iterator

import keras
import numpy as np
import pytest
from keras import layers

from wordlength.errors import TrainingDiverged, WordlengthError
from wordlength.objectives.audio import FrameSet
from wordlength.objectives.settings import TrainingSettings
from wordlength.objectives.training import (
    PREDICTION_BATCH,
    Predictor,
    Trainer,
    Windows,
    mean_squared_error,
    train_baseline,
)

pytestmark = pytest.mark.usefixtures("tensorflow")

FRAMES, FEATURES, OUTPUTS = 90, 3, 2
SETTINGS = TrainingSettings(baseline_epochs=3, batch_size=16, learning_rate=0.01)
STEPS = (SETTINGS.batch_size, SETTINGS.learning_rate)


def frames_of(scale: float = 1.0, seed: int = 0) -> FrameSet:
    rng = np.random.default_rng(seed)
    windows = np.arange(15, FRAMES, dtype=np.int32)
    return FrameSet(
        features=(scale * rng.standard_normal((FRAMES, FEATURES))).astype(np.float32),
        targets=rng.uniform(size=(FRAMES, OUTPUTS)).astype(np.float32),
        windows=windows,
        mixture_of_window=np.zeros_like(windows),
        before=15,
        after=0,
    )


def small_model(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    stack = [keras.Input((16, FEATURES)), layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(OUTPUTS, "sigmoid")]
    return keras.Sequential(stack)


class Course:
    """A trainer on a small model that returns to the same initial weights before each run."""

    def __init__(self, frames: FrameSet | None = None) -> None:
        self.trainer = Trainer(small_model(), Windows.of(frames or frames_of()), *STEPS)
        self.start = self.trainer.model.get_weights()

    def run(self, seed: int, epochs: int = 2, current: np.ndarray | None = None) -> tuple[list, list[float]]:
        self.trainer.model.set_weights(self.start)
        losses = list(self.trainer.train(epochs, seed, current))
        return self.trainer.model.get_weights(), losses


@pytest.fixture(scope="module")
def course(tensorflow) -> Course:
    return Course()


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    assert len(one) == len(other) > 0
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_dropout_follows_from_the_seed_alone() -> None:
    course = Course()
    stack = [layers.Flatten(), layers.Dropout(0.4), layers.Dense(4), layers.Reshape((2, 2)), layers.GRU(2, dropout=0.5)]
    model = keras.Sequential([keras.Input((16, FEATURES)), *stack])
    course.trainer = Trainer(model, Windows.of(frames_of()), *STEPS)
    course.start = model.get_weights()
    first, again, other = course.run(1), course.run(1), course.run(2)
    assert same(first[0], again[0])
    assert first[1] == again[1] != other[1]
    assert same(course.run(1)[0], first[0])
    weights = {id(weight) for weight in model.weights}
    draws = [int(state.numpy()[1]) for state in model.variables if id(state) not in weights]
    assert len(draws) >= 2
    assert max(draws) > 0


def test_windows_are_the_current_and_15_past_frames() -> None:
    frames = frames_of()
    windows = Windows.of(frames)
    index = np.array([15, 40, 89], np.int32)
    wanted = np.stack([frames.features[i - 15 : i + 1] for i in index])
    np.testing.assert_array_equal(windows.inputs(index), wanted)
    np.testing.assert_array_equal(windows.wanted(index), frames.targets[index])
    assert windows.current is frames.windows
    assert windows.features is frames.features, "a copy"


def test_mean_squared_error_is_the_mean_square() -> None:
    wanted, given = np.array([[0.0, 1.0], [0.5, 0.5]], np.float32), np.array([[0.5, 1.0], [0.5, 0.0]], np.float32)
    assert float(mean_squared_error(wanted, given)) == 0.125


def test_same_seed_and_weights_train_to_the_last_bit_alike(course: Course) -> None:
    first, losses = course.run(seed=7)
    again, losses_again = course.run(seed=7)
    assert not same(first, course.start)
    assert same(first, again)
    assert losses == losses_again


def test_another_seed_trains_otherwise(course: Course) -> None:
    assert not same(course.run(seed=7)[0], course.run(seed=8)[0])


def test_what_was_trained_before_does_not_matter(course: Course) -> None:
    """Neither the optimiser's moments nor its step count survive from one training to the next."""
    alone = Course().run(seed=3)
    course.run(seed=99, epochs=3)
    after = course.run(seed=3)
    assert same(alone[0], after[0])
    assert alone[1] == after[1]


def test_an_abandoned_training_does_not_matter(course: Course) -> None:
    wanted, _ = course.run(seed=3)
    next(course.trainer.train(5, seed=1))
    assert same(course.run(seed=3)[0], wanted)


def test_only_the_windows_given_are_trained_on(course: Course) -> None:
    """Changing all frames that the chosen windows do not reach changes nothing."""
    frames = frames_of()
    frames.features[60:] += 5
    frames.targets[60:] = 0
    chosen = frames.windows[frames.windows < 60]
    assert 16 < chosen.size < frames.windows.size
    assert same(Course(frames).run(3, current=chosen)[0], course.run(3, current=chosen)[0])
    assert not same(course.run(3)[0], course.run(3, current=chosen)[0])


def test_one_trace_serves_all_trainings_of_full_batches(course: Course) -> None:
    for epochs in (1, 2):
        course.run(seed=epochs, epochs=epochs)
    assert course.trainer.traces == 1


def test_losses_are_one_per_epoch_and_fall(course: Course) -> None:
    _, losses = course.run(seed=0, epochs=15)
    assert len(losses) == 15
    assert losses[-1] < losses[0]


def adam_by_hand(frames: FrameSet, weights: np.ndarray, epochs: int, seed: int, settings: TrainingSettings) -> Iterator:
    """A linear model's training in float64: Kingma & Ba's algorithm 1, half a cosine down to a tenth."""
    moment, square, step = np.zeros_like(weights), np.zeros_like(weights), 0
    rng = np.random.default_rng(seed)
    per_epoch = frames.windows.size // settings.batch_size
    for _ in range(epochs):
        order, losses = rng.permutation(frames.windows), []
        for batch in order[: per_epoch * settings.batch_size].reshape(per_epoch, -1):
            x = np.stack([frames.features[i - 15 : i + 1].ravel() for i in batch]).astype(np.float64)
            error = x @ weights - frames.targets[batch]
            losses.append(np.mean(error**2))
            gradient = 2 * x.T @ error / error.size
            progress = step / (epochs * per_epoch)
            rate = settings.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
            step += 1
            moment = 0.9 * moment + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            weights = weights - rate * (moment / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-7)
        yield weights, float(np.mean(losses))


def test_a_linear_model_trains_as_by_hand() -> None:
    """Tolerance 1e-4: float32 against float64 over eight steps of Adam."""
    frames = frames_of()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((16, FEATURES)), layers.Flatten(), layers.Dense(OUTPUTS, use_bias=False)])
    start = model.get_weights()[0].astype(np.float64)
    losses = list(Trainer(model, Windows.of(frames), *STEPS).train(2, seed=5))
    wanted = list(adam_by_hand(frames, start, 2, 5, SETTINGS))
    assert losses == pytest.approx([loss for _, loss in wanted], rel=1e-4)
    np.testing.assert_allclose(model.get_weights()[0], wanted[-1][0], atol=1e-4)
    assert np.abs(start - wanted[-1][0]).max() > 0.01


@pytest.mark.parametrize(
    ("field", "message"),
    [("targets", "loss is nan in epoch 1"), ("features", "(loss is nan|a weight is not finite) in epoch 1")],
)
def test_nan_data_diverges(field: str, message: str) -> None:
    """A relu may turn NaN features into 0, so the loss alone does not tell."""
    frames = frames_of()
    getattr(frames, field)[20] = np.nan
    with pytest.raises(TrainingDiverged, match=f"training must stay finite, but {message}"):
        Course(frames).run(seed=0)
    assert issubclass(TrainingDiverged, WordlengthError)


def test_an_absurd_step_size_diverges() -> None:
    """A linear model whose inputs are so large that the first steps throw its output out of float32."""
    frames = frames_of(scale=1e15)
    model = keras.Sequential([keras.Input((16, FEATURES)), layers.Flatten(), layers.Dense(OUTPUTS)])
    model.set_weights([np.zeros((16 * FEATURES, OUTPUTS), np.float32), np.zeros(OUTPUTS, np.float32)])
    trainer = Trainer(model, Windows.of(frames), batch_size=32, learning_rate=1e6)
    with pytest.raises(TrainingDiverged, match=r"loss is inf in epoch \d"):
        list(trainer.train(3, seed=0))


def test_weights_that_are_not_finite_diverge_even_if_the_loss_is() -> None:
    """The square root's slope at 0 is infinite: the one batch's loss is fine, the weights after it are not."""
    model = keras.Sequential(
        [keras.Input((16, FEATURES)), layers.Flatten(), layers.Dense(OUTPUTS, activation=keras.ops.sqrt)]
    )
    model.set_weights([np.zeros((16 * FEATURES, OUTPUTS), np.float32), np.zeros(OUTPUTS, np.float32)])
    trainer = Trainer(model, Windows.of(frames_of()), batch_size=1000, learning_rate=1e-3)
    with pytest.raises(TrainingDiverged, match="a weight is not finite in epoch 1"):
        list(trainer.train(1, seed=0))


@pytest.mark.parametrize("count", [1, 74, 75])
def test_predictions_are_the_models_in_order(count: int) -> None:
    model, frames = small_model(), frames_of()
    windows = Windows.of(frames)
    predictor = Predictor(model, windows)
    current = np.random.default_rng(0).permutation(frames.windows)[:count]
    outputs = predictor.outputs(current)
    assert outputs.shape == (count, OUTPUTS)
    # 1e-6: a matrix product over another batch may sum in another order.
    np.testing.assert_allclose(outputs, model(windows.inputs(current)), atol=1e-6)


def test_predictions_beyond_one_batch_use_one_trace() -> None:
    model, frames = small_model(), frames_of()
    windows = Windows.of(frames)
    predictor = Predictor(model, windows)
    many = np.resize(frames.windows, PREDICTION_BATCH + 3)
    outputs = predictor.outputs(many)
    np.testing.assert_allclose(outputs, model(windows.inputs(many)), atol=1e-6)
    assert predictor.outputs().shape == (frames.windows.size, OUTPUTS)
    assert predictor.traces == 1


def trained(scores: list[float]) -> tuple[keras.Model, list, list[list[np.ndarray]]]:
    """Model, states and the weights after every epoch of a baseline that scores like this."""
    model, windows = small_model(), Windows.of(frames_of())
    seen: list[list[np.ndarray]] = []

    def score() -> float:
        seen.append(model.get_weights())
        return scores[len(seen) - 1]

    states = list(train_baseline(model, windows, SETTINGS, 0, score))
    assert len(states) == len(seen) == 3
    return model, states, seen


@pytest.mark.parametrize("scores", [[0.1, 0.3, 0.2], [0.3, 0.1, 0.2], [-3.0, -2.0, -1.0]])
def test_the_best_epoch_of_the_baseline_is_kept(scores: list[float]) -> None:
    model, states, seen = trained(scores)
    best = int(np.argmax(scores))
    assert states[-1].best_epoch == best + 1
    assert states[-1].scores == tuple(scores)
    assert len(states[-1].losses) == 3
    assert same(list(states[-1].weights), seen[best])
    assert same(model.get_weights(), seen[best])
    assert states[0].best_epoch == 1
    assert same(list(states[0].weights), seen[0])


def test_of_equally_good_epochs_weights_and_number_belong_together() -> None:
    model, states, seen = trained([0.2, 0.3, 0.3])
    assert same(list(states[-1].weights), seen[states[-1].best_epoch - 1])
    assert same(model.get_weights(), seen[states[-1].best_epoch - 1])


@pytest.mark.parametrize(
    ("patience", "scores", "epochs"),
    [
        (0, [0.3, 0.2, 0.1, 0.0, 0.9], 5),
        (1, [0.3, 0.2, 0.9, 0.9, 0.9], 2),
        (2, [0.1, 0.2, 0.1, 0.3, 0.2], 5),
        (2, [0.3, 0.2, 0.3, 0.9, 0.9], 3),  # A score as large is no better one.
    ],
)
def test_the_baseline_ends_early_when_patience_is_out(patience: int, scores: list[float], epochs: int) -> None:
    settings = dataclasses.replace(SETTINGS, baseline_epochs=5, baseline_patience=patience)
    model, windows, left = small_model(), Windows.of(frames_of()), iter(scores)
    seen: list[list[np.ndarray]] = []

    def score() -> float:
        seen.append(model.get_weights())
        return next(left)

    states = list(train_baseline(model, windows, settings, 0, score))
    assert len(states) == epochs
    assert states[-1].scores == tuple(scores[:epochs])
    assert states[-1].best_epoch == 1 + int(np.argmax(scores[:epochs]))
    assert same(model.get_weights(), seen[states[-1].best_epoch - 1])
