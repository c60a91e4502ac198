"""The licences of everything that an installation may bring, from what is installed.

`make licences` writes them to docs/licences.md.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"
INSTALLERS = frozenset({"pip", "setuptools", "wheel"})
"""In every environment, and pinned in none."""

SAME = {
    "Apache-2.0": (
        "Apache 2.0",
        "Apache License 2.0",
        "Apache License, Version 2.0",
        "Apache Software License",
    ),
    "BSD-2-Clause": ("BSD 2-Clause License",),
    "BSD-3-Clause": ("BSD 3-Clause", "BSD 3-Clause License", "3-Clause BSD License"),
    "BSD": ("BSD License",),
    "ISC": ("ISC License", "ISC license", "ISC License (ISCL)"),
    "LGPL-3.0": ("GNU Lesser General Public License v3 (LGPLv3)",),
    "MIT": ("MIT License", "MIT license"),
    "MPL-2.0": ("Mozilla Public License 2.0 (MPL 2.0)",),
    "PSF-2.0": ("Python Software Foundation License",),
}
"""What the page calls a licence, and what packages call it; BSD where they do not say which."""

READ = {
    "espeakng-loader": "GPL-3.0-or-later",
    "huey": "MIT",
    "namex": "Apache-2.0",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "skops": "MIT",
}
"""Packages whose metadata do not tell: read in their files; espeakng-loader has none, but is espeak-ng itself."""

COPYLEFT = {
    "espeakng-loader": "espeak-ng, GPL-3.0-or-later, as a shared library. Optional: the built-in speech of the demo "
    "and the tests. Never part of wordlength's own wheel or sdist.",
    "psycopg": "LGPL-3.0-only. Optional: a cluster's PostgreSQL. Imported as it is.",
    "psycopg-binary": "LGPL-3.0-only, with libpq and what that needs. Optional, as psycopg.",
    "soundfile": "BSD itself; its wheels hold libsndfile, LGPL-2.1-or-later, as a shared library.",
    "numpy": "BSD itself; its wheels hold libgfortran (GPL-3.0 with the GCC runtime exception) and libquadmath "
    "(LGPL-2.1).",
    "scipy": "BSD itself; its wheels hold libgfortran and libquadmath as NumPy's do.",
    "scikit-learn": "BSD itself; its wheels hold libgomp (GPL-3.0 with the GCC runtime exception).",
    "quantizers": "LGPL-3.0. A witness in the tests; wordlength neither imports it nor has code of it.",
    "certifi": "MPL-2.0: a list of certificates, unchanged.",
    "pathspec": "MPL-2.0, unchanged.",
    "tqdm": "MPL-2.0 and MIT, unchanged.",
    "hypothesis": "MPL-2.0. In the tests alone.",
}
"""Packages whose licence, or that of a library in their wheels, asks for more than a notice."""
_ASKS_MORE = re.compile(r"GPL|MPL|EPL|CDDL|EUPL")

HEAD = """\
# Licences

wordlength is Apache-2.0 (the file `LICENSE`). Its wheel and its sdist hold its own code alone; what follows is
installed beside it by pip, each package under its own licence. Versions are those of `constraints.txt`, licences what
the packages say of themselves; where they say only "BSD", so does this page. `make licences` writes it from an
installed environment, and a test holds it to that. Speech and noise corpora have licences of their own.

## What asks for more than a notice
"""


def page() -> str:
    """The page. Raises LookupError, naming the package, if a licence or a pin is missing."""
    lines = [HEAD, "| package | what to know |", "| --- | --- |"]
    groups = list(_groups())
    everything = {name for _, names in groups for name in names}
    if untold := sorted(name for name in everything - set(COPYLEFT) if _ASKS_MORE.search(licence(name))):
        raise LookupError(f"COPYLEFT must tell of every package that asks for more, but does not of {untold}")
    if gone := sorted(set(COPYLEFT) - everything):
        raise LookupError(f"COPYLEFT must tell of what is brought, but nothing brings {gone}")
    lines += [f"| {name} | {told} |" for name, told in COPYLEFT.items()]
    for title, names in groups:
        lines += ["", f"## {title}", "", "| package | version | licence |", "| --- | --- | --- |"]
        lines += [f"| {name} | {pinned()[name]} | {licence(name)} |" for name in sorted(names)]
    return "\n".join(lines) + "\n"


@cache
def pinned() -> dict[str, str]:
    """Canonical name → version, of constraints.txt."""
    rows = (line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    return {canonicalize_name(name): version for name, version in rows}


def licence(name: str) -> str:
    """What an installed package says of itself, in the words of SAME."""
    if name in READ:
        return READ[name]
    about = distribution(name).metadata
    if stated := about.get("License-Expression"):
        return stated
    field = about.get("License", "").strip().partition("\n")[0]
    classified = [text.split(" :: ")[-1] for text in about.get_all("Classifier", ()) if text.startswith("License ::")]
    words = {word: name for name, alike in SAME.items() for word in (name, *alike)}
    for text in (field, *classified):
        if text in words or re.fullmatch(r"[\w.-]+( (AND|OR) [\w.-]+)+", text):
            return words.get(text, text)
    told = [field[:60], *classified]
    raise LookupError(f"a package must tell its licence, but {name} tells {told}: read it and add it to READ")


def _groups() -> Iterator[tuple[str, set[str]]]:
    """Title, packages: each is in the first group that brings it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    have = _closure(project["dependencies"])
    yield "Always installed", have
    for extra in (*(extra for extra in extras if extra != "dev"), "dev"):
        more = _closure(extras[extra]) - have
        have = have | more
        if more:
            yield f"With the extra `{extra}`" + (" alone: to work on wordlength" if extra == "dev" else ""), more
    if idle := sorted(set(pinned()) - have):
        raise LookupError(f"constraints.txt must pin what something brings, but nothing brings {idle}")


def _closure(texts: Iterable[str]) -> set[str]:
    """Canonical names of what these requirements bring here."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in texts]
    while waiting:
        requirement, asked = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": asked}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in found or name in INSTALLERS:
                continue
            found.add((name, extra))
            waiting += [(Requirement(text), extra) for text in _installed(name)]
    return {name for name, _ in found}


def _installed(name: str) -> list[str]:
    """What an installed package requires. Raises LookupError if it is not here, or in another version."""
    try:
        here = distribution(name)
    except PackageNotFoundError:
        raise LookupError(f"every dependency must be installed, but {name} is not") from None
    if pinned().get(name) != here.version:
        raise LookupError(f"constraints.txt must pin {name} as {here.version}, but has {pinned().get(name)}")
    return here.requires or []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
