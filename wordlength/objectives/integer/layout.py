"""What a Keras layer's settings mean for tensors of height, width and channels."""

from __future__ import annotations

from typing import Any

from wordlength.errors import IntegerError
from wordlength.objectives.integer.program import source_shape
from wordlength.objectives.integer.sums import Geometry, Shape

_AXES = 3


def shapes_of(layer: Any) -> tuple[Shape, Shape]:
    """Input and output of a layer with one of each. Raises IntegerError for more than three axes."""
    for shape in (layer.input.shape, layer.output.shape):
        if len(shape) - 1 > _AXES:
            raise IntegerError(f"layer {layer.name!r} must have at most {_AXES} axes, but has {len(shape) - 1}")
    return source_shape(layer.input.shape), source_shape(layer.output.shape)


def kernel_geometry(core: Any, source: Shape, made: Shape) -> Geometry:
    """Where the kernel of a convolution, dense in no axis, meets its input."""
    transposed = type(core).__name__.endswith("Transpose")
    return _geometry(core, core.kernel_size, core.dilation_rate, source, made, transposed)


def pool_geometry(core: Any, source: Shape, made: Shape) -> tuple[Geometry, Shape]:
    """Where a pooling layer's window meets its input, and the shape of what it gives."""
    if hasattr(core, "pool_size"):
        return _geometry(core, core.pool_size, 1, source, made, False), made
    # A global one: along the width, or along the height too.
    window = (1, source[1]) if type(core).__name__.endswith("1D") else source[:2]
    return Geometry(window, window), (source[0] // window[0], 1, source[2])


def _geometry(core: Any, kernel: Any, dilation: Any, source: Shape, made: Shape, transposed: bool) -> Geometry:
    size, strides = pair(kernel), pair(core.strides)
    dilations = pair(dilation) if isinstance(dilation, (list, tuple)) else (1, 1)
    if len(tuple(kernel)) == 1:
        strides, dilations = (1, strides[1]), (1, dilations[1])
    before = [0, 0]
    for axis in range(2):
        extent = (size[axis] - 1) * dilations[axis] + 1
        if core.padding == "causal" and axis:
            before[axis] = extent - 1
        elif core.padding == "same":
            few, many = (source[axis], made[axis]) if transposed else (made[axis], source[axis])
            before[axis] = max((few - 1) * strides[axis] + extent - many, 0) // 2
    return Geometry(size, strides, dilations, (before[0], before[1]), transposed)


def sides(amounts: Any) -> tuple[int, int]:
    """How much a layer pads or crops above and to the left: of ((above, below), (left, right)), or of (left, right)."""
    if isinstance(amounts[0], (list, tuple)):
        return int(amounts[0][0]), int(amounts[1][0])
    return 0, int(amounts[0])


def pair(numbers: Any) -> tuple[int, int]:
    """One number per axis as height and width; one-dimensional layers have a height of 1."""
    known = tuple(numbers) if isinstance(numbers, (list, tuple)) else (numbers,)
    return (1, int(known[0])) if len(known) == 1 else (int(known[0]), int(known[1]))
