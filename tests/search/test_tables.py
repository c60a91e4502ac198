import io

from rich.console import Console

from wordlength.search.front import Baseline
from wordlength.search.tables import front_tables
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Candidate, Fixed, Role, Slot

SLOTS = [Slot("dense_1", role) for role in Role]


def row(number: int, improvement: float, memory_bytes: int, label: str = "") -> TrialRow:
    return TrialRow(
        number,
        "complete",
        Candidate.uniform(SLOTS, Fixed(4, -1), Fixed(16, 2), Fixed(16, 2)),
        label,
        stoi_improvement=improvement,
        stoi_standard_error=0.0038,
        memory_bytes=memory_bytes,
        gains=(improvement - 0.01 * (number % 2), improvement + 0.01 * (number % 2)),
        difference=improvement - 0.04,
        difference_error=0.0009,
    )


def test_no_figure_of_the_front_is_cut_in_80_columns() -> None:
    rows = (row(9_997, 0.03, 119_606), row(9_998, 0.0301, 1_131_184, "uniform po2<4,-1>"))
    file = io.StringIO()
    view = StudyView("klein", rows, Baseline(0.04, 1_875_812), 10_000)
    Console(file=file, width=80).print(*front_tables(view, 80), sep="\n")
    text = file.getvalue()
    assert "…" not in text
    for shown in ("9997 +0.0300 ± 0.0038 -0.0100 ± 0.0009", "1,131,184 39.7 %", "≈ 9998", "≈ N: 2 mixtures"):
        assert shown in text
