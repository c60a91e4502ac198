"""What this process would run: versions of everything that figures depend on, and our own sources."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import wordlength
from wordlength.errors import WorkerError
from wordlength.version import VERSION

PACKAGES = ("tensorflow", "keras", "qkeras-v3", "numpy", "scipy", "pystoi")
"""Those that a trial computes with."""


def installed() -> dict[str, str]:
    """Name → version; `wordlength` with a digest of its sources, since a checkout changes without a new version."""
    ours = f"{VERSION} ({source_digest(Path(wordlength.__file__).parent)})"
    return {"wordlength": ours, "Python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> tuple[str, dict[str, str]]:
    """Name of this machine, and what it has installed."""
    return platform.node(), installed()


def source_digest(package: Path) -> str:
    """Of all Python files below the folder, by their paths in it and their text."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def check_same(place: str, there: dict[str, str], here: dict[str, str]) -> None:
    """Raise WorkerError if what is installed at `place` is not what the driver has `here`."""
    for name, ours in here.items():
        if there.get(name) != ours:
            raise WorkerError(
                f"every node must run the driver's versions, but {place} has {name} {there.get(name)} "
                f"and the driver {ours}; install the same on both, or hand the launch over with wordlength submit"
            )
