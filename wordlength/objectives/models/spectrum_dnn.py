"""The fully connected network of Nicodemo et al. 2020: context frames of a noisy spectrum → the clean spectrum.

Input (n, frames, bins): log-magnitude spectra of the current frame and its neighbours, as the study's features say.
Output (n, outputs): the current frame's clean log-magnitude spectrum, so the last layer is linear.

The abstract, all of the paper that was at hand, says "a fully connected DNN is used to predict the clean speech
spectrum from the input noisy speech spectrum", and gives no sizes. The hidden layers are our choice: three, as in Xu,
Du, Dai & Lee 2015 ("A Regression Approach to Speech Enhancement Based on Deep Neural Networks", IEEE/ACM TASLP 23(1)),
which made this kind of network known, and whose context frames we take too; of 512 units in place of their 2048, since
a network for the memory of an FPGA is what is asked for; rectified linear, which a comparison computes in hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from wordlength.objectives.models.literature import LiteratureNetwork
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT, require_units

MOST_LAYERS = 16
"""Hidden layers at most."""


@dataclass(frozen=True)
class SpectrumDnn(LiteratureNetwork):
    """A fully connected network from context frames to the clean spectrum (Nicodemo et al. 2020)."""

    __pydantic_config__: ClassVar = STRICT
    hears = "spectra"

    name: Literal["spectrum_dnn"] = "spectrum_dnn"
    """The network; `spectrum_dnn` estimates the clean log-magnitude spectrum from log-magnitude frames."""
    hidden: tuple[int, ...] = (512, 512, 512)
    """Units of each hidden layer; the paper's abstract gives none."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.hidden) <= MOST_LAYERS:
            raise ValueError(f"hidden must name 1 to {MOST_LAYERS} layers, but got {len(self.hidden)}")
        require_units("hidden units", *self.hidden)

    def estimates(self, inputs: Any, shape: NetworkShape) -> Any:
        """Layers dense_1 … dense_n, the last of them linear."""
        from keras import layers

        x = layers.Flatten(name="context")(inputs)
        for number, units in enumerate(self.hidden, start=1):
            x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        return layers.Dense(shape.outputs, name=f"dense_{len(self.hidden) + 1}")(x)
