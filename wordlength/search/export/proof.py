"""What shows that a bundle is right: integers against the float model, C against the integers, what it reaches."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.errors import BundleError, SpecError
from wordlength.objectives.integer import INPUT, Grid, IntegerProgram, Integers, Recurrent, Round
from wordlength.search.export.c import FLAGS, Stage, plan
from wordlength.search.export.config import LayerProof
from wordlength.search.export.vectors import number_type
from wordlength.space import Fixed, Overflow, PowerOfTwo

if TYPE_CHECKING:
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.goals.quality import Measured
    from wordlength.objectives.training import Windows

COMPILERS = ("cc", "gcc", "clang")
_AT_ONCE = 50
_FRAMES_AT_ONCE = 2000
_FLOAT32_BITS = 23
"""Binary places within which float32 sums err, counted from the largest."""


@dataclass
class _Count:
    """Differences of one layer so far."""

    largest: int = 0
    unequal: int = 0
    of: int = 0

    def add(self, steps: Integers) -> None:
        self.largest = max(self.largest, int(steps.max(initial=0)))
        self.unequal += int(np.count_nonzero(steps))
        self.of += steps.size

    @property
    def share(self) -> float:
        return self.unequal / max(self.of, 1)


def compare_layers(
    model: Any, program: IntegerProgram, codes: Integers, tell: Callable[[int, int], None] = lambda done, total: None
) -> tuple[LayerProof, ...]:
    """The QKeras model in float32 against the integers, layer by layer, on input codes (n, *input_shape).

    Alone: every layer from the integers' own inputs, so that what differs is this layer's arithmetic: the order of
    float32 sums, divisions, the table; a recurrent layer frame by frame, from the integers' own states. Through the
    network: from the same input frames. A difference counts the representable values between the two.
    """
    import keras

    stages = plan(program)
    tensors = {number: _tensor(model, stage) for number, stage in enumerate(stages)} | {INPUT: model.inputs[0]}
    whole = keras.Model(model.inputs[0], [tensors[number] for number in range(len(stages))])
    alone = {
        number: keras.Model([tensors[source] for source in _read(stage)], tensors[number])
        for number, stage in enumerate(stages)
        if not stage.recurrent
    }
    counts = [(_Count(), _Count()) for _ in stages]
    for start in range(0, len(codes), _AT_ONCE):
        part = codes[start : start + _AT_ONCE]
        held: dict[int, Integers] = {INPUT: part}
        grids: dict[int, Grid] = {INPUT: program.input_grid}
        last = {id(stage.last): number for number, stage in enumerate(stages)}
        for step, made in program.outputs(part):
            if id(step) in last:
                held[last[id(step)]], grids[last[id(step)]] = made, step.grid
        chained = whole(_floats(part, program.input_grid, tensors[INPUT]))
        chained = chained if isinstance(chained, (list, tuple)) else [chained]
        for number, stage in enumerate(stages):
            read = [_floats(held[source], grids[source], tensors[source]) for source in _read(stage)]
            single, through = counts[number]
            through.add(_apart(stage, held[number], np.asarray(chained[number])))
            if stage.recurrent:
                single.add(frames_apart(model, stage, stage.recurrent, held[stage.sources[0]]))
            else:
                single.add(_apart(stage, held[number], np.asarray(alone[number](read))))
        tell(min(start + _AT_ONCE, len(codes)), len(codes))
    return tuple(
        LayerProof(
            layer=stage.name,
            largest_alone=single.largest,
            unequal_alone=single.share,
            largest=through.largest,
            unequal=through.share,
        )
        for stage, (single, through) in zip(stages, counts, strict=True)
    )


def _read(stage: Stage) -> tuple[int, ...]:
    """Its sources, one that is read twice named once."""
    return tuple(dict.fromkeys(stage.sources))


def frames_apart(model: Any, stage: Stage, step: Recurrent, codes: Integers) -> Integers:
    """How far every frame's state lies from what the model's cell makes of the same input and state, any shape.

    `codes`: the layer's input, (n, *source_shape).
    """
    from wordlength.space.rounded_layer import RoundedLayer

    layer, quantized = model.get_layer(step.layer), model.get_layer(f"{step.layer}_quantized")
    layer = layer.layer if isinstance(layer, RoundedLayer) else layer  # Its parameters are rounded already.
    rnns = (layer.forward_layer, layer.backward_layer) if hasattr(layer, "forward_layer") else (layer,)
    apart: list[Integers] = []
    codes = codes.reshape(-1, *step.source_shape)[:, 0]
    for one, rnn in zip(step.directions, rnns, strict=True):
        inputs = one.inputs.source_grid.to_float(codes[:, :: -1 if one.backward else 1]).astype(np.float32)
        for frame, (begun, ended) in enumerate(one.steps(codes[:, None])):
            states = [one.kept.to_float(state).astype(np.float32) for state in begun]
            made, _ = rnn.cell(inputs[:, frame], states)
            apart.append(_apart(stage, ended, np.asarray(quantized(made))))
    return np.concatenate(apart, axis=None)


def require_close(program: IntegerProgram, rows: Sequence[LayerProof]) -> None:
    """Raise BundleError, naming the layer, if one lies further from float32 than float32 accounts for."""
    for stage, row in zip(plan(program), rows, strict=True):
        if row.largest_alone > (allowed := allowed_steps(stage)):
            raise BundleError(
                f"layer {row.layer} must lie within {allowed} of its format's steps from float32, "
                f"but lies {row.largest_alone} away"
            )


def allowed_steps(stage: Stage) -> int:
    """How far a layer may lie from float32, from equal inputs: one step, more where float32 itself holds no more.

    A float32 sum errs by about 2^−23 of its largest part; an output finer than that cannot be expected of it. The gates
    of a recurrent layer add the bound of theirs.
    """
    last = stage.last
    if isinstance(last, Round | Recurrent) and isinstance(last.format, PowerOfTwo):
        return 1
    gates = stage.recurrent.error if stage.recurrent else 0.0
    return 1 + int((_largest(stage) * 2.0**-_FLOAT32_BITS + gates) * 2.0**-last.grid.exponent)


def _largest(stage: Stage) -> float:
    """The largest magnitude that the layer's float32 sums, or its pooled values, can have."""
    if stage.recurrent:
        # An input's sum and a state's add up.
        parts = [(one.inputs.accumulator, one.states.accumulator) for one in stage.recurrent.directions]
        return max(sum(max(-grid.lowest, grid.highest) * 2.0**grid.exponent for grid in pair) for pair in parts)
    grid = stage.sums[-1].accumulator if stage.sums else (stage.merge or stage.last).grid
    return max(-grid.lowest, grid.highest) * 2.0**grid.exponent


def _tensor(model: Any, stage: Stage) -> Any:
    rounded = isinstance(stage.last, Round | Recurrent)
    return model.get_layer(f"{stage.last.layer}_quantized" if rounded else stage.last.layer).output


def _floats(codes: Integers, grid: Grid, tensor: Any) -> Any:
    return grid.to_float(codes).astype(np.float32).reshape(-1, *tensor.shape[1:])


def _apart(stage: Stage, codes: Integers, found: Any) -> Integers:
    """How many representable values lie between the two, any shape."""
    step, fmt = stage.last, getattr(stage.last, "format", None)
    there = np.rint(np.ldexp(found.astype(np.float64).reshape(codes.shape), -step.grid.exponent)).astype(np.int64)
    if isinstance(fmt, PowerOfTwo):
        # Codes are powers themselves: their place among the powers counts, down to what float32 tells apart.
        least = math.log2(max(_largest(stage), 1e-300)) - _FLOAT32_BITS - step.grid.exponent
        codes, there = (_place_among_powers(side, max(0, math.ceil(least)), fmt) for side in (codes, there))
    apart = np.asarray(np.abs(codes - there), np.int64)
    if isinstance(fmt, Fixed) and fmt.overflow is Overflow.WRAP:
        # Behind the highest value comes the lowest.
        apart = np.minimum(apart, 2**fmt.bits - apart)
    return apart


def _place_among_powers(codes: Integers, least: int, fmt: PowerOfTwo) -> Any:
    """Powers counted from 0, those below 2^least as 0; without a zero, the smallest of both signs are neighbours."""
    powers = np.maximum(np.frexp(np.abs(codes).astype(np.float64))[1] - least, 0)
    return np.where(codes < 0, (0 if fmt.zero or least else 1) - powers, powers)


@dataclass(frozen=True)
class CNetwork:
    """The compiled C code of a bundle."""

    binary: Path
    program: IntegerProgram

    def check_vectors(self, vectors: Path, frames: int) -> None:
        """Raise BundleError, naming frame and layer, if the C code does not give the vectors of all frames."""
        done = subprocess.run([self.binary, vectors], capture_output=True, text=True)
        equal = f"{frames} frames, {len(plan(self.program))} layers: equal to the last bit\n"
        if done.returncode or done.stdout != equal:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise BundleError(f"the C code must give the test vectors, but does not: {said[0]}")

    def run(self, codes: Integers) -> Integers:
        """Input codes (n, *input_shape) → output codes (n, *output_shape)."""
        fed = codes.astype(number_type(self.program.input_grid)).tobytes()
        done = subprocess.run([self.binary, "-"], input=fed, capture_output=True)
        kind = number_type(self.program.output_grid)
        if done.returncode or len(done.stdout) != len(codes) * int(np.prod(self.program.output_shape)) * kind.itemsize:
            raise BundleError(f"the C code must run on {len(codes)} frames, but ended with {done.returncode}")
        made = np.frombuffer(done.stdout, kind).astype(np.int64)
        return made.reshape(-1, *self.program.output_shape)


def find_compiler() -> list[str]:
    """The C compiler and its options: CC, or the first that is installed; empty if it is not here."""
    asked = shlex.split(os.environ.get("CC", ""))
    candidates = [asked] if asked else [[name] for name in COMPILERS]
    return next((words for words in candidates if shutil.which(words[0])), [])


@contextmanager
def compiled(sources: Path, program: IntegerProgram) -> Iterator[CNetwork]:
    """Compile a bundle's c/ into a temporary folder. Raises SpecError without a compiler, BundleError if it refuses."""
    compiler = find_compiler()
    if not compiler:
        wanted = os.environ.get("CC") or ", ".join(COMPILERS)
        raise SpecError(f"a C compiler must be installed to run c/, but {wanted} is not here (--no-c leaves it out)")
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        binary = Path(place) / "network"
        # Our own judge: the bundle's might find everything equal.
        judge = resources.as_file(resources.files("wordlength.search.export.c").joinpath("main.c"))
        files = [stack.enter_context(judge), *(sources / name for name in ("network.c", "weights.c"))]
        done = subprocess.run([*compiler, *FLAGS, "-I", sources, "-o", binary, *files], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            said = next((line for line in lines if "error" in line), lines[0])
            raise BundleError(f"c/ must compile, but {compiler[0]} says: {said}")
        yield CNetwork(binary, program)


def quality_through_c(
    network: CNetwork, windows: Windows, meter: Meter, tell: Callable[[int, int], None] = lambda done, total: None
) -> Measured:
    """First quality of the C code's outputs on all windows of a set of mixtures; on every core."""
    total, done = len(windows.current), 0
    parts = [windows.current[start : start + _FRAMES_AT_ONCE] for start in range(0, total, _FRAMES_AT_ONCE)]
    masks: list[Any] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in pool.map(lambda part: network.run(network.program.encode(windows.inputs(part))), parts):
            masks.append(network.program.output_grid.to_float(made).astype(np.float32))
            done += len(made)
            tell(done, total)
    return meter.primary(np.concatenate(masks))
