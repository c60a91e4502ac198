"""What names a content: a file's, a setting's, an array's."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHARACTERS = 16
"""Of a short digest."""


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def short_digest(*parts: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of these bytes, one part after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:CHARACTERS]
