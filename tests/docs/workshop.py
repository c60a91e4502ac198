"""A folder laid out as the pages presuppose, where their commands run on a study whose trials take a second."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from re import fullmatch, sub
from typing import Any

import yaml
from not_run import ADDED, NOT_RUN, ONE_STUDY, STAND_INS
from pages import REPOSITORY, Command

from wordlength.search.cli import main

STUDY = "klein"
NETWORK = """
import keras

def build(inputs, outputs):
    x = keras.Input(inputs)
    y = keras.layers.Flatten(name="flat")(x)
    y = keras.layers.Dense(8, activation="relu", name="hidden")(y)
    return keras.Model(x, keras.layers.Dense(outputs, activation="sigmoid", name="mask")(y))
"""
"""What takes least time to trace and to train."""
SMALL: dict[str, Any] = {
    "model": "tiny.py:build",
    "analysis": {"windows": 16},
    "gate": {"overflow": 1, "underflow": 1, "precision": 1},
    "search": {"trials": 2, "first_front": 0, "uniform": [{"weights": "fixed<8,0>"}, {"weights": "po2<4,-1>"}]},
    "workers": {"count": 1, "cpus": 1},
}
"""Sections of the case study's file that are replaced; of the others only some keys are."""


def is_run(command: Command) -> bool:
    """Whether no entry of the table says that it is not."""
    return not any(fnmatchcase(command.text, pattern) for pattern in NOT_RUN)


class Workshop:
    """The folder; what was run in it, and which commands made the bundles that lie there."""

    def __init__(self, folder: Path, corpora: Path) -> None:
        self.folder = folder
        self.done: set[tuple[str, ...]] = set()
        self.made: dict[str, str] = {}
        for name, role in (("my_speech", "speech"), ("my_noise", "noise")):
            (folder / name).symlink_to(corpora / role)
        (folder / "examples" / "bring_your_own").mkdir(parents=True)
        shutil.copy(REPOSITORY / "examples/bring_your_own/gru.py", folder / "examples/bring_your_own")
        self._write_study(corpora)

    def _write_study(self, corpora: Path) -> None:
        """The case study's own file, with all that takes time made small."""
        (self.folder / "examples/tiny.py").write_text(NETWORK, encoding="utf-8")
        plain = yaml.safe_load((REPOSITORY / f"examples/{STUDY}.yaml").read_text(encoding="utf-8"))
        data = {role: [{"kind": "folder", "path": str(corpora / role)}] for role in ("speech", "noise")}
        data |= {"mixtures_per_utterance": 1, "validation_mixtures": 2, "subset_fraction": 0.5}
        training = {"baseline_epochs": 1, "batch_size": 64, "learning_rate": 0.01, "quantized_learning_rate": 0.01}
        plain |= SMALL | {"data": plain["data"] | data, "training": plain["training"] | training}
        (self.folder / f"examples/{STUDY}.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")

    def run(self, command: Command) -> None:
        """Run it, unless it was run before and found the same bundles. Raises AssertionError with what it said."""
        words = self.stand_ins(command.words)
        key = self._same(words, command.rest)
        if key in self.done and not self._missing(words):
            return
        self._make_room(words)
        if words[0] == "wordlength":
            self._launch_first(words[1:])
            if words[1] == "import":
                words[2] = self._unlike(words[2])
            self._hand_on(self.wordlength(*words[1:]), command)
        else:
            ended = subprocess.run(words, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, f"{command.place} {command.text}:\n{ended.stdout}{ended.stderr}"
        self.done.add(key)

    def _same(self, words: list[str], rest: str) -> tuple[str, ...]:
        """Equal for commands of which one is enough: of a study by its name or its file, into this folder or that.

        What reads a bundle is another command once another one made the bundle.
        """
        pairs = pairwise(["", *words])
        kept = [word for before, word in pairs if before not in ("--to", "--home") and word != "--home"]
        kept = [sub(r"^\w+(\.(html|png))$", r"\1", sub(rf"^examples/{STUDY}.yaml$", STUDY, word)) for word in kept]
        return (*kept, rest, *(self.made.get(word.split("/")[0], "") for word in kept))

    def _missing(self, words: list[str]) -> bool:
        """Whether what a command writes is not there, and may be asked for by a later one."""
        return any(before == "--to" and not (self.folder / word).exists() for before, word in pairwise(words))

    def stand_ins(self, words: list[str]) -> list[str]:
        """The words with small things in place of large ones, and home below the workshop."""
        small = f"examples/{STUDY}.yaml"
        put = [STAND_INS.get(word, word) for word in words]
        put = [small if fullmatch(rf"examples/({'|'.join(ONE_STUDY)})(/study)?\.yaml", word) else word for word in put]
        put = [str(self.folder / word[2:]) if word.startswith("~/") else word for word in put]
        if words[0] != "wordlength":
            return put
        # A study file that `init` wrote is launched by tests/search/test_init.py.
        put = [small if words[1] == "launch" and word == "study.yaml" else word for word in put]
        return put + ADDED.get(words[1], [])

    def wordlength(self, *words: str) -> str:
        """Run `wordlength WORDS` in this process; its standard output. Raises AssertionError with all that it said."""
        out, err, status = io.StringIO(), io.StringIO(), None
        before, sys.argv = sys.argv, ["wordlength", *words]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as ended:
            status = ended.code
        finally:
            sys.argv = before
        assert not status, f"wordlength {' '.join(words)} ended with {status}:\n{out.getvalue()}{err.getvalue()}"
        return out.getvalue()

    def _make_room(self, words: list[str]) -> None:
        """What a command writes is new to its reader; which command made a bundle is kept."""
        if "--to" in words:
            place = self.folder / words[words.index("--to") + 1]
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            self.made[place.name] = " ".join(words)

    def _launch_first(self, words: list[str]) -> None:
        """A page that names a study presupposes that it was launched, and a study file's name that it is there."""
        if STUDY in words and not (self.folder / ".wordlength" / "studies" / STUDY).is_dir():
            self.wordlength("launch", f"examples/{STUDY}.yaml", "--no-ui")

    def _unlike(self, bundle: str) -> str:
        """A file of the bundle's formats but for one: the study that it came from has the very same already."""
        formats = json.loads((self.folder / bundle).read_text(encoding="utf-8"))["candidate"]
        (self.folder / "unlike.json").write_text(json.dumps(formats | {"mask.weights": "fixed<7,0>"}), encoding="utf-8")
        return "unlike.json"

    def _hand_on(self, output: str, command: Command) -> None:
        """What the shell does with the output: into a file, or through jq, whose path must be there."""
        if command.rest.startswith(">"):
            (self.folder / command.rest[1:].strip()).write_text(output, encoding="utf-8")
        elif command.rest:
            program, path = command.rest.removeprefix("|").split()
            assert program == "jq", f"{command.place}: only jq is known"
            value = json.loads(output)
            for key in path.strip("'").strip(".").split("."):
                value = value[key]

    def run_python(self, text: str, names: dict[str, Any]) -> None:
        """Execute a block as if in a file there; bundles that it exports are new."""
        for study in ONE_STUDY:
            text = text.replace(f'"{study}"', f'"{STUDY}"').replace(f"examples/{study}.yaml", f"examples/{STUDY}.yaml")
        if "export(" in text:
            shutil.rmtree(self.folder / "best", ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, "a page's block", "exec"), names)
