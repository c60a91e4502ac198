"""The case-study CNN of Klein, Kantic & Blume 2021, table 1: log-Mel frames → ideal ratio mask.

Input (n, 16, 64): the current and 15 past frames of 64 Mel bins. Output (n, 129): the mask at the bins
of a 256-point FFT. 468,953 parameters. Table 1 prints 64 outputs, but its 66,177 parameters belong to
129 = 512 · 129 + 129.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from wordlength.objectives.models.literature import LiteratureNetwork
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT, require_units

_STRIDES = (1, 1, 1, 1, 2, 1)
_POOLS = (None, None, (1, 2), (1, 2), None, (4, 4))


@dataclass(frozen=True)
class IrmCnn(LiteratureNetwork):
    """The convolutional network of Klein et al. 2021; the defaults are the paper's."""

    __pydantic_config__: ClassVar = STRICT
    hears = "log_mel"
    least = 7, 28

    name: Literal["irm_cnn"] = "irm_cnn"
    """The network; `irm_cnn` estimates an ideal ratio mask from log-Mel frames."""
    filters: tuple[int, int, int, int, int, int] = (8, 16, 16, 32, 64, 64)
    """Filters of the six convolutional layers; fewer make a smaller network of the same shape."""
    dense: tuple[int, int] = (512, 512)
    """Units of the two hidden dense layers."""

    def __post_init__(self) -> None:
        require_units("filters and dense units", *self.filters, *self.dense)

    def estimates(self, inputs: Any, shape: NetworkShape) -> Any:
        """Layers conv_1 … conv_6 (the first a full, the others separable convolutions), dense_1 … dense_3."""
        from keras import layers

        x = layers.Reshape((*shape.inputs, 1), name="image")(inputs)
        for number, (count, stride, pool) in enumerate(zip(self.filters, _STRIDES, _POOLS, strict=True), start=1):
            kind = layers.Conv2D if number == 1 else layers.SeparableConv2D
            x = kind(count, 3, strides=stride, padding="same", activation="relu", name=f"conv_{number}")(x)
            if pool:
                x = layers.AveragePooling2D(pool, name=f"pool_{number}")(x)
        x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(self.dense, start=1):
            x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        return layers.Dense(shape.outputs, activation="sigmoid", name=f"dense_{len(self.dense) + 1}")(x)
