"""wordlength clean: what lies on disk is told, and what is removed is what was asked for, to the end."""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

from wordlength import Home, load_study
from wordlength.errors import SpecError
from wordlength.objectives.settings import RetrainingSettings
from wordlength.search import retrain as retrain_module
from wordlength.search import session
from wordlength.search.check import check_study
from wordlength.search.disk import cleaning
from wordlength.search.disk.cleaning import chosen, remove
from wordlength.search.disk.contents import look
from wordlength.search.disk.item import Kind
from wordlength.search.disk.orphans import DRAFT_SECONDS
from wordlength.search.disk.restore import restore
from wordlength.search.disk.tables import size_text
from wordlength.search.drivers import user_of, working
from wordlength.search.export import bundle
from wordlength.search.listening import listen as listen_module
from wordlength.search.progress import LaunchDisplay
from wordlength.search.storage import put_in, stored_studies, take_out
from wordlength.search.study import StudyStore
from wordlength.search.tracking.store import Store
from wordlength.space import Candidate, Fixed

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def clean(run_cli, restored_study: Home) -> Callable[..., tuple[int, str, str]]:
    return lambda *options: run_cli("clean", *options, "--home", restored_study.root)


def tree(folder: Path) -> dict[str, int]:
    """Files and their sizes; databases and locks, which looking opens, aside."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and ".db" not in path.name and path.suffix != ".lock"
    }


def planted(home: Home) -> set[tuple[Kind, str]]:
    """One orphan of each kind."""
    address, client = f"sqlite:///{home.root / 'optuna.db'}", MlflowClient(home.tracking_address())
    put_in(address, "lost", take_out(address, "tiny"))
    store = Store(home.tracking_address(), home.artifacts, "forgotten")
    store.create_run("forgotten", {"kind": "study"})
    trashed = Store(home.tracking_address(), home.artifacts, "deleted")
    trashed.upload(trashed.create_run("deleted", {"kind": "study"}).info.run_id, {"x": b"xx"})
    client.delete_experiment(trashed.experiment_id)
    tiny = Store(home.tracking_address(), None, "tiny")
    again = tiny.create_run("again", {"kind": "trial", "trial.number": "0"}).info.run_id
    tiny.upload(again, {"x": b"x"})
    client.delete_run(again)
    old = time.time() - 2 * DRAFT_SECONDS
    draft, young = (home.study("tiny").path / "reports" / f".00000{n}.json.{n}.tmp" for n in (1, 2))
    for path in (draft, young):
        path.write_text("half")
    os.utime(draft, (old, old))
    (home.root / "studies" / "begun").mkdir()
    (home.root / "studies" / "begun" / "study.id").write_text("x")
    for name in (f"tiny/{'0' * 32}", "nobody"):
        (home.artifacts / name).mkdir()
        (home.artifacts / name / "x").write_text("x")
    return {
        (Kind.TRIALS, "lost"),
        (Kind.EXPERIMENT, "forgotten"),
        (Kind.TRASH, "deleted"),
        (Kind.TRASH, "tiny"),
        (Kind.DRAFT, os.path.relpath(draft, home.root)),
        (Kind.FOLDER, "begun"),
        (Kind.ARTIFACTS, f"tiny/{'0' * 32}"),
        (Kind.ARTIFACTS, "nobody"),
    }


def test_looking_removes_nothing(restored_study: Home, clean) -> None:
    before = tree(restored_study.root)
    status, out, err = clean()
    assert (status, err) == (0, "")
    rows = len(load_study("tiny", restored_study).rows)
    assert f"{rows} trials, {rows + 1} runs in MLflow" in out
    assert "used by tiny" in out
    assert "optuna.db: " in out
    assert "nothing was removed; remove with: wordlength clean --study NAME" in out
    assert tree(restored_study.root) == before
    status, out, _ = clean("--json", "-")
    told = json.loads(out)
    assert [(one["name"], one["paths"]) for one in told["studies"]] == [("tiny", ["studies/tiny", "artifacts/tiny"])]
    size = sum(size for name, size in before.items() if name.startswith(("studies/tiny/", "artifacts/tiny/")))
    assert told["studies"][0]["bytes"] == size > 10_000
    assert told["orphans"] == []
    assert {one["kind"] for one in told["caches"]} == {"float baseline"}


def test_orphans_and_unused_caches_go_and_nothing_else(restored_study: Home, clean) -> None:
    home = restored_study
    before, view = tree(home.root), load_study("tiny", home)
    there = planted(home)
    (home.cache / "baselines" / "abc.npz").write_bytes(b"x")
    data = home.cache / "prepared" / "abc"
    data.mkdir(parents=True)
    (data / "meta.json").write_text("{}")
    (data.parent / "index").mkdir()
    (data.parent / "index" / "x.json").write_text('{"digest": "abc"}')
    found = look(home)
    assert {(item.kind, item.name) for item in found.orphans} == there
    assert {(item.kind, item.name) for item in found.unused()} == {(Kind.BASELINE, "abc"), (Kind.DATA, "abc")}
    status, out, err = clean("--orphans", "--caches")
    assert status == 2
    assert "to be removed" in out
    assert "must be confirmed, but there is no terminal to ask at; give --yes" in err
    assert {(item.kind, item.name) for item in look(home).orphans} == there
    status, out, err = clean("--orphans", "--caches", "--yes")
    assert (status, err) == (0, "")
    assert f"removed: {len(there) + 2} places, " in out
    young = "studies/tiny/reports/.000002.json.2.tmp"
    assert tree(home.root) == before | {young: 4}
    assert (look(home).orphans, look(home).unused()) == ((), ())
    assert load_study("tiny", home) == view
    assert check_study(home.find("tiny"), home) == []
    assert set(stored_studies(home.optuna_address(home.find("tiny")))) == {"tiny"}
    assert clean("--orphans", "--yes")[1] == "nothing to remove\n"


def test_a_study_goes_from_all_its_places(restored_study: Home, clean, tiny_archive: Path) -> None:
    home = restored_study
    status, out, _ = clean("--study", "tiny", "--yes")
    assert status == 0, out
    assert home.names() == []
    assert not (home.root / "studies").exists()
    assert not home.artifact_folder("tiny").exists()
    assert MlflowClient(home.tracking_address()).get_experiment_by_name("tiny") is None
    assert stored_studies(f"sqlite:///{home.root / 'optuna.db'}") == {}
    found = look(home)
    assert (found.studies, found.orphans) == ((), ())
    assert [item.users for item in found.unused()] == [()]
    restore(tiny_archive, home)
    assert check_study(home.find("tiny"), home) == []
    status, out, _ = clean("--study", "tiny", "--caches", "--yes")
    assert (status, "removed: 2 places, " in out) == (0, True)  # Its float baseline, which nobody else needs, too.
    assert (look(home).studies, look(home).caches) == ((), ())


@pytest.mark.parametrize("step", ["remove_experiment", "remove_stored", "_empty"])
def test_a_removal_that_was_cut_off_is_done_again(
    restored_study: Home, monkeypatch: pytest.MonkeyPatch, clean, step: str
) -> None:
    real = getattr(cleaning, step)

    def cut_off(*arguments: object) -> object:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(cleaning, step, cut_off)
    assert clean("--study", "tiny", "--yes")[0] == 130
    assert restored_study.names() == ["tiny"]
    monkeypatch.setattr(cleaning, step, real)
    status, _, err = clean("--study", "tiny", "--yes")
    assert (status, err) == (0, "")
    found = look(restored_study)
    assert (found.studies, found.orphans) == ((), ())
    assert not restored_study.study("tiny").path.exists()


def test_nothing_goes_that_a_running_launch_uses(restored_study: Home, clean) -> None:
    home, before = restored_study, tree(restored_study.root)
    with home.study("tiny").locked(), home.study("begun").locked():
        assert {item.name for item in look(home).studies if item.live} == {"tiny"}
        status, _, err = clean("--study", "tiny", "--yes")
        assert status == 2
        assert "a study is removed at rest, but 'tiny' is being run" in err
        assert clean("--all-caches", "--orphans", "--yes")[1] == "nothing to remove\n"
        assert (home.study("begun").path / "lock").exists()
    with home.study("begun").locked():  # Its study file is not there yet: what it needs is unknown.
        assert clean("--all-caches", "--yes")[1] == "nothing to remove\n"
    studies = look(home).studies
    with home.study("tiny").locked(), pytest.raises(SpecError, match="'tiny' is being run; let that end first"):
        remove(studies, home)
    assert {name: size for name, size in tree(home.root).items() if not name.endswith("/lock")} == {
        name: size for name, size in before.items() if not name.endswith("/lock")
    }
    assert clean("--study", "other")[2].startswith("error: a study to remove must be there, but got 'other'")
    assert [item.kind for item in chosen(look(home), (), False, True, False)] == [Kind.BASELINE]


def test_what_comes_into_use_after_it_was_chosen_stays(restored_study: Home) -> None:
    home = restored_study
    unused, draft = home.cache / "baselines" / "abc.npz", home.cache / ".draft"
    for path in (unused, draft):
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    items = chosen(look(home), (), True, False, True)
    assert {item.name for item in items} == {"abc", "cache/.draft"}
    with home.study("new").locked():  # It may need the baseline.
        done = remove(items, home)
    assert (done.left, [item.name for item in done.removed]) == (("float baseline abc: new begins",), ["cache/.draft"])
    assert unused.exists()
    assert not draft.exists()
    assert [item.name for item in remove(items, home).removed] == ["abc"]  # The other one is gone.


def test_a_study_that_is_worked_on_stays(restored_study: Home, clean, run_cli, tmp_path: Path) -> None:
    home, studies = restored_study, look(restored_study).studies
    with working(home.study("tiny"), "an export"):
        who = f"'tiny' is in use by an export, process {os.getpid()} on {socket.gethostname()}; let that end first"
        assert f"a study is removed at rest, but {who}" in clean("--study", "tiny", "--yes")[2]
        with pytest.raises(SpecError, match="in use by an export"):
            remove(studies, home)
        assert clean("--all-caches", "--yes")[1] == "nothing to remove\n"
        status, _, err = run_cli("archive", "tiny", "--to", tmp_path / "x.tar.gz", "--home", home.root)
        assert (status, f"a study is archived at rest, but {who}" in err) == (2, True)
    assert not list(home.study("tiny").path.glob("work-*"))
    assert check_study(home.find("tiny"), home) == []
    assert clean("--study", "tiny", "--yes")[0] == 0
    with pytest.raises(SpecError, match="'tiny' has just been removed"), working(home.study("tiny"), "an export"):
        pytest.fail("it is not there")
    assert not (home.root / "studies").exists()


def test_who_begins_while_things_are_removed_waits(restored_study: Home) -> None:
    home, told = restored_study, []

    def begin() -> None:
        try:
            with working(home.study("tiny"), "an export"):
                told.append("works")
        except SpecError as error:
            told.append(str(error))

    beginner = threading.Thread(target=begin)
    with home.cleaning():
        beginner.start()
        while not user_of(home.study("tiny")).startswith("in use by an export"):
            time.sleep(0.01)
        beginner.join(0.2)
        assert (beginner.is_alive(), told) == (True, [])
        home.study("tiny").study_file.unlink()
    beginner.join(60)
    assert told == ["a study must be there to be worked on, but 'tiny' has just been removed"]


def test_long_work_on_a_study_is_told(restored_study: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, told = restored_study, []

    def end(*_: object, **__: object) -> None:
        told.append(user_of(home.study("tiny")))
        raise SpecError("enough")

    for module, step in ((bundle, "_subject"), (listen_module, "prepare_data"), (retrain_module, "open_unchanged")):
        monkeypatch.setattr(module, step, end)
    view = load_study("tiny", home)
    for begin in (
        lambda: bundle.export("tiny", "knee", tmp_path / "x", home),
        lambda: listen_module.listen("tiny", ["knee"], tmp_path / "x", home),
        lambda: next(retrain_module.retrain(view, view.front, RetrainingSettings(), home, LaunchDisplay(Console()))),
    ):
        with pytest.raises(SpecError, match="enough"):
            begin()
    works = ["an export", "a listening", "a retraining"]
    assert [text.partition(",")[0] for text in told] == [f"in use by {work}" for work in works]
    assert user_of(home.study("tiny")) == ""


def test_commands_that_train_on_a_study_are_told(
    restored_study: Home, run_cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, told = restored_study, []

    def end(*_: object, **__: object) -> None:
        told.append(user_of(home.study("tiny")).partition(",")[0])
        raise SpecError("enough")

    monkeypatch.setattr(session, "prepare_data", end)
    known = load_study("tiny", home).rows[0].candidate
    assert known is not None
    unknown = {slot: "fixed<9,0>" if slot.endswith(".weights") else fmt for slot, fmt in known.to_dict().items()}
    (tmp_path / "new.json").write_text(json.dumps(unknown))
    commands = {
        "an analysis": ("analyze", "tiny", "--weights", "fixed:8,0"),
        "a proposal": ("propose", "tiny"),
        "a sensitivity analysis": ("sensitivity", "tiny"),
        "a study of its subset": ("subset", "tiny"),
        "an import": ("import", tmp_path / "new.json", "tiny"),
    }
    for command in commands.values():
        status, _, err = run_cli(*command, "--home", home.root)
        assert (status, err.splitlines()[-1]) == (2, "error: enough"), command
    assert told == [f"in use by {work}" for work in commands]
    assert user_of(home.study("tiny")) == ""


def test_artifacts_of_another_project_stay(copied_study, tiny_study) -> None:
    _, home = copied_study  # Its runs say that their artifacts lie in the home it was copied from.
    artifacts = tiny_study[1].artifact_folder("tiny")
    before = tree(artifacts)
    assert len(before) > 10
    left = remove(look(home).studies, home).left
    assert left == (f"tiny: its artifacts, outside of this project: {artifacts.resolve().as_uri()}",)
    assert tree(artifacts) == before
    assert home.names() == []


def test_a_study_whose_storage_is_gone_is_told_and_removed(restored_study: Home, clean) -> None:
    (restored_study.root / "optuna.db").unlink()
    shutil.copytree(restored_study.cache / "baselines", restored_study.cache / "more")
    shutil.move(restored_study.cache / "more", restored_study.cache / "baselines" / "more")
    found = look(restored_study)
    assert found.studies[0].told.startswith("its storage has no trials of it")
    assert found.unused() == ()  # What it needs is unknown.
    assert clean("--study", "tiny", "--yes")[0] == 0
    assert look(restored_study).studies == ()


def test_queued_candidates_are_counted_alike_wherever_trials_are(
    restored_study: Home, clean, run_cli, tmp_path: Path
) -> None:
    spec = restored_study.find("tiny")
    with closing(StudyStore.open("tiny", restored_study.optuna_address(spec))) as store:
        count = len(store.rows())
        before = store.queued
        first = store.rows()[0].candidate
        assert first is not None
        changed = Candidate.of({**first, next(iter(first)): Fixed(7, 0)})
        store._queue({}, {}, {"candidate": changed.to_dict(), "digest": changed.digest, "label": ""})
    assert count >= 6
    stored = stored_studies(restored_study.optuna_address(spec))["tiny"]
    assert (stored.trials, stored.queued) == (count, before + 1)
    home = ("--home", restored_study.root)
    assert f"{count} trials and {before + 1} queued" in clean()[1]
    assert f"{count} trials and {before + 1} queued in " in run_cli("archive", "tiny", "--to", tmp_path / "a", *home)[2]
    assert f", 0 failed, {before + 1} queued " in run_cli("status", "tiny", *home)[1]
    assert json.loads(run_cli("status", "tiny", "--json", "-", *home)[1])["queued"] == before + 1


def test_sizes_as_text() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 12_345, 123_456_789, 5 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "12.3 kB",
        "123 MB",
        "5 TB",
    ]
