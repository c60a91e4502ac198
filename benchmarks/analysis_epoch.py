"""What the fixed-point analysis costs: a training epoch with it against the same epoch without, in one run.

    .venv/bin/python benchmarks/analysis_epoch.py [ROUNDS]

The case-study CNN with po2<4,-1> weights and 3.13 activations, one thread, as many random windows as its
representative subset has on ../shared/data (25 % of 12 minutes), analysed on the default number of windows after
the epoch, accumulators included. Every round times the epoch, then the analysis; the graphs are traced before.
"""

import statistics
import sys
import time

from quantizer_epoch import random_frames

from wordlength.objectives.models import IrmCnn, build_model
from wordlength.objectives.quiet import start_tensorflow
from wordlength.objectives.settings import AnalysisSettings
from wordlength.objectives.shape import NetworkShape
from wordlength.space import Candidate, parse_format

WINDOWS = 22_912
FORMATS = ("po2<4,-1>", "fixed<16,2>", "fixed<16,2>")


def main(rounds: int) -> None:
    start_tensorflow(threads=1, verbose=False)
    from wordlength.objectives.analysis import Analyser
    from wordlength.objectives.audio.prepared import spread
    from wordlength.objectives.quantized_model import quantize
    from wordlength.objectives.training import Trainer, Windows

    settings = AnalysisSettings()
    windows = Windows.of(random_frames(WINDOWS))
    quantized = quantize(build_model(IrmCnn(), NetworkShape(16, 64, 129), seed=0))
    candidate = Candidate.uniform([info.slot for info in quantized.slots], *map(parse_format, FORMATS))
    trainer = Trainer(quantized.model, windows, 128, 3e-4)
    analyser = Analyser(quantized, windows, spread(windows.current, settings.windows), settings)
    ratios: dict[int, list[float]] = {1: [], 2: []}
    for step in ratios:
        quantized.assign(candidate.parameters_only() if step == 1 else candidate)
        list(trainer.train(1, seed=0, current=windows.current[:256]))
        analyser.analyse(candidate, step, 1)  # Traces.
    for _ in range(rounds):
        for step, found in ratios.items():
            quantized.assign(candidate.parameters_only() if step == 1 else candidate)
            times = [time.perf_counter()]
            list(trainer.train(1, seed=0))
            times.append(time.perf_counter())
            analyser.analyse(candidate, step, 1)
            times.append(time.perf_counter())
            found.append((times[2] - times[0]) / (times[1] - times[0]))
            print(f"  step {step}: epoch {times[1] - times[0]:.2f} s, analysis {times[2] - times[1]:.2f} s", flush=True)
    print(f"epoch with analysis against the same without, {rounds} rounds of {WINDOWS} windows, ", end="")
    print(f"{settings.windows} of them analysed: median (range)")
    for step, found in ratios.items():
        print(f"  {statistics.median(found):.3f} ({min(found):.3f} – {max(found):.3f})  step {step}")
    print(f"  traces of the analysis: {analyser.traces}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
