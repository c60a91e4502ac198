"""Installs a wheel and an sdist, each in a clean environment outside the checkout, and uses them as their user would.

python tests/release/smoke.py build/dist/*.whl build/dist/*.tar.gz
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
TEXT_OR_PICTURE = frozenset(
    {"", ".c", ".cfg", ".csv", ".h", ".html", ".in", ".ipynb", ".json", ".md", ".png", ".py", ".sh", ".svg", ".toml"}
    | {".css", ".txt", ".typed", ".yaml", ".yml"}
)
"""Endings of what a release may hold: no sound, no weights, no databases."""
STUDY = """\
name: smoke
data:
  speech: [{kind: builtin}]
  noise: [{kind: builtin}]
  snr_db: [0]
  mixtures_per_utterance: 1
  validation_mixtures: 4
  subset_fraction: 0.05
model: {filters: [2, 2, 2, 2, 2, 2], dense: [8, 8]}
training: {baseline_epochs: 1, step_one_epochs: 1, step_two_epochs: 1}
analysis: {windows: 32}
gate: {overflow: 1, underflow: 1, precision: 1}
space:
  weights: {fixed: {bits: [3, 6], offset: [0, 1]}}
  biases: fixed<16,2>
  activations: fixed<16,4>
search: {trials: 2, first_front: 0, allocated: 0}
"""
FROM_OUTSIDE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "WORDLENGTH_DATA", "WORDLENGTH_HOME")


class Installed:
    """An environment with one artefact in it."""

    def __init__(self, artefact: Path, place: Path) -> None:
        self.place, self.bin = place, place / "environment" / "bin"
        self.version = artefact.name.split("-")[1].removesuffix(".tar.gz")
        self._environment = {key: value for key, value in os.environ.items() if key not in FROM_OUTSIDE}
        self._environment["WORDLENGTH_HOME"] = str(place / "home")
        subprocess.run([sys.executable, "-m", "venv", place / "environment"], check=True)
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", CONSTRAINTS)
        self.run("python", *pip, f"{artefact}[demo]", "mypy")

    def run(self, command: str, *arguments: str | Path, said: str = "") -> str:
        """The standard output, in which `said` must be; a command that fails ends the smoke test."""
        words = [self.bin / command, *arguments]
        print("+", command, *arguments, flush=True)
        done = subprocess.run(words, cwd=self.place, env=self._environment, text=True, stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"{command} must end with 0, but ended with {done.returncode}:\n{done.stdout}")
        if said not in done.stdout:
            sys.exit(f"{command} must say {said!r}, but says:\n{done.stdout}")
        return done.stdout


def members(artefact: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in a wheel or an sdist. A link ends the smoke test."""
    if artefact.suffix == ".whl":
        with zipfile.ZipFile(artefact) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
        return
    with tarfile.open(artefact) as sdist:
        for member in sdist:
            held = sdist.extractfile(member) if member.isfile() else None
            if held is not None:
                yield member.name, held.read()
            elif not member.isdir():
                sys.exit(f"{artefact.name} must hold files and folders, but {member.name} is neither")


def look_into(artefact: Path) -> None:
    """Neither data nor a place of this machine goes with a release."""
    for name, content in members(artefact):
        if Path(name).suffix not in TEXT_OR_PICTURE or len(content) > 2**20:
            sys.exit(f"{artefact.name} must hold text and pictures of at most 1 MiB, but has {name}")
        if str(ROOT).encode() in content:
            sys.exit(f"{artefact.name} must name no place of this machine, but {name} has {ROOT}")


def files(installed: Installed) -> set[str]:
    """What lies in the installed package, compiled files left out."""
    (package,) = (installed.place / "environment").glob("lib/python*/site-packages/wordlength")
    found = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(package)) for path in found}


def use(installed: Installed) -> None:
    """Every step that needs another part of the package."""
    place = installed.place
    (place / "study.yaml").write_text(STUDY, encoding="utf-8")
    installed.run("python", "-m", "pip", "check")
    installed.run("wordlength", "--version", said=installed.version)
    installed.run("wordlength", "-h", said="Usage: wordlength")
    installed.run("wordlength", "schema", said='"title": "StudySpec"')
    installed.run("wordlength", "memory", "study.yaml", "--weights", "po2:4,-1", said="dense_1")
    installed.run("wordlength", "launch", "study.yaml", "--no-ui")
    installed.run("wordlength", "front", "smoke", "--plot", "front.html")
    installed.run("wordlength", "export", "smoke", "--pick", "best", "--to", "best", "--vectors", "20")
    installed.run("wordlength", "verify", "best", said="smoke, trial")
    shutil.copy(HERE / "client.py", place)
    installed.run("mypy", "--strict", "client.py", said="Success")


def main(artefacts: Sequence[Path]) -> None:
    """Smoke-test each, and require that all install the same files."""
    held: dict[str, set[str]] = {}
    for artefact in artefacts:
        print(f"{artefact.name}, in an environment of its own", flush=True)
        look_into(artefact)
        with tempfile.TemporaryDirectory(prefix="wordlength-smoke-") as place:
            installed = Installed(artefact.resolve(), Path(place))
            held[artefact.name] = files(installed)
            use(installed)
    (first, expected), *others = held.items()
    for name, found in others:
        if odd := sorted(found ^ expected):
            sys.exit(f"{name} must install the files that {first} installs, but they differ in {odd}")
    print(f"{' and '.join(held)} install {len(expected)} files each, and work")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artefacts", type=Path, nargs="+")
    main(parser.parse_args().artefacts)
