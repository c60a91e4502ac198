"""What a measuring command was asked for: its options, each refused in one line if it breaks a rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordlength.errors import FormatError, SpecError
from wordlength.search.cli.common import read_spec

if TYPE_CHECKING:
    from wordlength.search.home import Home
    from wordlength.search.study_file.spec import StudySpec
    from wordlength.space import Format, KindRange, Role

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="weights, biases or activations; may be given more than once.",
        show_default="all",
    ),
]
Bits = Annotated[str, typer.Option("--bits", metavar="N,N", help="Widths, separated by commas.")]


def study_spec(study: str, home: Home) -> StudySpec:
    """A study file as it is, launched or not; else the spec of a launched study. Raises SpecError."""
    return read_spec(Path(study)) if is_study_file(study) else home.find(study)


def is_study_file(study: str) -> bool:
    """Whether STUDY is meant as a study file."""
    return Path(study).suffix in (".yaml", ".yml")


def roles_of(names: Sequence[str] | None) -> tuple[Role, ...]:
    """The roles named, each once, in their own order; all if none is. Raises SpecError."""
    from wordlength.space import Role

    wanted = {one_of(name, tuple(Role), "--role") for name in names or tuple(Role)}
    return tuple(role for role in Role if role in wanted)


def one_of(value: str, known: Iterable[str], option: str) -> str:
    """The value, if it is known. Raises SpecError."""
    if value not in known:
        raise SpecError(f"{option.strip('-')} must be one of {', '.join(known)}, but got {value!r} ({option})")
    return value


def widths_of(text: str, kind: str, roles: Sequence[Role]) -> tuple[int, ...]:
    """Widths in ascending order, each once. Raises SpecError for one that the kind does not have."""
    from wordlength.objectives.sensitivity import ranged

    if not re.fullmatch(r"\s*[0-9]{1,6}\s*(,\s*[0-9]{1,6}\s*)*", text):
        raise SpecError(f"bits must be whole numbers separated by commas, as 4,8, but got {text!r} (--bits)")
    widths = tuple(sorted({int(part) for part in text.split(",")}))
    for width in widths:
        try:
            for role in roles:
                ranged(kind, width, role)
        except FormatError as error:
            raise SpecError(f"{error} (--bits)") from None
    return widths


def fractions_of(text: str) -> tuple[float, ...]:
    """Fractions in ascending order, each once. Raises SpecError."""
    try:
        shares = () if "_" in text else tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 1 for share in shares):
        raise SpecError(
            f"fractions must be above 0 and at most 1, separated by commas, as 0.05,0.1, but got {text!r} (--fractions)"
        )
    return shares


def wish_of(text: str, role: Role) -> tuple[KindRange, int] | Format:
    """`fixed:4` and its like as the range to propose from; a whole format as itself. Raises SpecError."""
    from wordlength.space import AtProposal, parse_wish
    from wordlength.space.candidate import unfit

    try:
        wish = parse_wish(text)
    except FormatError as error:
        raise SpecError(f"{error} (--{role})") from None
    reason = wish.unfit(role) if isinstance(wish, AtProposal) else unfit(wish, role)
    if reason:
        raise SpecError(f"{reason} (--{role})")
    return (wish.limits, wish.bits) if isinstance(wish, AtProposal) else wish
