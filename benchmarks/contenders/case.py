"""Write the folder that every contender reads: data, float baseline and settings of a study file.

    .venv/bin/python benchmarks/contenders/case.py benchmarks/time_to_front.yaml CASE

Data and baseline are the study's own, from the cache in WORDLENGTH_HOME or made there. `case.npz` holds the arrays
(`common.Case` names them), `case.json` the settings and the network, layer by layer.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from wordlength import load_spec
from wordlength.objectives.audio import SAMPLE_RATE_HZ
from wordlength.search.home import Home
from wordlength.search.session import open_baseline

LAYER_KEYS = ("filters", "units", "kernel_size", "strides", "padding", "pool_size", "target_shape", "activation")


def case_arrays(data, baseline):
    arrays = {
        "train_features": data.train.features,
        "train_targets": data.train.targets,
        "train_windows": data.train.windows,
        "subset_windows": data.subset_windows,
    }
    for name in ("validation", "test"):
        part = getattr(data, name)
        for key in ("features", "windows", "mixture_of_window"):
            arrays[f"{name}_{key}"] = getattr(part.frames, key)
        for key in ("clean", "noisy", "offsets", "noisy_stoi"):
            arrays[f"{name}_{key}"] = getattr(part, key)
    return arrays | {f"weight_{number}": weight for number, weight in enumerate(baseline.weights)}


def layers_of(model):
    """Name, class, weight shapes and arguments of every layer behind the input, in order."""
    layers = []
    for layer in model.layers[1:]:
        config = {key: value for key, value in layer.get_config().items() if key in LAYER_KEYS and value is not None}
        shapes = [list(weight.shape) for weight in layer.weights]
        layers.append({"name": layer.name, "class": type(layer).__name__, **config, "weight_shapes": shapes})
    return layers


def case_info(spec, study_text, data, baseline):
    from wordlength.objectives.models import build_model

    training = spec.training
    return {
        "study": spec.name,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "input_shape": [16, 64],
        "layers": layers_of(build_model(spec.model, spec.data.shape, spec.seed)),
        "batch_size": training.batch_size,
        "quantized_learning_rate": training.quantized_learning_rate,
        "step_one_epochs": training.step_one_epochs,
        "step_two_epochs": training.step_two_epochs,
        "baseline": {
            "stoi_improvement": baseline.quality,
            "stoi_standard_error": baseline.standard_error,
            "memory_bytes": baseline.memory_bytes,
            "digest": baseline.digest,
            "content_digest": baseline.content_digest,
        },
        "data_digest": data.digest,
        "training": asdict(training),
        "study_file": study_text,
    }


def main(study_file, folder):
    spec = load_spec(study_file)
    data, baseline = open_baseline(spec, Home.default())
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "case.npz", **case_arrays(data, baseline))
    info = case_info(spec, study_file.read_text(encoding="utf-8"), data, baseline)
    (folder / "case.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
