"""Who climbs, without workers: judgements are made up."""

import csv
import io
from pathlib import Path

import pytest
from recorded import INFOS
from two_goals import untrained

from wordlength.objectives.goals import DEFAULT_GOALS, DEFAULT_OBJECTIVES
from wordlength.search.rungs import Ask, Ladder
from wordlength.search.sampling import Proposals
from wordlength.search.study_file.spec import ScreeningSpec, SearchSpec
from wordlength.space import Anchors, Candidate, Fixed, FixedRange, Role, SearchSpace, SlotRange
from wordlength.space.allocation import Allocation, Alternative
from wordlength.space.search_space import Group

FLOAT = untrained(INFOS)


@pytest.fixture
def space() -> SearchSpace:
    order = tuple(info.slot for info in INFOS)
    groups = tuple(
        Group(slot.layer, (slot,), SlotRange(fixed=FixedRange((2, 8))) if slot.role is Role.WEIGHTS else Fixed(16, 2))
        for slot in order
    )
    bare = SearchSpace(groups, order)
    return SearchSpace(groups, order, Anchors({(slot, r.kind, bits): 0 for slot, r, bits in bare.needed_anchors()}))


@pytest.fixture
def open_ladder(space, tmp_path: Path):
    def open_it(**settings: float) -> Ladder:
        proposals = Proposals(space, SearchSpec(sampler="random"), DEFAULT_GOALS, seed=0)
        spec = ScreeningSpec(**({"candidates": 3, "short": 2} | settings))
        return Ladder(spec, proposals, FLOAT, DEFAULT_OBJECTIVES, tmp_path / "screening.jsonl")

    return open_it


def uniform(space: SearchSpace, bits: int) -> Candidate:
    return Candidate.of((slot, Fixed(bits, 0) if slot.role is Role.WEIGHTS else Fixed(16, 2)) for slot in space.order)


def climb(ladder: Ladder, steps: int, judge=lambda candidate, rung: 0.01) -> list[Ask]:
    """What is asked for when every judgement ends before the next begins; trials count as trained at once."""
    asked: list[Ask] = []
    for _ in range(steps):
        ask = ladder.next({ask.candidate.digest for ask in asked if ask.rung == 2})
        assert ask is not None
        asked.append(ask)
        if ask.rung < 2:
            ladder.record(ask.candidate, ask.rung, judge(ask.candidate, ask.rung))
    return asked


def test_three_are_assessed_for_each_short_training_and_two_of_those_for_each_trial(open_ladder) -> None:
    asked = climb(open_ladder(), 18)
    assert [ask.rung for ask in asked] == [0, 0, 0, 1, 0, 0, 0, 1, 2] * 2
    first = {ask.candidate.digest for ask in asked if ask.rung == 0}
    assert len(first) == 12
    assert all(ask.candidate.digest in first for ask in asked)


def test_who_climbs_adds_most_hypervolume(open_ladder, space) -> None:
    ladder = open_ladder()
    ladder.first = [uniform(space, bits) for bits in (8, 3, 2)]
    improvements = {8: 0.03, 3: 0.03, 2: 0.001}
    weights = next(slot for slot in space.order if slot.role is Role.WEIGHTS)
    asked = climb(ladder, 4, lambda candidate, rung: improvements[candidate[weights].bits])
    assert asked[-1] == Ask(uniform(space, 3), 1)


def test_one_that_climbed_before_is_not_asked_to_climb_again(open_ladder, space) -> None:
    ladder = open_ladder(candidates=1, short=1)
    ladder.first = [uniform(space, 3)]
    assert [ask.rung for ask in climb(ladder, 3)] == [0, 1, 2]
    trained = {uniform(space, 3).digest}
    assert ladder.next(trained) != Ask(uniform(space, 3), 2)


def test_a_judgement_under_way_is_not_asked_for_twice(open_ladder) -> None:
    ladder = open_ladder()
    asked = [ladder.next(()) for _ in range(30)]
    assert len({ask.candidate.digest for ask in asked if ask}) == 30


def test_a_diverged_candidate_does_not_climb(open_ladder, space) -> None:
    ladder = open_ladder(candidates=1)
    ladder.first = [uniform(space, 2)]
    climb(ladder, 1, lambda candidate, rung: None)
    assert ladder.next(()).candidate != uniform(space, 2)


def test_a_second_launch_goes_on_from_the_file_even_if_its_last_line_was_cut_off(open_ladder) -> None:
    ladder = open_ladder()
    climb(ladder, 8)
    with ladder.file.open("a") as lines:
        lines.write('{"candidate": {"a')
    again = open_ladder()
    assert again.screened == ladder.screened
    assert again.counts(()) == ladder.counts(())


def test_figures_of_other_settings_are_not_taken_over(open_ladder) -> None:
    ladder = open_ladder()
    climb(ladder, 8)
    assert len(open_ladder(candidates=5).screened) == len(ladder.screened), "who climbs does not change a figure"
    shorter = open_ladder(share=0.1)
    assert shorter.counts(()).assessed == ladder.counts(()).assessed
    assert shorter.counts(()).short == 0
    assert open_ladder(mixtures=7).screened == {}
    assert open_ladder(passes=2).screened == {}


def test_the_table_has_every_figure_and_what_became_of_it(open_ladder) -> None:
    ladder = open_ladder()
    asked = climb(ladder, 9, lambda candidate, rung: None if rung else 0.01)
    climbed = next(ask.candidate for ask in asked if ask.rung == 1)
    rows = list(csv.DictReader(io.StringIO(ladder.table({climbed.digest: 7}))))
    assert len(rows) == ladder.counts(()).assessed
    assert [int(row["memory_bytes"]) for row in rows] == sorted(int(row["memory_bytes"]) for row in rows)
    (row,) = (row for row in rows if row["trial"])
    assert (row["digest"], row["trial"]) == (climbed.digest, "7")
    assert (row["rung_0_stoi_improvement"], row["rung_1_stoi_improvement"]) == ("0.01", "")


def test_proposals_are_the_allocations_in_its_share(space) -> None:
    groups = [[Alternative({group.slots[0]: Fixed(bits, 0)}, bits) for bits in (4, 5)] for group in space.groups]
    allocation = Allocation(groups, space.order)
    for share, kinds in ((0.0, {False}), (0.5, {False, True}), (1.0, {True})):
        proposals = Proposals(space, SearchSpec(sampler="random", allocated=share), DEFAULT_GOALS, seed=0)
        proposals.allocation = allocation
        asked = [proposals.ask() for _ in range(20)]
        assert {all(fmt.bits in (4, 5) for fmt in candidate.values()) for candidate in asked} == kinds
        for candidate in asked:
            proposals.tell(candidate, 0.01, 100)


def test_a_space_that_is_exhausted_sends_what_is_known_to_be_trained(open_ladder, tmp_path: Path) -> None:
    order = tuple(info.slot for info in INFOS)
    pinned = SearchSpace(tuple(Group(slot.layer, (slot,), Fixed(8, 0)) for slot in order), order)
    ladder = open_ladder()
    ladder.proposals = Proposals(pinned, SearchSpec(sampler="random"), DEFAULT_GOALS, seed=0)
    assert [ask.rung for ask in climb(ladder, 2)] == [0, 2]
    assert ladder.next({ask.candidate.digest for ask in [Ask(Candidate.uniform(order, *[Fixed(8, 0)] * 3), 2)]}) is None
