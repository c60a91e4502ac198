"""reference/commands.md: every command with its arguments, options and help, from the Typer app that parses them."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = "reference/commands.md"
WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", Path: "path", bool: "switch"}
HEAD = """# Commands

Made from the commands themselves; `wordlength COMMAND --help` prints the same. Options in **bold** must be given.
"""


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls it once it has found the pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command as it is called, as `wordlength job status`, and its Click command, in the order of --help."""
    import typer

    from wordlength.search.cli import app

    yield from _below("wordlength", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for word, below in command.commands.items():
            yield from _below(f"{name} {word}", below)
    else:
        yield name, command


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = "    " + " ".join([name, *map(_word, arguments), "[OPTIONS]" if options else ""]).rstrip() + "\n"
    about = inspect.cleandoc(command.help or "")
    return f"\n## {name}\n\n{usage}\n{about}\n\n{_table('argument', arguments)}{_table('option', options)}"


def _word(argument: Any) -> str:
    word = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _table(kind: str, parameters: list[Any]) -> str:
    if not parameters:
        return ""
    rows = "".join(_row(one) for one in parameters)
    return f"| {kind} | value | meaning |\n| --- | --- | --- |\n{rows}\n"


def _row(one: Any) -> str:
    names = [*one.opts, *one.secondary_opts] if one.param_type_name == "option" else [_word(one).strip("[]")]
    shown = ", ".join(f"`{name}`" for name in names)
    help_text = " ".join((one.help or "").split())
    variables = [one.envvar] if isinstance(one.envvar, str) else one.envvar or []
    help_text += "".join(f" Environment: `{variable}`." for variable in variables)
    default = _default(one)
    value = _type(one) + (f"<br>default {default}" if default else "")
    cells = [f"**{shown}**" if one.required else shown, value, help_text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(one: Any) -> str:
    """What a value must be, in words. Raises ValueError for a type that has none."""
    if getattr(one, "is_flag", False):
        return "switch"
    annotation, stated = one.type_descriptor.annotation, one.type_descriptor.parameter_info
    kinds = [kind for kind in (annotation, *typing.get_args(annotation)) if kind in WORDS]
    choices = [str(choice) for kind in (annotation, *typing.get_args(annotation)) for choice in _choices(kind)]
    if not kinds and not choices:
        raise ValueError(f"an option's type must have a word, but {one.name} has {annotation}")
    name = ", ".join(f"`{choice}`" for choice in choices) or WORDS[kinds[0]]
    if stated.min is not None or stated.max is not None:
        name += f", {stated.min:,} to {stated.max:,}" if stated.max is not None else f", {stated.min:,} or more"
    return name + (", repeatable" if one.multiple else "")


def _choices(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    return tuple(member.value for member in kind) if isinstance(kind, enum.EnumMeta) else ()


def _default(one: Any) -> str:
    if isinstance(one.show_default, str):
        return f"`{one.show_default}`"
    if one.required or one.default in (None, (), [], "") or callable(one.default):
        return ""
    if getattr(one, "is_flag", False) or isinstance(one.default, bool):
        return "on" if one.default and one.secondary_opts else ""
    value = one.default
    return f"`{', '.join(map(str, value)) if isinstance(value, list | tuple) else value}`"
