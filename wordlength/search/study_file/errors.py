"""What is wrong with a study file, in one line per broken rule: rule, value, hint, place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from wordlength.search.study_file.model import is_tag


def booleans(given: Any, read: Any, place: str = "") -> Iterator[tuple[str, bool]]:
    """Where YAML's true or false was taken for a number."""
    if isinstance(given, bool) and isinstance(read, (int, float)) and not isinstance(read, bool):
        yield place, given
    elif isinstance(given, dict) and isinstance(read, dict):
        for key in given:
            yield from booleans(given[key], read.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(given, list) and isinstance(read, list):
        for number, (one, other) in enumerate(zip(given, read, strict=False)):
            yield from booleans(one, other, f"{place}.{number}")


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")


def error_lines(problems: list[Any], schema: Any) -> list[str]:
    """One line per broken rule; a misspelt key does not count as a missing one too."""
    misspelt = {
        (*parents, near)
        for *parents, key in (_place(problem["loc"]) for problem in problems if problem["type"] in _UNKNOWN)
        for near in _near(key, parents, schema)
    }
    kept = [p for p in problems if p["type"] not in _MISSING or tuple(_place(p["loc"])) not in misspelt]
    return list(dict.fromkeys(_line(problem, schema) for problem in kept))


def _near(key: Any, parents: list[Any], schema: Any) -> list[str]:
    return get_close_matches(str(key), _known_keys(parents, schema), n=1, cutoff=0.5)


def _line(problem: Any, schema: Any) -> str:
    """`rule, but got value (place`: the caller closes the bracket with the file."""
    place = ".".join(str(part) for part in _place(problem["loc"]))
    kind, value = problem["type"], shown(problem["input"])
    if kind in _UNKNOWN:
        *parents, key = _place(problem["loc"])
        near = _near(key, parents, schema)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(_known_keys(parents, schema))}"
        return f"keys must be known, but got {key!r}; {hint} ({place}"
    if kind in _MISSING:
        return f"this key is required, but it is missing ({place}"
    if kind == "value_error":
        return f"{problem['ctx']['error']} ({place}"
    rule = re.sub(r"^Input should be ", "must be ", problem["msg"]).replace("a valid tuple", "a list")
    return f"value {rule[0].lower()}{rule[1:]}, but got {value} ({place}"


def _place(location: tuple[Any, ...]) -> list[Any]:
    # Tags of unions are pydantic's, not the user's.
    return [
        part
        for part in location
        if part not in ("range", "format") and not str(part).startswith("function-") and not is_tag(part)
    ]


def shown(value: Any) -> str:
    """A value in an error, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _known_keys(parents: list[Any], schema: Any) -> list[str]:
    """Keys allowed at a place, found in the JSON schema."""
    nodes = [schema]
    for part in parents:
        nodes = [child for node in _expand(nodes, schema) for child in _children(node, part)]
    return sorted({key for node in _expand(nodes, schema) for key in node.get("properties", {})})


def _expand(nodes: list[Any], schema: dict[str, Any]) -> list[Any]:
    expanded = []
    for node in nodes:
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        alternatives = node.get("anyOf", node.get("oneOf", []))
        expanded += _expand(alternatives, schema) if alternatives else [node]
    return expanded


def _children(node: dict[str, Any], part: Any) -> list[Any]:
    if isinstance(part, int):
        return [node["items"]] if "items" in node else node.get("prefixItems", [])
    extra = node.get("additionalProperties")
    return (
        [node["properties"][part]] if part in node.get("properties", {}) else [extra] if isinstance(extra, dict) else []
    )
