"""Python, wordlength and the libraries: what is installed, against what the package demands and what was tested."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import wordlength
from wordlength.search.doctor.finding import Finding, State
from wordlength.version import VERSION

CONSTRAINTS = Path(wordlength.__file__).parents[1] / "constraints.txt"
"""The versions that were tested together; there in a checkout, not in an installed package."""
EXTRAS = {
    "pesq": "PESQ as an objective",
    "fpga": "the C simulation of a bundle's hls4ml/",
    "cluster": "trials in PostgreSQL, MLflow's server with logins",
}
"""Optional dependencies → what needs them; the built-in speech has a line of its own."""


def version_findings() -> Iterator[Finding]:
    """Python, the package, its libraries, the optional ones."""
    try:
        demands = [Requirement(text) for text in requires("wordlength") or ()]
        python = metadata("wordlength")["Requires-Python"] or ""
    except PackageNotFoundError:
        yield Finding(
            "wordlength",
            State.WARNING,
            f"{VERSION} from {Path(wordlength.__file__).parent}, which is not installed",
            "install it, so that versions can be compared: pip install --editable .",
        )
        return
    yield python_finding(platform.python_version(), python)
    yield Finding("wordlength", State.OK, f"{VERSION} from {Path(wordlength.__file__).parent}")
    main = [each for each in demands if each.marker is None]
    yield from library_findings({each.name: each.specifier for each in main}, constrained(CONSTRAINTS))
    for extra, purpose in EXTRAS.items():
        if wanted := [each for each in demands if each.marker and each.marker.evaluate({"extra": extra})]:
            yield extra_finding(extra, purpose, wanted)


def python_finding(found: str, demanded: str) -> Finding:
    """Python's version."""
    if SpecifierSet(demanded).contains(found, prereleases=True):
        return Finding("Python", State.OK, f"{found} (needs {demanded})")
    return Finding("Python", State.FAULT, f"{found}, but wordlength needs {demanded}", "make its venv with another one")


def library_findings(demanded: dict[str, SpecifierSet], known_good: dict[str, str]) -> Iterator[Finding]:
    """One line for all libraries that are as they should be, and one for each that is not."""
    good = []
    for name, specifier in demanded.items():
        found, best = _version(name), known_good.get(name.lower(), "")
        install = f"pip install '{name}{f'=={best}' if best else specifier}'"
        if found is None:
            yield Finding(name, State.FAULT, "not installed", install)
        elif not specifier.contains(found, prereleases=True):
            yield Finding(name, State.FAULT, f"{found}, but wordlength needs {specifier}", install)
        elif best and found != best:
            yield Finding(name, State.WARNING, f"{found}, tested with {best}", install)
        else:
            good.append(f"{name} {found}")
    if good:
        yield Finding("libraries", State.OK, ", ".join(good) + (", as tested" if known_good else ""))


def extra_finding(extra: str, purpose: str, wanted: list[Requirement]) -> Finding:
    """An optional dependency: its absence is no fault."""
    found = {each.name: _version(each.name) for each in wanted}
    if missing := [name for name, known in found.items() if known is None]:
        advice = f"for {purpose}: pip install 'wordlength[{extra}]'"
        return Finding(f"optional: {extra}", State.OK, f"{', '.join(missing)} not installed", advice)
    wrong = [each for each in wanted if not each.specifier.contains(found[each.name] or "", prereleases=True)]
    told = ", ".join(f"{name} {known}" for name, known in found.items())
    if wrong:
        advice = f"pip install '{wrong[0]}'".replace(f"; extra == '{extra}'", "").replace(f'; extra == "{extra}"', "")
        return Finding(f"optional: {extra}", State.WARNING, f"{told}, but needs {wrong[0].specifier}", advice)
    return Finding(f"optional: {extra}", State.OK, told)


def constrained(constraints: Path) -> dict[str, str]:
    """Name in lower case → version, of a constraints file; empty if it is not there."""
    if not constraints.is_file():
        return {}
    pairs = (line.split("==") for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line)
    return {name.strip().lower(): number.strip() for name, number in pairs}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
