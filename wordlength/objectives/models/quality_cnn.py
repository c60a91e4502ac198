"""The quality estimator of Nilsson et al. 2024: log-Mel frames → a score, without the clean speech.

Input (n, frames, bins): log-Mel frames. Output (n, outputs), linear: one estimate of the score, where the target is
`score`. The paper's network is "a convolutional architecture based on DNSMOS" (Reddy, Gopal & Cutler, ICASSP 2021):
3 × 3 convolutions with rectified linear outputs of 128, 64, 64, 32, 32, 32 and 64 filters, 2 × 2 max pooling after the
fourth, fifth and sixth, a maximum over all that is left of time and frequency, dense layers of 128, 64 and 1 unit.
Only the abstracts were at hand; the sizes are those of the network that Microsoft published for P.835, as a port of it
that loads its weights has them (dnsmos-pytorch).

Pooling follows the activation function, as in DNSMOS: over binary activation maps, its maximum is an OR of bits.
Left out: DNSMOS's dropout of 0.3 after each pool. What a trial gives must not depend on the trials before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from wordlength.objectives.models.literature import LiteratureNetwork
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT

FILTERS = (128, 64, 64, 32, 32, 32, 64)
"""Of the convolutions at width 1."""
POOLED = (4, 5, 6)
"""Numbers of the convolutions that 2 × 2 max pooling follows."""
DENSE = (128, 64)
"""Units of the hidden dense layers at width 1."""


@dataclass(frozen=True)
class QualityCnn(LiteratureNetwork):
    """DNSMOS's topology, its filters and units scaled by a width (Nilsson et al. 2024)."""

    __pydantic_config__: ClassVar = STRICT
    hears = "log_mel"
    least = 2 ** len(POOLED), 2 ** len(POOLED)

    name: Literal["quality_cnn"] = "quality_cnn"
    """The network; `quality_cnn` estimates a mixture's score from log-Mel frames."""
    width: float = 1.0
    """Factor of all filters and hidden units, rounded, at least one of each; 1 for DNSMOS's own."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 8:
            raise ValueError(f"width must be above 0 and at most 8, but got {self.width:g}")

    def estimates(self, inputs: Any, shape: NetworkShape) -> Any:
        """Layers conv_1 … conv_7, pool_4 … pool_6, peak, dense_1 … dense_3."""
        from keras import layers

        x = layers.Reshape((*shape.inputs, 1), name="image")(inputs)
        for number, filters in enumerate(FILTERS, start=1):
            x = layers.Conv2D(self._scaled(filters), 3, padding="same", activation="relu", name=f"conv_{number}")(x)
            if number in POOLED:
                x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
        x = layers.GlobalMaxPooling2D(name="peak")(x)
        for number, units in enumerate(DENSE, start=1):
            x = layers.Dense(self._scaled(units), activation="relu", name=f"dense_{number}")(x)
        return layers.Dense(shape.outputs, name=f"dense_{len(DENSE) + 1}")(x)

    def _scaled(self, count: int) -> int:
        return max(1, round(self.width * count))
