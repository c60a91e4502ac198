"""What the networks of the literature have in common: settings that are all that makes them, and how they are built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from wordlength.objectives.shape import NetworkShape


@dataclass(frozen=True)
class LiteratureNetwork(ABC):
    """A network that is known by its name; a subclass adds its settings and its layers."""

    name: str

    hears: ClassVar[str]
    """The name of its input."""
    least: ClassVar[tuple[int, int]] = 1, 1
    """Frames and bins of which its pools leave something."""

    @property
    def label(self) -> str:
        """How it is called."""
        return self.name

    @property
    def described(self) -> dict[str, Any]:
        """Every setting."""
        return asdict(self)

    def build(self, shape: NetworkShape, seed: int) -> Any:
        """The Keras model, weights initialised from `seed`. Raises ModelError for features it cannot pool."""
        import keras

        from wordlength.objectives.models.checked import require_least

        require_least(self.name, shape, *self.least)
        keras.utils.set_random_seed(seed)
        inputs = keras.Input(shape.inputs, name=self.hears)
        return keras.Model(inputs, self.estimates(inputs, shape), name=self.name)

    @abstractmethod
    def estimates(self, inputs: Any, shape: NetworkShape) -> Any:
        """Its layers: `inputs` (n, frames, bins) → estimates (n, outputs)."""
