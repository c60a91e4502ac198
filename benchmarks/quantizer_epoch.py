"""How much a variable format costs: training epochs of the case-study CNN, as ratios to float in one run.

    .venv/bin/python benchmarks/quantizer_epoch.py [ROUNDS]

One thread, random windows. Every round trains one epoch per variant, in turn, so that a machine whose speed drifts
treats all alike; printed are the medians and ranges of the ratios per round.
"""

import statistics
import sys
import time

import numpy as np

from wordlength.objectives.audio import FrameSet
from wordlength.objectives.models import IrmCnn, build_model
from wordlength.objectives.quiet import start_tensorflow
from wordlength.objectives.shape import NetworkShape
from wordlength.space import Candidate, parse_format

WINDOWS = 2048
VARIANTS = {
    "all slots float32, quantizers in place": ("float32", "float32", "float32"),
    "step one, po2<4,-1> weights": ("po2<4,-1>", "fixed<16,2>", "float32"),
    "step two, po2<4,-1> weights": ("po2<4,-1>", "fixed<16,2>", "fixed<16,2>"),
    "step two, fixed<8,0> weights": ("fixed<8,0>", "fixed<16,2>", "fixed<8,3>"),
}


def random_frames(count: int = WINDOWS) -> FrameSet:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((count + 15, 64)).astype(np.float32)
    targets = rng.random((count + 15, 129)).astype(np.float32)
    windows = np.arange(15, count + 15, dtype=np.int32)
    return FrameSet(features, targets, windows, np.zeros(count, np.int32), 15, 0)


def main(rounds: int) -> None:
    start_tensorflow(threads=1, verbose=False)
    from wordlength.objectives.quantized_model import quantize
    from wordlength.objectives.training import Trainer, Windows

    windows = Windows.of(random_frames())
    float_model = build_model(IrmCnn(), NetworkShape(16, 64, 129), seed=0)
    quantized = quantize(float_model)
    slots = [info.slot for info in quantized.slots]
    trainers = [Trainer(model, windows, 128, 1e-3) for model in (float_model, quantized.model)]

    def epoch(trainer: Trainer) -> float:
        started = time.perf_counter()
        list(trainer.train(1, seed=0))
        return time.perf_counter() - started

    for trainer in trainers:
        epoch(trainer)  # Traces.
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        plain = epoch(trainers[0])
        for name, formats in VARIANTS.items():
            quantized.assign(Candidate.uniform(slots, *map(parse_format, formats)))
            ratios[name].append(epoch(trainers[1]) / plain)
    print(f"epoch time against the float model's, {rounds} rounds of {WINDOWS} windows: median (range)")
    for name, values in ratios.items():
        print(f"  {statistics.median(values):.2f} ({min(values):.2f} – {max(values):.2f})  {name}")
    print(f"  traces of the quantized graph over all variants: {trainers[1].traces}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
