"""wordlength check: the trials' storage against the study's folder and MLflow, and how MLflow is mended."""

from collections.abc import Callable
from contextlib import closing

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from wordlength import load_spec, load_study
from wordlength.search.check import check_study
from wordlength.search.study import StudyStore

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def runs(copied_study) -> tuple[MlflowClient, Callable[[], dict[int, Run]]]:
    """MLflow's client, and how to get the trials' runs by their numbers."""
    client = MlflowClient(copied_study[1].tracking_address())
    experiment = client.get_experiment_by_name("tiny").experiment_id

    def trials() -> dict[int, Run]:
        found = client.search_runs([experiment], "tags.kind = 'trial'")
        return {int(run.data.tags["trial.number"]): run for run in found}

    return client, trials


def test_a_finished_study_agrees(copied_study, run_cli) -> None:
    status, out, _ = run_cli("check", "tiny", "--home", copied_study[1].root)
    assert (status, out) == (0, "storage, folder and MLflow agree\n")


def test_what_mlflow_lost_or_has_otherwise_is_told_and_mended(copied_study, runs, run_cli) -> None:
    path, home = copied_study
    client, trials = runs
    known, front = trials(), {point.number for point in load_study("tiny", home).front}
    member = min(front)
    missing, changed, doubled = sorted(known.keys() - {member})[:3]
    client.delete_run(known[missing].info.run_id)
    client.set_tag(known[changed].info.run_id, "trial.digest", "another")
    again = client.create_run(known[doubled].info.experiment_id, tags=known[doubled].data.tags)
    client.set_terminated(again.info.run_id, "FAILED")
    client.delete_tag(known[member].info.run_id, "pareto")

    status, out, _ = run_cli("check", "tiny", "--home", home.root)
    assert status == 1
    digest = load_study("tiny", home).rows[changed].candidate.digest
    for line in (
        f"trial {missing}: MLflow has no run of it",
        f"trial {changed}: in MLflow digest is another, but {digest} in the storage",
        f"trial {doubled}: MLflow has 2 runs of it",
        f"trial {member}: in MLflow it is not on the front",
        "mend MLflow with: wordlength check tiny --repair",
    ):
        assert line in out

    status, out, _ = run_cli("check", path, "--repair", "--home", home.root)
    assert status == 0
    assert out.splitlines()[-1].endswith(" mended")
    assert check_study(load_spec(path), home) == []
    mended = trials()
    assert mended.keys() == known.keys()
    assert {number for number, run in mended.items() if run.data.tags.get("pareto") == "true"} == front
    assert mended[missing].data.metrics == pytest.approx(known[missing].data.metrics, nan_ok=True)
    # What agreed before is the same run still.
    assert mended[member].info.run_id == known[member].info.run_id


def test_a_trial_that_nobody_runs_and_lost_files_are_told(copied_study, run_cli) -> None:
    path, home = copied_study
    spec, folder = load_spec(path), home.study("tiny")
    with closing(StudyStore.create(spec, home.optuna_address(spec))) as store:
        candidate = store.rows()[0].candidate
        store._queue({}, {}, {"candidate": candidate.to_dict(), "digest": "x", "label": ""})
        number, *_ = store.ask(None, "long dead")
    member = load_study("tiny", home).front[0].number
    folder.weights(member).unlink()
    folder.report(member).unlink()
    status, out, _ = run_cli("check", "tiny", "--home", home.root)
    assert status == 1
    assert f"trial {number}: it is running, but no launch runs it" in out
    assert f"trial {member}: its report is missing" in out
    assert f"trial {member}: it is on the front, but its weights are missing" in out
    status, out, _ = run_cli("check", "tiny", "--repair", "--home", home.root)
    assert status == 1
    assert f"left: trial {member}: its report is missing" in out
    assert load_study("tiny", home).rows[number].state == "interrupted"


def test_a_study_that_runs_is_not_repaired(copied_study, run_cli, runs) -> None:
    _, home = copied_study
    client, trials = runs
    client.delete_run(trials()[0].info.run_id)
    with home.study("tiny").locked():
        status, _, err = run_cli("check", "tiny", "--repair", "--home", home.root)
    assert status == 2
    assert "'tiny' is being run already" in err
