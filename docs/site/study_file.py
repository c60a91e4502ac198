"""reference/study-file.md: every key of the study file, from its JSON schema and from what its classes refuse."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

PAGE = "reference/study-file.md"
HEAD = """# Study file

Every key that a study file may hold, made from the schema that checks it (`wordlength schema` prints it for editors).
Unknown keys are refused with their place. Only `name` and `data` must be there; a key in **bold** must be there
wherever its section is. Examples: [demo.yaml](../../examples/demo.yaml), [klein.yaml](../../examples/klein.yaml);
`wordlength init` writes one for your network.
"""
SMALLEST: dict[str, dict[str, Any]] = {
    "FixedRange": {"bits": (4, 4)},
    "PowerOfTwoRange": {"bits": (4, 4)},
    "VirtualBitShiftRange": {"bits": (4, 4)},
    "CorpusSettings": {"kind": "builtin"},
    "ObjectiveSettings": {"name": "memory_bytes"},
    "PairSettings": {"kind": "paired", "path": "pairs"},
}
"""What a section's class must be given, to ask it what it refuses."""


NETWORKS = {"UserModel": "file.py:function", "KerasFile": "file.keras"}
"""Networks without a name of their own."""
FAR = 10**9
KINDS = {"TargetSettings": [{"kind": "ibm"}, {"kind": "score"}]}
"""Keys that have a range with some kinds of their section only."""
STATED = re.compile(r"must .*?(?:between (\S+) and (\S+)|(above \S+) and (at most \S+)|(above \S+)|(at least \S+)),? ")
"""The range in the message of a refusal."""


class Section(NamedTuple):
    """One table: the keys' place in the study file, its class and schema, and where else the same keys stand."""

    place: str
    name: str
    schema: dict[str, Any]
    also: list[str]


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls it once it has found the pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The whole page."""
    schema = _schema()
    sections = {section.name: section for section in _sections(schema)}
    return HEAD + "".join(_table(section, sections) for section in sections.values())


@functools.cache
def _schema() -> dict[str, Any]:
    from wordlength.search.study_file.spec import json_schema

    return json_schema()


def anchor(place: str) -> str:
    """A key's or section's anchor: `training.batch_size` → training-batch_size."""
    return re.sub(r"[^a-z0-9_]+", "-", place.lower()).strip("-") or "study"


def _sections(schema: dict[str, Any]) -> list[Section]:
    """The study, then the sections below its keys in their order, each once, where it stands first."""
    classes = schema["$defs"]
    waiting, found = [Section("", "StudySpec", schema, [])], {}
    while waiting:
        section = waiting.pop(0)
        if section.name in found:
            found[section.name].also.append(section.place)
            continue
        found[section.name] = section
        waiting = [
            Section(f"{section.place}.{key}".strip(".") + _which(rule, classes[name]), name, classes[name], [])
            for key, rule in section.schema["properties"].items()
            for name in _referred(rule)
            if "properties" in classes[name]
        ] + waiting
    return list(found.values())


def _which(rule: dict[str, Any], schema: dict[str, Any]) -> str:
    """Which of several sections of the same key: its name."""
    if len(list(_referred(rule))) < 2:
        return ""
    name = schema["properties"]["name"]
    return f": {name.get('const') or NETWORKS[schema['title']]}"


def _referred(rule: Any) -> Iterator[str]:
    """Classes that a rule refers to."""
    if isinstance(rule, dict):
        if "$ref" in rule:
            yield rule["$ref"].rsplit("/", 1)[1]
        for key, value in rule.items():
            if key != "default":
                yield from _referred(value)
    elif isinstance(rule, list):
        for value in rule:
            yield from _referred(value)


def _table(section: Section, sections: dict[str, Section]) -> str:
    title = f"`{section.place}`" if section.place else "The study"
    # Which errors a class raises tells a programmer something, and nobody who writes a study file.
    about = re.sub(r" Raises [A-Z]\w+Error[^.]*\.", "", section.schema.get("description", ""))
    if section.also:
        about += "\n\nThe same keys: " + ", ".join(f"`{place}`" for place in section.also) + "."
    rows = "".join(_row(section, key, rule, sections) for key, rule in section.schema["properties"].items())
    head = f"\n## {title} {{ #{anchor(section.place)} }}\n\n{about}\n\n"
    return head + "| key | value | meaning |\n| --- | --- | --- |\n" + rows


def _row(section: Section, key: str, rule: dict[str, Any], sections: dict[str, Section]) -> str:
    place = f"{section.place}.{key}".strip(".")
    below = [name for name in _referred(rule) if name in sections]
    own = anchor(place)
    # A key that a section is named after needs no anchor of its own.
    shown = (
        f"`{key}`" if any(anchor(sections[name].place) == own for name in below) else f"[`{key}`](#{own}){{ #{own} }}"
    )
    if key in section.schema.get("required", ()):
        shown = f"**{shown}**"
    meaning = " ".join(rule.get("description", "").split())
    limits, default = _range(section, key, rule), _default(section, key, rule)
    value = "<br>".join(
        [_type(rule, sections), *([limits] if limits else []), *([f"default {default}"] if default else [])]
    )
    cells = [shown, value, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(rule: dict[str, Any], sections: dict[str, Section]) -> str:
    """A rule's type in words, with links to sections. Raises ValueError for what it has no word for."""
    for union in ("anyOf", "oneOf"):
        if union in rule:
            return " or ".join(_type(one, sections) for one in rule[union] if one.get("type") != "null")
    if "$ref" in rule:
        name = rule["$ref"].rsplit("/", 1)[1]
        place = sections[name].place if name in sections else ""
        return f"[`{place}`](#{anchor(place)})" if place else "text"
    match rule.get("type"):
        case "array" if "prefixItems" in rule:
            return f"{len(rule['prefixItems'])} × {_type(rule['prefixItems'][0], sections)}"
        case "array":
            return f"list: {_type(rule['items'], sections)}"
        case "object":
            values = rule.get("additionalProperties")
            return f"map: name to {_type(values, sections)}" if isinstance(values, dict) else "map"
        case "string":
            return "path" if rule.get("format") == "path" else "text"
        case "integer" | "number" | "boolean" as kind:
            return {"integer": "whole number", "number": "number", "boolean": "true or false"}[kind]
    raise ValueError(f"a rule's type must have a word, but got {rule}")


def _range(section: Section, key: str, rule: dict[str, Any]) -> str:
    """What values a rule allows: from the schema where it says so, else from what the section's class refuses."""
    if "$ref" in rule:
        rule = _schema()["$defs"][rule["$ref"].rsplit("/", 1)[1]]
    for one in [rule, *rule.get("anyOf", ())]:
        if "enum" in one:
            return ", ".join(f"`{value}`" for value in one["enum"])
        if "const" in one:
            return f"`{one['const']}`"
        low = f"{one['minimum']:,} to " if "minimum" in one else ""
        low = f"above {one['exclusiveMinimum']:,} to " if "exclusiveMinimum" in one else low
        if low:
            return low + f"{one['maximum']:,}" if "maximum" in one else low.replace(" to ", " or more")
        if "examples" in one:
            return "as " + ", ".join(f"`{value}`" for value in one["examples"])
    return refused(section.name, key, rule)


def refused(name: str, key: str, rule: dict[str, Any]) -> str:
    """The range that a section's class states when it refuses a number far out of it; empty if it refuses none."""
    parts = [rule, *rule.get("anyOf", ()), *rule.get("prefixItems", ()), rule.get("items", {})]
    if not {part.get("type") for part in parts} & {"integer", "number"}:
        return ""
    if (settings := _smallest(name)) is None:
        return ""
    given = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.init}
    many = len(rule.get("prefixItems", "1"))
    value = (-FAR,) * many if rule.get("type") == "array" else -FAR
    for kind in KINDS.get(name, [{}]):
        try:
            type(settings)(**(given | kind | {key: value}))
        except ValueError as error:
            if stated := STATED.search(str(error)):
                return _written([part for part in stated.groups() if part])
    return ""


def _written(ends: list[str]) -> str:
    """One or two ends of a range, long numbers with commas."""
    ends = [re.sub(r"\d{4,}", lambda digits: f"{int(digits[0]):,}", end.rstrip(",")) for end in ends]
    return (", " if ends[0].startswith("above") else " to ").join(ends)


def _smallest(name: str) -> Any:
    """An object of a section's class, or none where the class is pydantic's, whose schema says its ranges."""
    import wordlength
    from wordlength.search.study_file import space

    found = getattr(wordlength, name, None) or getattr(space, name, None)
    if not dataclasses.is_dataclass(found) or not isinstance(found, type):
        return None
    if name == "DataSettings":
        corpora = (wordlength.CorpusSettings("builtin"),)
        return found(speech=corpora, noise=corpora)
    return found(**SMALLEST.get(name, {}))


def _default(section: Section, key: str, rule: dict[str, Any]) -> str:
    """The default as it would be written into the study file; empty for none, and for that of a whole section."""
    given = key in section.schema.get("required", ())
    value = None if given else rule.get("default", _in_study(section.place, key))
    match value:
        case {"integer_bits": whole, "bits": bits}:
            return f"`fixed<{bits},{whole}>`"
        case [{"name": str()}, *_]:
            return f"`[{', '.join(one['name'] for one in value)}]`"
        case [{"weights": str()}, *_]:
            return ", ".join(f"`{one['weights']}`" for one in value)
        case None | {}:
            return ""
        case _ if isinstance(value, dict):
            return "" if set(value) - {"fixed", "po2", "vbs", "binary"} else _ranges(value)
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _ranges(kinds: dict[str, Any]) -> str:
    """A slot's default ranges, as they would be written into the study file."""
    written = [f"{kind}: {{bits: {limits['bits']}, …}}" for kind, limits in kinds.items() if limits]
    return f"`{{{', '.join(written)}}}`"


def _in_study(place: str, key: str) -> Any:
    """A key's default within that of the section it stands in."""
    first, *rest = [*place.split("."), key]
    value = _schema()["properties"].get(first, {}).get("default")
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    return value
