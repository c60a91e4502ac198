"""Warm workers: what comes back, also when a job or a worker fails."""

import os
import sys
import time
from pathlib import Path

import pytest

from wordlength import Candidate, Fixed, TrialJob
from wordlength.errors import WorkerError
from wordlength.search.actors import TrialWorker
from wordlength.search.installed import machine
from wordlength.search.jobs import Finished, Retried
from wordlength.search.study_file.spec import WorkersSpec
from wordlength.search.workers import DEATHS_WHILE_STARTING, WorkerPool

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def pool(ray_session, tiny_data, tiny_baseline, tiny_settings):
    with WorkerPool(None, WorkersSpec(count=1)) as pool:
        pool.start(TrialWorker, pool.share(tiny_data), pool.keep(tiny_baseline), tiny_settings, (), 1, False)
        yield pool


def until_told(pool: WorkerPool) -> list:
    while not (told := pool.wait(timeout_seconds=120)):
        pass
    return told


def finish(pool: WorkerPool, job: TrialJob) -> Finished:
    pool.submit(job)
    assert pool.free == 0
    assert pool.running == [job]
    (finished,) = until_told(pool)
    assert pool.free == 1
    return finished


def candidate(tiny_baseline, bits: int) -> Candidate:
    return Candidate.uniform((i.slot for i in tiny_baseline.slots), Fixed(bits, 0), Fixed(16, 2), Fixed(16, 4))


def test_a_worker_gives_the_figures_of_this_process(pool, tiny_evaluator, tiny_baseline) -> None:
    job = TrialJob(7, candidate(tiny_baseline, 5))
    finished = finish(pool, job)
    here, weights = tiny_evaluator.evaluate(job)
    assert finished.result[0].number == 7
    assert finished.result[0].quality == here.quality
    assert finished.result[0].analyses == here.analyses
    assert all((a == b).all() for a, b in zip(finished.result[1], weights, strict=True))


def test_one_trace_serves_every_candidate(pool, tiny_baseline) -> None:
    for bits in (3, 6):
        finish(pool, TrialJob(bits, candidate(tiny_baseline, bits)))
    assert pool.traces() == [{"training": 1, "analysis": 1, "prediction": 1}]


def test_an_exception_comes_back_as_a_reason_and_the_worker_goes_on(pool, tiny_baseline) -> None:
    incomplete = Candidate(candidate(tiny_baseline, 4).pairs[:3])
    finished = finish(pool, TrialJob(1, incomplete))
    assert finished.result is None
    assert finished.reason.startswith("KeyError: ")
    assert finish(pool, TrialJob(2, candidate(tiny_baseline, 4))).result is not None


def test_a_job_whose_worker_died_goes_to_another(pool, tiny_baseline) -> None:
    import ray

    job = TrialJob(3, candidate(tiny_baseline, 4))
    pool.submit(job)
    (running,) = pool._running.values()
    ray.kill(running.worker)
    (told,) = until_told(pool)
    assert isinstance(told, Retried)
    assert (told.job, told.deaths) == (job, 1)
    assert told.reason.startswith("ActorDiedError: ")
    assert pool.running == [job]
    (finished,) = until_told(pool)
    assert finished.result[0].number == 3


class Misbehaving:
    """Takes the number of a trial for what to do."""

    def __init__(self, fails: str = "") -> None:
        if fails == "raise":
            raise MemoryError("no room for the data")
        if fails:
            os._exit(1)

    def ready(self):
        return machine()

    def run(self, job):
        if job.number == 1:
            os._exit(1)
        if job.number == 2:
            time.sleep(600)
        yield job.number


NOTHING = Candidate(())


class Looking:
    """Tells in which piece of memory, and where in it, its data lies."""

    def __init__(self, data) -> None:
        self._features = data.train.features

    def ready(self):
        return machine()

    def run(self, job):
        address = self._features.ctypes.data
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            ends, _, offset, device, inode, *_ = line.split()
            first, last = (int(end, 16) for end in ends.split("-"))
            if first <= address < last:
                yield device, inode, int(offset, 16) + address - first, self._features.flags.writeable


@pytest.fixture(scope="module", autouse=True)
def by_value(ray_session) -> None:
    """Workers cannot import this file."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def test_workers_of_a_machine_share_one_copy_of_the_data(tiny_data) -> None:
    found, shared = [], None
    for _ in range(2):  # One after the other: the session has no room for both.
        with WorkerPool(None, WorkersSpec(count=1)) as pool:
            shared = shared or pool.share(tiny_data)
            pool.start(Looking, shared)
            while not pool.free:
                pool.wait(timeout_seconds=1)
            found.append(finish(pool, TrialJob(1, NOTHING)).result)
    (_, inode, _, writeable), other = found
    assert found[0] == other
    assert int(inode) > 0, "memory of its own"
    assert not writeable


@pytest.fixture
def misbehaving(ray_session):
    with WorkerPool(None, WorkersSpec(count=1, retries=1, minutes=0.05)) as pool:
        pool.start(Misbehaving)
        yield pool


def test_a_job_that_kills_every_worker_fails_and_the_next_goes_on(misbehaving) -> None:
    misbehaving.submit(TrialJob(1, NOTHING))
    (first,) = until_told(misbehaving)
    assert first.deaths == 1
    (last,) = until_told(misbehaving)
    assert last.result is None
    assert last.reason.startswith("worker died 2 times: ")
    assert finish(misbehaving, TrialJob(5, NOTHING)).result == 5


def test_a_job_that_hangs_meets_its_time_limit(misbehaving) -> None:
    misbehaving.submit(TrialJob(2, NOTHING))
    (finished,) = until_told(misbehaving)
    assert finished.result is None
    assert finished.reason == "it took longer than 0.05 minutes (workers.minutes)"
    assert finish(misbehaving, TrialJob(5, NOTHING)).result == 5


def test_workers_that_cannot_start_end_the_study() -> None:
    with WorkerPool(None, WorkersSpec(count=1)) as pool:
        pool.start(Misbehaving, "raise")
        with pytest.raises(WorkerError, match=r"must get ready, but they do not: .*no room for the data"):
            until_told(pool)


def test_workers_that_die_while_they_start_are_tried_again_but_not_for_ever() -> None:
    with WorkerPool(None, WorkersSpec(count=1)) as pool:
        pool.start(Misbehaving, "die")
        with pytest.raises(WorkerError, match="must get ready, but they do not: ActorDiedError"):
            until_told(pool)
        assert pool._deaths_while_starting == DEATHS_WHILE_STARTING


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"count": 3}, r"got 3 x 1 CPUs with room for 2 \(workers\.count, workers\.cpus\)"),
        ({"cpus": 9}, r"got 1 x 9 CPUs with room for 0 \(workers\.cpus\)"),
        ({"gpus": 0.5}, r"got 1 x 1 CPUs, 0\.5 GPUs with room for 0 \(workers\.cpus, workers\.gpus\)"),
        ({"memory": 10**15}, r"1000000000000000 bytes with room for 0 \(workers\.cpus, workers\.memory\)"),
    ],
)
def test_workers_that_do_not_fit_are_refused(asked, told) -> None:
    with pytest.raises(WorkerError, match=told):
        WorkerPool(None, WorkersSpec(**asked))
