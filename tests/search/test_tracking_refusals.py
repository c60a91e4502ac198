"""What MLflow, its users or its artifact store do not take: told, left out, undone; never the end of a study."""

import shutil
import socket
import sqlite3

import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from recorded import BASELINE, artifact, children, parent, report, view

from wordlength.errors import SpecError
from wordlength.search.tracking import (
    Description,
    Tracker,
    count_experiments,
    kept_experiments,
    publish_views,
    recorded,
)
from wordlength.search.views import published_views
from wordlength.space import Role, Slot

# SQLAlchemy 2.1 calls a loader deprecated that MLflow 3.17 asks for when its store is first imported.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
)


def test_runs_deleted_in_the_ui_do_not_stop_a_study(opened, store):
    tracker = opened()
    for number in range(2):
        tracker.log_trial(report(number, analyses=()))
    tracker.show(view((0, 0.01, 10), (1, 0.02, 20)))
    runs = children(tracker, store)
    client = MlflowClient(store)
    client.delete_run(runs[0].info.run_id)
    client.delete_tag(runs[1].info.run_id, "pareto")
    tracker.show(view(), final=True)
    with pytest.raises(MlflowException):
        client.set_tag("0" * 32, "no", "run")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_store_is_told_at_once(tmp_path, kind: str):
    """MLflow would try for more than a minute and a half."""
    file = tmp_path / "mlflow.db"
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "nowhere" / "mlflow.db")
    for look in (count_experiments, lambda uri: kept_experiments(uri, tmp_path), lambda uri: recorded(uri, "study")):
        with pytest.raises(
            SpecError, match=r"must be an SQLite file, but .*mlflow\.db is not; .* \(storage.tracking\)$"
        ):
            look(f"sqlite:///{file}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_deleted_experiment_says_how_to_restore_it(opened, store):
    tracker = opened()
    MlflowClient(store).delete_experiment(tracker.experiment_id)
    with pytest.raises(
        ValueError, match=r"'study' was deleted \(undo: mlflow experiments restore --experiment-id \d+\)"
    ):
        opened()


def test_where_views_and_files_are_refused_the_front_is_still_told(opened, store, monkeypatch, caplog):
    def refused(*_, **__):
        raise MlflowException("not\nallowed", INVALID_PARAMETER_VALUE)

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refused)
    tracker = opened()
    assert "MLflow refused the tag mlflow.sharedViewState.pareto-front: not" in caplog.text
    monkeypatch.setattr("wordlength.search.tracking.store.Store.upload", refused)
    for number in range(2):
        tracker.log_trial(report(number))
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 10_000)), final=True)
    tracker.finish()
    assert "MLflow refused the front's figures: not" in caplog.text
    runs = children(tracker, store)
    assert [number for number, run in runs.items() if run.data.tags.get("pareto") == "true"] == [1]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    note = parent(tracker, store).data.tags["mlflow.note.content"]
    assert "| best&ensp; | [1](" in note
    assert "pareto_front.png" not in note, "there is no such file"


def test_without_views_the_files_show_the_front(opened, store, monkeypatch):
    def refused(*_, **__):
        raise MlflowException("not allowed", INVALID_PARAMETER_VALUE)

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refused)
    tracker = opened()
    tracker.log_trial(report(0))
    tracker.show(view((0, 0.01, 20_000)), final=True)
    assert artifact(tracker, store, "pareto_front.png").startswith(b"\x89PNG")
    assert "pareto_front.png" in parent(tracker, store).data.tags["mlflow.note.content"]


def test_artifacts_that_cannot_be_written_are_told_before_anything_runs(store, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    tracker = Tracker(store, tmp_path / "file", "study")
    with pytest.raises(SpecError, match=r"^MLflow's artifacts must be writable, but they are not: .*Not a directory"):
        tracker.begin(Description(BASELINE, files={"study.yaml": "x"}))


def test_a_summary_deleted_in_the_ui_comes_back(opened, store):
    tracker = opened()
    tracker.log_trial(report(0, analyses=()))
    MlflowClient(store).delete_run(tracker.run_id)
    tracker.log_trial(report(1, analyses=()))
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)), final=True)
    tracker.finish()
    again = opened()
    assert again.run_id == tracker.run_id
    assert sorted(again.trials) == [0, 1]
    again.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)), final=True)
    assert parent(again, store).info.lifecycle_stage == "active"
    assert parent(again, store).data.metrics["front_size"] == 2


def test_another_study_of_the_same_name_is_refused_and_left_as_it_was(opened, store):
    tracker = opened(tags={"study.id": "one"})
    tracker.finish()
    with pytest.raises(SpecError, match="'study' holds the trials of another"):
        opened(tags={"study.id": "two"})
    assert parent(tracker, store).info.status == "FINISHED"


def test_views_keep_every_layer_where_their_names_are_long(opened, store):
    slots = tuple(Slot(f"encoder_block_3/conv2d_transpose_with_a_long_name_{n}", Role.WEIGHTS) for n in range(120))
    tracker = opened(slots=(), searched=slots)
    client, name = MlflowClient(store), "mlflow.sharedViewState.pareto-front"
    published = client.get_experiment(tracker.experiment_id).tags[name]
    assert published == dict(found.tag for found in published_views([str(slot) for slot in slots]))[name]
    assert publish_views(store, "study") == tracker.experiment_id
    assert client.get_experiment(tracker.experiment_id).tags[name] == published


@pytest.fixture
def silent():
    """Address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_who_does_not_answer_is_given_up_soon(scheme, silent, monkeypatch):
    """MLflow would try for more than a minute and a half."""
    monkeypatch.setattr("wordlength.search.tracking.store.SERVER_SECONDS", 2)
    with pytest.raises(SpecError, match=r"must answer.* within 2 s.* \(storage\.tracking\)$") as caught:
        count_experiments(f"{scheme}://me:secret@{silent}/db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("login", ["me:secret", "me:x@secret", "secret"])
def test_a_database_that_is_down_is_told_at_once_and_without_its_login(login):
    with pytest.raises(SpecError, match=r"MLflow's database must answer within 10 s, but it does not: ") as caught:
        count_experiments(f"postgresql+psycopg://{login}@127.0.0.1:9/db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9", "nosuch://me:secret@host/db"])
def test_logins_are_not_told(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SpecError, match="store must open, but it does not") as caught:
        Tracker(address, None, "study")
    assert "secret" not in str(caught.value)


def test_an_address_with_settings_names_its_file(migrated, tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copy(migrated, path)
    Tracker(f"sqlite:///{path}?timeout=20", tmp_path / "artifacts", "study")
    assert not [file for file in tmp_path.iterdir() if "?" in file.name]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
