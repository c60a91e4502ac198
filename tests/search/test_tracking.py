import dataclasses
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from recorded import FIGURES_OF_STUDY, artifact, candidate, children, parent, report, view
from two_goals import reached

from wordlength.objectives.report import FIGURES, LayerAnalysis, TrialReport, TrialState
from wordlength.search.tracking import DataSet, publish_views
from wordlength.search.views import LAYER_FIGURES
from wordlength.space import Candidate, Fixed, Role, Slot, SlotInfo

# SQLAlchemy 2.1 calls a loader deprecated that MLflow 3.17 asks for when its store is first imported.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
)


def test_begin_describes_the_study(opened, store, tmp_path):
    data = [DataSet("mine, training", "abc123", "mine", "training", {"hours": 0.5, "speakers": 3})]
    tracker = opened(
        "my study",
        params={"seed": "1", "long": "x" * 7000},
        tags={"user": "me"},
        metrics=FIGURES_OF_STUDY,
        files={"study.yaml": "name: my study\n"},
        data=data,
    )
    run = parent(tracker, store)
    assert run.info.status == "RUNNING"
    assert run.data.params["seed"] == "1"
    assert run.data.params["long"] == "x" * 5999 + "…"
    assert run.data.metrics == FIGURES_OF_STUDY
    tags = {"kind": "study", "mlflow.runName": "my study", "user": "me"}
    assert tags.items() <= run.data.tags.items()
    assert artifact(tracker, store, "study.yaml") == b"name: my study\n"
    assert run.info.artifact_uri.startswith((tmp_path / "artifacts" / "my_study").as_uri())
    (known,) = run.inputs.dataset_inputs
    assert (known.dataset.name, known.dataset.digest) == ("mine, training", "abc123")
    assert json.loads(known.dataset.profile) == {"hours": 0.5, "speakers": 3}
    assert [(tag.key, tag.value) for tag in known.tags] == [("mlflow.data.context", "training")]


def test_views_are_published_again_when_users_have_changed_them(opened, store):
    tracker = opened()
    client = MlflowClient(store)
    name = "mlflow.sharedViewState.pareto-front"
    published = client.get_experiment(tracker.experiment_id).tags
    assert {name, "mlflow.sharedViewState.all-trials", "mlflow.sharedViewState.fixed-point-health"} <= set(published)
    assert f"(#/experiments/{tracker.experiment_id}/runs/{tracker.run_id}?" in published["mlflow.note.content"]
    client.set_experiment_tag(tracker.experiment_id, name, "mine")
    opened()
    assert client.get_experiment(tracker.experiment_id).tags == published
    client.set_experiment_tag(tracker.experiment_id, name, "mine")
    assert publish_views(store, "study") == tracker.experiment_id
    assert client.get_experiment(tracker.experiment_id).tags == published
    assert publish_views(store, "nobody") is None
    assert client.get_experiment_by_name("nobody") is None


def test_a_trial_is_a_child_run_with_all_its_figures(opened, store):
    tracker = opened()
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
        "trial.step": "2",
        "mlflow.runColor": "#b8c4d0",
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
        "loss": 0.3,
        "overflow/dense_1.activations": 0.02,
        "weight_bits/dense_1": 4,
        "worst/overflow": 0.02,
        "worst/zero_gradient": 0,
    }
    assert expected.items() <= run.data.metrics.items()


def test_figures_of_the_lower_rungs_have_names_of_their_own(opened, store):
    tracker = opened()
    tracker.log_trial(report(3), rungs=(0.021, None))
    tracker.log_trial(report(4))
    runs = children(tracker, store)
    assert runs[3].data.metrics["rung_0/stoi_improvement"] == 0.021
    assert runs[3].data.metrics["stoi_improvement"] == 0.03
    assert "rung_1/stoi_improvement" not in runs[3].data.metrics
    assert not any(name.startswith("rung") for name in runs[4].data.metrics)


def test_analyses_are_series_over_the_epochs_of_both_steps(opened, store):
    tracker = opened()
    tracker.log_trial(report(0))
    run, client = children(tracker, store)[0], MlflowClient(store)

    def series(name: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]

    assert series("overflow/dense_9.weights") == [(1, 0.01), (2, 0.02), (3, 0.01), (4, 0.02)]
    assert series("overflow/dense_9.activations") == [(3, 0.01), (4, 0.02)], "step one leaves activations in float32"
    assert series("loss") == [(1, 0.5), (2, 0.4), (3, 0.3)], "the last one is not a number"
    names = run.data.metrics
    assert not [name for name in names if "sqnr_db" in name], "infinite everywhere in this report"
    per_slot = {name.split("/")[0] for name in names if name.endswith("/dense_9.activations")}
    assert per_slot == set(LAYER_FIGURES) - {"sqnr_db"}
    assert set(LAYER_FIGURES) <= set(FIGURES)


def test_slots_that_are_not_searched_have_no_series_but_count_among_the_worst(opened, store):
    tracker = opened(searched=(Slot("dense_1", Role.WEIGHTS),))
    tracker.log_trial(report(0))
    run = children(tracker, store)[0]
    assert {name for name in run.data.metrics if name.startswith("overflow/")} == {"overflow/dense_1.weights"}
    assert run.data.metrics["worst/overflow"] == 0.02
    assert "bias_bits/dense_4" in run.data.metrics
    assert parent(tracker, store).data.params["search.slots"] == "dense_1.weights"


def test_a_trial_explains_itself(opened, store):
    tracker = opened(precision_limit=0.05)
    tracker.log_trial(report(7, baseline_difference=-0.004, baseline_difference_error=0.001), "<b>mine</b>")
    run, client = children(tracker, store)[7], MlflowClient(store)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(
        "STOI improvement +0.0300 ± 0.0010 (-0.0040 ± 0.0010 to float32, paired), 25,000 bytes, 75.0 % saved · ["
    )
    assert "| dense_3 | 200 | `po2<4,-1>` | `fixed<16,2>` | `fixed<8,2>` | 250 |" in note.replace("&ensp;", "")
    assert "dense_1 weights: 2.0 % overflow above 0.5 or below -0.5" in note
    page = f"#/experiments/{tracker.experiment_id}/runs/{run.info.run_id}/artifacts/analysis.html"
    assert f"[Fixed-point analysis]({page}?" in note
    text = Path(client.download_artifacts(run.info.run_id, "analysis.html")).read_text(encoding="utf-8")
    assert "<h1>Trial 7</h1>" in text
    assert "&lt;b&gt;mine&lt;/b&gt;" in text


def test_the_note_of_a_deep_network_fits_and_keeps_its_findings(opened, store):
    slots = tuple(Slot(f"a_layer_with_a_long_name_{n}", role) for n in range(120) for role in Role)
    rows = (dataclasses.replace(report(0).analyses[-1], slot=slots[0]),)
    many = Candidate.uniform(slots, Fixed(8, 0), Fixed(16, 2), Fixed(8, 3))
    tracker = opened(slots=tuple(SlotInfo(slot, ()) for slot in slots), searched=())
    tracker.log_trial(TrialReport(0, many, TrialState.PRUNED, 1, reason="x" * 9000, analyses=rows))
    note = children(tracker, store)[0].data.tags["mlflow.note.content"]
    assert 7000 < len(note) <= 8000
    assert re.search(r"\n\d+ more layers\.\n\n\*\*Fixed-point analysis, worst first\*\*\n\n- ", note)


def test_a_pruned_trial_says_where_and_why(opened, store):
    tracker = opened()
    tracker.log_trial(report(2, TrialState.PRUNED, reason="overflow of dense_1", losses=((0.5, 0.4),)))
    tracker.log_trial(report(3, TrialState.FAILED, reason="loss is nan", losses=(), analyses=()))
    runs = children(tracker, store)
    assert runs[2].data.tags["trial.step"] == "1"
    assert runs[2].data.tags["mlflow.runName"] == "trial 2 pruned"
    assert runs[2].data.tags["mlflow.note.content"].startswith("pruned: overflow of dense_1. 25,000 bytes")
    assert "worst/overflow" in runs[2].data.metrics, "so that a chart can show it"
    assert not MlflowClient(store).list_artifacts(runs[3].info.run_id), "nothing was analysed"
    assert len({run.data.tags["mlflow.runColor"] for run in runs.values()} | {"#b8c4d0", "#d62728"}) == 4


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
    tracker = opened(slots=tuple(SlotInfo(slot, ()) for slot in slots), searched=tuple(slots))
    tracker.log_trial(TrialReport(0, many, TrialState.COMPLETE, 1, **reached(0.0, 1), analyses=rows))
    run = children(tracker, store)[0]
    assert len(run.data.params) == 150
    assert run.data.params["dense 7 a_x2b_b.biases"] == "fixed<8,0>"
    assert len(run.data.metrics) == 150 * (len(LAYER_FIGURES) + 1) + 7
    history = MlflowClient(store).get_metric_history(run.info.run_id, "sqnr_db/dense 49 a_x2b_b.weights")
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
    history = MlflowClient(store).get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == [1, 2, 3]
    assert len(MlflowClient(store).search_runs([tracker.experiment_id])) == 2


def test_a_study_is_resumed(opened, store):
    tracker = opened(params={"seed": "1"}, metrics=FIGURES_OF_STUDY, files={"study.yaml": "first"})
    tracker.finish("KILLED")
    assert parent(tracker, store).info.status == "KILLED"
    about = {"params": {"seed": "2", "trials": "80"}, "metrics": FIGURES_OF_STUDY}
    again = opened(files={"study.yaml": "second"}, **about)
    assert (again.run_id, again.experiment_id) == (tracker.run_id, tracker.experiment_id)
    run = parent(again, store)
    assert run.info.status == "RUNNING"
    assert {"seed": "1", "trials": "80"}.items() <= run.data.params.items()
    assert run.data.tags["resumed.seed"] == "2"
    assert artifact(again, store, "study.yaml") == b"second"
    assert len(MlflowClient(store).get_metric_history(run.info.run_id, "baseline_memory_bytes")) == 1


def test_every_page_of_trials_is_read(opened, monkeypatch):
    tracker = opened()
    for number in range(7):
        tracker.log_trial(report(number, analyses=()))
    tracker.show(view((2, 0.01, 20), (6, 0.02, 30)))
    monkeypatch.setattr("wordlength.search.tracking.store._PAGE", 3)
    again = opened()
    assert sorted(again.trials) == list(range(7))
    assert again._front == {2, 6}


def test_studies_do_not_see_each_other(opened):
    first, second = opened("first"), opened("second")
    first.log_trial(report(0, analyses=()))
    assert list(opened("second").trials) == []
    assert first.experiment_id != second.experiment_id


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
