"""SHA256SUMS: every file of a bundle with its hash, as `sha256sum --check` reads it, and a hash of these lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from wordlength.digests import file_sha256
from wordlength.errors import BundleError, SpecError
from wordlength.search.export.names import NEEDED
from wordlength.search.near import near_folder

MANIFEST = "SHA256SUMS"
_SELF = "# sha256 of the lines above: "


def seal(folder: Path) -> None:
    """Write SHA256SUMS of all files below the folder."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in sorted(_files(folder))]
    text = "".join(lines)
    (folder / MANIFEST).write_text(f"{text}{_SELF}{_digest(text.encode())}\n", encoding="ascii")


def check_seal(folder: Path, needed: Collection[str] = ()) -> tuple[str, ...]:
    """Files that do not belong to the bundle. Raises BundleError if one of its own is missing or another.

    `needed`: files that it must have.
    """
    require_bundle(folder)
    named = _named(folder)
    if missing := sorted(set(needed) - set(named)):
        raise BundleError(f"{MANIFEST} must name {missing[0]}, but does not ({folder})")
    for name, digest in named.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"the bundle must hold {name}, but it is missing ({folder})")
        if (found := file_sha256(path)) != digest:
            raise BundleError(f"{name} must have the SHA-256 {digest[:12]}…, but has {found[:12]}… ({folder})")
    return tuple(sorted(set(_files(folder)) - set(named)))


def require_bundle(folder: Path) -> None:
    """Refuse what does not look like a bundle at all, with the one that may have been meant. Raises SpecError."""
    if any((folder / name).exists() for name in (MANIFEST, *NEEDED)):
        return
    near = near_folder(folder, MANIFEST)
    if folder.is_dir():
        hint = f"holds none; {f'did you mean {near}?' if near else 'give the folder that export was told with --to'}"
    else:
        hint = f"is none{f'; did you mean {near}?' if near else ''}"
    raise SpecError(f"a bundle must be a folder that wordlength export wrote, but {folder} {hint}")


def foreign_files(folder: Path) -> tuple[str, ...]:
    """Files that do not belong to the bundle, whatever has become of its own. Raises BundleError if it is none."""
    return tuple(sorted(set(_files(folder)) - set(_named(folder))))


def _named(folder: Path) -> dict[str, str]:
    """File → hash, as SHA256SUMS has them."""
    try:
        text = (folder / MANIFEST).read_bytes().decode("ascii")
    except (OSError, ValueError):
        raise BundleError(f"a bundle must hold a readable {MANIFEST}, but {folder} does not") from None
    body, mark, own = text.rpartition(_SELF)
    if not mark or own != f"{_digest(body.encode())}\n":
        raise BundleError(f"{MANIFEST} must end with the hash of its lines, but does not ({folder})")
    named: dict[str, str] = {}
    for line in body.split("\n")[:-1]:
        row = re.fullmatch(r"([0-9a-f]{64})  ([\w.-]+(?:/[\w.-]+)*)", line)
        if row is None or row[2] in named or ".." in row[2].split("/"):
            raise BundleError(f"{MANIFEST} must have one hash for each file, but says {line[:100]!r} ({folder})")
        named[row[2]] = row[1]
    return named


def _files(folder: Path) -> Iterator[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return (name for path in paths if (name := path.relative_to(folder).as_posix()) != MANIFEST)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
