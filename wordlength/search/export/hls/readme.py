"""README.md of hls4ml/."""

from __future__ import annotations

from collections.abc import Iterable

from wordlength.search.export.hls.nodes import Node

_TEXT = """\
# {title}

The network as a project for [hls4ml](https://fastmachinelearning.org/hls4ml/) 1.3: C++ for high-level synthesis that
computes the integers of this bundle (`../c`, `../vectors`).

| file | what it holds |
| --- | --- |
| `model.keras` | layers and stored weights, in float32 and without formats: the types below make it the network |
| `hls4ml_config.yml` | every layer's types, for `convert_from_keras_model` and for hls4ml's command line |
| `inputs.npy`, `expected.npz` | some of the bundle's test frames, and what every layer must give for them |
| `check.py` | converts, compares every type with the configuration, compiles, runs, compares every layer |

## Run

    pip install 'hls4ml>=1.3,<1.4' 'keras>=3.10' tensorflow
    python check.py                           # needs g++, no synthesis tool
    python check.py --to project              # and keeps the project
    hls4ml build -p project -s -l             # needs Vitis HLS

Part, clock, `ReuseFactor` and `Strategy` are a beginning: they move area and speed, never a result. Each layer begins
with one multiplication at a time for every output (`ReuseFactor`: the inputs of one output); take factors that divide
that number, hls4ml fails on others in convolutions of one place. The streams (`io_stream`) are needed: with
`io_parallel` C++ of some hundred thousand weights does not compile within ten minutes.

## What is exact

Everything up to the first sigmoid or tanh equals the bundle's integers to the last bit: sums have the width that no
input can overflow, and every rounding is where the integers have it.

{curves}
## Layers

{layers}

{exponents}
Weights in positions by group or channel have the narrowest `ap_fixed` that encloses the values that occur.

A binary output is one bit in the place of the sum's last one, `ap_ufixed<1,…,AP_TRN,AP_SAT>`; the kernel behind it is
scaled back by that power of two.
"""
_CURVES = """\
A sigmoid or tanh is a table of hls4ml's own. It covers −8 … 8 (tanh: −4 … 4), where it lies at most one step from the
integers (2⁻¹⁶ more where steps are finer than that); beyond, it keeps its last entry, which is up to 0.00034 (tanh:
0.00067) from the function. `check.py` insists on both and prints what it measures. What enters the first table is
exact, rounded to the table's places; what lies behind it is compared, without a bound.
Entries: {tables}.
"""
_NO_CURVES = "There is none here: the outputs are exact too.\n"
_EXPONENTS = """\
Powers of two: `check.py` gives {names} an `ExponentPrecisionType`, sign and exponent, whose products are shifts; its
width makes every product exact. No configuration can ask for that type, so that `hls4ml convert` and `check.py --fixed`
take the `ap_fixed` above, which encloses the same values: as exact, but it multiplies. A `po2` tensor with zeros has
the `ap_fixed` alone, since the type has no zero.
"""
_NO_EXPONENTS = """\
No layer has an `ExponentPrecisionType`: that takes `po2` weights without zeros. Powers of two with zeros have the
narrowest `ap_fixed` that encloses them, which is exact, but multiplies.
"""


def readme(nodes: Iterable[Node], title: str) -> str:
    """The whole text."""
    nodes = list(nodes)
    tables = [f"{node.table_size:,} (`{node.name}`)" for node in nodes if node.table_size]
    curves = _CURVES.format(tables=", ".join(tables)) if tables else _NO_CURVES
    head = ["| layer | in hls4ml | weights | biases | sums | output |", "| --- " * 6 + "|"]
    shifted = ", ".join(f"`{node.name}` ({node.exponent_bits} bits)" for node in nodes if node.exponent_bits)
    exponents = _EXPONENTS.format(names=shifted) if shifted else _NO_EXPONENTS
    layers = "\n".join([*head, *map(_row, nodes)])
    return _TEXT.format(title=title, curves=curves, layers=layers, exponents=exponents)


def _row(node: Node) -> str:
    kind = node.settings.get("activation", node.kind)
    types = (node.types.get(name, "") for name in ("weight", "bias", "accum", "result"))
    cells = [f"`{text}`" if text else "" for text in types]
    return f"| {node.layer} | `{node.name}`: {kind} | {' | '.join(cells)} |"
