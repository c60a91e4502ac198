"""wordlength archive and restore: a study moves, whole, and everything works where it arrives."""

import contextlib
import json
import re
import shutil
import sqlite3
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from retrainings import StandIn, both

from wordlength import Home, load_spec, load_study
from wordlength.errors import ArchiveError, SpecError
from wordlength.search.check import check_study
from wordlength.search.disk.archive import archive, portable
from wordlength.search.disk.archive_file import pack, unpack
from wordlength.search.disk.contents import look
from wordlength.search.disk.restore import Places, restore
from wordlength.search.opening import known_study
from wordlength.search.retrain import retrained_result
from wordlength.search.storage import take_out

pytestmark = pytest.mark.usefixtures("ray_session")


def runs(home: Home, name: str = "tiny") -> dict[str, object]:
    """Each run by its name in MLflow: all that was recorded, histories included."""
    client = MlflowClient(home.tracking_address())
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    ids = {run.info.run_id: run.info.run_name for run in found}
    told: dict[str, object] = {}
    for run in found:
        histories = {
            metric: sorted((p.step, p.timestamp, p.value) for p in client.get_metric_history(run.info.run_id, metric))
            for metric in run.data.metrics
        }
        # What names runs and experiment differs by rights.
        tags = {
            name: ids.get(text, text)
            for name, text in run.data.tags.items()
            if name != "mlflow.note.content" and name != "mlflow.user"
        }
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        data = [one.dataset.profile for one in run.inputs.dataset_inputs]
        info = run.info
        told[info.run_name] = (
            info.status,
            info.start_time,
            info.end_time,
            tags,
            run.data.params,
            histories,
            files,
            data,
        )
    assert len(told) == len(found)
    return told


def files_below(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def test_everything_arrives(tiny_study, restored_study: Home) -> None:
    _, home, view = tiny_study
    there = load_study("tiny", restored_study)
    assert there == view
    assert len(view.rows) >= 6
    assert [list(row.candidate) for row in there.rows] == [list(row.candidate) for row in view.rows]  # In this order.
    for row in view.rows:
        assert restored_study.study("tiny").read_report(row.number) == home.study("tiny").read_report(row.number)
    for point in view.front:
        ours, theirs = (np.load(one.study("tiny").weights(point.number)) for one in (home, restored_study))
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)
    spec, address = home.find("tiny"), home.optuna_address(home.find("tiny"))
    assert take_out(restored_study.optuna_address(restored_study.find("tiny")), "tiny") == take_out(address, "tiny")
    assert check_study(restored_study.find("tiny"), restored_study) == []
    assert restored_study.find("tiny").fingerprint() == spec.fingerprint()
    known = runs(home)
    assert len(known) == 1 + len(view.rows)
    assert runs(restored_study) == known


def test_no_place_of_the_old_machine_arrives(tiny_study, restored_study: Home, tiny_archive: Path, tmp_path) -> None:
    path, home, _ = tiny_study
    client = MlflowClient(restored_study.tracking_address())
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.artifact_location == restored_study.artifact_folder("tiny").resolve().as_uri()
    ids = {run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    for run in client.search_runs([experiment.experiment_id]):
        assert run.info.artifact_uri.startswith(experiment.artifact_location)
        note = run.data.tags["mlflow.note.content"]
        linked = {part.partition("/runs/")[2][:32] for part in note.split("#/") if "/runs/" in part}
        assert linked <= ids
    # What the user wrote in a study file of his own stays to the letter.
    (tmp_path / "out").mkdir()
    unpack(tiny_archive, tmp_path / "out")
    texts = {
        name: (tmp_path / "out" / name).read_bytes()
        for name in files_below(tmp_path / "out")
        if not name.endswith("/study.yaml") or name.startswith("study/")
    }
    assert len(texts) > 20
    for place in (str(home.root), str(path.parent)):
        assert [name for name, text in texts.items() if place.encode() in text] == []


def test_the_same_study_gives_the_same_bytes(tiny_study, tiny_archive: Path, tmp_path: Path) -> None:
    archive("tiny", tiny_study[1], tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == tiny_archive.read_bytes()


@pytest.mark.studies
def test_it_goes_on_and_is_exported_where_it_arrives(
    tiny_study, tiny_archive: Path, tiny_corpora: Path, tmp_path: Path, run_cli
) -> None:
    path, home, view = tiny_study
    there = tmp_path / "there"
    status, out, err = run_cli("restore", tiny_archive, "--home", there, "--data-root", tiny_corpora)
    assert (status, out, err) == (0, f"restored: tiny in {there}\n", "")
    assert run_cli("check", "tiny", "--home", there)[1] == "storage, folder and MLflow agree\n"
    assert run_cli("front", "tiny", "--home", there)[1] == run_cli("front", "tiny", "--home", home.root)[1]
    status, _, err = run_cli("launch", path, "--trials", 7, "--no-ui", "--home", there)
    assert status == 0, err
    after = load_study("tiny", Home(there))
    assert after.finished == 7
    assert after.rows[: len(view.rows)] == view.rows
    assert run_cli("check", "tiny", "--home", there)[0] == 0
    status, _, err = run_cli("export", "tiny", "--to", tmp_path / "bundle", "--vectors", 8, "--home", there)
    assert status == 0, err
    status, out, err = run_cli("verify", tmp_path / "bundle", "--home", there)
    assert status == 0, out + err


def test_retrained_trials_and_a_name_of_its_own(run_retrain, stand_in: StandIn, ends, copied_study, tmp_path) -> None:
    _, home = copied_study
    assert run_retrain(*both(ends)[:2])[0] == 0
    done = archive("tiny", home, tmp_path / "tiny.tar.gz")
    assert done.missing == ()
    spec = restore(tmp_path / "tiny.tar.gz", home, "moved")
    assert spec.name == "moved"
    assert home.names() == ["moved", "tiny"]
    ours, theirs = runs(home), runs(home, "moved")
    assert theirs.keys() == {name if name != "tiny" else "moved" for name in ours}
    assert f"retrained trial {ends[0].number}" in {name.partition(" (")[0] for name in theirs}
    result = retrained_result(home.study("moved"), ends[0])
    assert result is not None
    assert result[0] == retrained_result(home.study("tiny"), ends[0])[0]
    for name in ("moved", "tiny"):
        assert check_study(home.find(name), home) == []


def test_what_cannot_be_restored_is_told_and_leaves_nothing(
    tiny_archive: Path, restored_study: Home, tmp_path: Path, run_cli
) -> None:
    before = files_below(restored_study.root / "studies")
    status, _, err = run_cli("restore", tiny_archive, "--home", restored_study.root)
    assert status == 2
    assert "a restored study's name must be free, but 'tiny' is launched" in err
    assert "--as NAME" in err
    assert files_below(restored_study.root / "studies") == before
    status, _, err = run_cli("restore", tiny_archive, "--home", tmp_path / "new", "--as", "no/name")
    assert status == 2
    assert "name" in err
    damaged = tmp_path / "damaged.tar.gz"
    content = tiny_archive.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    status, _, err = run_cli("restore", damaged, "--home", tmp_path / "new")
    assert status == 2
    assert "an archive must be a whole gzipped tar file" in err
    assert files_below(tmp_path / "new") == {}


def test_trials_or_runs_of_that_name_are_never_replaced(tiny_archive: Path, restored_study: Home) -> None:
    folder = restored_study.study("tiny").path
    shutil.rmtree(folder)
    with pytest.raises(SpecError, match="the trials' storage has 'tiny' already"):
        restore(tiny_archive, restored_study)
    assert not folder.exists()
    (restored_study.root / "optuna.db").unlink()
    with pytest.raises(SpecError, match="MLflow, or its trash, has 'tiny' already"):
        restore(tiny_archive, restored_study)
    assert not folder.exists()
    assert {item.kind.value for item in look(restored_study).orphans} == {"experiment without study"}


def test_another_float_baseline_of_the_same_settings_is_kept(tiny_archive: Path, restored_study: Home) -> None:
    (cached,) = (restored_study.cache / "baselines").glob("*.npz")
    with np.load(cached) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["weight_0"] = arrays["weight_0"] + 1
    np.savez(cached, **arrays)
    before = cached.read_bytes()
    with pytest.raises(SpecError, match="has another one than the archive of 'again'"):
        restore(tiny_archive, restored_study, "again")
    assert cached.read_bytes() == before
    assert restored_study.names() == ["tiny"]


def test_the_file_is_named_after_the_study(tiny_study, tmp_path: Path, run_cli, monkeypatch) -> None:
    path, home, _ = tiny_study
    monkeypatch.chdir(tmp_path)
    status, _, err = run_cli("archive", path, "--home", home.root)
    assert (status, err.split(",")[0]) == (0, "written: tiny.tar.gz")
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.tar.gz"]
    status, _, err = run_cli("archive", "tiny", "--home", home.root)
    assert (status, err) == (
        2,
        "error: an archive's file must be new, but tiny.tar.gz exists (--force replaces it)\n",
    )
    assert run_cli("archive", "tiny", "--home", home.root, "--force", "-q") == (0, "", "")


def test_a_study_that_runs_is_not_archived(copied_study, tmp_path: Path, run_cli) -> None:
    _, home = copied_study
    with home.study("tiny").locked():
        status, _, err = run_cli("archive", "tiny", "--to", tmp_path / "x.tar.gz", "--home", home.root)
    assert status == 2
    assert "a study is archived at rest, but 'tiny' is being run" in err
    assert not (tmp_path / "x.tar.gz").exists()
    (tmp_path / "x.tar.gz").write_text("old")
    status, _, err = run_cli("archive", "tiny", "--to", tmp_path / "x.tar.gz", "--home", home.root)
    assert (status, (tmp_path / "x.tar.gz").read_text()) == (2, "old")
    assert "--force replaces it" in err


def test_places_of_its_own(tiny_study, tiny_archive: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    places = Places(f"sqlite:///{tmp_path / 'trials.db'}", f"sqlite:///{tmp_path / 'runs.db'}")
    spec = restore(tiny_archive, home, places=places)
    assert (spec.storage.optuna, spec.storage.tracking) == (places.optuna, places.tracking)
    assert not (home.root / "optuna.db").exists()
    assert load_study("tiny", home) == tiny_study[2]
    assert check_study(spec, home) == []
    assert look(home).orphans == ()  # Its artifacts belong to a database of its own.
    assert home.study("tiny").study_file.stat().st_mode & 0o077 == 0
    # By the file that it was launched with first, its trials would be looked for elsewhere.
    was = re.escape(
        f"was {places.optuna} and is now sqlite:///{home.optuna_file}; launch {home.study('tiny').study_file}"
    )
    with pytest.raises(SpecError, match=f"a study keeps its trials' storage, but that of 'tiny' {was}"):
        known_study(load_spec(tiny_study[0]), home, "")


def test_what_was_restored_is_archived_as_it_was(tiny_study, restored_study: Home, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    before, after = (portable(home.study("tiny").study_file) for home in (tiny_study[1], restored_study))
    assert yaml.safe_load(after) == yaml.safe_load(before)
    assert yaml.safe_load(after)["data"]["speech"][0]["path"] == "speech"


def test_a_storage_that_ceases_to_answer_is_told(restored_study: Home, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(restored_study.optuna_file)) as database:
        database.execute("ALTER TABLE trial_values RENAME COLUMN value TO another")
    with pytest.raises(SpecError, match=r"the trials' storage must answer, but it does not: .*no such column"):
        archive("tiny", restored_study, tmp_path / "x.tar.gz")
    assert files_below(tmp_path).keys().isdisjoint({"x.tar.gz"})


def test_an_archive_without_a_study(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    pack(tmp_path / "x.tar.gz", {"study": "x"}, {"trials.json": tmp_path / "x"})
    with pytest.raises(ArchiveError, match=r"must hold a study, but study/study.yaml is missing"):
        restore(tmp_path / "x.tar.gz", Home(tmp_path / "home"))
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        assert json.load(tar.extractfile("manifest.json"))["study"] == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: [", r"study file must hold keys and values, but that of .*x\.tar\.gz does not"),
        (b"\xff\xfe", "study file must hold keys and values"),
        (b"- 1", "study file must hold keys and values"),
        (b"name: x\nstorage: null", "study file must hold keys and values"),
        (b"seed: 1", r"this key is required, but it is missing \(name in study\.yaml of .*x\.tar\.gz\)"),
        (b"name: ../x", r"but got '\.\./x' \(name in study\.yaml of .*x\.tar\.gz\)"),
    ],
)
def test_a_study_file_that_cannot_be_read_is_told_by_its_archive(tmp_path: Path, run_cli, text: bytes, message) -> None:
    (tmp_path / "study.yaml").write_bytes(text)
    (tmp_path / "trials.json").write_text("{}")
    files = {"study/study.yaml": tmp_path / "study.yaml", "trials.json": tmp_path / "trials.json"}
    pack(tmp_path / "x.tar.gz", {"study": "x"}, files)
    status, _, err = run_cli("restore", tmp_path / "x.tar.gz", "--home", tmp_path / "home")
    assert status == 2
    assert re.search(message, err)
    assert files_below(tmp_path / "home") == {}
    assert run_cli("restore", tmp_path / "nothing.tar.gz", "--home", tmp_path / "none")[0] == 2
    assert not (tmp_path / "none").exists()


def test_trials_that_cannot_be_read_leave_nothing(tiny_archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    about = unpack(tiny_archive, tmp_path / "out").about
    (tmp_path / "out" / "trials.json").write_text("{}")
    # A lock in an archive must not take the place of the one that is held.
    (tmp_path / "out" / "study" / "lock").write_text("not a lock")
    members = {name: tmp_path / "out" / name for name in files_below(tmp_path / "out")}
    pack(tmp_path / "x.tar.gz", about, members)
    home = Home(tmp_path / "home")
    with pytest.raises(ArchiveError, match=r"trials and runs must be readable, but .*KeyError"):
        restore(tmp_path / "x.tar.gz", home)
    assert (look(home).studies, look(home).orphans) == ((), ())
    unpack(tiny_archive, tmp_path / "whole")
    members["trials.json"] = tmp_path / "whole" / "trials.json"
    pack(tmp_path / "x.tar.gz", about, members)
    restore(tmp_path / "x.tar.gz", home)
    assert check_study(home.find("tiny"), home) == []
    assert (home.study("tiny").path / "lock").read_text() == ""
