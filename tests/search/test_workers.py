"""Warm workers: what comes back, also when a job or a worker fails."""

import pytest

from wordlength import Candidate, Fixed, TrialJob
from wordlength.errors import WorkerError
from wordlength.search.workers import WorkerPool

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def pool(ray_session, tiny_data, tiny_baseline, tiny_settings):
    with WorkerPool(None, count=1, cpus=1) as pool:
        pool.start(pool.share(tiny_data), tiny_baseline, tiny_settings)
        yield pool


def finish(pool: WorkerPool, job: TrialJob):
    pool.submit(job)
    assert pool.free == 0
    assert pool.running == [job]
    (finished,) = pool.wait(timeout_seconds=120)
    assert pool.free == 1
    return finished


def candidate(tiny_baseline, bits: int) -> Candidate:
    return Candidate.uniform((i.slot for i in tiny_baseline.slots), Fixed(bits, 0), Fixed(16, 2), Fixed(16, 4))


def test_a_worker_gives_the_figures_of_this_process(pool, tiny_evaluator, tiny_baseline) -> None:
    job = TrialJob(7, candidate(tiny_baseline, 5))
    finished = finish(pool, job)
    here, weights = tiny_evaluator.evaluate(job)
    assert finished.result[0].number == 7
    assert finished.result[0].stoi_improvement == here.stoi_improvement
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


def test_a_dead_worker_is_replaced(pool, tiny_baseline) -> None:
    import ray

    pool.submit(TrialJob(3, candidate(tiny_baseline, 4)))
    ((_, worker),) = pool._running.values()
    ray.kill(worker)
    (finished,) = pool.wait(timeout_seconds=60)
    assert finished.result is None
    assert finished.reason.startswith("worker died: ")
    assert finish(pool, TrialJob(4, candidate(tiny_baseline, 4))).result is not None


def test_workers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WorkerError, match=r"must fit the machine's cores, but got 3 x 1 CPUs with room for 2"):
        WorkerPool(None, count=3, cpus=1)
    with pytest.raises(WorkerError, match=r"got 1 x 9 CPUs with room for 0 \(workers\.count, workers\.cpus\)"):
        WorkerPool(None, count=None, cpus=9)
