"""The networks of the case studies, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT


@dataclass(frozen=True)
class ModelSettings:
    """Which network a study quantizes. The defaults are the case study of Klein et al. 2021."""

    __pydantic_config__: ClassVar = STRICT

    name: str = "irm_cnn"
    """The network; `irm_cnn` estimates an ideal ratio mask from log-Mel frames."""
    filters: tuple[int, int, int, int, int, int] = (8, 16, 16, 32, 64, 64)
    """Filters of the six convolutional layers; fewer make a smaller network of the same shape."""
    dense: tuple[int, int] = (512, 512)
    """Units of the two hidden dense layers."""

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise ValueError(f"model name must be one of {', '.join(MODELS)}, but got {self.name!r}")
        for value in (*self.filters, *self.dense):
            if not 1 <= value <= 4096:
                raise ValueError(f"filters and dense units must be between 1 and 4096, but got {value}")


MODELS = ("irm_cnn",)


def build_model(settings: ModelSettings, shape: NetworkShape, seed: int) -> Any:
    """The float Keras model, weights initialised from `seed`: (n, frames, bins) → (n, outputs)."""
    from wordlength.objectives.models import irm_cnn

    return irm_cnn.build(settings.filters, settings.dense, shape, seed)
