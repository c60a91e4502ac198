"""A study from its file to the stores, for real: Ray workers, TensorFlow, Optuna's and MLflow's SQLite."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from wordlength import Home, SpecError, StudyView, TrialReport, WordlengthError, launch, load_spec, load_study
from wordlength.objectives.baseline import Baseline, BaselineProgress, load_baseline, save_baseline
from wordlength.search.home import StudyFolder
from wordlength.search.loop import MOST_REPEATS_IN_A_ROW
from wordlength.search.observer import Observer
from wordlength.search.study_file.spec import with_overrides
from wordlength.search.weights import load_weights

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
]


class Listener(Observer):
    """Keeps what a launch tells."""

    def __init__(self) -> None:
        self.baselines: list[BaselineProgress | Baseline] = []
        self.opened: list[tuple[int, int]] = []
        self.views: list[StudyView] = []

    def baseline(self, progress: BaselineProgress | Baseline) -> None:
        self.baselines.append(progress)

    def study(self, view: StudyView, again: int, workers: int) -> None:
        self.opened.append((view.finished, again))

    def trial(self, view: StudyView) -> None:
        self.views.append(view)


def children(home: Home, name: str = "tiny"):
    client = MlflowClient(home.tracking_address())
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if run.data.tags["kind"] == "study"]
    assert len(parents) == 1
    trials = [run for run in runs if run.data.tags["kind"] == "trial"]
    return client, parents[0], {int(run.data.tags["trial.number"]): run for run in trials}


def test_the_uniform_formats_come_first_and_all_trials_finish(tiny_study) -> None:
    _, _, view = tiny_study
    assert view.finished == view.wanted == 6
    assert view.counts["complete"] == 6
    labels = [row.label for row in view.rows]
    assert labels[:4] == [
        "uniform fixed<16,2>",
        "uniform fixed<8,0>",
        "uniform po2<4,-1>",
        "uniform fixed<4,-1>",
    ]
    assert labels[4:] == ["", ""]
    assert len({row.candidate for row in view.rows}) == 6


def test_what_the_storage_says_is_what_launch_returned(tiny_study) -> None:
    path, home, view = tiny_study
    assert load_study("tiny", home) == view == load_study(str(path), home)
    with pytest.raises(SpecError, match=r"got 'nobody'; launched here: tiny"):
        load_study("nobody", home)


def test_reports_lie_beside_and_weights_only_for_the_front(tiny_study) -> None:
    _, home, view = tiny_study
    folder = home.study("tiny")
    for row in view.rows:
        report = TrialReport.from_json(folder.report(row.number).read_text(encoding="utf-8"))
        assert report.quality == row.quality
        assert report.candidate == row.candidate
        assert {analysis.step for analysis in report.analyses} == {1, 2}
    kept = {int(path.stem) for path in folder.weights(0).parent.glob("*.npz")}
    assert kept == {point.number for point in view.front}
    weights = load_weights(folder.weights(view.front[0].number))
    assert weights is not None
    assert all(np.isfinite(weight).all() for weight in weights)


def test_mlflow_shows_every_trial_and_exactly_the_front(tiny_study) -> None:
    _, home, view = tiny_study
    client, parent, trials = children(home)
    assert set(trials) == {row.number for row in view.rows}
    tagged = {number for number, run in trials.items() if run.data.tags.get("pareto") == "true"}
    assert tagged == {point.number for point in view.front}
    for row in view.rows:
        run = trials[row.number]
        assert run.data.params == row.candidate.to_dict()
        assert run.data.metrics["stoi_improvement"] == row.quality
        assert run.data.metrics["memory_bytes"] == row.memory_bytes
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert any(name.startswith("overflow/") for name in run.data.metrics)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["baseline_memory_bytes"] == view.baseline.memory_bytes
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"pareto_front.html", "pareto_front.png", "pareto_front.csv", "formats_along_front.html"} <= files
    assert {"study.yaml", "study.resolved.yaml"} <= files


def test_the_same_launch_again_changes_nothing(copied_study) -> None:
    path, home = copied_study
    before, listener = load_study("tiny", home), Listener()
    assert launch(load_spec(path), home, observer=listener) == before
    assert [type(item) for item in listener.baselines] == [Baseline]  # From the cache: no epoch was trained.
    assert listener.opened == [(6, 0)]


def test_more_trials_go_on_without_repeating_a_candidate(copied_study) -> None:
    path, home = copied_study
    before = load_study("tiny", home)
    view = launch(with_overrides(load_spec(path), trials=8, count=1), home)
    assert view.finished == view.wanted == 8
    assert view.rows[:6] == before.rows
    assert all(row.reused_from is None for row in view.rows)
    assert len({row.candidate for row in view.rows}) == len(view.rows) == 8
    _, _, trials = children(home)
    assert set(trials) == set(range(8))


def test_the_same_candidate_gives_the_same_figures_in_another_launch(tiny_study, tmp_path: Path) -> None:
    path, _, view = tiny_study
    again = launch(with_overrides(load_spec(path), trials=2, count=1), Home(tmp_path / "home"))
    assert [row.quality for row in again.rows] == [row.quality for row in view.rows[:2]]


def test_a_trial_told_but_not_recorded_is_recorded_on_resume(copied_study) -> None:
    path, home = copied_study
    client, _, trials = children(home)
    client.delete_run(trials[3].info.run_id)
    launch(load_spec(path), home)
    assert set(children(home)[2]) == set(range(6))


def test_changed_settings_are_refused_and_leave_the_study_as_it_was(copied_study, write_study) -> None:
    _, home = copied_study
    before = home.study("tiny").study_file.read_text(encoding="utf-8")
    changed = write_study(("fixed<16,4>", "fixed<12,4>"))
    with pytest.raises(SpecError, match=r"space\.activations was 'fixed<16,4>' and is now 'fixed<12,4>'"):
        launch(load_spec(changed), home)
    assert home.study("tiny").study_file.read_text(encoding="utf-8") == before
    assert load_study("tiny", home).finished == 6


def test_a_budget_that_no_candidate_fits_into_is_refused_before_anything_is_trained(write_study, tmp_path) -> None:
    path, listener = write_study(("first_front: 0", "first_front: 0, budgets: [100kB, 1]")), Listener()
    with pytest.raises(SpecError, match=r"must hold the smallest candidate's \d+ bytes, but got 1 \(search\.budgets\)"):
        launch(load_spec(path), Home(tmp_path / "home"), observer=listener)
    assert not listener.baselines


def test_repeated_proposals_reuse_the_finished_result(write_study, tmp_path: Path) -> None:
    # Two candidates in all and no uniform ones: a third trial does not exist, and the study ends all the same.
    path = write_study(
        ("fixed: {bits: [3, 6], offset: [0, 1]}, po2: {bits: [3, 4]}", "fixed: {bits: [4, 5]}"),
        ("first_front: 0", "uniform: [], first_front: 0"),
        ("trials: 6", "trials: 5"),
        ("activations: fixed<16,4>", "activations: fixed<16,4>\n  tie: {all: ['*']}"),
        name="twins",
    )
    view = launch(with_overrides(load_spec(path), count=1), Home(tmp_path / "home"))
    assert view.finished == 2
    repeated = [row for row in view.rows if row.reused_from is not None]
    assert len(repeated) == len(view.rows) - 2 >= MOST_REPEATS_IN_A_ROW
    for row in repeated:
        first = view.rows[row.reused_from]
        assert (row.candidate, row.quality) == (first.candidate, first.quality)
    assert set(children(Home(tmp_path / "home"), "twins")[2]) == {row.number for row in view.rows}


def test_the_gate_prunes_with_its_reason(write_study, tmp_path: Path) -> None:
    path = write_study(name="gated", overflow=0.0)
    view = launch(with_overrides(load_spec(path), trials=4, count=1), Home(tmp_path / "home"))
    pruned = [row for row in view.rows if row.state == "pruned"]
    assert pruned
    assert all(row.quality is None for row in pruned)
    assert all("overflow of " in row.reason and "limit 0.0%" in row.reason for row in pruned)
    _, _, trials = children(Home(tmp_path / "home"), "gated")
    assert trials[pruned[0].number].data.tags["trial.state"] == "pruned"
    report = json.loads(StudyFolder(tmp_path / "home/studies/gated").report(pruned[0].number).read_text())
    assert report["constraints"]["overflow"] > 0


def test_a_pattern_without_a_layer_is_refused_before_anything_is_trained(write_study, tmp_path: Path) -> None:
    path = write_study(("activations: fixed<16,4>", "layers: {convv_1: {biases: 'fixed<8,2>'}}"))
    listener = Listener()
    with pytest.raises(SpecError, match=r"got 'convv_1'; did you mean 'conv_1'\? \(space\.layers\.convv_1\)"):
        launch(load_spec(path), Home(tmp_path / "home"), observer=listener)
    assert listener.baselines == []
    assert not (tmp_path / "home" / "optuna.db").exists()
    assert not (tmp_path / "home" / "studies").exists()


def launch_until(path: Path, home: Home, trials: int, how: signal.Signals, *options: str) -> str:
    """Launches in a process of its own until so many trials are finished, and stops it: its lines until then."""
    command = [sys.executable, "-c", "from wordlength.search.cli import main; main()", "launch", str(path)]
    process = subprocess.Popen(
        [*command, "--workers", "1", *options],
        env=os.environ | {"WORDLENGTH_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    deadline, begun = time.monotonic() + 600, ""
    for line in process.stdout:
        begun += line
        if line.startswith(f"trials: {trials} of 40"):
            break
        assert time.monotonic() < deadline, begun
    time.sleep(0.5)
    process.send_signal(how)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "go on with: wordlength launch" in output
    assert "Traceback" not in output
    return begun


def test_a_stop_tells_every_running_trial_and_the_same_command_resumes(write_study, tmp_path: Path) -> None:
    # A trial of seconds, so that the signal meets a running one.
    longer = (("trials: 6", "trials: 40"), ("baseline_epochs: 1", "baseline_epochs: 1, step_one_epochs: 10"))
    path, home = write_study(*longer), Home(tmp_path / "home")
    begun = launch_until(path, home, 2, signal.SIGINT)
    served = re.search(
        r"^Pareto front: http://127\.0\.0\.1:(\d+)/#/experiments/1/runs\?viewStateShareKey=\S+$", begun, re.MULTILINE
    )
    assert served, begun
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(served[1]))) != 0, "the server ends with the launch"
    stopped = load_study("tiny", home)
    assert stopped.counts["running"] == 0
    assert stopped.counts["interrupted"] >= 1
    assert 2 <= stopped.finished < 40
    # First another uniform format, then the one that was cut off.
    launch_until(path, home, stopped.finished + 2, signal.SIGTERM, "--no-ui")
    resumed = load_study("tiny", home)
    cut = next(row for row in stopped.rows if row.state == "interrupted")
    assert [row.state for row in resumed.rows if row.candidate == cut.candidate] == ["interrupted", "complete"]
    assert resumed.counts["running"] == 0
    assert resumed.counts["interrupted"] > stopped.counts["interrupted"]


def test_a_study_whose_trials_are_gone_is_refused_with_what_to_do(copied_study) -> None:
    path, home = copied_study
    (home.root / "optuna.db").unlink()
    with pytest.raises(SpecError, match=r"no trials there \(.*optuna\.db\); bring the storage back, or remove .*tiny"):
        launch(load_spec(path), home)
    assert home.study("tiny").report(0).exists()


def test_an_experiment_of_another_study_of_that_name_is_refused(copied_study) -> None:
    path, home = copied_study
    (home.root / "optuna.db").unlink()
    home.study("tiny").study_file.unlink()
    with pytest.raises(SpecError, match="'tiny' holds the trials of another of that name"):
        launch(load_spec(path), home)


def test_another_float_baseline_is_refused(copied_study) -> None:
    path, home = copied_study
    (cached,) = (home.cache / "baselines").glob("*.npz")
    baseline = load_baseline(cached)
    assert baseline is not None
    save_baseline(replace(baseline, weights=tuple(weight + 1e-3 for weight in baseline.weights)), cached)
    with pytest.raises(SpecError, match="that of 'tiny' was trained again with another result"):
        launch(load_spec(path), home)


def test_one_launch_at_a_time(copied_study) -> None:
    path, home = copied_study
    assert not home.study("tiny").is_live()
    with home.study("tiny").locked():
        assert home.study("tiny").is_live()
        with pytest.raises(SpecError, match="'tiny' is being run already"):
            launch(load_spec(path), home)
    assert not home.study("tiny").is_live()


def test_a_tracking_server_that_does_not_answer_is_refused_at_once(write_study, tmp_path: Path) -> None:
    path = write_study(("search: {", "storage: {tracking: 'http://127.0.0.1:9'}\nsearch: {"), name="away")
    with pytest.raises(SpecError, match=r"tracking server must answer, but it does not: .* \(storage\.tracking\)"):
        launch(load_spec(path), Home(tmp_path / "home"))
    assert not (tmp_path / "home" / "studies").exists()


def test_a_uniform_format_for_other_channels_is_refused_before_anything_is_trained(write_study, tmp_path: Path) -> None:
    path = write_study(("search: {trials: 6,", "search: {uniform: [{weights: 'fixed<8,1/2>'}], trials: 6,"))
    listener = Listener()
    with pytest.raises(WordlengthError, match=r"as many as output channels, .* but got 2 .*\(search\.uniform\)"):
        launch(load_spec(path), Home(tmp_path / "home"), observer=listener)
    assert not listener.baselines
