"""Any Keras layer with rounded parameters: for the layer types of which QKeras has none, or one that is slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from wordlength.space.slots import directions, variable_of


@keras.saving.register_keras_serializable(package="wordlength")
class RoundedLayer(keras.layers.Layer):  # type: ignore[misc]
    """A Keras layer whose parameters are rounded once a call, and whose state, if it has one, before every step.

    QKeras' recurrent cells round their kernels at every step. The state that a step begins with is rounded, so that
    the layer gives its states before they are rounded, as every other layer gives its output.

    `layer`: any Keras layer with one input. `quantizers`: path of each parameter → its quantizer. `state`: that of a
    recurrent layer's states, an LSTM's cell state among them; None for other layers.
    """

    def __init__(self, layer: Any, quantizers: Mapping[str, Any], state: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer
        self.quantizers = dict(quantizers)
        self.state = state
        if state is not None:
            for cell in _cells(layer):
                _round_states(cell, state)

    def build(self, input_shape: Any) -> None:
        """Build the layer inside."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def call(self, inputs: Any) -> Any:
        """What the layer gives with its rounded parameters."""
        values = [(variable_of(self.layer, path), quantizer) for path, quantizer in self.quantizers.items()]
        rounded = [(variable, quantizer(variable.value)) for variable, quantizer in values]
        replaced = {id(variable) for variable, _ in rounded}
        with keras.StatelessScope(rounded) as scope:
            outputs = self.layer(inputs)
        for variable in self.layer.non_trainable_variables:
            # Such as the seed of a dropout: the scope has kept it from being drawn anew.
            if id(variable) not in replaced and (drawn := scope.get_current_value(variable)) is not None:
                variable.assign(drawn)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the layer inside."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Layer and quantizers, for Keras' saving."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "layer": serialize(self.layer),
            "quantizers": {path: serialize(quantizer) for path, quantizer in self.quantizers.items()},
            "state": serialize(self.state),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RoundedLayer:
        """Inverse of `get_config`."""
        load = keras.saving.deserialize_keras_object
        quantizers = {path: load(quantizer) for path, quantizer in config["quantizers"].items()}
        return cls(
            **config | {"layer": load(config["layer"]), "quantizers": quantizers, "state": load(config["state"])}
        )


def _cells(layer: Any) -> tuple[Any, ...]:
    rnns = directions(layer)
    for rnn in rnns:
        rnn.use_cudnn = False  # It would take all steps at once.
    return tuple(rnn.cell for rnn in rnns)


def _round_states(cell: Any, quantizer: Any) -> None:
    step = cell.call

    def call(inputs: Any, states: Any, training: bool = False) -> Any:
        many = isinstance(states, (list, tuple))
        return step(inputs, [quantizer(state) for state in states] if many else quantizer(states), training=training)

    cell.call = call
