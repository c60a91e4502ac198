"""network.h, network.c, weights.c, and what is the same for every network: integers.h, main.c, Makefile."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from math import prod

from wordlength.objectives.integer import INPUT, IntegerProgram, Merge, Pool, Recurrent, Step, Sum
from wordlength.objectives.integer.operations import Operations, operations
from wordlength.search.export.c.layers import LayerWriter
from wordlength.search.export.c.plan import Scratch, Stage, accumulator_bits, buffers, c_type, numbers, plan
from wordlength.search.export.packing import Packed

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic")
"""What the files compile with, without a warning."""
_FIXED = ("integers.h", "main.c")
_BYTES_PER_LINE = 24


def c_files(program: IntegerProgram, parts: Sequence[Packed], payload: bytes, title: str) -> dict[str, str]:
    """File name → text. `parts` and `payload`: weights.bin; `title`: one line that says what network this is.

    Raises IntegerError if the program cannot be written in C.
    """
    stages = plan(program)
    writer = LayerWriter({part.parameter.name: part for part in parts})
    grids = {INPUT: program.input_grid} | {number: stage.last.grid for number, stage in enumerate(stages)}
    functions = [[*writer.write(stage, [grids[source] for source in stage.sources]), ""] for stage in stages]
    memory = _Memory(stages)
    source = _source(title, stages, functions, writer, memory)
    return {
        "network.h": _header(title, program, stages, writer, memory, len(payload)),
        "network.c": source,
        "weights.c": _weights(title, payload),
        "Makefile": _makefile(),
        **{name: resources.files(__package__).joinpath(name).read_text(encoding="utf-8") for name in _FIXED},
    }


class _Memory(Scratch):
    """Buffers between layers: which layer writes where, as unions of the types that meet there."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        self._places = {
            number: self.need(f"buffer_{place}", c_type(stages[number].last.grid), stages[number].count)
            for number, place in buffers(stages).items()
        }

    def name(self, number: int) -> str:
        """C expression of a stage's output; the last stage writes to the caller's."""
        return "input" if number == INPUT else self._places.get(number, "output")


def _header(
    title: str,
    program: IntegerProgram,
    stages: Sequence[Stage],
    writer: LayerWriter,
    memory: _Memory,
    weight_bytes: int,
) -> str:
    total = sum((operations(step) for step in program.steps), Operations())
    output = stages[-1].last.grid
    defines = {
        "NETWORK_INPUTS": prod(program.input_shape),
        "NETWORK_INPUT_FRACTION_BITS": -program.input_grid.exponent,
        "NETWORK_OUTPUTS": prod(program.output_shape),
        "NETWORK_OUTPUT_FRACTION_BITS": -output.exponent,
        "NETWORK_LAYERS": len(stages),
        "NETWORK_WEIGHT_BYTES": weight_bytes,
        "NETWORK_ACTIVATION_BYTES": memory.bytes,
        "NETWORK_SCRATCH_BYTES": writer.scratch.bytes,
        "NETWORK_TABLE_BYTES": writer.table_bytes,
        "NETWORK_MULTIPLICATIONS": total.multiplications,
        "NETWORK_SHIFTS": total.shifts,
        "NETWORK_ADDITIONS": total.additions,
    }
    width = max(map(len, defines))
    return "\n".join(
        [
            f"/* {title}",
            " *",
            f" * Input: {' x '.join(map(str, program.input_shape))} codes, {program.input_grid.q_format}: "
            f"code k means k * 2^{program.input_grid.exponent}, rounded half even and saturated.",
            f" * Output: {' x '.join(map(str, program.output_shape))} codes, {output.q_format}: "
            f"code k means k * 2^{output.exponent}.",
            " *",
            *_table(stages),
            " *",
            " * Multiplications, shifts and additions are those of one frame, without comparisons, memory accesses and",
            " * the unpacking of weights. Not reentrant: layers share static memory.",
            " */",
            "#ifndef WORDLENGTH_NETWORK_H",
            "#define WORDLENGTH_NETWORK_H",
            "",
            "#include <stdint.h>",
            "",
            *(f"#define {name:<{width}} {value}" for name, value in defines.items()),
            "",
            f"typedef {c_type(program.input_grid)} network_input;",
            f"typedef {c_type(output)} network_output;",
            "",
            "/* A layer's output: its name, how many codes it has, and the bytes of each. */",
            "typedef struct {",
            "    const char *name;",
            "    int32_t count;",
            "    int bytes;",
            "} network_layer;",
            "",
            "extern const network_layer network_layers[NETWORK_LAYERS];",
            "extern const uint8_t network_weights[NETWORK_WEIGHT_BYTES];",
            "",
            "/* What may look at every layer's output, in order: the layer's number, its codes. */",
            "typedef void (*network_probe)(int layer, const void *codes);",
            "",
            "/* One frame. `probe` may be a null pointer. */",
            "void network_run(const network_input *input, network_output *output, network_probe probe);",
            "",
            "#endif",
            "",
        ]
    )


def _table(stages: Sequence[Stage]) -> list[str]:
    """The layers as a comment: outputs, formats, sums, operations."""
    head = ("layer", "outputs", "format", "as", "sums", "in", "multiply", "shift", "add")
    rows = [head]
    for stage in stages:
        sums = [step for whole in stage.steps for step in _summing(whole)]
        total = sum((operations(step) for step in stage.steps), Operations())
        rows.append(
            (
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
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return [
        " * " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _summing(step: Step) -> tuple[Sum | Merge | Pool, ...]:
    """What has an accumulator."""
    match step:
        case Sum() | Merge() | Pool(average=True):
            return (step,)
        case Recurrent():
            return tuple(part for one in step.directions for part in (one.inputs, one.states))
    return ()


def _source(
    title: str, stages: Sequence[Stage], functions: Sequence[list[str]], writer: LayerWriter, memory: _Memory
) -> str:
    calls: list[str] = []
    for number, stage in enumerate(stages):
        made = memory.name(number)
        calls += [
            f"    layer_{stage.name}({', '.join(map(memory.name, stage.sources))}, {made});",
            "    if (probe)",
            f"        probe({number}, {made});",
        ]
    return "\n".join(
        [
            f"/* {title} */",
            '#include "network.h"',
            "",
            '#include "integers.h"',
            "",
            "/* Outputs of layers, each until the last reader is done. */",
            *memory.declarations(),
            "",
            "/* Unpacked weights, and sums on their way. */",
            *writer.scratch.declarations(),
            "",
            *(line for function in functions for line in function),
            "const network_layer network_layers[NETWORK_LAYERS] = {",
            *(f'    {{"{stage.name}", {stage.count}, {stage.last.grid.word_bits // 8}}},' for stage in stages),
            "};",
            "",
            "void network_run(const network_input *input, network_output *output, network_probe probe)",
            "{",
            *calls,
            "}",
            "",
        ]
    )


def _weights(title: str, payload: bytes) -> str:
    lines = numbers(payload, _BYTES_PER_LINE)
    head = [f"/* {title}", " *", " * The bytes of weights.bin; weights.json says what lies where.", " */"]
    body = ['#include "network.h"', "", "const uint8_t network_weights[NETWORK_WEIGHT_BYTES] = {", *lines, "};", ""]
    return "\n".join([*head, *body])


def _makefile() -> str:
    return "\n".join(
        [
            f"CFLAGS = {' '.join(FLAGS)}",
            "",
            "# Every layer of every frame in ../vectors, compared to the last bit.",
            "check: network",
            "\t./network ../vectors",
            "",
            "network: main.c network.c weights.c network.h integers.h",
            "\t$(CC) $(CFLAGS) -o network main.c network.c weights.c",
            "",
            "# The same under the sanitizers of undefined behaviour and of addresses.",
            "sanitize: main.c network.c weights.c network.h integers.h",
            "\t$(CC) $(CFLAGS) -g -fsanitize=undefined,address -fno-sanitize-recover=all -o network_sanitized "
            "main.c network.c weights.c",
            "\t./network_sanitized ../vectors",
            "",
            "clean:",
            "\trm -f network network_sanitized",
            "",
            ".PHONY: check sanitize clean",
            "",
        ]
    )
