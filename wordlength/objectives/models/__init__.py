"""The networks that studies quantize: those of the literature by name, and the user's own.

Each kind is a frozen settings class in a file of its own, with `name`, `label`, `described` and `build`.
"""

from __future__ import annotations

from typing import Any

from wordlength.objectives.models.irm_cnn import IrmCnn
from wordlength.objectives.models.keras_file import KerasFile
from wordlength.objectives.models.literature import LiteratureNetwork
from wordlength.objectives.models.quality_cnn import QualityCnn
from wordlength.objectives.models.spectrum_dnn import SpectrumDnn
from wordlength.objectives.models.user_model import UserModel
from wordlength.objectives.shape import NetworkShape

__all__ = [
    "NETWORKS",
    "IrmCnn",
    "KerasFile",
    "ModelSettings",
    "QualityCnn",
    "SpectrumDnn",
    "UserModel",
    "build_model",
]

ModelSettings = IrmCnn | SpectrumDnn | QualityCnn | UserModel | KerasFile
"""Which network a study quantizes."""

NETWORKS: dict[str, type[LiteratureNetwork]] = {
    "irm_cnn": IrmCnn,
    "spectrum_dnn": SpectrumDnn,
    "quality_cnn": QualityCnn,
}
"""Those of the literature, by the name that a study file gives them."""


def build_model(settings: ModelSettings, shape: NetworkShape, seed: int) -> Any:
    """The float functional Keras model, weights initialised from `seed`: (n, frames, bins) → (n, outputs).

    Raises ModelError where settings and shape do not go together, or the user's code does not give such a model.
    """
    from wordlength.objectives.models.checked import checked

    return checked(settings.build(shape, seed), shape, settings.name)
