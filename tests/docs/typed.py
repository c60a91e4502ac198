"""Command lines against the Typer app that would parse them."""

from typing import Any

import typer

from wordlength.search.cli import app


def refusal(words: list[str], whole: bool = True) -> str:
    """Why the command line refuses these words after `wordlength`; empty if it takes them.

    A mention of a command in prose (`whole` false) may leave out what it must be given.
    """
    command: Any = typer.main.get_command(app)
    left = list(words)
    while hasattr(command, "commands"):
        if left and left[0].startswith("-"):
            return "" if left[0] in _options(command) else f"no such option: {left[0]}"
        if not left:
            return "" if not whole else "no command is named"
        if left[0] not in command.commands:
            return f"no such command: {left[0]}"
        command = command.commands[left.pop(0)]
    try:
        command.make_context(" ".join(words), left)
    except Exception as error:
        kind = type(error).__name__
        if kind == "Exit" or (kind == "MissingParameter" and not whole):
            return ""
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    return ""


def _options(command: Any) -> set[str]:
    return {name for option in command.params for name in option.opts} | {"-h", "--help"}
