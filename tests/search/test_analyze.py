"""`wordlength analyze` and `memory`: where formats come from, what is refused early, what is printed and written."""

import dataclasses
import json
from pathlib import Path

import pytest
from two_goals import float_point, reached

from wordlength.objectives.goals import DEFAULT_GOALS, KNOWN, Goals
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialReport, TrialState
from wordlength.search.export.facts import LayerRow, accumulator_cells
from wordlength.search.findings_text import findings_text
from wordlength.search.tables import accumulator_table, analysis_table, trial_verdict
from wordlength.space import Candidate, Fixed, Role, Slot

# TensorFlow with one thread, as a worker has it, before `memory` starts it with its own number.
pytestmark = pytest.mark.usefixtures("tensorflow")

LAYERS = [f"conv_{n}" for n in range(1, 7)] + [f"dense_{n}" for n in range(1, 4)]
DEFAULTS = {"weights": "fixed<6,-1>", "biases": "fixed<16,2>", "activations": "fixed<16,4>"}


def formats(**changes: str | None) -> dict[str, str]:
    """A format for every slot of the tiny network; `conv_1__weights=None` leaves one out."""
    found: dict[str, str | None] = {f"{layer}.{role}": text for layer in LAYERS for role, text in DEFAULTS.items()}
    found |= {name.replace("__", "."): text for name, text in changes.items()}
    return {name: text for name, text in found.items() if text is not None}


@pytest.fixture
def candidate_file(tmp_path: Path):
    """Writes what it is given, as JSON unless it is text, and returns the path."""

    def write(content: object) -> Path:
        path = tmp_path / "candidate.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def refused(run_cli, *arguments: object) -> str:
    status, out, err = run_cli(*arguments)
    assert status == 2, out + err
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("command", ["analyze", "memory"])
def test_formats_come_from_options_or_from_a_file(run_cli, write_study, candidate_file, command: str) -> None:
    study = write_study()
    neither = refused(run_cli, command, study)
    assert "must be given, but got neither --weights (with --biases, --activations) nor --candidate" in neither
    assert "but got neither" in refused(run_cli, command, study, "--biases", "fixed:8,0")
    file = candidate_file(formats())
    for option in ("--weights", "--biases", "--activations"):
        line = refused(run_cli, command, study, "--candidate", file, option, "fixed:8,0")
        assert f"must come from options or from a file, but got both ({file} and fixed:8,0)" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{'a': 1}", "a candidate file must be JSON, but Expecting property name"),
        ("", "a candidate file must be JSON, but Expecting value"),
        ('{"conv_1.weights": "po2<4,-1>", "conv_1.weights": "po2<4,0>"}', "'conv_1.weights' is there twice"),
        ("[" * 100_000, "a candidate file must be a flat map, but it is nested too deep"),
        ("[1]", 'a candidate file must map slots to formats, as {"conv_1.weights": "fixed<8,0>", …}'),
        ({"candidate": 3}, "a candidate file must map slots to formats"),
        ({"conv_1.weights": 8}, "a candidate file must map slots to formats"),
        (formats(conv_1__wheights="fixed<8,0>"), "got 'conv_1.wheights'; did you mean 'conv_1.weights'?"),
        (formats(zzz="fixed<8,0>"), "a candidate's slots must be the network's, but got 'zzz' ("),
        (formats(conv_2__biases=None), "must give every slot a format, but conv_2.biases has none"),
        ({"conv_1.weights": "fixed<8,0>"}, "but conv_1.biases and 25 more have none"),
        (formats(conv_3__weights="fixed<40,0>"), "bits must be a whole number between 1 and 32, but got 40"),
        (formats(conv_3__weights="fixed<40,0>"), "(conv_3.weights in "),
        (formats(conv_3__weights="binary"), "weights cannot be binary: it is 0 or 1, for activations"),
        (formats(conv_1__activations="vbs<4>"), "activations cannot be vbs<4>: its shifts follow stored values"),
        (
            formats(conv_1__weights="fixed<8,0/1/2>"),
            "must be as many as output channels, 2, but got 3 (conv_1.weights)",
        ),
    ],
)
def test_candidate_files_that_do_not_fit_are_one_line(run_cli, write_study, candidate_file, content, message) -> None:
    file = candidate_file(content)
    line = refused(run_cli, "memory", write_study(), "--candidate", file)
    assert message in line
    assert str(file) in line


def test_a_missing_candidate_file_is_named(run_cli, write_study, tmp_path: Path) -> None:
    line = refused(run_cli, "memory", write_study(), "--candidate", tmp_path / "none.json")
    assert "a candidate file must be a file, but" in line
    assert "none.json is not (--candidate)" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "fixed:8,0/1/2"], "must be as many as output channels, 2, but got 3 (conv_1.weights)"),
        (["--weights", "binary"], "weights cannot be binary"),
        (["--weights", "fixed:8,0", "--activations", "vbs:4"], "activations cannot be vbs<4>"),
        (["--weights", "fixed:8,0", "--report", "{tmp}/nowhere/a.html"], "nowhere does not (--report)"),
        (["--weights", "fixed:8,0", "--report", "{tmp}"], "is (--report)"),
        (["--weights", "fixed:8,0", "--candidate", "{tmp}/a.json"], "but got both"),
    ],
)
def test_nothing_is_prepared_for_what_cannot_be_analysed(
    run_cli, write_study, tmp_path: Path, arguments: list[str], message: str
) -> None:
    home = tmp_path / "home"
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert message in refused(run_cli, "analyze", write_study(), *given, "--home", home)
    assert not home.exists()


def test_memory_of_a_candidate_file_counts_per_channel_shifts(run_cli, write_study, candidate_file) -> None:
    status, out, _ = run_cli(
        "memory", write_study(), "--candidate", candidate_file(formats(conv_1__weights="fixed<8,0/1>"))
    )
    assert status == 0
    assert "fixed<8,0…1>" in out
    # conv_1: 18 weights of 8 bits and two positions of 6, two biases of 16.
    assert next(line for line in out.splitlines() if "conv_1" in line).split()[-3] == "24"


def test_analyze_of_an_exported_config_prints_and_writes_everything(
    run_cli, write_study, candidate_file, tmp_path: Path
) -> None:
    # Weights beyond ±1/16 overflow, and the others are far coarser than the default.
    file = candidate_file(
        {"study": "x", "candidate": formats(conv_1__weights="fixed<8,-4>", dense_1__weights="po2<4,-1>")}
    )
    page = tmp_path / "report.html"
    status, out, err = run_cli(
        "analyze", write_study(), "--candidate", file, "--report", page, "--home", tmp_path / "home"
    )
    assert status == 0, err
    lines = out.splitlines()
    slots = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in formats()]
    assert len(slots) == 27
    assert slots[0] == "conv_1.weights"
    assert "worst offenders first" in out
    assert not (tmp_path / "home" / "optuna.db").exists()
    sentences = [line for line in lines if line.startswith("- ")]
    assert sentences[0].startswith("- conv_1.weights ")
    assert " %: above 0.062012 or below -0.0625; " in sentences[0]
    assert " against float32, paired; " in lines[-1]
    assert err.endswith(f"written: {page}\n")
    text = page.read_text(encoding="utf-8")
    assert "tiny: fixed-point analysis" in text
    assert "conv_1 weights" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["candidate.json", "home", "report.html"]


def analysed(slot: Slot, **figures: float) -> LayerAnalysis:
    names = (
        "overflow",
        "underflow",
        "precision",
        "zero_gradient",
        "max_magnitude",
        "minimum",
        "maximum",
        "mean",
        "std",
    )
    numbers = {**dict.fromkeys((*names, "sqnr_db"), 0.0), **figures}
    return LayerAnalysis(slot, Fixed(8, (0, 1)), 2, 1, 10, integer_bits_needed=0, **numbers)


def trial(**changes: object) -> TrialReport:
    slots = [Slot("conv_1", Role.WEIGHTS), Slot("conv_2", Role.WEIGHTS)]
    candidate = Candidate.of(dict.fromkeys(slots, Fixed(8, (0, 1))))
    rows = (analysed(slots[0], precision=0.5), analysed(slots[1], overflow=0.5, max_magnitude=4.0))
    plain: dict[str, object] = {"state": TrialState.COMPLETE, "memory_bytes": 50, "analyses": rows}
    return TrialReport(0, candidate, **plain | changes)  # type: ignore[arg-type]


SUMS = (
    Accumulator("conv_2", "kernel", 2, 1, -500.0, 300.0, -15.0, 9.0, 17, True),
    Accumulator("conv_1", "kernel", 2, 1, -500.0, 300.0, -15.0, 9.0, None, False),
)


def test_the_table_ranks_and_shortens() -> None:
    table = analysis_table(trial())
    assert list(table.columns[0].cells) == ["conv_2.weights", "conv_1.weights"]
    assert list(table.columns[1].cells) == ["fixed<8,0…1>"] * 2
    assert [next(iter(column.cells)) for column in table.columns][2:6] == ["50.00%", "0.00%", "0.00%", "0.00%"]
    assert findings_text(trial(), 0.05, 100).splitlines() == [
        "overflow",
        "- conv_2.weights 50.0 %: the range of their channel; the largest magnitude is 4",
        "precision: moved by more than 5 %",
        "- conv_1.weights 50.0 %",
    ]
    assert findings_text(trial(analyses=()), 0.05, 100) == ""


def test_tensors_with_the_same_trouble_share_a_line() -> None:
    shares = (0.5, 0.3, *[0.02] * 8)
    rows = tuple(analysed(Slot(f"dense_{n}", Role.WEIGHTS), zero_gradient=share) for n, share in enumerate(shares))
    report = TrialReport(
        0,
        Candidate.of({row.slot: row.format for row in rows}),
        TrialState.COMPLETE,
        0,
        analyses=rows,
        accumulators=SUMS,
    )
    told = findings_text(report, 0.05, 60).splitlines()
    assert told[:2] == ["no gradient, of the elements", "- dense_0.weights 50.0 %, dense_1.weights 30.0 %,"]
    assert " ".join(told).count("2.0 %") == 6
    assert told[-3].endswith("and 2 more")
    assert told[-2:] == ["widest accumulator: conv_2: 27 bits can never overflow, 22", "held all sums seen"]
    assert max(map(len, told)) <= 60
    well = findings_text(trial(analyses=(analysed(Slot("conv_1", Role.WEIGHTS)),)), 0.05, 60)
    assert well.startswith("- nothing overflows in the one tensor")


def test_accumulators_show_a_dash_for_what_is_unknown() -> None:
    assert accumulator_cells(SUMS[0]) == ("conv_2", "kernel", "9", "4", "17", "27", "22")
    assert accumulator_cells(SUMS[1]) == ("conv_1", "kernel", "9", "4", "–", "–", "–")
    silent = dataclasses.replace(SUMS[0], lowest_used=0.0, highest_used=0.0)
    assert accumulator_cells(silent) == ("conv_2", "kernel", "9", "–", "17", "27", "–")
    table = accumulator_table(trial(accumulators=SUMS))
    assert [list(column.cells) for column in table.columns][-1] == ["22", "–"]


def test_the_verdict_tells_the_paired_difference() -> None:
    base = float_point(0.0332, 100)
    measured = reached(0.031, 50) | {"standard_error": 0.0042}
    full = trial(**measured, baseline_difference=-0.0022, baseline_difference_error=0.0009)
    assert trial_verdict(full, base, DEFAULT_GOALS) == (
        "STOI improvement +0.0310 ± 0.0042 (float32 +0.0332), -0.0022 ± 0.0009 against float32, paired; "
        "50 bytes, 50.0 % saved"
    )
    assert trial_verdict(trial(**measured), base, DEFAULT_GOALS) == (
        "STOI improvement +0.0310 ± 0.0042 (float32 +0.0332); 50 bytes, 50.0 % saved"
    )
    pruned = trial(state=TrialState.PRUNED, reason="too much")
    assert trial_verdict(pruned, base, DEFAULT_GOALS) == "pruned: too much (50 bytes, 50.0 % saved; float32 +0.0332)"


def test_the_verdict_tells_every_other_objective_by_its_title() -> None:
    known = {"energy_pj_per_frame": 1234.0, "rmse": 0.25, "memory_bytes": 50.0, "stoi_improvement": 0.031}
    goals = Goals(tuple(KNOWN[name][0] for name in ("stoi_improvement", "rmse", "energy_pj_per_frame", "memory_bytes")))
    told = trial_verdict(trial(**reached(0.031, 50) | {"values": known}), float_point(0.0332, 100), goals)
    assert told == (
        "STOI improvement +0.0310 (float32 +0.0332); RMSE 0.2500; energy per frame 1,234 pJ; 50 bytes, 50.0 % saved"
    )


def test_layer_rows_keep_the_whole_format_and_a_brief_one() -> None:
    from wordlength.search.export.facts import layer_rows
    from wordlength.space import SlotInfo, TensorInfo

    info = SlotInfo(Slot("conv_1", Role.WEIGHTS), (TensorInfo("kernel", (3, 2)),))
    (row,) = layer_rows([info], trial().candidate)
    assert row == LayerRow("conv_1", 6, ("fixed<8,0/1>", "–", "–"), ("fixed<8,0…1>", "–", "–"), 8)
