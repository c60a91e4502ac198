"""Whatever is killed, and whenever: the same command finishes the study, with nothing lost and nothing twice."""

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import rehearsal
from servers import JOINING, has_postgresql, mlflow_server, postgresql, ray_head, small_disk

from wordlength.errors import SpecError
from wordlength.search.check import check_study, repair_study
from wordlength.search.home import Home
from wordlength.search.study import StudyStore
from wordlength.search.tracking.process import PROGRAM
from wordlength.search.trials import StudyView

HERE = Path(__file__).parent
KILLED = -9
SERVE = PROGRAM[-1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Ray head of this machine, for drivers that come and go."""
    with ray_head() as head:
        yield head.address


def rehearse(home: Path, cluster: str, *options: object) -> subprocess.CompletedProcess[str]:
    asked = command(home, cluster, *options)
    return subprocess.run(asked, capture_output=True, text=True, timeout=180, env=JOINING)


@contextlib.contextmanager
def begun(home: Path, cluster: str, *options: object) -> Iterator[subprocess.Popen[str]]:
    """A driver that runs beside the test, and not for longer."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(home, cluster, *options), text=True, env=JOINING, **pipes) as driver:
        try:
            yield driver
        finally:
            driver.kill()


def command(home: Path, cluster: str, *options: object) -> list[str]:
    return [str(part) for part in (sys.executable, HERE / "rehearsal.py", home, "--ray", cluster, *options)]


def finished(home: Path, cluster: str, *options: object) -> dict:
    done = rehearse(home, cluster, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ended(driver: subprocess.Popen[str]) -> dict:
    out, err = driver.communicate(timeout=180)
    assert driver.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def study(home: Path, *options: object):
    return rehearsal.study_of(rehearsal.parser().parse_args([str(home), *map(str, options)]))


def view(home: Path, *options: object) -> StudyView:
    spec = study(home, *options)
    with contextlib.closing(StudyStore.open(spec.name, Home(home).optuna_address(spec))) as store:
        return store.view()


def violations(home: Path, *options: object) -> list[str]:
    return [str(violation) for violation in check_study(study(home, *options), Home(home))]


def until_trials(home: Path, count: int, *options: object) -> None:
    """Wait until so many have ended."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with contextlib.suppress(SpecError):
            if view(home, *options).finished >= count:
                return
        time.sleep(0.2)
    raise TimeoutError(f"no {count} trials have ended")


def around(count: int, *steps: str) -> list[str]:
    return [f"{step}:{moment}:{count}" for step in steps for moment in ("before", "after")]


DRIVER = [
    *around(1, "create", "remember", "begin", "study file"),
    "remember:after:2",
    *around(3, "ask", "wait"),
    *around(5, "submit"),
    *around(2, "report", "weights", "tell", "note", "end", "create trial", "create run", "log", "show"),
    *around(1, "artifacts"),
]
"""Each launch of a study is killed at the next of these."""
RECOVERY = [("submit:after:4", place) for place in around(1, "running", "interrupt", "queue")]
"""Then two at the next of these; the first leaves a trial running. Two jobs come before the trials."""


def test_a_driver_killed_anywhere_is_gone_on_with(cluster: str, tmp_path: Path) -> None:
    """Two studies at a time, each with every second place."""
    places = [*((place,) for place in DRIVER), *RECOVERY]
    chains = {tmp_path / str(first): [*itertools.chain(*places[first::2])] for first in range(2)}
    with ThreadPoolExecutor() as threads:
        list(threads.map(kill_along, chains, itertools.repeat(cluster), chains.values()))
    for home, killed in chains.items():
        trials = 4 * len(killed)
        assert finished(home, cluster, "--trials", trials, "--seconds", 0.01)["finished"] == trials
        assert violations(home) == []
        for place in around(1, "finish"):
            assert rehearse(home, cluster, "--trials", trials, "--kill", place).returncode == KILLED
        assert finished(home, cluster, "--trials", trials)["finished"] == trials
        assert violations(home) == []


def kill_along(home: Path, cluster: str, places: list[str]) -> None:
    home.mkdir()
    for number, place in enumerate(places, start=1):
        done = rehearse(home, cluster, "--trials", 4 * number, "--kill", place)
        assert done.returncode == KILLED, (place, done.stdout, done.stderr)


def test_workers_that_die_hang_and_raise_cost_no_trial_and_do_not_stop_the_study(cluster: str, tmp_path: Path) -> None:
    orders = {"1": "die once", "3": "die", "5": "raise", "7": "hang", "9": "die after"}
    (tmp_path / "misbehave.json").write_text(json.dumps(orders))
    told = finished(tmp_path, cluster, "--trials", 12, "--minutes", 0.1)
    assert told["finished"] == 12
    assert (told["counts"]["complete"], told["counts"]["failed"]) == (9, 3)
    assert sum(line.startswith("retried 1:") for line in told["lines"]) == 1
    assert sum(line.startswith("retried 3:") for line in told["lines"]) == 2
    rows = view(tmp_path).rows
    assert rows[3].reason.startswith("worker died 3 times: ActorDiedError")
    assert rows[5].reason == "ValueError: this trial raises"
    assert rows[7].reason == "it took longer than 0.1 minutes (workers.minutes)"
    assert violations(tmp_path) == []


def test_results_wait_while_mlflow_is_away(cluster: str, tmp_path: Path) -> None:
    with mlflow_server(tmp_path / "mlflow") as server:
        options = ("--trials", 30, "--seconds", 0.3, "--tracking", server.address)
        with begun(tmp_path, cluster, *options) as driver:
            until_trials(tmp_path, 4, *options)
            server.kill()
            until_trials(tmp_path, 20, *options)  # The search does not wait.
            server.start()
            told = ended(driver)
        assert told["finished"] == 30
        assert any(line.startswith("MLflow is away") for line in told["lines"])
        assert "MLflow is back" in told["lines"]
        assert violations(tmp_path, *options) == []


def test_the_process_that_records_is_killed_and_replaced(cluster: str, tmp_path: Path) -> None:
    with begun(tmp_path, cluster, "--trials", 20, "--seconds", 0.3) as driver:
        until_trials(tmp_path, 3)
        (recorder,) = [child for child in psutil.Process(driver.pid).children() if SERVE in child.cmdline()]
        recorder.kill()
        told = ended(driver)
    assert told["finished"] == 20
    assert any(line.startswith("MLflow is away (its process has ended") for line in told["lines"])
    assert violations(tmp_path) == []


def test_what_mlflow_missed_in_the_end_is_told_and_repaired(cluster: str, tmp_path: Path) -> None:
    with mlflow_server(tmp_path / "mlflow") as server:
        options = ("--trials", 12, "--seconds", 0.3, "--tracking", server.address, "--patience", 0.05)
        with begun(tmp_path, cluster, *options) as driver:
            until_trials(tmp_path, 3, *options)
            server.kill()
            told = ended(driver)
        assert told["finished"] == 12
        assert any(line.startswith("MLflow misses") for line in told["lines"])
        server.start()
        server.until_up()
        assert any("MLflow has no run of it" in line for line in violations(tmp_path, *options))
        spec, known = study(tmp_path, *options), rehearsal.baseline()
        repair_study(spec, Home(tmp_path), lambda identity: rehearsal.description(known, identity))
        assert violations(tmp_path, *options) == []


def test_what_a_dead_launch_had_reported_is_told_by_repair(cluster: str, tmp_path: Path) -> None:
    assert rehearse(tmp_path, cluster, "--kill", "tell:before:3").returncode == KILLED
    before = view(tmp_path)
    reported = {row.number for row in before.rows if Home(tmp_path).study("rehearsal").report(row.number).exists()}
    assert before.finished < len(reported) == 3
    spec, known = study(tmp_path), rehearsal.baseline()
    repair_study(spec, Home(tmp_path), lambda identity: rehearsal.description(known, identity))
    assert {row.number for row in view(tmp_path).rows if row.state == "complete"} == reported
    assert violations(tmp_path) == []


def test_a_full_disk_of_mlflow_is_told_and_made_good(cluster: str, tmp_path: Path) -> None:
    server = mlflow_server(tmp_path / "mlflow")
    with small_disk(tmp_path / "mlflow" / "a", "4k") as enlarge, server as server:
        options = ("--trials", 3, "--tracking", server.address)
        told = finished(tmp_path, cluster, *options)
        assert told["finished"] == 3
        assert any(line.startswith("MLflow refused") for line in told["lines"])
        assert "in MLflow the study's pareto_front.html is missing" in violations(tmp_path, *options)
        enlarge("64m")
        spec, known = study(tmp_path, *options), rehearsal.baseline()
        repair_study(spec, Home(tmp_path), lambda identity: rehearsal.description(known, identity))
        assert violations(tmp_path, *options) == []


def test_a_full_disk_ends_the_launch_and_the_same_command_goes_on(cluster: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with small_disk(home, "1200k") as enlarge:
        options = ("--trials", 60, "--patience", 0.02)
        done = rehearse(home, cluster, *options)
        assert done.returncode == 2
        assert "No space left on device" in done.stderr or "disk is full" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        enlarge("64m")
        assert finished(home, cluster, *options)["finished"] == 60
        assert violations(home, *options) == []


def test_more_workers_than_the_cluster_has_room_for_wait_for_machines(cluster: str, tmp_path: Path) -> None:
    assert finished(tmp_path, cluster, "--workers", 6)["finished"] == 12


def test_rays_head_is_killed_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with ray_head() as head, begun(tmp_path, head.address, "--trials", 40, "--seconds", 0.3) as driver:
        until_trials(tmp_path, 3)
        head.kill()
        driver.communicate(timeout=180)
        assert driver.returncode != 0
    with ray_head() as head:
        assert finished(tmp_path, head.address, "--trials", 40)["finished"] == 40
    assert violations(tmp_path) == []


needs_postgresql = pytest.mark.skipif(not has_postgresql(), reason="PostgreSQL is not installed")


@needs_postgresql
def test_several_launches_share_a_study_while_postgresql_restarts_and_one_of_them_is_killed(
    cluster: str, tmp_path: Path
) -> None:
    with postgresql() as database:
        options = ("--trials", 60, "--seconds", 0.3, "--workers", 1, "--optuna", database.address)
        with contextlib.ExitStack() as stack:
            drivers = [stack.enter_context(begun(tmp_path, cluster, *options)) for _ in range(3)]
            until_trials(tmp_path, 1, *options)
            while len({row.driver for row in view(tmp_path, *options).rows}) < len(drivers):
                assert all(driver.poll() is None for driver in drivers)
                time.sleep(0.2)
            drivers[0].kill()
            database.kill()
            time.sleep(2)
            database.start()
            database.until_up()
            told = [ended(driver) for driver in drivers[1:]]
        assert [one["finished"] for one in told] == [60, 60]
        known = view(tmp_path, *options)
        assert len({row.driver for row in known.rows}) == 3
        assert known.counts["interrupted"] >= 1
        assert violations(tmp_path, *options) == []


@needs_postgresql
def test_launches_of_one_study_share_one_folder(cluster: str, tmp_path: Path) -> None:
    with postgresql() as database:
        options = ("--trials", 4, "--optuna", database.address)
        assert finished(tmp_path / "here", cluster, *options)["finished"] == 4
        done = rehearse(tmp_path / "elsewhere", cluster, *options)
        assert done.returncode == 2
        assert "the launches of a study share one folder, but 'rehearsal' has trials in its storage" in done.stderr
