"""Candidates from the command line: formats given as options, or a file of formats by slot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordlength.space import Candidate, SlotInfo


def check_formats(*texts: str) -> None:
    """Refuse texts that are no formats, before anything slow."""
    from wordlength.space import parse_format

    for text in texts:
        parse_format(text)


def uniform_candidate(slots: tuple[SlotInfo, ...], weights: str, biases: str, activations: str) -> Candidate:
    """The same three formats in every layer."""
    from wordlength.space import Candidate, parse_format

    return Candidate.uniform(
        (info.slot for info in slots), parse_format(weights), parse_format(biases), parse_format(activations)
    )


def read_candidate(path: Path, slots: tuple[SlotInfo, ...]) -> Candidate:
    """The candidate of a JSON file: slot → format, as `wordlength propose --to` writes it, or an exported config.json.

    Raises SpecError or FormatError, naming the file, unless every slot of the network has a format that fits it.
    """
    from wordlength.errors import FormatError
    from wordlength.space import Candidate, parse_format

    texts, formats = _formats_in(path, [str(info.slot) for info in slots]), {}
    for info in slots:
        try:
            formats[info.slot] = parse_format(texts[str(info.slot)])
            info.formats(formats[info.slot])
            Candidate.of({info.slot: formats[info.slot]})
        except FormatError as error:
            place = path if str(info.slot) in str(error) else f"{info.slot} in {path}"
            raise FormatError(f"{error} ({place})") from None
    return Candidate.of(formats)


def _formats_in(path: Path, slots: list[str]) -> dict[str, str]:
    """The file's map, which names just the network's slots."""
    import json
    from difflib import get_close_matches

    from wordlength.errors import SpecError

    try:
        plain = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except RecursionError:
        raise SpecError(f"a candidate file must be a flat map, but it is nested too deep ({path})") from None
    except ValueError as error:
        raise SpecError(f"a candidate file must be JSON, but {error} ({path})") from None
    formats = plain.get("candidate", plain) if isinstance(plain, dict) else plain
    if not isinstance(formats, dict) or not all(isinstance(text, str) for text in formats.values()):
        raise SpecError(f'a candidate file must map slots to formats, as {{"{slots[0]}": "fixed<8,0>", …}} ({path})')
    if unknown := [name for name in formats if name not in slots]:
        near = get_close_matches(unknown[0], slots, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"a candidate's slots must be the network's, but got {unknown[0]!r}{hint} ({path})")
    if missing := [name for name in slots if name not in formats]:
        more = f" and {len(missing) - 1} more have" if len(missing) > 1 else " has"
        raise SpecError(f"a candidate must give every slot a format, but {missing[0]}{more} none ({path})")
    return formats


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} is there twice")
    return dict(pairs)
