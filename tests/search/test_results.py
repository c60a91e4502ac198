"""What commands print: no blanks at the ends of piped lines, and no figure is cut in a narrow terminal."""

from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from wordlength.search.cli.results import Results
from wordlength.search.disk.item import Item, Kind
from wordlength.search.disk.tables import items_table
from wordlength.search.table_style import NARROW


@pytest.fixture
def console() -> Results:
    return Results(Console(stderr=True))


def figures() -> Table:
    table = Table(title="title", **NARROW)
    for name in ("first", "second", ""):
        table.add_column(name, no_wrap=name != "")
    table.add_row("123456789 " * 3, "987654321 " * 3, "word")
    table.add_row("1", "2", "")
    return table


def test_no_line_ends_in_blanks(console: Results, capsys: pytest.CaptureFixture[str]) -> None:
    console.show(figures(), "text [red]as it is[/red]  ")
    text = capsys.readouterr().out
    assert "title\n" in text
    assert text.endswith("text [red]as it is[/red]\n")
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_terminal_of_forty_columns_gets_whole_figures_and_is_told_once(
    console: Results, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    console.show(figures(), figures())
    text, told = capsys.readouterr()
    assert "…" not in text
    assert text.count("987654321 987654321 987654321") == 2
    assert told == "tables take 80 columns, but this terminal has 40: their lines fold\n"
    console.begin()
    console.show(figures())
    assert capsys.readouterr().err == told


def test_what_lies_on_disk_is_told_in_80_columns(console: Results, capsys: pytest.CaptureFixture[str]) -> None:
    used = datetime(2026, 11, 28, 17, 10)
    names = [
        ("artifacts of a study whose name is long", Kind.ARTIFACTS),
        ("a_study/" + "0123456789abcdef" * 2, Kind.ARTIFACTS),
    ]
    found = [Item(kind, name, (Path(name),), 60_300, used, busy="x" * 30) for name, kind in names]
    console.show(items_table("title", found))
    text = capsys.readouterr().out
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("60.3 kB  2026-11-28 17:10") == 2
    assert "ef0" not in text


def test_what_fits_or_may_wrap_is_not_told_of(
    console: Results, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    small, words = Table(**NARROW), Table(**NARROW)
    small.add_column("name", no_wrap=True)
    small.add_row("short")
    words.add_column("words")
    words.add_row("word " * 30)
    console.show(small, words)
    text, told = capsys.readouterr()
    assert told == ""
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("word ") + text.count("word\n") == 30
