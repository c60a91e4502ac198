"""What an epoch of a quantized GRU takes against Keras' own: `python benchmarks/recurrent_epoch.py [threads]`.

Windows of 16 frames of 64 bins, GRU of 128, dense layer of 129, as in a mask-predicting noise reducer; batches of 64.
The first epoch traces and is left out. Medians of five.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from wordlength.objectives.quiet import start_tensorflow

WINDOWS, BATCH, EPOCHS = 2048, 64, 5


def epoch_seconds(model: Any, inputs: Any, targets: Any) -> float:
    """Median of the epochs after the first."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False, autograph=False)
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]))
        return loss

    seconds = []
    for _ in range(EPOCHS + 1):
        started = time.perf_counter()
        for start in range(0, WINDOWS, BATCH):
            step(inputs[start : start + BATCH], targets[start : start + BATCH]).numpy()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def main(threads: int) -> None:
    """Print the three epochs and their ratios."""
    start_tensorflow(threads=threads, verbose=False)
    import keras
    import tensorflow as tf
    from keras import layers

    from wordlength.objectives.quantized_model import quantize
    from wordlength.space import Candidate, Fixed, Float32

    source = keras.Input((16, 64))
    network = keras.Model(source, layers.Dense(129, "sigmoid")(layers.GRU(128)(source)))
    inputs, targets = tf.random.normal((WINDOWS, 16, 64)), tf.random.uniform((WINDOWS, 129))
    found = {"Keras": epoch_seconds(network, inputs, targets)}
    quantized = quantize(network)
    for name, formats in {
        "parameters quantized": (Fixed(8, 0), Fixed(16, 2), Float32()),
        "all quantized": (Fixed(8, 0), Fixed(16, 2), Fixed(8, 0)),
    }.items():
        quantized.assign(Candidate.uniform((info.slot for info in quantized.slots), *formats))
        found[name] = epoch_seconds(quantized.model, inputs, targets)
    for name, seconds in found.items():
        print(f"{name:22} {seconds:6.2f} s  {seconds / found['Keras']:5.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
