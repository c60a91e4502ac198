"""The study in Optuna's storage: ask, tell, queue, recover."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from two_goals import float_point, reached

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.home import StudyFolder
from wordlength.search.recovery import end_left
from wordlength.search.storage import place_of
from wordlength.search.study import StudyStore
from wordlength.search.study_file.spec import StudySpec, parse_spec
from wordlength.search.study_file.unchanged import check_unchanged
from wordlength.search.trials import INTERRUPTED
from wordlength.space import (
    Anchors,
    Candidate,
    Fixed,
    FixedRange,
    PowerOfTwo,
    PowerOfTwoRange,
    Role,
    SearchSpace,
    Slot,
    SlotRange,
)
from wordlength.space.search_space import Group

SLOTS = tuple(Slot(f"dense_{number}", Role.WEIGHTS) for number in (1, 2))
RANGE = SlotRange(fixed=FixedRange((2, 5), (-1, 1)), po2=PowerOfTwoRange((2, 4)))
ANCHORS = Anchors({(slot, kind, bits): -1 for slot in SLOTS for kind in ("fixed", "po2") for bits in range(2, 6)})
SPACE = SearchSpace(tuple(Group(slot.layer, (slot,), RANGE) for slot in SLOTS), SLOTS, ANCHORS)
MINIMAL = """
name: s
data: {speech: [{kind: builtin}], noise: [{kind: builtin}]}
search: {startup_trials: 3, sampler: tpe}"""
Create = Callable[[StudySpec, str], StudyStore]


def spec_of(sampler: str = "tpe") -> StudySpec:
    return parse_spec(MINIMAL.replace("tpe", sampler), Path("s.yaml"))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def create() -> Iterator[Create]:
    """`StudyStore.create`; whatever it opened is closed after the test."""
    with ExitStack() as opened:
        yield lambda spec, address: opened.enter_context(closing(StudyStore.create(spec, address)))


@pytest.fixture
def store(create: Create, address: str) -> StudyStore:
    store = create(spec_of(), address)
    store.remember({"baseline": float_point(0.04, 1000).to_json(), "wanted": 5})
    return store


def nobodys(driver: str | None) -> bool:
    return True


def complete(number: int, candidate: Candidate, stoi: float, size: int) -> TrialReport:
    gates = {"overflow": -0.4}
    told = reached(stoi, size) | {"standard_error": 0.001, "constraints": gates, "seconds": {"stoi": 2.0}}
    return TrialReport(number, candidate, TrialState.COMPLETE, size, **told)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_sampler_proposes_inside_the_space_and_is_told(sampler: str, address: str, create: Create) -> None:
    store = create(spec_of(sampler), address)
    store.sample_with(spec_of(sampler).search, 0)
    for step in range(12):
        number, candidate, label = store.ask(SPACE)
        assert (number, label) == (step, "")
        assert SPACE.contains(candidate)
        if step % 4 == 3:
            broken = {"overflow": 0.1}
            store.tell(TrialReport(number, candidate, TrialState.PRUNED, 9, reason="too much", constraints=broken))
        else:
            store.tell(complete(number, candidate, 0.01 * step, 100 - step))
    assert [row.state for row in store.rows()].count("complete") == 9
    assert len({row.candidate for row in store.rows()}) > 1


def test_a_told_trial_is_read_back_as_it_was(store: StudyStore, address: str) -> None:
    number, candidate, _ = store.ask(SPACE)
    store.tell(complete(number, candidate, 0.03, 500))
    number, other, _ = store.ask(SPACE)
    store.tell(TrialReport(number, other, TrialState.PRUNED, 77, reason="overflow of …", constraints={"overflow": 0.2}))
    number, third, _ = store.ask(SPACE)
    store.tell(TrialReport(number, third, TrialState.FAILED, 77, reason="loss is nan"))
    with closing(StudyStore.open("s", address)) as opened:
        view = opened.view()
    assert [row.state for row in view.rows] == ["complete", "pruned", "failed"]
    assert view.rows[0].candidate == candidate
    assert (view.rows[0].quality, view.rows[0].memory_bytes, view.rows[0].seconds) == (0.03, 500, 2.0)
    assert [row.reason for row in view.rows[1:]] == ["overflow of …", "loss is nan"]
    assert [point.number for point in view.front] == [0]
    assert view.hypervolume == pytest.approx(0.03 * 0.5, rel=1e-12)
    assert view.counts == {"complete": 1, "pruned": 1, "failed": 1, "running": 0, INTERRUPTED: 0}
    assert view.finished == 3


def test_queued_candidates_come_first_even_from_outside_the_space(store: StudyStore) -> None:
    inside = SPACE.suggest(_Lowest())
    outside = Candidate.of((slot, Fixed(16, 2)) for slot in SLOTS)
    assert not SPACE.contains(outside)
    for _ in range(2):  # Queued twice, proposed once.
        store.queue(outside, "uniform fixed<16,2>", SPACE)
        store.queue(inside, "", SPACE)
    assert store.ask(SPACE) == (0, outside, "uniform fixed<16,2>")
    assert store.ask(SPACE) == (1, inside, "")
    number, candidate, _ = store.ask(SPACE)
    assert number == 2
    assert SPACE.contains(candidate)


def test_interrupted_trials_are_queued_again_and_count_as_nothing(
    store: StudyStore, create: Create, address: str, tmp_path: Path
) -> None:
    uniform = Candidate.of((slot, PowerOfTwo(4, -1)) for slot in SLOTS)
    store.queue(uniform, "uniform po2<4,-1>", SPACE)
    store.ask(SPACE)
    _, searched, _ = store.ask(SPACE)
    again = create(spec_of(), address)
    folder = StudyFolder(tmp_path)
    assert end_left(again, folder, again.running(nobodys)) == 2
    assert again.running(nobodys) == []
    assert [row.state for row in again.rows()] == [INTERRUPTED, INTERRUPTED]
    assert again.view().finished == 0
    assert again.ask(SPACE) == (2, uniform, "uniform po2<4,-1>")
    assert again.ask(SPACE)[1] == searched


def test_what_was_cut_off_comes_before_what_waited_behind_it(store: StudyStore, tmp_path: Path) -> None:
    candidates = [Candidate.of((slot, Fixed(bits, -1)) for slot in SLOTS) for bits in (3, 4, 5)]
    for candidate in candidates:
        store.queue(candidate, "", SPACE)
    store.ask(SPACE)
    for _ in range(2):  # However often.
        assert end_left(store, StudyFolder(tmp_path), store.running(nobodys)) == 1
        assert store.queued_again == 1
        number, candidate, _ = store.ask(SPACE)
        assert candidate == candidates[0]
    assert (number, store.counted(number)) == (4, 0)
    second, candidate, _ = store.ask(SPACE)
    assert (second, candidate, store.counted(second)) == (1, candidates[1], 1)
    assert store.queued_again == 0


def test_a_study_keeps_its_settings_and_data(store: StudyStore) -> None:
    spec = spec_of()
    check_unchanged(store.attributes, spec, "abc")  # Nothing is known yet.
    old = json.loads(json.dumps(spec.fingerprint()))
    for kinds in (old["space"]["weights"], old["space"]["activations"]):
        for name in ("vbs", "binary"):
            del kinds[name]
        for name in ("rounding", "overflow", "per_channel"):
            del kinds["fixed"][name]
    del old["training"]["baseline_patience"]
    store.remember({"fingerprint": old, "data_digest": "abc"})
    check_unchanged(store.attributes, spec, "abc")  # Begun before these keys were known: they have their defaults.
    store.remember({"fingerprint": spec.fingerprint(), "data_digest": "abc"})
    check_unchanged(store.attributes, spec, "abc")
    changed = parse_spec(MINIMAL + "\ntraining: {baseline_epochs: 3}", Path("s.yaml"))
    with pytest.raises(SpecError, match=r"training\.baseline_epochs was 20 and is now 3; change it back or .*'s'"):
        check_unchanged(store.attributes, changed, "abc")
    impatient = parse_spec(MINIMAL + "\ntraining: {baseline_patience: 3}", Path("s.yaml"))
    with pytest.raises(SpecError, match=r"training\.baseline_patience was 0 and is now 3; change it back"):
        check_unchanged(store.attributes, impatient, "abc")
    with pytest.raises(SpecError, match="the audio of 's' has changed"):
        check_unchanged(store.attributes, spec, "xyz")


def test_unknown_and_empty_studies_are_refused(address: str, store: StudyStore, create: Create) -> None:
    with pytest.raises(SpecError, match="'nobody' has no trials there"):
        StudyStore.open("nobody", address)
    other = parse_spec(MINIMAL.replace("name: s", "name: t"), Path("t.yaml"))
    with pytest.raises(SpecError, match="must have its float baseline, but 't' has none yet"):
        create(other, address).view()


def test_a_study_of_another_version_is_told_in_one_line(address: str, store: StudyStore) -> None:
    known = float_point(0.04, 1000).to_json()
    trial = r"wordlength .* can read, but 's' was written by 0\.3 \(.*\); read it with that version"
    store.remember({"wordlength": "0.3", "baseline": {key: known[key] for key in known if key != "goals"}})
    with pytest.raises(SpecError, match=trial):
        StudyStore.open("s", address)
    store.remember({"baseline": known | {"goals": [{"name": "stoi_improvement", "of_then": 1}]}})
    with pytest.raises(SpecError, match=trial):
        StudyStore.open("s", address)
    store.remember({"baseline": known})
    store.sample_with(spec_of().search, 0)
    number, _, _ = store.ask(SPACE)
    store._ledger.note(number, {"candidate": {"dense_1.weights": "ternary<2>"}})
    with closing(StudyStore.open("s", address)) as opened, pytest.raises(SpecError, match=trial):
        opened.view()


class _Lowest:
    """Chooses the first of everything."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return low

    def suggest_categorical(self, name: str, choices: tuple[str, ...]) -> str:
        return choices[0]


def _draws(address: str, sampler: str, count: int) -> list[str]:
    """Candidates of one launch: a new store and sampler, every trial told."""
    drawn = []
    with closing(StudyStore.create(spec_of(sampler), address)) as store:
        store.sample_with(spec_of(sampler).search, 0)
        for _ in range(count):
            number, candidate, _ = store.ask(SPACE)
            store.tell(complete(number, candidate, 0.01, 100))
            drawn.append(candidate.digest)
    return drawn


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_resumed_study_does_not_draw_the_first_launch_again(sampler: str, tmp_path: Path) -> None:
    first, second = (_draws(f"sqlite:///{tmp_path}/a.db", sampler, 4) for _ in range(2))
    assert first != second
    assert _draws(f"sqlite:///{tmp_path}/b.db", sampler, 4) == first  # A study of its own repeats exactly.


def test_references_do_not_count_as_the_random_start(store: StudyStore) -> None:
    for bits in (3, 4, 5):
        store.queue(Candidate.of((slot, Fixed(bits, -1)) for slot in SLOTS), "", SPACE, reference=True)
    store.queue(Candidate.of((slot, Fixed(6, -1)) for slot in SLOTS), "", SPACE)
    store.sample_with(spec_of().search, 0)
    assert store._sampler._study.sampler._n_startup_trials == 3 + 3


def test_a_candidate_whose_worker_died_is_queued_again_but_not_one_that_diverged(store: StudyStore) -> None:
    lost, diverged = (Candidate.of((slot, Fixed(bits, 2)) for slot in SLOTS) for bits in (8, 9))
    for candidate in (lost, diverged):
        store.queue(candidate, "", SPACE)
    for candidate, seconds in ((lost, {}), (diverged, {"step1_training": 1.0})):
        number, asked, _ = store.ask(SPACE)
        assert asked == candidate
        store.tell(TrialReport(number, candidate, TrialState.FAILED, 9, reason="…", seconds=seconds))
    for candidate in (lost, diverged):
        store.queue(candidate, "", SPACE)
    assert [row.repeatable for row in store.rows()] == [False, True]
    assert store.ask(SPACE)[1] == lost
    assert store.ask(SPACE)[1] not in (lost, diverged)


def test_a_storage_that_does_not_open_is_refused_without_its_login() -> None:
    with pytest.raises(SpecError, match=r"must open, but it does not: .* \(storage\.optuna: /proc/no/optuna\.db\)$"):
        StudyStore.create(spec_of(), "sqlite:////proc/no/optuna.db?timeout=3")
    with pytest.raises(SpecError, match=r"\(storage\.optuna\)"):
        StudyStore.create(spec_of(), "nosuchdatabase://host/db")
    for address in ("postgresql://ann:canary", "postgresql+psycopg://ann:x@canary@127.0.0.1:1/db"):
        with pytest.raises(SpecError, match=r"\(storage\.optuna\)") as refused:
            StudyStore.create(spec_of(), address)
        assert "canary" not in str(refused.value)
    assert place_of("postgresql+psycopg://ann:secret@host:1/db?password=secret") == "postgresql+psycopg://host:1/db"
    assert place_of("postgresql://ann:secret") == "postgresql://…"
