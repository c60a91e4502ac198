"""network.h: what a program that calls the network must know, and what the network costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from wordlength.objectives.integer import IntegerProgram, Merge, Pool, Recurrent, Step, Sum
from wordlength.objectives.integer.operations import operations
from wordlength.objectives.network import OperationCount
from wordlength.search.export.c.plan import Stage, accumulator_bits, c_type

_INTERFACE = """\
/* A layer's output: its name, how many codes it has, and the bytes of each. */
typedef struct {
    const char *name;
    int32_t count;
    int bytes;
} network_layer;

extern const network_layer network_layers[NETWORK_LAYERS];
extern const uint8_t network_weights[NETWORK_WEIGHT_BYTES];

/* What may look at every layer's output, in order: the layer's number, its codes. */
typedef void (*network_probe)(int layer, const void *codes);

/* One frame. `probe` may be a null pointer. */
void network_run(const network_input *input, network_output *output, network_probe probe);
"""


def header(title: str, program: IntegerProgram, stages: Sequence[Stage], used_bytes: Mapping[str, int]) -> str:
    """The text. `used_bytes`: WEIGHT, ACTIVATION, SCRATCH and TABLE → bytes."""
    defines = _defines(program, stages, used_bytes)
    width = max(map(len, defines))
    return "\n".join(
        [
            *_comment(title, program, stages),
            "#ifndef WORDLENGTH_NETWORK_H",
            "#define WORDLENGTH_NETWORK_H",
            "",
            "#include <stdint.h>",
            "",
            *(f"#define {name:<{width}} {value}" for name, value in defines.items()),
            "",
            f"typedef {c_type(program.input_grid)} network_input;",
            f"typedef {c_type(stages[-1].last.grid)} network_output;",
            "",
            _INTERFACE,
            "#endif",
            "",
        ]
    )


def _defines(program: IntegerProgram, stages: Sequence[Stage], used_bytes: Mapping[str, int]) -> dict[str, int]:
    """Name → value, all of them NETWORK_…, in the header's order."""
    total = _total(program.steps)
    return {
        "NETWORK_INPUTS": prod(program.input_shape),
        "NETWORK_INPUT_FRACTION_BITS": -program.input_grid.exponent,
        "NETWORK_OUTPUTS": prod(program.output_shape),
        "NETWORK_OUTPUT_FRACTION_BITS": -stages[-1].last.grid.exponent,
        "NETWORK_LAYERS": len(stages),
        **{f"NETWORK_{what}_BYTES": count for what, count in used_bytes.items()},
        "NETWORK_MULTIPLICATIONS": total.multiplications,
        "NETWORK_SHIFTS": total.shifts,
        "NETWORK_ADDITIONS": total.additions,
    }


def _comment(title: str, program: IntegerProgram, stages: Sequence[Stage]) -> list[str]:
    """The head: codes of input and output, a table of the layers, and what its figures count."""
    inputs, outputs = program.input_grid, stages[-1].last.grid
    return [
        f"/* {title}",
        " *",
        f" * Input: {' x '.join(map(str, program.input_shape))} codes, {inputs.q_format}: "
        f"code k means k * 2^{inputs.exponent}, rounded half even and saturated.",
        f" * Output: {' x '.join(map(str, program.output_shape))} codes, {outputs.q_format}: "
        f"code k means k * 2^{outputs.exponent}.",
        " *",
        *_table(stages),
        " *",
        " * Multiplications, shifts and additions are those of one frame, without comparisons, memory accesses and",
        " * the unpacking of weights. Not reentrant: layers share static memory.",
        " */",
    ]


def _table(stages: Sequence[Stage]) -> list[str]:
    """The layers as a comment: outputs, formats, sums, operations."""
    rows = [("layer", "outputs", "format", "as", "sums", "in", "multiply", "shift", "add"), *map(_row, stages)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " * " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(stage: Stage) -> tuple[str, ...]:
    sums = [step for whole in stage.steps for step in _summing(whole)]
    total = _total(stage.steps)
    return (
        stage.name,
        "x".join(map(str, stage.last.shape)),
        stage.last.grid.q_format,
        c_type(stage.last.grid).removesuffix("_t"),
        "+".join(f"{step.accumulator.bits}" for step in sums) or "-",
        "+".join(f"int{accumulator_bits(step)}" for step in sums) or "-",
        f"{total.multiplications:,}",
        f"{total.shifts:,}",
        f"{total.additions:,}",
    )


def _total(steps: Sequence[Step]) -> OperationCount:
    return sum((operations(step) for step in steps), OperationCount())


def _summing(step: Step) -> tuple[Sum | Merge | Pool, ...]:
    """What has an accumulator."""
    match step:
        case Sum() | Merge() | Pool(average=True):
            return (step,)
        case Recurrent():
            return tuple(part for one in step.directions for part in (one.inputs, one.states))
    return ()
