"""The C code against the integer reference, compiled without a warning and run under sanitizers."""

import dataclasses
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from integer_networks import NETWORKS, network, random_candidate

from wordlength.errors import IntegerError
from wordlength.objectives.integer import IntegerProgram, integer_program
from wordlength.objectives.quantized_model import frozen
from wordlength.search.export.c import FLAGS, c_files, plan
from wordlength.search.export.packing import laid_out, pack
from wordlength.search.export.vectors import write_vectors
from wordlength.space import Candidate, Fixed

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not here"),
]
SANITIZERS = ("-g", "-Werror", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
INPUT = Fixed(12, 3)


def program_of(name: str, seed: int, **options: object) -> IntegerProgram:
    """A random candidate that integers can compute: the first of some."""
    for attempt in itertools.count():
        model = network(name, seed)
        candidate = random_candidate(model, 100 * seed + attempt, **options)  # type: ignore[arg-type]
        try:
            return integer_program(model, candidate, INPUT)
        except IntegerError:
            assert attempt < 50
    raise AssertionError


def written(program: IntegerProgram, folder: Path) -> Path:
    """C files and vectors: random frames, and those at the ends of the input's range."""
    rng = np.random.default_rng(0)
    shape = program.input_shape
    low, high = program.input_grid.lowest, program.input_grid.highest
    frames = [rng.integers(low // 8, high // 8, shape) for _ in range(20)]
    frames += [np.full(shape, low), np.full(shape, high), np.zeros(shape), rng.choice([low, high], shape)]
    (folder / "c").mkdir(parents=True)
    parts = laid_out(program.parameters)
    for name, text in c_files(program, parts, pack(parts), "a random network").items():
        (folder / "c" / name).write_text(text, encoding="utf-8")
    write_vectors(program, np.stack(frames).astype(np.int64), folder / "vectors")
    return folder / "c"


def compiled(folder: Path, compiler: str, *flags: str) -> Path:
    sources = [folder / name for name in ("main.c", "network.c", "weights.c")]
    done = subprocess.run(
        [compiler, *FLAGS, *flags, "-o", folder / "network", *sources], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "network"


def run(binary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, binary.parent.parent / "vectors"], capture_output=True, text=True)


@pytest.mark.parametrize(("name", "seed"), list(itertools.product(NETWORKS, range(4))))
def test_every_layer_equals_the_reference_under_sanitizers(name: str, seed: int, tmp_path: Path) -> None:
    program = program_of(name, seed, bits=(2, 12) if seed % 2 else (2, 5))
    compiler = "clang" if seed == 3 and shutil.which("clang") else "gcc"
    done = run(compiled(written(program, tmp_path), compiler, *SANITIZERS))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"24 frames, {len(plan(program))} layers: equal to the last bit\n"


def test_sums_of_more_than_32_bits_equal_the_reference(tmp_path: Path) -> None:
    program = program_of("plane", 7, bits=(14, 16))
    folder = written(program, tmp_path)
    assert "int64_t *const sums" in (folder / "network.c").read_text()
    assert run(compiled(folder, "gcc", *SANITIZERS)).returncode == 0


@pytest.mark.parametrize("fmt", ["vbs<6>", "vbs<6,group=channel>", "vbs<6,group=5>", "po2<4,0>", "po2<4,0,zero>"])
def test_every_kind_of_shift_equals_the_reference(fmt: str, tmp_path: Path) -> None:
    model = network("plane", 3)
    formats = {"weights": fmt, "biases": "vbs<7,group=channel>" if "vbs" in fmt else fmt, "activations": "fixed<9,2>"}
    slots = random_candidate(model, 0)
    program = integer_program(model, Candidate.from_dict({str(s): formats[s.role] for s in slots}), INPUT)
    assert len({parameter.format for parameter in program.parameters}) <= 2
    assert run(compiled(written(program, tmp_path), "gcc", *SANITIZERS)).returncode == 0


def dense(weights: list[list[float]], biases: list[float], activation: str = "linear") -> keras.Model:
    entry = keras.Input((len(weights),))
    model = keras.Model(entry, keras.layers.Dense(len(biases), activation=activation, name="d")(entry))
    model.get_layer("d").set_weights([np.array(weights, np.float32), np.array(biases, np.float32)])
    return model


EDGES = {
    "unsigned weights of 32 bits": ([[0.9, 0.2], [0.6, 0.7]], [0.1, 0.2], "ufixed<32,0>", "fixed<16,2>", "fixed<8,2>"),
    "unsigned biases of 32 bits": ([[0.5, 0.2]], [0.9, 0.7], "fixed<8,0>", "ufixed<32,0>", "fixed<8,2>"),
    "a channel of zeros far above": ([[0.1, 0.0]], [0.5, 0.0], "fixed<4,-3/31>", "fixed<4,-3/31>", "fixed<8,2>"),
    "no weights but a fine bias": ([[0.0, 0.0]], [1e-8, -1e-8], "fixed<8,0>", "fixed<8,-24>", "fixed<8,-24>"),
    "products of minus 2^31": ([[-1.0, 2**-18]], [-1.0, 2**-20], "po2<6,0,zero>", "po2<6,0>", "fixed<8,2>"),
    "one power": ([[0.5, -0.5]], [0.5, 0.1], "po2<1,-1>", "po2<1,-1>", "po2<1,0>"),
    "blocks over rows": ([[0.5, -0.01], [0.1, 0.7]], [0.5, 0.1], "vbs<7,group=3>", "vbs<7,group=1>", "ufixed<9,1>"),
    "a wrapping relu": ([[3.5, -3.5]], [0.5, -0.5], "fixed<8,2>", "fixed<8,2>", "ufixed<6,1,floor,wrap>"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_equal_the_reference_under_sanitizers(edge: str, tmp_path: Path) -> None:
    weights, biases, *formats = EDGES[edge]
    model = dense(weights, biases, "relu" if "relu" in edge else "linear")
    slots = dict(zip(("d.weights", "d.biases", "d.activations"), formats, strict=True))
    program = integer_program(model, Candidate.from_dict(slots), INPUT)
    assert run(compiled(written(program, tmp_path), "gcc", *SANITIZERS)).returncode == 0


def test_kernels_larger_than_the_input_equal_the_reference(tmp_path: Path) -> None:
    entry = keras.Input((3, 2))
    x = keras.layers.Conv1D(3, 9, padding="same", activation="relu", name="long")(entry)
    x = keras.layers.Conv1D(2, 3, dilation_rate=4, padding="same", name="dilated")(x)
    x = keras.layers.AveragePooling1D(9, strides=1, padding="same", name="pool")(x)
    x = keras.layers.Reshape((1, 1, 6))(x)
    x = keras.layers.Conv2D(2, 3, padding="same", name="point")(x)
    model = keras.Model(entry, keras.layers.ReLU(name="input")(x))
    rng = np.random.default_rng(4)
    for variable in model.weights:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    program = integer_program(model, random_fixed(model), INPUT)
    quantized = frozen(tuple(model.get_weights()), model, random_fixed(model)).model
    codes = program.encode(rng.normal(0, 1, (30, 3, 2)))
    found = program.output_grid.to_float(program.run(codes))
    expected = quantized(program.input_grid.to_float(codes).astype(np.float32)).numpy()
    assert np.abs(found - expected).max() <= 2.0**program.output_grid.exponent
    assert [stage.name for stage in plan(program)][-1] == "input_2"
    assert run(compiled(written(program, tmp_path), "gcc", *SANITIZERS)).returncode == 0


def test_a_wrong_layer_is_named(tmp_path: Path) -> None:
    folder = written(program_of("stack", 2), tmp_path)
    binary = compiled(folder, "gcc")
    vectors = tmp_path / "vectors" / "b.bin"
    held = bytearray(vectors.read_bytes())
    held[9] ^= 1
    vectors.write_bytes(held)
    done = run(binary)
    assert done.returncode == 1
    assert re.match(r"frame 1, layer b, output 2: expected code [0-9a-f]+, but computed [0-9a-f]+\n", done.stderr)
    vectors.write_bytes(held[:3])
    assert "b.bin must hold 7 outputs per frame, but ends in frame 0" in run(binary).stderr
    vectors.unlink()
    assert run(binary).returncode == 2


def test_a_stream_gives_the_outputs(tmp_path: Path) -> None:
    program = program_of("stack", 2)
    binary = compiled(written(program, tmp_path), "gcc")
    fed = (tmp_path / "vectors" / "input.bin").read_bytes()
    done = subprocess.run([binary, "-"], input=fed, capture_output=True, check=True)
    assert done.stdout == (tmp_path / "vectors" / f"{plan(program)[-1].name}.bin").read_bytes()


def test_layers_have_names_that_c_allows() -> None:
    assert [stage.name for stage in plan(program_of("line", 0))] == [
        "first_conv",
        "int",
        "pool",
        "each",
        "all",
        "out",
    ]


def test_an_activation_layer_is_rounded_with_the_sum_before_it() -> None:
    entry = keras.Input((4,))
    x = keras.layers.Dense(3, name="shared")(entry)
    first = keras.layers.Activation("relu", name="one")(x)
    model = keras.Model(entry, keras.layers.Dense(2, name="last")(first))
    assert len(plan(integer_program(model, random_fixed(model), INPUT))) == 2


def test_a_sum_that_is_rounded_twice_is_refused() -> None:
    entry = keras.Input((4,))
    x = keras.layers.Dense(3, name="shared")(entry)
    keras.layers.Activation("tanh", name="unused")(x)
    kept = keras.layers.Activation("relu", name="kept")(x)
    model = keras.Model(entry, keras.layers.Dense(2, name="last")(kept))
    first, second, *others = integer_program(model, random_fixed(model), INPUT).steps
    again = dataclasses.replace(second, layer="again")
    twice = dataclasses.replace(
        integer_program(model, random_fixed(model), INPUT), steps=(first, second, again, *others)
    )
    with pytest.raises(IntegerError, match="sums of again must be rounded once and at once"):
        plan(twice)


def random_fixed(model: keras.Model) -> Candidate:
    return Candidate.from_dict({str(slot): "fixed<6,1>" for slot in random_candidate(model, 0)})
