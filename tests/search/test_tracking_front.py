"""What MLflow shows of a study's front: marks, weights, curves, note, pictures."""

import csv
import io
from datetime import datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from recorded import BASELINE, SLOTS, artifact, candidate, children, curve, parent, report, view
from two_goals import float_point, front_point, values

from wordlength.search.tracking.study_run import front_table
from wordlength.search.trials import StudyView, TrialRow
from wordlength.space import Role

# SQLAlchemy 2.1 calls a loader deprecated that MLflow 3.17 asks for when its store is first imported.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
)


def test_pareto_tags_follow_the_front(opened, store, monkeypatch):
    tracker = opened()
    for number in range(4):
        tracker.log_trial(report(number, analyses=()))
    rows = [(0, 0.01, 20_000), (1, 0.02, 30_000), (2, 0.005, 40_000)]
    tracker.show(view(rows[0]))
    assert marked(tracker, store) == {0}
    tracker.show(view(*rows))
    assert marked(tracker, store) == {0, 1}
    touched = []
    original = MlflowClient.set_tag
    monkeypatch.setattr(MlflowClient, "set_tag", lambda *args: touched.append(args[1]) or original(*args))
    again = opened()
    again.show(view(*rows, (3, 0.03, 20_000)))
    assert marked(again, store) == {3}
    assert len(touched) == 2, "trial 2 was never on the front and stays untouched"


def test_only_front_members_keep_their_weights(opened, store, tmp_path):
    def weights(number: int) -> Path:
        return tmp_path / f"{number}.npz"

    def kept() -> set[int]:
        client = MlflowClient(store)
        runs = children(tracker, store)
        return {
            n for n, run in runs.items() if "weights.npz" in {f.path for f in client.list_artifacts(run.info.run_id)}
        }

    tracker = opened()
    for number in range(3):
        tracker.log_trial(report(number, analyses=()))
        weights(number).write_bytes(b"weights of %d" % number)
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)), weights)
    assert kept() == {0, 1}
    run_id = children(tracker, store)[1].info.run_id
    assert Path(MlflowClient(store).download_artifacts(run_id, "weights.npz")).read_bytes() == b"weights of 1"
    weights(2).unlink()
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000), (2, 0.03, 25_000)), weights)
    assert marked(tracker, store) == {0, 2}
    assert kept() == {0}, "the file of trial 2 was gone"


def marked(tracker, store) -> set[int]:
    runs = children(tracker, store)
    for run in runs.values():
        colour = "#d62728" if "pareto" in run.data.tags else "#b8c4d0"
        assert run.data.tags["mlflow.runColor"] == colour
        assert run.data.tags.get("pareto", "true") == "true"
    return {number for number, run in runs.items() if "pareto" in run.data.tags}


def test_the_front_is_shown_on_the_parent_run(opened, store):
    tracker = opened(settings={"data": "speech in noise"})
    for number in range(3):
        tracker.log_trial(report(number, analyses=()))
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000), (2, 0.005, 40_000)))
    run = parent(tracker, store)
    assert run.data.metrics == pytest.approx(
        {"hypervolume": 0.1 * 0.01 + 0.7 * 0.02, "front_size": 2.0, "best_stoi_improvement": 0.02}, abs=1e-12
    )
    table = list(csv.DictReader(io.StringIO(artifact(tracker, store, "pareto_front.csv").decode())))
    assert [row["trial"] for row in table] == ["0", "1"]
    assert artifact(tracker, store, "pareto_front.png").startswith(b"\x89PNG")
    assert b"study: Pareto front of 3 trials" in artifact(tracker, store, "pareto_front.html")
    assert b"po2&lt;4,-1&gt;" in artifact(tracker, store, "formats_along_front.html")
    note = run.data.tags["mlflow.note.content"]
    start = f"#/experiments/{tracker.experiment_id}/runs"
    member = children(tracker, store)[1].info.run_id
    assert f"| best&ensp; | [1]({start}/{member}?workflowType=machine_learning) | +0.0200 | 30,000 | 70.0 % |" in note
    assert "**3 of 50 trials finished** (3 complete, 0 pruned, 0 failed), 2 on the front" in note
    assert "| data&ensp; | speech in noise |" in note
    for name in ("pareto-front", "all-trials", "fixed-point-health"):
        assert f"]({start}?viewStateShareKey={name}&" in note
    assert f"](/get-artifact?path=pareto_front.png&run_uuid={tracker.run_id}&trials=3)" in note


def test_the_hypervolume_is_a_curve_by_finished_trial(opened, store):
    """Whatever the numbers of the trials, whichever were told to MLflow one by one, and after a resume."""
    rows = [(4, 0.01, 50_000), (1, 0.02, 90_000), (0, 0.001, 99_000), (3, 0.02, 50_000), (2, 0.03, 10_000)]
    areas = [0.005, 0.006, 0.006, 0.01, 0.027]
    expected = [(step, pytest.approx(area)) for step, area in enumerate(areas, start=1)]
    tracker = opened()
    tracker.show(view(*rows[:1]))
    tracker.show(view(*rows[:3]), final=True)
    assert curve(tracker, store) == expected[:3]
    again = opened()
    again.show(view(*rows))
    again.show(view(*rows), final=True)
    assert curve(again, store) == expected
    assert curve(again, store, "front_size")[-1] == (5, 1.0)


def test_trials_without_values_count_and_repeated_ones_do_not(opened, store):
    complete = view((0, 0.01, 50_000))
    moment = datetime(2026, 1, 2)
    others = (
        TrialRow(1, "pruned", candidate(), ended=moment),
        TrialRow(
            2, "complete", candidate(), values=values(0.01, 50_000), memory_bytes=50_000, reused_from=0, ended=moment
        ),
        TrialRow(3, "interrupted", candidate(), ended=moment),
        TrialRow(4, "running", candidate()),
    )
    tracker = opened()
    tracker.show(StudyView("study", complete.rows + others, BASELINE, 9))
    assert [step for step, _ in curve(tracker, store)] == [1, 2]


def test_pictures_wait_but_the_front_does_not(opened, store, monkeypatch):
    tracker = opened()
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    for number in range(3):
        tracker.log_trial(report(number, analyses=()))
    tracker.show(view((0, 0.01, 20_000)))
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)))
    assert marked(tracker, store) == {0, 1}
    assert len(curve(tracker, store)) == 2
    assert b"Pareto front of 1 trial" in artifact(tracker, store, "pareto_front.html")
    assert "&trials=1)" in parent(tracker, store).data.tags["mlflow.note.content"]
    clock[0] += 19
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)))
    assert b"Pareto front of 1 trial" in artifact(tracker, store, "pareto_front.html")
    clock[0] += 2
    tracker.show(view((0, 0.01, 20_000), (1, 0.02, 30_000)))
    assert b"Pareto front of 2 trials" in artifact(tracker, store, "pareto_front.html")
    assert "&trials=2)" in parent(tracker, store).data.tags["mlflow.note.content"]


def test_what_decided_is_shown_once_there_are_enough_trials(opened, store):
    candidates = [candidate(2 + number % 4) for number in range(24)]
    tracker = opened()
    tracker.show(view(*((n, 0.001 * (n % 4), 1000 * n + 1) for n in range(24)), candidates=candidates))
    rows = list(csv.DictReader(io.StringIO(artifact(tracker, store, "importance.csv").decode())))
    assert {row["parameter"] for row in rows} == {f"{slot} bits" for slot in SLOTS if slot.role is not Role.BIASES}
    assert b"PED-ANOVA" in artifact(tracker, store, "importance.html")
    assert b"From 24 trials." in artifact(tracker, store, "importance.html")
    repeated = TrialRow(24, "complete", candidate(2), values=values(0.0, 1), memory_bytes=1, reused_from=0)
    told = view(*((n, 0.001 * (n % 4), 1000 * n + 1) for n in range(24)), candidates=candidates)
    tracker.show(StudyView("study", (*told.rows, repeated), BASELINE, 50), final=True)
    assert b"From 24 trials." in artifact(tracker, store, "importance.html"), "a repeated trial is no evidence"
    assert "Parameter importance" in parent(tracker, store).data.tags["mlflow.note.content"]


def test_a_front_longer_than_a_note(opened, store):
    tracker = opened()
    tracker.show(view(*((n, n / 10_000, 1000 + n) for n in range(300))))
    note = parent(tracker, store).data.tags["mlflow.note.content"]
    assert 7000 < len(note) <= 8000
    assert note.endswith("more in pareto_front.csv.")


def test_an_empty_front(opened, store):
    tracker = opened()
    tracker.show(view(), final=True)
    run = parent(tracker, store)
    assert run.data.metrics == {}
    assert "No trial is complete yet." in run.data.tags["mlflow.note.content"]


def test_the_table_of_the_front_links_and_ends_in_time():
    front = [front_point(n, n / 1000, 100 + n, candidate(), "uniform po2<4,-1>" if n == 1 else "") for n in range(200)]
    text = front_table(front, float_point(0.03, 1000), {0: "#/zero"}, 2000)
    lines = text.splitlines()
    assert len(text) <= 2000
    assert lines[2] == "| [0](#/zero) | &ensp;searched&ensp; | 0.0000 | 100 | 90.0 % |"
    assert lines[3] == "| 1 | &ensp;`uniform po2<4,-1>`&ensp; | 0.0010 | 101 | 89.9 % |"
    shown = sum(line.startswith("| ") for line in lines) - 2
    assert lines[-1] == f"{200 - shown} more in pareto_front.csv."
    assert shown > 30


def test_the_note_marks_what_is_not_told_apart() -> None:
    front = tuple(
        front_point(number, sum(gains) / 2, number, candidate(), gains=gains)
        for number, gains in ((1, (0.01, 0.03)), (2, (0.032, 0.01)))
    )
    table = front_table(front, float_point(0.05, 1000), {}, 5000)
    assert "| 0.0200 ≈ 2 |" in table
    assert "| 0.0210 ≈ 1 |" in table
