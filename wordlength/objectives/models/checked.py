"""What a float network must be before anything is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wordlength.errors import ModelError
from wordlength.objectives.shape import NetworkShape


def checked(model: Any, shape: NetworkShape, place: str) -> Any:
    """The network as a functional Keras model, if it is one of this shape; else ModelError, which names the place."""
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"a network must be a Keras model, but got a value of type {type(model).__name__} ({place})")
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ModelError(f"a sequential network must begin with an Input, but {model.name!r} does not ({place})")
    elif not hasattr(model, "_operations_by_depth"):
        kind = type(model).__name__
        raise ModelError(f"a network must be a functional or sequential Keras model, but got a {kind} ({place})")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        got = f"{len(model.inputs)} and {len(model.outputs)}"
        raise ModelError(f"a network must have one input and one output, but got {got} ({place})")
    takes, gives = (tuple(tensors[0].shape[1:]) for tensors in (model.inputs, model.outputs))
    if (takes, gives) != (shape.inputs, (shape.outputs,)):
        raise ModelError(
            f"a network must take {shape.inputs} and give {(shape.outputs,)} for each window, "
            f"but it takes {takes} and gives {gives}; data.features and data.target decide which ({place})"
        )
    return _plain(model)


def _plain(model: Any) -> Any:
    """From tensor to tensor, since Keras warns of a model made from a list; no layer with a past elsewhere."""
    import keras

    plain = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if all(len(layer._inbound_nodes) <= 1 for layer in plain.layers):
        return plain
    # Used twice, or used in a model that came before: a sequential one that was saved has been through both.
    copy = keras.models.clone_model(plain)
    copy.set_weights(plain.get_weights())
    return copy


def require_least(name: str, shape: NetworkShape, frames: int, bins: int) -> None:
    """Raise ModelError for features that pooling would leave nothing of."""
    if shape.frames < frames or shape.bins < bins:
        raise ModelError(
            f"{name} must be given at least {frames} frames of {bins} bins, but got {shape.frames} of {shape.bins} "
            "(data.features)"
        )


@contextmanager
def fresh_names() -> Iterator[None]:
    """Have Keras name layers inside the block as in a new process: dense, dense_1, …

    Slots are named by their layers, and a network is built several times in a process.
    """
    # Keras has no public way to it but clear_session, which would also forget what other networks hold.
    from keras.src.backend.common import global_state
    from keras.src.utils.naming import reset_uids

    before = global_state.get_global_attribute("object_name_uids")
    reset_uids()
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)
