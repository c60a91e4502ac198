"""propose, sensitivity and subset as their user meets them, on a study so small that each takes seconds."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot, parse_format

pytestmark = pytest.mark.usefixtures("tensorflow")

LAYERS = [*(f"conv_{n}" for n in range(1, 7)), *(f"dense_{n}" for n in range(1, 4))]
COMMANDS = ("propose", "sensitivity", "subset")


@pytest.fixture(scope="module")
def study(write_study) -> Path:
    """A study file that was never launched."""
    return write_study()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all commands, so that the baseline is trained once."""
    return tmp_path_factory.mktemp("measures") / "home"


@pytest.fixture
def run(run_cli, study: Path, home: Path) -> Callable[..., str]:
    """Runs a command on the study and returns what it prints."""

    def ran(command: str, *options: object) -> str:
        status, out, err = run_cli(command, study, "--home", home, *options)
        assert status == 0, err
        return out + err

    return ran


def figures(file: Path, command: str) -> dict:
    """A written JSON file, which must be strict JSON of the tiny study."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    plain = json.loads(file.read_text(), parse_constant=refuse)
    assert (plain["command"], plain["study"]) == (command, "tiny")
    assert set(plain["baseline"]) == {"digest", "stoi_improvement", "stoi_standard_error", "memory_bytes"}
    return plain


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(run_cli, command: str) -> None:
    status, out, _ = run_cli(command, "--help")
    assert status == 0
    assert "Examples" in out
    assert f"wordlength {command} demo" in out


def test_propose_prints_every_slot_and_width(run, tmp_path: Path) -> None:
    file = tmp_path / "propose.json"
    out = run("propose", "--bits", "8,4", "--sqnr", "--json", file)
    for role in Role:
        assert f"{role} as fixed point: integer bits" in out
        assert f"{role} as fixed point: SQNR in dB" in out
    assert all(out.count(layer) == 6 for layer in LAYERS)
    rows = figures(file, "propose")["slots"]
    assert len(rows) == 27
    for row in rows:
        assert [proposal["bits"] for proposal in row["proposals"]] == [4, 8]
        for proposal in row["proposals"]:
            assert parse_format(proposal["least_error"]).width_bits == proposal["bits"]
            assert 0 <= proposal["overflow"] <= 1


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_proposals_are_whole_at_any_width(columns: int) -> None:
    from wordlength.objectives.proposals import Proposal
    from wordlength.search.measure_tables import proposal_tables
    from wordlength.search.measures import SlotProposals

    slot = Slot("convolution_1", Role.WEIGHTS)
    each = [Proposal(slot, bits, Fixed(bits, -bits), Fixed(bits, -1), 0.0, 1.0) for bits in range(2, 12)]
    file = io.StringIO()
    tables = proposal_tables([SlotProposals(slot, 0.12345, -3, tuple(each))], "fixed", 0.001, columns)
    Console(file=file, width=columns).print(*tables, sep="\n")
    if columns > 40:
        assert "…" not in file.getvalue()
        assert all(file.getvalue().count(f" {-bits} (-1) ") == 1 for bits in range(2, 12))
    assert file.getvalue().count("weights as fixed point") == {40: 10, 80: 4, 200: 1}[columns]


def test_propose_takes_a_launched_study_by_its_name(run_cli, study: Path, home: Path) -> None:
    folder = home / "studies" / "tiny"
    folder.mkdir(parents=True)
    try:
        shutil.copy(study, folder / "study.yaml")
        status, out, err = run_cli("propose", "tiny", "--home", home, "--kind", "po2", "--bits", 3, "--role", "weights")
    finally:
        shutil.rmtree(home / "studies")
    assert status == 0, err
    assert "weights as power of two: largest exponent" in out
    assert "biases as" not in out


@pytest.mark.parametrize("rule", ["error", "overflow"])
def test_a_proposed_candidate_can_be_gone_on_with(run, run_cli, study: Path, tmp_path: Path, rule: str) -> None:
    file = tmp_path / "candidate.json"
    formats = ["--weights", "po2:4,zero", "--biases", "fixed:12,channel", "--activations", "fixed:8,2"]
    out = run("propose", "--to", file, *formats, "--rule", rule)
    assert f"wordlength analyze {study} --candidate {file}" in out
    candidate = Candidate.from_json(file.read_text())
    assert len(candidate) == 27
    for slot, fmt in candidate.pairs:
        match slot.role:
            case Role.WEIGHTS:
                assert isinstance(fmt, PowerOfTwo)
                assert (fmt.bits, fmt.zero) == (4, True)
            case Role.BIASES:
                assert isinstance(fmt, Fixed)
                assert (fmt.bits, fmt.per_channel) == (12, True)
            case Role.ACTIVATIONS:
                assert fmt == Fixed(8, 2)
    status, out, err = run_cli("memory", study, "--candidate", file)
    assert status == 0, err
    assert "memory of all parameters" in out


def test_the_rules_propose_other_formats(run, tmp_path: Path) -> None:
    found = {}
    for rule in ("error", "overflow"):
        run("propose", "--to", tmp_path / rule, "--rule", rule, "--weights", "fixed:2", "--overflow", 0)
        found[rule] = Candidate.from_json((tmp_path / rule).read_text())
    weights = [slot for slot in found["error"] if slot.role is Role.WEIGHTS]
    assert all(found["overflow"][slot].highest >= found["error"][slot].highest for slot in weights)
    assert any(found["overflow"][slot].highest > found["error"][slot].highest for slot in weights)


@pytest.mark.parametrize(("kind", "suffix"), [("po2", "png"), ("vbs", "html")])
def test_sensitivity_prints_writes_and_draws(run, tmp_path: Path, kind: str, suffix: str) -> None:
    file, plot = tmp_path / "sensitivity.json", tmp_path / f"sensitivity.{suffix}"
    out = run(
        "sensitivity",
        "--kind",
        kind,
        "--bits",
        4,
        "--role",
        "biases",
        "--role",
        "weights",
        "--json",
        file,
        "--plot",
        plot,
    )
    assert all(f"{layer}.weights" in out and f"{layer}.biases" in out for layer in LAYERS)
    assert "conv_1.activations" not in out
    plain = figures(file, "sensitivity")
    assert plain["roles"] == ["weights", "biases"]
    (width,) = plain["widths"]
    assert width["bits"] == 4
    assert len(width["slots"]) == 18
    losses = [row["only"]["difference"] for row in width["slots"]]
    printed = [line.split()[1] for line in out.splitlines() if line.startswith("│") and "." in line.split()[1]]
    assert printed == [row["slot"] for _, row in sorted(zip(losses, width["slots"], strict=True), key=lambda p: p[0])]
    content = plot.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix == "png" else b"conv_1.weights" in content


def test_subset_tells_whether_it_is_honest(run, tmp_path: Path) -> None:
    file = tmp_path / "subset.json"
    out = run("subset", "--fractions", "1,0.2", "--formats", 5, "--json", file)
    plain = figures(file, "subset")
    assert plain["subset_fraction"] == 0.5
    small, whole = plain["fractions"]
    assert (small["name"], whole["name"]) == ("0.2", "1.0")
    assert small["windows"] < whole["windows"] == plain["all"]["windows"]
    # The whole subset is all windows: no difference in anything.
    assert whole["ranks"]["spearman"] == pytest.approx(1)
    assert whole["ranks"]["mean_difference"] == 0
    assert whole["reach"] == plain["all"]["reach"]
    assert [row["slot"] for row in whole["reach"]] == [f"{layer}.activations" for layer in LAYERS]
    assert len(plain["all"]["outcomes"]["reports"]) == 5
    assert plain["again"]["windows"] == plain["all"]["windows"]
    assert plain["again"]["ranks"]["mean_difference"] > 0  # another order trains otherwise
    assert plain["again"]["ranks"]["swapped_pairs"] == 0
    sentences = [line for line in out.splitlines() if line.startswith(("0.2: ", "1.0: "))]
    assert len(sentences) == 2
    assert "gives the same STOI improvement" in sentences[1]
    assert "sees the largest activations of every layer" in sentences[1]
    assert "This study's own subset_fraction is 0.5." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("propose", "--bits", "0"), "fixed bits must be a whole number between 1 and 32, but got 0 (--bits)"),
        (("propose", "--bits", "40"), "fixed bits must be a whole number between 1 and 32, but got 40 (--bits)"),
        (("propose", "--bits", "x"), "bits must be whole numbers separated by commas, as 4,8, but got 'x' (--bits)"),
        (("propose", "--bits", ""), "bits must be whole numbers separated by commas, as 4,8, but got '' (--bits)"),
        (("propose", "--bits", "4,,8"), "but got '4,,8' (--bits)"),
        (("propose", "--bits", "-4"), "but got '-4' (--bits)"),
        (("propose", "--kind", "vbs"), "kind must be one of fixed, po2, but got 'vbs' (--kind)"),
        (
            ("propose", "--role", "weight"),
            "must be one of weights, biases, activations, but got 'weight' (--role)",
        ),
        (("propose", "--rule", "best"), "rule must be one of error, overflow, but got 'best' (--rule)"),
        (("propose", "--overflow", "1"), "overflow must be at least 0 and below 1, but got 1 (--overflow)"),
        (("propose", "--overflow", "nan"), "overflow must be at least 0 and below 1, but got nan (--overflow)"),
        (("propose", "--to", "missing/c.json"), "a file's folder must exist, but missing does not (--to)"),
        (("propose", "--to", "."), "a file to write must not be a folder, but . is (--to)"),
        (("propose", "--json", "missing/c.json"), "a file's folder must exist, but missing does not (--json)"),
        (("propose", "--weights", "fixed:0"), "fixed bits must be a whole number between 1 and 32, but got 0"),
        (("propose", "--weights", "fixed:4,chanel"), "fixed options must be channel, half_even"),
        (("propose", "--weights", "po2:4,channel"), "po2 options must be zero, but got 'channel'"),
        (("propose", "--weights", "float16"), "format must be one of float32"),
        (("propose", "--weights", "binary"), "weights cannot be binary: it is 0 or 1, for activations"),
        (("propose", "--activations", "vbs:4"), "activations cannot be vbs<4>: its shifts follow stored values"),
        (
            ("propose", "--activations", "fixed:4,channel"),
            "activations cannot be fixed<4,0…0>: integer bits",
        ),
        (("sensitivity", "--bits", "1", "--kind", "vbs"), "vbs bits must be"),
        (("sensitivity", "--bits", "17", "--kind", "po2"), "between 1 and 16, but got 17 (--bits)"),
        (("sensitivity", "--kind", "float"), "kind must be one of fixed, po2, vbs, but got 'float' (--kind)"),
        (
            ("sensitivity", "--plot", "bars.pdf"),
            "a picture's file must end in .png or .html, but got 'bars.pdf' (--plot)",
        ),
        (("sensitivity", "--plot", "missing/bars.png"), "a file's folder must exist, but missing does not (--plot)"),
        (("subset", "--fractions", "0"), "fractions must be above 0 and at most 1"),
        (("subset", "--fractions", "0.1,1.5"), "but got '0.1,1.5' (--fractions)"),
        (("subset", "--fractions", "x"), "but got 'x' (--fractions)"),
        (("subset", "--fractions", ""), "but got '' (--fractions)"),
        (("subset", "--fractions", "nan"), "but got 'nan' (--fractions)"),
        (("subset", "--formats", "4"), "formats must be between 5 and 12, but got 4 (--formats)"),
        (("subset", "--formats", "13"), "formats must be between 5 and 12, but got 13 (--formats)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options_are_refused_before_anything_is_done(
    run_cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = arguments
    status, out, err = run_cli(command, study, "--home", tmp_path / "home", *options)
    assert status == 2, out
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("study", "message"),
    [
        ("nobody", "a study must have been launched, but got 'nobody'"),
        ("missing.yaml", "a study file must be readable, but missing.yaml is not"),
    ],
)
def test_unknown_studies_are_refused(run_cli, tmp_path: Path, command: str, study: str, message: str) -> None:
    status, _, err = run_cli(command, study, "--home", tmp_path / "home")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_ctrl_c_leaves_no_file(run_cli, study: Path, home: Path, tmp_path: Path, monkeypatch) -> None:
    from wordlength.objectives.evaluate import Evaluator

    def interrupted(self: Evaluator, candidate: Candidate) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Evaluator, "measure_untrained", interrupted)
    options = ["--plot", tmp_path / "bars.png", "--json", tmp_path / "bars.json"]
    status, _, err = run_cli("sensitivity", study, "--home", home, *options)
    assert status == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_counted_bars_are_lines_where_there_is_no_terminal() -> None:
    from wordlength.search.progress import LaunchDisplay

    file = io.StringIO()
    with LaunchDisplay(Console(file=file)) as display:
        for done in range(41):
            display.count("measured", done, 40, f"slot {done}" if done else "")
    lines = file.getvalue().splitlines()
    assert lines[0] == "measured: 0 of 40"
    assert lines[1] == "measured: 4 of 40, slot 4"
    assert lines[-1] == "measured: 40 of 40, slot 40"
    assert len(lines) == 11


def fraction_row(
    name: str, largest: float, overflow: float = 0.01, spearman: float = 1.0, clear: int = 5, swapped: int = 0
):
    """A fraction with one layer, `a`."""
    from wordlength.objectives.fidelity import Outcomes, RankFidelity
    from wordlength.objectives.reach import SlotReach
    from wordlength.search.measures import FractionRow

    ranks = RankFidelity(spearman, spearman, 0.004, 0.002, clear, swapped)
    reach = SlotReach(Slot("a", Role.ACTIVATIONS), 0.0, largest, {"fixed<16,2>": overflow})
    return FractionRow(name, False, 3, 30, Outcomes(0, {}), ranks, (reach,))


@pytest.mark.parametrize(
    ("largest", "figures", "words"),
    [
        (7.0, {}, ["0.1: honest: swaps none of the 5 pairs", "(Spearman 1.00, all windows trained twice 0.90)"]),
        (
            7.0,
            {},
            ["2.0 paired standard errors; all windows trained twice 0.0040", "largest activations of every layer"],
        ),
        (5.0, {}, ["0.1: honest: ", "misses the largest activation of a by 0.5 integer bits (5 of 7), within"]),
        (3.5, {}, ["honest about ranks, not about ranges", "by 1.0 integer bits", "give a too few"]),
        (7.0, {"swapped": 2}, ["honest about ranges, not about ranks", "swaps 2 of the 5 pairs"]),
        (7.0, {"spearman": 0.9}, ["0.1: honest: swaps none"]),
        (7.0, {"spearman": 0.8}, ["0.1: honest about ranges, not about ranks: swaps none of the 5", "Spearman 0.80"]),
        (7.0, {"clear": 0}, ["0.1: honest about ranges, ranks cannot be told", "tell no two candidates apart"]),
        (3.5, {"clear": 0}, ["0.1: not honest about ranges, ranks cannot be told"]),
        (1.0, {"swapped": 1}, ["0.1: not honest: "]),
        (7.0, {"overflow": 0.03}, ["at most 2.00 percentage points (a, fixed<16,2>: 3.00% instead of 1.00%)"]),
    ],
)
def test_sentences_say_what_the_figures_say(largest: float, figures: dict, words: list[str]) -> None:
    from wordlength.objectives.goals import KNOWN
    from wordlength.search.measure_tables import fidelity_sentence

    again, full = fraction_row("all, again", 7.0, spearman=0.9), fraction_row("all", 7.0)
    sentence = fidelity_sentence(fraction_row("0.1", largest, **figures), again, full, KNOWN["rmse"][0])
    for part in ("its RMSE is 0.0040 away on average", *words):
        assert part in sentence


def test_the_plot_is_valid_plotly() -> None:
    from wordlength.objectives.sensitivity import Effect, SlotSensitivity
    from wordlength.search.measure_plots import sensitivity_figure, sensitivity_png
    from wordlength.search.measures import Sensitivities

    rows = tuple(
        SlotSensitivity(Slot(f"a$b{n}", role), Fixed(4, 0), Effect(-0.01 * n, 0.002), Effect(0.01, 0.02))
        for n in range(2)
        for role in Role
    )
    found = [Sensitivities(bits, -0.1, Effect(-0.2, 0.01), rows) for bits in (3, 4)]
    figure = sensitivity_figure(found, "fixed", "title")
    import plotly.graph_objects

    plotly.graph_objects.Figure(figure)  # Raises ValueError for a property plotly does not know.
    assert len(figure["data"]) == 2 * 2 * 3
    assert [trace["showlegend"] for trace in figure["data"]].count(True) == 3
    lost = figure["data"][0]
    assert lost["y"] == ["a$b0.weights", "a$b1.weights"]
    assert lost["x"] == [0.0, 0.01]
    assert lost["marker"]["opacity"] == [0.35, 1.0]
    assert sensitivity_png(found, "fixed", "title").startswith(b"\x89PNG")
