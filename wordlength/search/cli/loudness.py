"""Where commands print, and how loudly: every one of them takes -v and -q, whatever else it takes.

Both may stand before the command's name as well: `wordlength -q front demo`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo, OptionInfo

from wordlength.search.cli.results import Results

notes = Console(stderr=True)
"""How far it is, what was written, what to do next; --quiet silences it."""
console = Results(notes)
"""Results: tables, figures, verdicts."""
errors = Console(stderr=True)


def switch(*names: str, **settings: Any) -> Any:
    """An option that takes no value; Typer would write <bool> beside it, as if it took one."""
    return typer.Option(*names, metavar="", **settings)


Verbose = Annotated[bool, switch("--verbose", "-v", help="Show what TensorFlow and Ray print, too.")]
Quiet = Annotated[bool, switch("--quiet", "-q", help="Print nothing but results and errors.")]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Plain:
    """A command whose help writes no <bool> beside Typer's own switches, as --help, either."""

    def get_params(self, context: Any) -> list[Any]:
        """As Typer's own."""
        own: list[Any] = super().get_params(context)  # type: ignore[misc]
        for option in own:
            if getattr(option, "is_flag", False) and option.metavar is None:
                option.metavar = ""
        return own


class _Single(_Plain, TyperCommand):
    pass


class _Root(_Plain, TyperGroup):
    pass


class CommandLine(typer.Typer):
    """Commands that all have both options; a function needs a parameter for one only if it has a use for it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Root, **settings)

    def command(self, *given: Any, **settings: Any) -> Callable[[_Command], _Command]:
        """As Typer's own."""
        register = super().command(*given, cls=_Single, **settings)

        def registered(function: _Command) -> _Command:
            register(_with_loudness(function))
            return function

        return registered


def _with_loudness(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with both options in its signature, which is where Typer looks for them."""
    own = inspect.signature(function, eval_str=True)
    _leave_files_to_the_command(own)
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in {"verbose": Verbose, "quiet": Quiet}.items()
        if name not in own.parameters
    ]

    @functools.wraps(function)
    def command(*, context: typer.Context, quiet: bool, **given: Any) -> Any:
        before = context.find_root().params
        notes.quiet = quiet or before["quiet"]
        if "verbose" in given:
            given["verbose"] = given["verbose"] or before["verbose"]
        return function(**{name: value for name, value in given.items() if name in own.parameters})

    command.__signature__ = own.replace(parameters=[*own.parameters.values(), *added, context])  # type: ignore[attr-defined]
    return command


def _leave_files_to_the_command(own: inspect.Signature) -> None:
    """Have Typer not refuse, in a box, a file that may not be read: who opens it says so in one line."""
    for parameter in own.parameters.values():
        for told in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(told, OptionInfo | ArgumentInfo):
                told.readable = False
