"""Contender (c): the same format in all layers, one pass over a list, with the plain loop's training and measure.

Run it by:

    .venv/bin/python benchmarks/contenders/uniform.py --case CASE --out OUT --seed 0 --minutes 30
"""

import keras
from common import Case, Recorder
from plain_loop import PACKAGES, LayerFormats, Workbench, arguments, quantizable

ACTIVATIONS = ((16, 2), (8, 3))
WEIGHTS = [
    *[("fixed", bits, integer) for bits in (16, 8, 6, 5, 4, 3, 2) for integer in (-1, 0)],
    *[("po2", bits, largest) for bits in (5, 4, 3) for largest in (-1, 0)],
]


def sweep(bench, recorder):
    """Every format once, as long as there is time; returns how many diverged, and whether the list was done."""
    names, failed = quantizable(bench.case.info), 0
    for formats in [LayerFormats(*weights, *activations) for activations in ACTIVATIONS for weights in WEIGHTS]:
        if recorder.over:
            return failed, False
        try:
            done = bench.evaluate(dict.fromkeys(names, formats))
        except ValueError:
            failed += 1
            continue
        bench.record(recorder, label(formats), done)
    return failed, True


def label(formats):
    kind, *numbers = formats
    return "{}<{},{}> activations<{},{}>".format(kind, *numbers)


def main():
    options = arguments("The uniform sweep: one format for all layers.")
    case = Case(options.case)
    keras.utils.set_random_seed(options.seed)
    recorder = Recorder(options.out, case, options.minutes, options.seed, PACKAGES)
    bench = Workbench(case)
    failed, complete = sweep(bench, recorder)
    recorder.finish(failed=failed, complete=complete, phase_seconds=dict(bench.seconds))


if __name__ == "__main__":
    main()
