"""Rules that pick a point: what is none is told at once, with what it may have meant."""

import subprocess
import sys

import pytest

from wordlength.search.picking import Rule


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("kneee", "knee"),
        ("Best", "best"),
        ("knee=", "knee"),
        ("trail=3", "trial=3"),
        ("trial", "trial=N"),
        ("7", "trial=7"),
        ("max_bytes=200kB", "max-bytes=200kB"),
        ("max-bytes", "max-bytes=SIZE"),
        ("1.5 MiB", "max-bytes=1.5 MiB"),
    ],
)
def test_a_misspelt_rule_is_told_what_is_near(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"picked by one of knee, .* but got .*; did you mean {near}\?$"):
        Rule.parse(text)


def test_nothing_is_suggested_that_is_not_near() -> None:
    with pytest.raises(ValueError, match=r"but got 'cheapest'$"):
        Rule.parse("cheapest")


@pytest.mark.parametrize(
    "command", [["export", "nobody", "--to", "x"], ["listen", "nobody", "--to", "x"], ["retrain", "nobody"]]
)
def test_commands_refuse_a_rule_before_anything_is_loaded(command: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('HEAVY', sorted({'numpy', 'optuna', 'ray'} & set(sys.modules))))\n"
        f"sys.argv = ['wordlength', *{[*command, '--pick', 'kneee']!r}]\n"
        "from wordlength.search.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "HEAVY []\n")
    assert "did you mean knee? (--pick)" in done.stderr
