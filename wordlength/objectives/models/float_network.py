"""The float network that everything after the float training sees: batch normalization folded into kernels."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from wordlength.errors import ModelError
from wordlength.objectives.folding import folded
from wordlength.objectives.models import KerasFile, ModelSettings, build_model
from wordlength.objectives.models.checked import checked
from wordlength.objectives.shape import NetworkShape


def float_network(settings: ModelSettings, shape: NetworkShape) -> Any:
    """The network whose weights a Baseline holds; those in it are not theirs yet. Raises ModelError."""
    return folded(build_model(settings, shape, seed=0))


def pretrained_network(file: KerasFile, settings: ModelSettings, shape: NetworkShape, seed: int) -> Any:
    """The study's network, not folded yet, with the weights of a `.keras` file. Raises ModelError unless they fit."""
    trained = checked(file.trained(), shape, file.name)
    model = build_model(settings, shape, seed)
    wanted, got = ([str(tuple(weight.shape)) for weight in one.get_weights()] for one in (model, trained))
    for number, (one, other) in enumerate(zip_longest(wanted, got, fillvalue="none"), start=1):
        if one != other:
            raise ModelError(
                f"a baseline's weights must fit {settings.label}, but its tensor {number} is of shape {one} "
                f"and the file's of {other}; leave out model to take the file's network ({file.name})"
            )
    model.set_weights(trained.get_weights())
    return model
