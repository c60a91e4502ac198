"""A study in Optuna's storage: what is queued and asked for, what it is told, how it stands.

Optuna's storage is the truth about a study. Beside each finished trial lie its JSON report and, for
front members, its weights, written before the trial is told, so that a trial known as complete can
always be recorded and exported; MLflow is written last and caught up on resume.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from wordlength.errors import FormatError, SpecError, WordlengthError
from wordlength.objectives.goals import DEFAULT_GOALS, Goals, goals_of
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.search.front import FloatPoint
from wordlength.search.home import Home, is_sqlite
from wordlength.search.ledger import Ledger
from wordlength.search.sampling import Sampler, directions, fresh_seed
from wordlength.search.storage import PatientStorage, no_trials, open_storage
from wordlength.search.study_file.spec import SearchSpec, StudySpec
from wordlength.search.trials import INTERRUPTED, StudyView, TrialRow
from wordlength.space import Candidate
from wordlength.space.search_space import SearchSpace
from wordlength.version import VERSION

_TOLD = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}

_QUEUED = ("candidate", "digest", "label", "reference")
"""What a candidate that is queued again keeps of its trial."""
_TURN = "turn"
"""With one that is queued again: the number of the trial that was cut off, whose turn it has."""

SHARED_SECONDS = 1.0
"""For how long a launch takes what it has read for what the storage has, where others may write too."""
GAIN_DIGITS = 7
"""Decimals of a mixture's improvement that the storage keeps: far below what can be told apart."""


class StudyStore:
    """One study in Optuna's storage. `fresh_seconds`: see Ledger."""

    def __init__(self, storage: PatientStorage, study: optuna.Study, goals: Goals, fresh_seconds: float = 0.0) -> None:
        self._storage, self._study, self.goals = storage, study, goals
        self._ledger = Ledger(study, fresh_seconds)
        # As of the ledger's version: rows by number, None for those that wait; digest → numbers.
        self._rows: list[TrialRow | None] = []
        self._numbers: defaultdict[str, list[int]] = defaultdict(list)
        self._version = 0
        self._view: tuple[int, StudyView] | None = None
        self._sampler: Sampler | None = None
        self._learned = 0

    @classmethod
    def create(cls, spec: StudySpec, address: str) -> StudyStore:
        """Open the study for a launch, or begin it."""
        storage = open_storage(address, 60 * spec.storage.patience_minutes)
        goals = goals_of(spec.objectives)
        study = optuna.create_study(
            storage=storage, study_name=spec.name, directions=directions(goals), load_if_exists=True
        )
        store = cls(storage, study, goals, math.inf if is_sqlite(address) else SHARED_SECONDS)
        if len(study.directions) == len(goals.goals):  # Else the launch refuses the changed study file.
            store.sample_with(spec.search, spec.seed)
        return store

    @classmethod
    def open(cls, name: str, address: str, patience_seconds: float = 0.0) -> StudyStore:
        """Open an existing study. Raises SpecError if the storage has none of this name."""
        storage = open_storage(address, patience_seconds)
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            storage.close()
            raise no_trials(name, address) from None
        known = study.user_attrs
        try:
            with _of_this_version(name, known):
                goals = FloatPoint.from_json(known["baseline"]).goals if "baseline" in known else DEFAULT_GOALS
        except SpecError:
            storage.close()
            raise
        return cls(storage, study, goals)

    def close(self) -> None:
        """End the connections to the storage."""
        self._storage.close()

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the study remembers of itself."""
        return dict(self._study.user_attrs)

    def remember(self, attributes: Mapping[str, Any]) -> None:
        """Keep JSON-able values with the study."""
        for name, value in attributes.items():
            self._study.set_user_attr(name, value)
        self._view = None

    def rows(self) -> tuple[TrialRow, ...]:
        """Every trial that was begun, in order."""
        return tuple(row for row in self._known() if row is not None)

    def rows_of(self, candidate: Candidate) -> tuple[TrialRow, ...]:
        """Those with this candidate."""
        rows = self._known()
        return tuple(row for number in self._numbers[candidate.digest] if (row := rows[number]) is not None)

    def view(self) -> StudyView:
        """The study as it stands."""
        self._ledger.trials()
        if self._view is None or self._view[0] != self._ledger.version:
            known = self.attributes
            if "baseline" not in known:
                raise SpecError(f"a study must have its float baseline, but {self._study.study_name!r} has none yet")
            with _of_this_version(self._study.study_name, known):
                self._view = (
                    self._ledger.version,
                    StudyView(
                        self._study.study_name,
                        self.rows(),
                        FloatPoint.from_json(known["baseline"]),
                        known["wanted"],
                        known.get("most_wanted", known["wanted"]),
                        self.queued,
                    ),
                )
        return self._view[1]

    def sample_with(self, search: SearchSpec, seed: int) -> None:
        """Propose by the study file's sampler. References queued so far do not count as its random start."""
        trials = self._ledger.trials()
        known = (trial.user_attrs for trial in trials)
        # Once each, however often it was cut off; studies from before said `queued`.
        queued = len({attrs["digest"] for attrs in known if attrs.get("reference") or attrs.get("queued")})
        self._sampler = Sampler(search, self.goals, fresh_seed(seed, len(trials)), queued)
        self._learned = 0

    def running(self, is_nobodys: Callable[[str | None], bool]) -> list[TrialRow]:
        """Running trials that are nobody's, by the id of their driver, None if they do not say."""
        running = self._ledger.trials(OptunaState.RUNNING)
        return [_row(trial, self.goals) for trial in running if is_nobodys(trial.user_attrs.get("driver"))]

    @property
    def has_others(self) -> bool:
        """Whether other launches may be writing to the study."""
        return not is_sqlite(str(self._storage.url))

    def wait_at_most(self, seconds: float) -> None:
        """For the storage, from now on, if it is away."""
        self._storage.patience_seconds = min(self._storage.patience_seconds, seconds)

    def read_again(self) -> None:
        """Take what is known for old, because others may just have written."""
        self._ledger.read_again()

    def queue(self, candidate: Candidate, label: str, space: SearchSpace, reference: bool = False) -> None:
        """Have `ask` propose this candidate before any other, unless the study knows or queues it already.

        `reference`: it comes before the sampler's proposals, and is none of its random start.
        """
        if not self.knows(candidate.digest):
            fixed = _as_proposed(candidate, space)
            attributes = _named(candidate) | {"label": label, "reference": reference}
            self._queue(fixed.params, fixed.distributions, attributes)

    @property
    def queued(self) -> int:
        """Candidates that `ask` will propose before any other."""
        return len(self._ledger.trials(OptunaState.WAITING))

    @property
    def queued_again(self) -> int:
        """Those of them that were cut off."""
        return sum(_TURN in trial.user_attrs for trial in self._ledger.trials(OptunaState.WAITING))

    def counted(self, number: int) -> int:
        """Trials that count towards `wanted`, or will, and whose turn comes before this one's; queued ones included."""
        turn = _turn(self._ledger.trials()[number])
        queued = sum(_turn(trial) < turn for trial in self._ledger.trials(OptunaState.WAITING))
        return self.view().counted(turn) + queued

    def candidates(self, digests: Collection[str]) -> tuple[Candidate, ...]:
        """Those of the trials, begun or queued, that have one of these digests; each once."""
        known = (trial.user_attrs for trial in self._ledger.trials())
        found = {attrs["digest"]: attrs["candidate"] for attrs in known if attrs.get("digest") in digests}
        return tuple(Candidate.from_dict(plain) for plain in found.values())

    def knows(self, digest: str) -> bool:
        """Whether a candidate is among `digests`."""
        self._known()
        trials = self._ledger.trials()
        return any(not _without_result(trials[number]) for number in self._numbers.get(digest, ()))

    def digests(self, failed: bool = False) -> set[str]:
        """Of every candidate that is a trial or queued to be one, unless it was cut off.

        `failed`: also of those whose trial failed for no fault of theirs, and may be tried again.
        """
        left_out = _interrupted if failed else _without_result
        return {str(trial.user_attrs.get("digest")) for trial in self._ledger.trials() if not left_out(trial)}

    def take(self, driver: str = "") -> tuple[int, Candidate, str] | None:
        """Begin a trial that is queued: its number, candidate and label; None if none is. `driver`: whose it is."""
        for waiting in sorted(self._ledger.trials(OptunaState.WAITING), key=_turn):
            if self._ledger.begin(waiting.number):
                self._ledger.note(waiting.number, {"driver": driver})
                known = waiting.user_attrs
                return waiting.number, Candidate.from_dict(known["candidate"]), known.get("label", "")
        return None

    def ask(self, space: SearchSpace, driver: str = "", drawn: Candidate | None = None) -> tuple[int, Candidate, str]:
        """Begin a trial, a queued one first. `drawn`: a new one's candidate, in place of the sampler's proposal."""
        if (taken := self.take(driver)) is not None:
            return taken
        if drawn is not None:
            fixed = _as_proposed(drawn, space)
            return self._begin(drawn, fixed.params, fixed.distributions, {}, driver), drawn, ""
        assert self._sampler is not None, "sample_with comes first"
        self._ledger.trials()
        self._sampler.learn(self._ledger.changed_since(self._learned))
        self._learned = self._ledger.version
        candidate, proposed = self._sampler.propose(space)
        # Not what TPE notes for those who cannot see a running trial's parameters.
        noted = {key: value for key, value in proposed.system_attrs.items() if not key.startswith("tpe:")}
        number = self._begin(candidate, proposed.params, proposed.distributions, noted, driver)
        self._sampler.proposed(self._ledger.trials()[number])
        return number, candidate, ""

    def tell(self, report: TrialReport, reused_from: int | None = None) -> None:
        """End a trial with what its report says."""
        result = {
            "reason": report.reason,
            "memory_bytes": report.memory_bytes,
            "standard_error": report.standard_error,
            "gains": [round(gain, GAIN_DIGITS) for gain in report.gains],
            "difference": report.baseline_difference,
            "difference_error": report.baseline_difference_error,
            "reused_from": reused_from,
            "seconds": sum(report.seconds.values()),
            "diverged": report.state is TrialState.FAILED and bool(report.seconds),
            "constraints": dict(report.constraints),
        }
        self._ledger.note(report.number, {"result": result})
        values = None
        if report.state is TrialState.COMPLETE:
            values = [float(report.values[name]) for name in self.goals.names]
        self._ledger.end(report.number, _TOLD[report.state], values)

    def interrupt(self, number: int) -> None:
        """End a running trial as interrupted and queue its candidate again: first this, so that it cannot get lost."""
        trial = self._ledger.trials()[number]
        known = trial.user_attrs
        waiting = {other.user_attrs.get("digest") for other in self._ledger.trials(OptunaState.WAITING)}
        if "candidate" in known and known["digest"] not in waiting:
            kept = {name: known[name] for name in _QUEUED if name in known}
            self._queue(trial.params, trial.distributions, kept | {_TURN: _turn(trial)})
        self._ledger.note(number, {"reason": INTERRUPTED})
        self._ledger.end(number, OptunaState.FAIL)

    def _begin(
        self,
        candidate: Candidate,
        params: Mapping[str, Any],
        distributions: Mapping[str, Any],
        noted: Mapping[str, Any],
        driver: str,
    ) -> int:
        running = create_trial(
            state=OptunaState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            system_attrs=dict(noted),
            user_attrs=_named(candidate) | {"driver": driver},
        )
        return self._ledger.create(running)

    def _queue(
        self, params: Mapping[str, Any], distributions: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> None:
        waiting = create_trial(
            state=OptunaState.WAITING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=dict(attributes),
        )
        self._ledger.create(waiting)

    def _known(self) -> list[TrialRow | None]:
        """Brought up to date: reading thousands of candidates takes its time, so each only where it has changed."""
        self._ledger.trials()
        for trial in self._ledger.changed_since(self._version):
            if trial.number == len(self._rows):
                self._rows.append(None)
                self._numbers[str(trial.user_attrs.get("digest"))].append(trial.number)
            self._rows[trial.number] = _row(trial, self.goals) if trial.state != OptunaState.WAITING else None
        self._version = self._ledger.version
        return self._rows


def remembered(spec: StudySpec, home: Home) -> Mapping[str, Any]:
    """What a launched study remembers of itself. Raises SpecError if its storage does not have it."""
    with closing(StudyStore.open(spec.name, home.optuna_address(spec))) as store:
        return store.attributes


def load_study(study: str, home: Home | None = None) -> StudyView:
    """A launched study, by name or study file: rows, front, hypervolume. Raises SpecError."""
    home = home or Home.default()
    spec = home.find(study)
    with closing(StudyStore.open(spec.name, home.optuna_address(spec))) as store:
        return store.view()


@contextmanager
def _of_this_version(name: str, known: Mapping[str, Any]) -> Iterator[None]:
    """Tell in one line that what a study remembers is not what this version writes. Raises SpecError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, WordlengthError) and not isinstance(error, FormatError):
            raise
        raise SpecError(
            f"a study must be one that wordlength {VERSION} can read, but {name!r} was written by "
            f"{known.get('wordlength', 'an earlier version')} ({error!r}); read it with that version, or launch its "
            "study file under another name"
        ) from None


def _as_proposed(candidate: Candidate, space: SearchSpace) -> FixedTrial:
    """With the parameters that the sampler would have proposed, so that it learns from it; without, if it could not."""
    parameters = space.parameters(candidate)
    fixed = FixedTrial(dict(parameters or {}))
    if parameters is not None:
        space.suggest(fixed)
    return fixed


def _named(candidate: Candidate) -> dict[str, Any]:
    return {"candidate": candidate.to_dict(), "digest": candidate.digest}


def _known(trial: FrozenTrial) -> Mapping[str, Any]:
    """What a trial remembers; studies from before kept its result in pieces."""
    return {**trial.user_attrs, **trial.user_attrs.get("result", {})}


def _turn(trial: FrozenTrial) -> int:
    """Trials are begun, and count, in this order."""
    return int(trial.user_attrs.get(_TURN, trial.number))


def _without_result(trial: FrozenTrial) -> bool:
    """Cut off, or failed for no fault of the candidate's: worth another try."""
    return _interrupted(trial) or (trial.state == OptunaState.FAIL and not _known(trial).get("diverged"))


def _interrupted(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("reason") == INTERRUPTED)


def _row(trial: FrozenTrial, goals: Goals) -> TrialRow:
    known = _known(trial)
    states = {OptunaState.COMPLETE: "complete", OptunaState.PRUNED: "pruned", OptunaState.RUNNING: "running"}
    cut_off = _interrupted(trial) and trial.state.is_finished()  # It may be about to be.
    state = INTERRUPTED if cut_off else states.get(trial.state, "failed")
    complete = trial.state == OptunaState.COMPLETE
    return TrialRow(
        number=trial.number,
        state=state,
        candidate=Candidate.from_dict(known["candidate"]) if "candidate" in known else None,
        label=known.get("label", ""),
        reason=known.get("reason", ""),
        values=dict(zip(goals.names, trial.values, strict=True)) if complete else {},
        standard_error=known.get("standard_error"),
        gains=tuple(known.get("gains", ())),
        difference=known.get("difference"),
        difference_error=known.get("difference_error"),
        memory_bytes=known.get("memory_bytes"),
        seconds=known.get("seconds"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        reused_from=known.get("reused_from"),
        driver=known.get("driver"),
        repeatable=not _without_result(trial),
        turn=_turn(trial),
        goals=goals,
    )
