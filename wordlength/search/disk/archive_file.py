"""The file format of an archive: a gzipped tar whose first member is a manifest with the SHA-256 of every other one.

Members are plain files in the order of their names, without owners or times: the same content gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from wordlength.atomic import naming
from wordlength.digests import file_sha256
from wordlength.errors import ArchiveError
from wordlength.search.study_file.errors import shown

FORMAT, VERSION = "wordlength study archive", 1
MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 64 * 1024**2
_CHUNK = 1024**2


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself: `about`, in JSON types, and of each member its bytes and SHA-256."""

    about: Mapping[str, Any]
    members: Mapping[str, tuple[int, str]]

    @property
    def size_bytes(self) -> int:
        """Of all members, unpacked."""
        return sum(size for size, _ in self.members.values())

    def to_json(self) -> bytes:
        """As it stands in the archive."""
        members = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self.members.items()}
        plain = {"format": FORMAT, "version": VERSION, **self.about, "members": members}
        return (json.dumps(plain, indent=1, ensure_ascii=False) + "\n").encode()


def pack(to: Path, about: Mapping[str, Any], files: Mapping[str, Path]) -> Manifest:
    """Write an archive of files, member → file, in one step: a killed process leaves the old file or none."""
    members = {name: (files[name].stat().st_size, file_sha256(files[name])) for name in sorted(files)}
    manifest = Manifest(about, members)
    beside = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        with naming(to):
            with beside.open("wb") as raw:
                _write(raw, manifest, files)
                raw.flush()
                os.fsync(raw.fileno())
            os.replace(beside, to)
    finally:
        beside.unlink(missing_ok=True)
    return manifest


def unpack(file: Path, into: Path) -> Manifest:
    """Extract an archive into an empty folder. Raises ArchiveError, naming the member, for whatever is not as it says.

    Only plain files that the manifest names are written, and nothing outside of the folder.
    """
    require_file(file)
    with _whole(file), tarfile.open(file, "r:gz") as tar:
        manifest = _manifest(file, tar)
        seen: set[str] = set()
        while (member := tar.next()) is not None:
            _require_fit(file, member, manifest, seen)
            seen.add(member.name)
            content = tar.extractfile(member)
            assert content is not None
            if _extract(content, into / member.name) != manifest.members[member.name][1]:
                raise ArchiveError(
                    f"an archive's members must have the SHA-256 of its manifest, but {member.name} has "
                    f"another ({file})"
                )
        assert tar.fileobj is not None
        while tar.fileobj.read(_CHUNK):  # To the end, where gzip's own checksum stands.
            pass
    if missing := sorted(manifest.members.keys() - seen):
        raise ArchiveError(f"an archive must hold every member of its manifest, but {missing[0]} is missing ({file})")
    return manifest


def require_file(file: Path) -> None:
    """Raise ArchiveError where no file is."""
    if not file.is_file():
        raise ArchiveError(f"an archive must be a file, but {file} is none")


def _write(raw: IO[bytes], manifest: Manifest, files: Mapping[str, Path]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        text = manifest.to_json()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for name, (size, _) in manifest.members.items():
            with files[name].open("rb") as content:
                tar.addfile(_member(name, size), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    return member


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Tell in one line that a file is no archive, or only a part of one."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(f"an archive must be a whole gzipped tar file, but {file} is not: {error}") from None


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _LARGEST_MANIFEST:
        raise ArchiveError(f"an archive's first member must be {MANIFEST}, but {file} has no such; is it an archive?")
    content = tar.extractfile(first)
    assert content is not None
    try:
        plain = json.loads(content.read())
        form, version = plain.pop("format"), plain.pop("version")
        members = {name: (int(one["bytes"]), str(one["sha256"])) for name, one in plain.pop("members").items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"an archive's manifest must be readable, but {file}: {error!r}") from None
    if form != FORMAT:
        raise ArchiveError(f"an archive must be a {FORMAT}, but {file} is a {shown(form)}")
    if version != VERSION:
        raise ArchiveError(
            f"an archive's version must be {VERSION}, but {file} has {shown(version)}; "
            f"restore it with wordlength {_number(plain.get('wordlength'))} or newer"
        )
    return Manifest(plain, members)


def _number(version: Any) -> str:
    """A version's number, where it is one: the manifest may hold anything."""
    fits = isinstance(version, str) and re.fullmatch(r"[0-9][0-9A-Za-z.+-]{0,40}", version)
    return version if fits else "of that time"


def _require_fit(file: Path, member: tarfile.TarInfo, manifest: Manifest, seen: set[str]) -> None:
    name = member.name
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or "\\" in name or "\0" in name:
        raise ArchiveError(f"an archive's members must lie within it, but got {name!r} ({file})")
    if not member.isreg():
        raise ArchiveError(f"an archive's members must be plain files, but {name!r} is none ({file})")
    if name in seen or name not in manifest.members:
        what = "comes twice" if name in seen else "is not in it"
        raise ArchiveError(f"an archive's members must be those of its manifest, but {name!r} {what} ({file})")
    if member.size != manifest.members[name][0]:
        raise ArchiveError(
            f"an archive's members must have the size of its manifest, but {name} has {member.size} bytes ({file})"
        )


def _extract(content: IO[bytes], to: Path) -> str:
    """Write a member; its SHA-256."""
    digest = hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    with naming(to), to.open("xb") as target:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
