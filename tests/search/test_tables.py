import io
import re

import pytest
from rich.console import Console
from two_goals import float_point, values

from wordlength.search.tables import front_tables
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot

SLOTS = [Slot(layer, role) for layer in ("conv_1", "dense_1") for role in Role]
MIXED = Candidate.of({slot: Fixed(4 if slot.layer == "conv_1" else 3, -1) for slot in SLOTS})
POWERS = Candidate.uniform(SLOTS, PowerOfTwo(4, -1), Fixed(16, 2), Fixed(16, 2))


def row(number: int, improvement: float, memory_bytes: int, label: str = "", candidate: Candidate = MIXED) -> TrialRow:
    return TrialRow(
        number,
        "complete",
        candidate,
        label,
        values=values(improvement, memory_bytes),
        standard_error=0.0038,
        memory_bytes=memory_bytes,
        gains=(improvement - 0.01 * (number % 2), improvement + 0.01 * (number % 2)),
        difference=improvement - 0.04,
        difference_error=0.0009,
    )


def printed(*rows: TrialRow, width: int = 80, float32: float = 0.04) -> str:
    file = io.StringIO()
    view = StudyView("klein", rows, float_point(float32, 1_875_812), 10_000)
    Console(file=file, width=width).print(*front_tables(view, width), sep="\n", markup=False)
    text = file.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    return text


def test_no_figure_of_the_front_is_cut_in_80_columns() -> None:
    text = printed(row(9_997, 0.03, 119_606), row(9_998, 0.0301, 1_131_184, "uniform po2<4,-1>", POWERS))
    assert "…" not in text
    for shown in ("9997 +0.0300 ± 0.0038 -0.0100 ± 0.0009", "1,131,184 39.7 %", "≈ 9998", "≈ N: 2 mixtures"):
        assert shown in text


def test_nothing_of_the_front_wraps_in_80_columns() -> None:
    text = printed(*(row(n, 0.03 + n * 1e-4, 119_606 + n * 1e5, "uniform po2<4,-1>", POWERS) for n in range(6)))
    shown = [line for line in text.splitlines() if line.strip()]
    assert [line for line in shown if re.match(" {30}", line) and "formats by trial" not in line] == []
    assert any(line.startswith("≈ N: 2 mixtures") and line.rstrip().endswith("standard errors)") for line in shown)


def test_formats_that_need_several_tables_are_numbered() -> None:
    mixed = [Candidate.of({slot: Fixed(4 + n, -n) for slot in SLOTS}) for n in range(9)]
    rows = [row(n, 0.03 + n * 1e-4, 100_000 + n, candidate=candidate) for n, candidate in enumerate(mixed)]
    assert re.findall(r"formats by trial ?(.*?) *\n", printed(*rows)) == ["(1 of 3)", "(2 of 3)", "(3 of 3)"]
    assert re.findall(r"formats by trial ?(.*?) *\n", printed(*rows, width=160)) == [""]
    assert "…" not in printed(*rows)


def notes(text: str) -> list[str]:
    """The last column, trial by trial."""
    found: list[str] = []
    for line in text.split("formats by trial")[0].splitlines()[3:]:
        if re.match(r" *\d+ [+-]", line):
            found.append(line.split(" %", 1)[1].strip())
    return found


@pytest.mark.parametrize("width", [80, 160])
def test_the_front_names_its_knee_its_ends_and_uniform_formats(width: int) -> None:
    uniform = Candidate.uniform(SLOTS, Fixed(5, 0), Fixed(16, 2), Fixed(8, 2))
    text = printed(
        row(2, 0.010, 100_000),
        row(4, 0.030, 200_000, "uniform po2<4,-1>", POWERS),
        row(6, 0.031, 300_000, "", uniform),
        row(8, 0.032, 400_000, "[red]mine"),
        width=width,
    )
    assert notes(text) == ["smallest", "knee", "", "best"]
    for name in ("4: uniform po2<4,-1> (the paper’s)", "6: uniform fixed<5,0>", "8: [red]mine"):
        assert f"\ntrial {name}\n" in text
    assert "trial 2: " not in text
    assert "…" not in text
    assert "the paper: Klein, Kantic & Blume 2021, whose network this is\n" in text


def test_no_paper_is_named_where_no_member_is_of_one() -> None:
    assert "paper" not in printed(row(1, 0.01, 100_000), row(2, 0.02, 200_000))


def test_shares_kept_are_told_only_of_what_float32_improves() -> None:
    rows = (row(1, 0.01, 100_000), row(2, 0.02, 200_000))
    assert " kept " in printed(*rows)
    assert " 50% " in printed(*rows)
    assert " kept " not in printed(*rows, float32=-0.01)


def test_a_front_without_members_is_a_title() -> None:
    assert "Pareto front of 'klein', 0 of 10000 trials finished" in printed()
