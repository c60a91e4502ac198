"""The case-study CNN of Klein, Kantic & Blume 2021, table 1: log-Mel frames → ideal ratio mask.

Input (n, 16, 64): the current and 15 past frames of 64 Mel bins. Output (n, 129): the mask at the bins
of a 256-point FFT. 468,953 parameters. Table 1 prints 64 outputs, but its 66,177 parameters belong to
129 = 512 · 129 + 129.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT, require_units

_STRIDES = (1, 1, 1, 1, 2, 1)
_POOLS = (None, None, (1, 2), (1, 2), None, (4, 4))


@dataclass(frozen=True)
class IrmCnn:
    """The convolutional network of Klein et al. 2021; the defaults are the paper's."""

    __pydantic_config__: ClassVar = STRICT

    name: Literal["irm_cnn"] = "irm_cnn"
    """The network; `irm_cnn` estimates an ideal ratio mask from log-Mel frames."""
    filters: tuple[int, int, int, int, int, int] = (8, 16, 16, 32, 64, 64)
    """Filters of the six convolutional layers; fewer make a smaller network of the same shape."""
    dense: tuple[int, int] = (512, 512)
    """Units of the two hidden dense layers."""

    def __post_init__(self) -> None:
        require_units("filters and dense units", *self.filters, *self.dense)

    @property
    def label(self) -> str:
        """How it is called."""
        return self.name

    @property
    def described(self) -> dict[str, Any]:
        """Every setting."""
        return asdict(self)

    def build(self, shape: NetworkShape, seed: int) -> Any:
        """Layers conv_1 … conv_6 (the first a full, the others separable convolutions), dense_1 … dense_3."""
        import keras
        from keras import layers

        from wordlength.objectives.models.checked import require_least

        require_least(self.name, shape, frames=7, bins=28)  # The least of which the last pool leaves something.
        keras.utils.set_random_seed(seed)
        inputs = keras.Input(shape.inputs, name="log_mel")
        x = layers.Reshape((*shape.inputs, 1), name="image")(inputs)
        for number, (count, stride, pool) in enumerate(zip(self.filters, _STRIDES, _POOLS, strict=True), start=1):
            kind = layers.Conv2D if number == 1 else layers.SeparableConv2D
            x = kind(count, 3, strides=stride, padding="same", activation="relu", name=f"conv_{number}")(x)
            if pool:
                x = layers.AveragePooling2D(pool, name=f"pool_{number}")(x)
        x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(self.dense, start=1):
            x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        mask = layers.Dense(shape.outputs, activation="sigmoid", name=f"dense_{len(self.dense) + 1}")(x)
        return keras.Model(inputs, mask, name=self.name)
