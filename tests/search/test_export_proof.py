"""Every layer of the integer arithmetic against the QKeras model, from the integers' own inputs."""

import itertools

import keras
import numpy as np
import pytest
from integer_networks import NETWORKS, network, random_candidate

from wordlength.errors import BundleError, IntegerError
from wordlength.objectives.goals.quality import Measured
from wordlength.objectives.integer import IntegerProgram, Pool, integer_program
from wordlength.objectives.integer.functions import Line, Ramp, Table
from wordlength.objectives.quantized_model import frozen
from wordlength.search.export.against_float import allowed_steps, compare_layers, require_close
from wordlength.search.export.c import plan
from wordlength.search.export.config import LayerProof
from wordlength.search.export.contents import c_tolerance
from wordlength.search.export.proof import find_compiler
from wordlength.search.export.qkeras_model import plain_model
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_c_code_s_quality_may_differ_by_a_share_of_what_is_known_of_it() -> None:
    """STOI by a thousandth; a correlation of ten mixtures, known to ± 0.5, by more."""
    assert c_tolerance(Measured(0.7, 0.004, np.zeros(60))) == 0.001
    assert c_tolerance(Measured(0.18, 0.5, np.zeros(10))) == pytest.approx(0.05)


def compared(model: keras.Model, candidate: Candidate, fmt: Fixed) -> tuple[IntegerProgram, tuple[LayerProof, ...]]:
    """Against the QKeras model that is exported; and ours, which must give the same."""
    program = integer_program(model, candidate, fmt)
    values = np.random.default_rng(5).normal(0, 1.5, (40, *model.input_shape[1:])).astype(np.float32)
    weights = tuple(model.get_weights())
    rows = compare_layers(plain_model(weights, model, candidate).model, program, program.encode(values))
    if model.name != "states":  # A recurrent layer of ours shows no single frame.
        assert rows == compare_layers(frozen(weights, model, candidate).model, program, program.encode(values))
    return program, rows


@pytest.mark.parametrize(("name", "seed"), list(itertools.product(NETWORKS, range(4))))
def test_every_layer_equals_the_qkeras_model_where_float32_is_exact(name: str, seed: int) -> None:
    """With few bits all sums are exact in float32: what tables and inexact averages give may turn over once."""
    model = network(name, seed)
    for attempt in range(20):
        try:
            program, rows = compared(model, random_candidate(model, 40 * seed + attempt, (2, 5)), Fixed(6, 2))
            break
        except IntegerError:
            pass
    stages = plan(program)
    assert [row.layer for row in rows] == [stage.name for stage in stages]
    assert (
        len(rows) == {"plane": 9, "line": 6, "stack": 3, "branches": 16, "moves": 12, "curves": 12, "states": 5}[name]
    )
    for stage, row in zip(stages, rows, strict=True):
        table = isinstance(getattr(stage.last, "function", None), Table | Ramp | Line)
        inexact = isinstance(stage.last, Pool) and not stage.last.exact
        assert row.largest_alone <= (allowed_steps(stage) if stage.recurrent else int(table or inexact)), stage.name
    require_close(program, rows)


@pytest.mark.parametrize("bits", [16, 20, 24])
def test_wide_outputs_lie_as_near_as_float32_resolves(bits: int) -> None:
    model = network("plane", 3)
    formats = {Role.WEIGHTS: "fixed<6,0>", Role.BIASES: "fixed<8,1>", Role.ACTIVATIONS: f"fixed<{bits},2>"}
    chosen = {str(info.slot): formats[info.slot.role] for info in find_slots(model)}
    program, rows = compared(model, Candidate.from_dict(chosen), Fixed(16, 3))
    require_close(program, rows)
    if bits == 16:
        assert max(row.largest_alone for row in rows) <= 1
    worse = [row.model_copy(update={"largest_alone": 10**6}) for row in rows]
    with pytest.raises(BundleError, match=r"layer conv must lie within \d+ of its format's steps from float32"):
        require_close(program, worse)


def test_powers_beyond_what_float32_resolves_are_not_held_against_it() -> None:
    """Sums that cancel: what is left is below the last bit of float32's largest part, of either sign."""
    model = network("stack", 1)
    fine = PowerOfTwo(5, -14)
    candidate = Candidate.of(
        {slot: fine if slot.role is Role.ACTIVATIONS else Fixed(16, 0) for slot in random_candidate(model, 0)}
    )
    program, rows = compared(model, candidate, Fixed(24, 3))
    require_close(program, rows)


def test_cc_names_the_compiler_and_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "env gcc -m64")
    assert find_compiler() == ["env", "gcc", "-m64"]
    monkeypatch.setenv("CC", "no-such-compiler gcc")
    assert find_compiler() == []
