"""docs/layers.md from the table of layer types: `python -m wordlength.search.layer_table > docs/layers.md`."""

from __future__ import annotations

from wordlength.objectives.integer.activation import FUNCTIONS
from wordlength.space.layer_types import COMMON_FUNCTIONS, LAYER_TYPES, Family, LayerType

_HEAD = """# Layers

Any functional Keras 3 model of these layers can be searched. What is not here, or breaks a rule below, is refused in
one line that names layer and reason before anything trains. Written by `python -m wordlength.search.layer_table`.

| layer | weights | biases | activations | analysed | accumulators | counted | QKeras | integers and C | hls4ml | note |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
_RULES = """
- *Analysed*: every slot has a row (overflow, underflow, precision, zero gradients, histogram). *Accumulators*: the
  worst case of its sums, and what the data use.
- *Counted*: parameters, products and sums, and the maps held during inference, as the objectives need them. Activation
  functions count no operation; nor do layers that pick or move values, but for the comparisons of a maximum.
- *QKeras*: QKeras has the layer, or needs none; the others are in `qkeras_model.keras` as Keras' layer, their
  parameters rounded already, or as QKeras' cell in Keras' `RNN`. Where *integers and C* or *hls4ml* are missing, the
  bundle is written without them and says why.
- A linear layer, a merge or a normalization that only activation layers follow leaves ACTIVATIONS to them.
- Recurrent layers: kernel and recurrent kernel share WEIGHTS, all biases BIASES. The state is rounded before every step
  in the format in which the layer's output is rounded; an LSTM's cell state too. Gates and their functions stay float
  between. The first state is zero, rounded too: a power of two without a zero starts from its smallest. A state cannot
  be `binary`. `stateful`, `return_state` and `merge_mode=None` are refused. Analysis sees the states that the layer
  gives, all of them with `return_sequences` and else the last. Input and state sums are bounded each by itself, and the
  state sums of a `Bidirectional` only where it concatenates.
- A transposed convolution's formats per channel are per channel of its input, which Keras has last in the kernel.
- Batch normalization goes into the linear layer with a kernel before it, also through dropout, average pooling and
  upsampling; else into every layer that reads it, if none pads zeros (objectives/folding.py).
- Layers must be used once, convolutions have `groups=1`, and operations be layers: `layers.Add()`, not `+`.
"""


def layer_table() -> str:
    """The page's whole text."""
    rows = "".join(_row(name, kind) for name, kind in LAYER_TYPES.items() if kind.family is not Family.INPUT)
    functions = ", ".join(f"`{name}`" for name in COMMON_FUNCTIONS)
    known = ", ".join(f"`{name}`" for name in FUNCTIONS)
    return (
        f"{_HEAD}{rows}\nActivation functions, in a layer or by themselves: {functions}. Integers and C know {known}; "
        f"the others are told as missing by name.\n{_RULES}"
    )


def _row(name: str, kind: LayerType) -> str:
    within = kind.family is Family.WRAPPER
    slots = [_names(kind.weights, within), _names(kind.biases, within)]
    has_activations = kind.family in (Family.KERNEL, Family.RECURRENT, Family.SCALE, Family.FUNCTION, Family.MERGE)
    slots.append("as within" if within else _tick(has_activations))
    analysed = "as within" if within else _tick(has_activations or bool(kind.weights))
    summed = "as within" if within else _tick(kind.family in (Family.KERNEL, Family.RECURRENT))
    counted = "folded" if kind.family is Family.FOLDED else "yes"
    exported = [_tick(kind.qkeras), _tick(kind.integers), _tick(kind.hls4ml)]
    return f"| {' | '.join([name, *slots, analysed, summed, counted, *exported, kind.note])} |\n"


def _names(paths: tuple[str, ...], within: bool) -> str:
    return "as within" if within else ", ".join(path.rpartition(".")[2] for path in paths) or "–"


def _tick(holds: bool) -> str:
    return "yes" if holds else "–"


if __name__ == "__main__":
    print(layer_table(), end="")
