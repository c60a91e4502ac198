"""A study with first front, shared weights and rungs, for real."""

import json

import pytest
from mlflow import MlflowClient

from wordlength import Home, TrialReport, launch, load_spec
from wordlength.objectives.baseline import load_baseline
from wordlength.objectives.report import TrialJob, TrialState
from wordlength.search.launch import search_space
from wordlength.search.observer import Observer
from wordlength.search.rungs import RungCounts
from wordlength.search.session import open_evaluator
from wordlength.search.study_file.spec import with_overrides

pytestmark = [pytest.mark.studies, pytest.mark.usefixtures("ray_session")]

LEVERS = (
    "search: {trials: 6, first_front: 0, allocated: 0, startup_trials: 2}",
    "search: {trials: 6, uniform: [], first_front: 3, screening: {mixtures: 2, candidates: 2, short: 1}}",
)


@pytest.fixture(scope="module")
def screened(write_study, ray_session):
    """A study of 6 trials, its first front and what was screened among them: file, home, view, what was told."""
    path = write_study(LEVERS)
    home = Home(path.parent / "home")
    told = Told()
    return path, home, launch(load_spec(path), home, observer=told), told


class Told(Observer):
    """Keeps what a launch told of the lower rungs."""

    def __init__(self) -> None:
        self.phases: dict[str, list[float]] = {}
        self.counts: list[RungCounts] = []

    def phase(self, name: str, share: float) -> None:
        self.phases.setdefault(name, []).append(share)

    def screened(self, counts: RungCounts) -> None:
        self.counts.append(counts)


def judged(home: Home) -> dict[tuple[str, int], float]:
    lines = (home.study("tiny").screening).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {(json.dumps(row["candidate"], sort_keys=True), row["rung"]): row["quality"] for row in rows}


def test_first_front_then_only_what_has_climbed(screened) -> None:
    _, home, view, _ = screened
    rows, known = view.rows, judged(home)
    assert view.finished == 6
    assert len({row.candidate.digest for row in rows}) == 6
    sizes = [row.memory_bytes for row in rows[:3]]
    assert sorted(sizes)[1] == sizes[0], "the middle one comes first"
    for row in rows[3:]:
        name = json.dumps(row.candidate.to_dict(), sort_keys=True)
        assert (name, 0) in known
        assert (name, 1) in known
    assert home.study("tiny").shared_weights(1).exists()


def test_the_lower_rungs_are_told_while_they_run_and_kept_apart(screened, run_cli) -> None:
    path, home, view, told = screened
    assert told.phases["first front"] == [0, 0.5, 1]
    shared = told.phases["shared weights"]
    assert shared == sorted(shared)
    assert len(shared) > 2
    assert (shared[0], shared[-1]) == (0, 1)
    assert told.counts[-1].assessed == sum(rung == 0 for _, rung in judged(home))
    assert told.counts[-1].climbed == 3
    _, status, _ = run_cli("status", "tiny", "--home", str(home.root))
    assert f"{told.counts[-1].assessed} judged" in status
    assert "3 became trials" in status
    store = home.tracking_address(load_spec(path))
    client = MlflowClient(store)
    (experiment,) = (e for e in client.search_experiments() if e.name == "tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    (parent,) = (run for run in runs if run.data.tags["kind"] == "study")
    assert "screening.csv" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    trials = {int(run.data.tags["trial.number"]): run.data.metrics for run in runs if run is not parent}
    last = view.rows[-1]
    name = json.dumps(last.candidate.to_dict(), sort_keys=True)
    figures = trials[last.number]
    assert figures["rung_0/stoi_improvement"] == judged(home)[name, 0]
    assert figures["rung_1/stoi_improvement"] == judged(home)[name, 1]
    assert figures["stoi_improvement"] == last.quality


def test_a_trial_knows_nothing_of_the_rungs_below(screened) -> None:
    path, home, view, _ = screened
    climbed = view.rows[-1]
    logged = TrialReport.from_json(home.study("tiny").report(climbed.number).read_text())
    evaluator, _ = open_evaluator(load_spec(path), home)
    alone, _ = evaluator.evaluate(TrialJob(climbed.number, climbed.candidate, load_spec(path).seed))
    assert alone.state is TrialState.COMPLETE
    assert alone.quality == logged.quality == climbed.quality
    assert alone.losses == logged.losses


def test_a_second_launch_goes_on_with_what_was_judged(screened) -> None:
    path, home, view, _ = screened
    before, weights = judged(home), home.study("tiny").shared_weights(1).stat().st_mtime_ns
    again = launch(with_overrides(load_spec(path), trials=7), home)
    assert again.finished == 7
    assert again.rows[:6] == view.rows
    assert before.items() <= judged(home).items()
    assert home.study("tiny").shared_weights(1).stat().st_mtime_ns == weights


def test_without_screening_later_trials_are_drawn_by_the_allocation(write_study, tmp_path) -> None:
    levers = "search: {trials: 2, uniform: [], first_front: 0, budgets: [1kB], allocated: 1}\nworkers: {count: 1}"
    spec, home = load_spec(write_study((LEVERS[0], levers), name="drawn")), Home(tmp_path)
    view = launch(spec, home)
    assert view.finished == 2
    assert view.rows[0].memory_bytes <= 1000
    again = launch(with_overrides(spec, trials=3), home)
    (cached,) = (home.cache / "baselines").glob("*.npz")
    space = search_space(spec, load_baseline(cached))
    at_proposals = {
        group.name: [*space.at_proposals(group)] for group in space.groups if group.slots[0].role == "weights"
    }
    for row in again.rows:
        chosen = {slot.layer: {slot: fmt} for slot, fmt in row.candidate.items() if slot.role == "weights"}
        assert all(formats in at_proposals[layer] for layer, formats in chosen.items())
    assert len({row.candidate.digest for row in again.rows}) == 3, "a second launch draws others"
