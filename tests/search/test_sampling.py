"""What the sampler keeps in memory of a study with many trials."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from wordlength.objectives.goals import DEFAULT_GOALS
from wordlength.search.sampling import MOST_LEARNED, Sampler
from wordlength.search.study_file.spec import SearchSpec

FINISHED, RUNNING = 6 * MOST_LEARNED, 2 * MOST_LEARNED


def trial(number: int, state: OptunaState = OptunaState.COMPLETE):
    """Its improvement and memory are those of its one parameter; every tenth is on the front, a fifth off the best."""
    size = float(np.random.default_rng(number).uniform())
    values = [size if number % 10 == 0 else 0.8 * size, size] if state == OptunaState.COMPLETE else None
    made = optuna.trial.create_trial(
        state=state,
        values=values,
        params={"size": size},
        distributions={"size": optuna.distributions.FloatDistribution(0, 1)},
    )
    made.number = number
    return made


@pytest.fixture
def sampler() -> Sampler:
    made = Sampler(SearchSpec(), DEFAULT_GOALS, seed=0, references=0)
    made.learn(trial(number) for number in range(FINISHED))
    made.learn(trial(FINISHED + number, OptunaState.RUNNING) for number in range(RUNNING))
    return made


def known(sampler: Sampler, state: OptunaState) -> list[float]:
    """Sizes of the trials that its next proposal goes by."""
    return [one.params["size"] for one in sampler._study.get_trials(deepcopy=False) if one.state == state]


def test_all_that_run_the_newest_and_some_of_the_front_are_kept(sampler) -> None:
    assert known(sampler, OptunaState.RUNNING) == [trial(FINISHED + number).params["size"] for number in range(RUNNING)]
    finished = known(sampler, OptunaState.COMPLETE)
    assert {trial(FINISHED - 1 - number).params["size"] for number in range(MOST_LEARNED)} <= set(finished)
    assert MOST_LEARNED < len(finished) <= 3 * MOST_LEARNED
    # The front's smallest, which is an old one.
    front = min(trial(number).params["size"] for number in range(0, FINISHED, 10))
    assert front in finished


def test_it_begins_anew_after_a_hundred_trials_and_not_with_each(sampler) -> None:
    before = sampler._study
    for number in range(RUNNING):
        sampler.learn([trial(FINISHED + number), trial(FINISHED + RUNNING + number, OptunaState.RUNNING)])
        if sampler._study is not before:
            break
    assert MOST_LEARNED // 2 < number <= MOST_LEARNED
    assert len(known(sampler, OptunaState.RUNNING)) == RUNNING


def test_a_study_of_few_trials_is_known_whole() -> None:
    made = Sampler(SearchSpec(), DEFAULT_GOALS, seed=0, references=0)
    made.learn(trial(number) for number in range(2 * MOST_LEARNED))
    assert len(known(made, OptunaState.COMPLETE)) == 2 * MOST_LEARNED
