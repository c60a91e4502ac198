"""All files of c/: network.c, weights.c, and what is the same for every network: integers.h, main.c, Makefile."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from wordlength.objectives.integer import INPUT, IntegerProgram
from wordlength.search.export.c.header import header
from wordlength.search.export.c.layers import LayerWriter
from wordlength.search.export.c.plan import Scratch, Stage, buffers, c_type, numbers, plan
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
    used_bytes = {
        "WEIGHT": len(payload),
        "ACTIVATION": memory.bytes,
        "SCRATCH": writer.scratch.bytes,
        "TABLE": writer.table_bytes,
    }
    return {
        "network.h": header(title, program, stages, used_bytes),
        "network.c": _source(title, stages, functions, writer, memory),
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
