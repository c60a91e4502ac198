import csv
import io
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.entities import ViewType

from wordlength.objectives.report import FIGURES, LayerAnalysis, TrialReport, TrialState
from wordlength.search.front import Baseline, FrontPoint, pareto_front
from wordlength.search.tracking import SERIES, Tracker
from wordlength.space import Candidate, Fixed, PowerOfTwo, Role, Slot

# SQLAlchemy 2.1 calls a loader deprecated that MLflow 3.17 asks for when its store is first imported.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
)

BASELINE = Baseline(0.034, 100_000)
SLOTS = [Slot(f"dense_{n}", role) for n in range(1, 10) for role in Role]
FINAL_FIGURES = {"baseline_stoi_improvement": 0.034, "baseline_memory_bytes": 100_000.0}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """A store whose migrations have run, which takes seconds: each test gets a copy."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(migrated, tmp_path) -> str:
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def opened(store, tmp_path):
    """Opens the study, as often as asked."""

    def open_it(name: str = "study") -> Tracker:
        return Tracker(store, tmp_path / "artifacts", name)

    return open_it


def candidate(bits: int = 4) -> Candidate:
    return Candidate.uniform(SLOTS, PowerOfTwo(bits, -1), Fixed(16, 2), Fixed(bits + 4, 2))


def report(number: int, state: TrialState = TrialState.COMPLETE, **changes) -> TrialReport:
    formats = candidate(changes.pop("bits", 4))
    rows = tuple(
        LayerAnalysis(slot, fmt, step, epoch, 100, 0.01 * epoch, 0, 0, 0, 3.0, 2, -3.0, 3.0, 0.0, 1.0, float("inf"))
        for step, formats_of_step in ((1, formats.parameters_only()), (2, formats))
        for epoch in (1, 2)
        for slot, fmt in formats_of_step.pairs
    )
    fields = {
        "memory_bytes": 25_000,
        "stoi_improvement": 0.03 if state is TrialState.COMPLETE else None,
        "stoi_standard_error": 0.001,
        "constraints": {"overflow": -0.02},
        "losses": ((0.5, 0.4), (0.3, float("nan"))),
        "analyses": rows,
        "seconds": {"step1": 20.0, "step2": 10.5},
    }
    return TrialReport(number, formats, state, **(fields | changes))


def children(tracker: Tracker, store: str, view=ViewType.ACTIVE_ONLY):
    found = MlflowClient(store).search_runs([tracker.experiment_id], "tags.kind = 'trial'", view)
    return {int(run.data.tags["trial.number"]): run for run in found}


def parent(tracker: Tracker, store: str):
    return MlflowClient(store).get_run(tracker.run_id)


def artifact(tracker: Tracker, store: str, name: str) -> bytes:
    return Path(MlflowClient(store).download_artifacts(tracker.run_id, name)).read_bytes()


def points(*rows: tuple[int, float, int]) -> list[FrontPoint]:
    return [FrontPoint(number, stoi, memory, candidate()) for number, stoi, memory in rows]


def test_start_describes_the_study(opened, store, tmp_path):
    tracker = opened("my study")
    tracker.start({"seed": "1", "long": "x" * 7000}, {"user": "me"}, FINAL_FIGURES, "name: my study\n")
    run = parent(tracker, store)
    assert run.info.status == "RUNNING"
    assert run.data.params["seed"] == "1"
    assert run.data.params["long"] == "x" * 5999 + "…"
    assert run.data.metrics == FINAL_FIGURES
    tags = {"kind": "study", "mlflow.runName": "my study", "user": "me"}
    assert tags.items() <= run.data.tags.items()
    assert artifact(tracker, store, "study.yaml") == b"name: my study\n"
    assert run.info.artifact_uri.startswith((tmp_path / "artifacts" / "my_study").as_uri())


def test_a_trial_is_a_child_run_with_all_its_figures(opened, store):
    tracker = opened()
    tracker.start({}, {}, FINAL_FIGURES, "")
    tracker.log_trial(report(3), "uniform po2<4,-1>")
    run = children(tracker, store)[3]
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time >= 30_500
    tags = {
        "mlflow.parentRunId": tracker.run_id,
        "mlflow.runName": "trial 3 (uniform po2<4,-1>)",
        "trial.state": "complete",
        "trial.digest": candidate().digest,
        "trial.label": "uniform po2<4,-1>",
    }
    assert tags.items() <= run.data.tags.items()
    assert "pareto" not in run.data.tags
    assert run.data.params == candidate().to_dict()
    expected = {
        "stoi_improvement": 0.03,
        "stoi_standard_error": 0.001,
        "memory_bytes": 25_000,
        "memory_saved_percent": 75.0,
        "constraint/overflow": -0.02,
        "seconds/step1": 20.0,
        "loss/step1": 0.4,
        "loss/step2": 0.3,
        "step2.overflow/dense_1.activations": 0.02,
    }
    assert expected.items() <= run.data.metrics.items()


def test_analyses_are_series_by_epoch_of_quantized_slots(opened, store):
    tracker = opened()
    tracker.log_trial(report(0))
    run = children(tracker, store)[0]
    history = MlflowClient(store).get_metric_history(run.info.run_id, "step1.overflow/dense_9.weights")
    assert [(point.step, point.value) for point in history] == [(1, 0.01), (2, 0.02)]
    names = run.data.metrics
    assert "step1.overflow/dense_9.activations" not in names, "step one leaves activations in float32"
    assert not [name for name in names if "sqnr_db" in name], "infinite everywhere in this report"
    per_slot = {name.split("/")[0] for name in names if name.endswith("/dense_9.activations")}
    assert per_slot == {f"step2.{name}" for name in SERIES if name != "sqnr_db"}
    assert set(SERIES) <= set(FIGURES)


@pytest.mark.parametrize(
    ("state", "status"),
    [(TrialState.COMPLETE, "FINISHED"), (TrialState.PRUNED, "KILLED"), (TrialState.FAILED, "FAILED")],
)
def test_the_state_of_a_trial_is_the_status_of_its_run(opened, store, state, status):
    tracker = opened()
    tracker.log_trial(report(0, state, reason="overflow\n" + "x" * 9000, analyses=(), losses=()))
    run = children(tracker, store)[0]
    assert run.info.status == status
    assert run.data.tags["trial.state"] == state.value
    assert len(run.data.tags["trial.reason"]) == 8000
    assert ("stoi_improvement" in run.data.metrics) == (state is TrialState.COMPLETE)


def test_more_than_one_call_takes(opened, store):
    """Beyond MLflow's 100 params and 1,000 metrics per call nothing is lost."""
    slots = [Slot(f"dense {n} a+b", role) for n in range(50) for role in Role]
    many = Candidate.uniform(slots, Fixed(8, 0), Fixed(8, 0), Fixed(8, 0))
    rows = tuple(
        LayerAnalysis(slot, fmt, 2, epoch, 1, 0, 0, 0, 0, 1.0, 0, 0, 1.0, 0, 0, 30.0)
        for epoch in (1, 2)
        for slot, fmt in many.pairs
    )
    tracker = opened()
    tracker.log_trial(TrialReport(0, many, TrialState.COMPLETE, 1, 0.0, analyses=rows))
    run = children(tracker, store)[0]
    assert len(run.data.params) == 150
    assert run.data.params["dense 7 a_x2b_b.biases"] == "fixed<8,0>"
    assert len(run.data.metrics) == 150 * len(SERIES) + 2
    history = MlflowClient(store).get_metric_history(run.info.run_id, "step2.sqnr_db/dense 49 a_x2b_b.weights")
    assert [point.step for point in history] == [1, 2]


def test_logging_again_changes_nothing(opened, store):
    tracker = opened()
    tracker.log_trial(report(5))
    tracker.log_trial(report(5, bits=3))
    again = opened()
    again.log_trial(report(5, bits=3))
    assert list(again.trials) == [5]
    assert children(tracker, store)[5].data.params == candidate(4).to_dict()
    assert len(MlflowClient(store).search_runs([tracker.experiment_id])) == 2


@pytest.mark.parametrize("calls", [0, 1], ids=["before its figures", "before its end"])
def test_a_run_left_half_written_is_completed(opened, store, monkeypatch, calls):
    def killed(*_, **__):
        raise KeyboardInterrupt

    tracker = opened()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, ("log_batch", "set_terminated")[calls], killed)
        with pytest.raises(KeyboardInterrupt):
            tracker.log_trial(report(1))
    again = opened()
    assert list(again.trials) == []
    again.log_trial(report(1))
    run = children(again, store)[1]
    assert run.info.status == "FINISHED"
    assert run.data.params == candidate().to_dict()
    history = MlflowClient(store).get_metric_history(run.info.run_id, "loss/step1")
    assert [point.step for point in history] == [1, 2]
    assert len(MlflowClient(store).search_runs([tracker.experiment_id])) == 2


def test_a_study_is_resumed(opened, store):
    tracker = opened()
    tracker.start({"seed": "1"}, {}, FINAL_FIGURES, "first")
    tracker.finish("KILLED")
    assert parent(tracker, store).info.status == "KILLED"
    again = opened()
    again.start({"seed": "2", "trials": "80"}, {}, FINAL_FIGURES, "second")
    assert (again.run_id, again.experiment_id) == (tracker.run_id, tracker.experiment_id)
    run = parent(again, store)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"seed": "1", "trials": "80"}
    assert run.data.tags["resumed.seed"] == "2"
    assert artifact(again, store, "study.yaml") == b"second"
    assert len(MlflowClient(store).get_metric_history(run.info.run_id, "baseline_memory_bytes")) == 1


def test_every_page_of_trials_is_read(opened, monkeypatch):
    tracker = opened()
    for number in range(7):
        tracker.log_trial(report(number, analyses=()), front_numbers={2, 6})
    monkeypatch.setattr("wordlength.search.tracking._PAGE", 3)
    again = opened()
    assert sorted(again.trials) == list(range(7))
    assert again._front == {2, 6}


def test_studies_do_not_see_each_other(opened):
    first, second = opened("first"), opened("second")
    first.log_trial(report(0, analyses=()))
    assert list(opened("second").trials) == []
    assert first.experiment_id != second.experiment_id


def test_pareto_tags_follow_the_front(opened, store, monkeypatch):
    tracker = opened()
    for number in range(4):
        tracker.log_trial(report(number, analyses=()), front_numbers=[0] if number == 0 else ())
    rows = [(0, 0.01, 20_000), (1, 0.02, 30_000), (2, 0.005, 40_000), (3, 0.03, 50_000)]
    cloud = points(*rows)
    tracker.show_front(cloud[:3], pareto_front(cloud[:3]), BASELINE)
    assert marked(tracker, store) == {0, 1}
    beating = points((3, 0.03, 20_000))
    touched = []
    original = MlflowClient.set_tag
    monkeypatch.setattr(MlflowClient, "set_tag", lambda *args: touched.append(args[1]) or original(*args))
    again = opened()
    again.show_front([*cloud[:3], *beating], beating, BASELINE)
    assert marked(again, store) == {3}
    assert len(touched) == 2, "trial 2 was never on the front and stays untouched"


def marked(tracker, store) -> set[int]:
    runs = children(tracker, store)
    for run in runs.values():
        colour = "#d62728" if "pareto" in run.data.tags else "#b8c4d0"
        assert run.data.tags["mlflow.runColor"] == colour
        assert run.data.tags.get("pareto", "true") == "true"
    return {number for number, run in runs.items() if "pareto" in run.data.tags}


def test_the_front_is_shown_on_the_parent_run(opened, store):
    tracker = opened()
    for number in range(3):
        tracker.log_trial(report(number, analyses=()))
    cloud = points((0, 0.01, 20_000), (1, 0.02, 30_000), (2, 0.005, 40_000))
    tracker.show_front(cloud, pareto_front(cloud), BASELINE)
    run = parent(tracker, store)
    assert run.data.metrics == pytest.approx(
        {"hypervolume": 0.1 * 0.01 + 0.7 * 0.02, "front_size": 2.0, "best_stoi_improvement": 0.02}, abs=1e-12
    )
    assert MlflowClient(store).get_metric_history(tracker.run_id, "hypervolume")[0].step == 3
    table = list(csv.DictReader(io.StringIO(artifact(tracker, store, "front.csv").decode())))
    assert [row["trial"] for row in table] == ["0", "1"]
    assert artifact(tracker, store, "pareto_front.png").startswith(b"\x89PNG")
    assert b"study: Pareto front of 3 trials" in artifact(tracker, store, "pareto_front.html")
    note = run.data.tags["mlflow.note.content"]
    member = children(tracker, store)[1].info.run_id
    assert f"| [1](#/experiments/{tracker.experiment_id}/runs/{member}?workflowType=machine_learning) |" in note
    assert f"](/get-artifact?path=pareto_front.png&run_uuid={tracker.run_id}&trials=3)" in note


def test_a_front_longer_than_a_note(opened, store):
    tracker = opened()
    cloud = [FrontPoint(n, n / 10_000, 1000 + n, candidate()) for n in range(300)]
    tracker.show_front(cloud, cloud, BASELINE)
    note = parent(tracker, store).data.tags["mlflow.note.content"]
    assert 7000 < len(note) <= 8000
    assert note.endswith("more in front.csv.")


def test_an_empty_front(opened, store):
    tracker = opened()
    tracker.show_front([], (), BASELINE)
    assert parent(tracker, store).data.metrics == {"hypervolume": 0.0, "front_size": 0.0}


def test_runs_deleted_in_the_ui_do_not_stop_a_study(opened, store):
    tracker = opened()
    for number in range(2):
        tracker.log_trial(report(number, analyses=()), front_numbers={0, 1})
    runs = children(tracker, store)
    client = MlflowClient(store)
    client.delete_run(runs[0].info.run_id)
    client.delete_tag(runs[1].info.run_id, "pareto")
    tracker.show_front([], (), BASELINE)
    with pytest.raises(MlflowException):
        client.set_tag("0" * 32, "no", "run")


def test_a_deleted_experiment_says_how_to_restore_it(opened, store):
    tracker = opened()
    MlflowClient(store).delete_experiment(tracker.experiment_id)
    with pytest.raises(
        ValueError, match=r"'study' was deleted \(undo: mlflow experiments restore --experiment-id \d+\)"
    ):
        opened()


def test_a_study_ends_in_a_known_state(opened):
    with pytest.raises(ValueError, match="one of FINISHED, KILLED, FAILED, but got 'done'"):
        opened().finish("done")


def test_a_fresh_store_is_prepared_quietly(tmp_path):
    path = tmp_path / "new.db"
    code = (
        "import sys, pathlib, logging\n"
        "from wordlength.search.tracking import Tracker\n"
        "before = logging.getLogger('mlflow.store.db.utils').level\n"
        "tracker = Tracker(sys.argv[1], pathlib.Path(sys.argv[2]), 'fresh')\n"
        "assert logging.getLogger('mlflow.store.db.utils').level == before\n"
        "assert not {'optuna', 'ray', 'tensorflow', 'keras'} & set(sys.modules)\n"
        "tracker.finish()\n"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{path}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (1,)
    connection.close()
