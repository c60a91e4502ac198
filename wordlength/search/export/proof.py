"""What shows that the C code is right: the vectors, and what it reaches."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordlength.errors import BundleError, SpecError
from wordlength.objectives.integer import IntegerProgram, Integers
from wordlength.search.export.c import FLAGS, plan
from wordlength.search.export.vectors import number_type
from wordlength.stages import Progress

if TYPE_CHECKING:
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.goals.quality import Measured
    from wordlength.objectives.training import Windows

COMPILERS = ("cc", "gcc", "clang")
_FRAMES_AT_ONCE = 2000


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
    wanted = os.environ.get("CC", "")
    try:
        asked = shlex.split(wanted)
    except ValueError:  # A quotation mark without its other one.
        asked = [wanted]
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
    network: CNetwork, windows: Windows, meter: Meter, tell: Progress = lambda done, total: None
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
