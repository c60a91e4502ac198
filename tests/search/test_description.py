"""What a launch tells MLflow about its study."""

import dataclasses
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from wordlength import Home, load_spec
from wordlength.objectives.baseline import load_baseline
from wordlength.search.description import describe, git_commit
from wordlength.search.launch import prepare_data, search_space


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_of_a_tracked_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: x\n", encoding="utf-8")
    assert git_commit(path) is None, "no checkout"
    git(tmp_path, "init", "--quiet")
    assert git_commit(path) is None, "not tracked"
    git(tmp_path, "add", "study.yaml")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(path) == commit
    path.write_text("name: y\n", encoding="utf-8")
    assert git_commit(path) == f"{commit}-dirty"


def test_a_state_that_git_does_not_tell_is_not_called_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text('#!/bin/sh\ncase "$*" in *status*) exit 1;; *rev-parse*) echo abc;; esac\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert git_commit(tmp_path / "study.yaml") == "abc-unknown"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(Path(__file__)) is None


@pytest.fixture
def described(tiny_study):
    """Describes the launched study as if its file held another text."""
    path, home, _ = tiny_study

    def of(extra: str, **corpora: list[str]):
        changed = path.parent / "changed.yaml"
        changed.write_text("# mine\n" + path.read_text(encoding="utf-8") + extra, encoding="utf-8")
        spec = load_spec(changed)
        data = prepare_data(load_spec(path), home)
        data = dataclasses.replace(data, summary=data.summary | corpora)
        baseline = load_baseline(next((home.cache / "baselines").glob("*.npz")))
        assert baseline is not None
        return describe(spec, data, baseline, search_space(spec, baseline), "id")

    return of


def test_a_study_is_described(described) -> None:
    about = described("")
    assert about.files["study.yaml"].startswith("# mine\n\nname: tiny")
    assert "batch_size: 64" in about.files["study.resolved.yaml"]
    assert [part.context for part in about.data] == ["training", "validation", "test"]
    for part in about.data:
        assert part.name == f"folder:speech in folder:noise noise at 0 dB SNR, {part.context}"
        assert part.profile["hours"] > 0
        assert part.profile["speakers"] == len(part.profile["speaker_names"]) > 0
        assert len(part.digest) == 12
    assert about.settings["formats"] == (
        "weights `fixed` 3 to 6 bits or `po2` 3 to 4 bits; biases `fixed<16,2>`; activations `fixed<16,4>`"
    )
    assert {str(slot) for slot in about.searched} == {str(i.slot) for i in about.slots if i.slot.role == "weights"}
    assert about.tags["mlflow.source.name"].endswith("changed.yaml")
    assert about.tags["study.id"] == "id"


@pytest.mark.parametrize(
    ("corpora", "told"),
    [
        ({"room_corpora": ["a:r"]}, "folder:speech in folder:noise noise at 0 dB SNR in rooms of a:r"),
        ({"pair_corpora": ["b:p"]}, "folder:speech in folder:noise noise at 0 dB SNR and pairs of b:p"),
        ({"pair_corpora": ["b:p"], "speech_corpora": [], "noise_corpora": []}, "pairs of b:p"),
    ],
    ids=["rooms", "pairs too", "pairs"],
)
def test_rooms_and_pairs_are_told(described, corpora: dict[str, list[str]], told: str) -> None:
    about = described("", **corpora)
    assert about.data[0].source == told
    assert about.settings["data"].startswith(f"{told}: training ")


@pytest.mark.parametrize(
    "address",
    ["http://me:secret@host:5000", "http://secret@host", "postgresql://host/db?user=me&password=secret"],
)
def test_logins_stay_out_of_what_is_published(described, address: str) -> None:
    key = "tracking" if address.startswith("http") else "optuna"
    files = described(f"storage: {{{key}: '{address}'}}\n").files
    assert f"storage: {{{key}: '{address.partition('://')[0]}://***'}}" in files["study.yaml"]
    assert not [name for name, text in files.items() if "secret" in text]


def test_a_login_written_with_escapes_takes_the_text_along(described) -> None:
    files = described('storage: {tracking: "http://me:s\\x65cret@host"}\n').files
    assert files["study.yaml"] == files["study.resolved.yaml"]


def test_a_home_tells_where_its_ui_is(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.served_at() is None
    with home.serving("http://127.0.0.1:1"):
        assert home.served_at() == "http://127.0.0.1:1"
        with home.serving("http://127.0.0.1:2"):
            assert home.served_at() == "http://127.0.0.1:1", "the first one stays"
    assert home.served_at() is None
    spec = SimpleNamespace(storage=SimpleNamespace(tracking="http://host"))
    assert home.artifact_root(spec) is None
    spec = SimpleNamespace(storage=SimpleNamespace(tracking="sqlite:///other.db"))
    assert home.artifact_root(spec) == tmp_path / "artifacts"
