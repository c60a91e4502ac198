"""ask → submit → tell → record: a study in Optuna's storage.

Optuna's storage is the truth about a study. Beside each finished trial lie its JSON report and, for
front members, its weights, written before the trial is told, so that a trial known as complete can
always be recorded and exported; MLflow is written last and caught up on resume.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, Trial
from optuna.trial import TrialState as OptunaState
from sqlalchemy.exc import SQLAlchemyError

from wordlength.errors import SpecError
from wordlength.objectives.report import TrialReport, TrialState
from wordlength.objectives.settings import TrainingSettings
from wordlength.search.front import Baseline
from wordlength.search.home import Home
from wordlength.search.sampling import DIRECTIONS, fresh_seed, sampler
from wordlength.search.space_spec import SpaceSpec
from wordlength.search.spec import SearchSpec, StudySpec
from wordlength.search.trials import INTERRUPTED, StudyView, TrialRow
from wordlength.space import Candidate
from wordlength.space.search_space import SearchSpace

_TOLD = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}

GAIN_DIGITS = 7
"""Decimals of a mixture's improvement that the storage keeps: far below what can be told apart."""


class StudyStore:
    """One study in Optuna's storage."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._finished: dict[int, TrialRow] = {}

    @classmethod
    def create(cls, spec: StudySpec, address: str) -> StudyStore:
        """Open the study, or begin it."""
        storage = _storage(address)
        study = optuna.create_study(
            storage=storage, study_name=spec.name, directions=list(DIRECTIONS), load_if_exists=True
        )
        return cls(study)

    @classmethod
    def open(cls, name: str, address: str) -> StudyStore:
        """Open an existing study. Raises SpecError if the storage has none of this name."""
        try:
            return cls(optuna.load_study(study_name=name, storage=_storage(address)))
        except KeyError:
            raise SpecError(f"a study must be in its storage, but {name!r} has no trials there") from None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the study remembers of itself."""
        return dict(self._study.user_attrs)

    def remember(self, attributes: Mapping[str, Any]) -> None:
        """Keep JSON-able values with the study."""
        for name, value in attributes.items():
            self._study.set_user_attr(name, value)

    def rows(self) -> tuple[TrialRow, ...]:
        """Every trial that was begun, in order."""
        trials = self._study.get_trials(deepcopy=False)
        return tuple(self._known_row(trial) for trial in trials if trial.state != OptunaState.WAITING)

    def _known_row(self, trial: FrozenTrial) -> TrialRow:
        """Finished trials do not change any more, and reading thousands of candidates takes its time."""
        if not trial.state.is_finished():
            return _row(trial)
        if trial.number not in self._finished:
            self._finished[trial.number] = _row(trial)
        return self._finished[trial.number]

    def view(self) -> StudyView:
        """The study as it stands."""
        known = self.attributes
        if "baseline" not in known:
            raise SpecError(f"a study must have its float baseline, but {self._study.study_name!r} has none yet")
        return StudyView(self._study.study_name, self.rows(), Baseline(**known["baseline"]), known["wanted"])

    def sample_with(self, search: SearchSpec, seed: int) -> None:
        """Propose by the study file's sampler. References queued so far do not count as its random start."""
        trials = self._study.get_trials(deepcopy=False)
        known = (trial.user_attrs for trial in trials)
        # Once each, however often it was cut off; studies from before said `queued`.
        queued = len({attrs["digest"] for attrs in known if attrs.get("reference") or attrs.get("queued")})
        fresh = fresh_seed(seed, len(trials))
        # Optuna's 50 parents would leave a study of 50 trials without a second generation.
        self._study.sampler = sampler(search, fresh, queued + search.startup_trials, search.trials // 5)

    def recover(self) -> int:
        """Tell trials that a killed launch left running, and queue their candidates again; how many."""
        left = self._study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,))
        for trial in left:
            self.interrupt(trial.number)
        return len(left)

    def queue(self, candidate: Candidate, label: str, space: SearchSpace, reference: bool = False) -> None:
        """Have `ask` propose this candidate before any other, unless the study knows or queues it already.

        `reference`: it comes before the sampler's proposals, and is none of its random start.
        """
        if candidate.digest not in self.digests():
            self._queue(candidate, label, dict(space.parameters(candidate) or {}), reference)

    @property
    def queued(self) -> int:
        """Candidates that `ask` will propose before any other."""
        return len(self._study.get_trials(deepcopy=False, states=(OptunaState.WAITING,)))

    def candidates(self, digests: Collection[str]) -> tuple[Candidate, ...]:
        """Those of the trials, begun or queued, that have one of these digests; each once."""
        known = (trial.user_attrs for trial in self._study.get_trials(deepcopy=False))
        found = {attrs["digest"]: attrs["candidate"] for attrs in known if attrs.get("digest") in digests}
        return tuple(Candidate.from_dict(plain) for plain in found.values())

    def digests(self, failed: bool = False) -> set[str]:
        """Of every candidate that is a trial or queued to be one, unless it was cut off.

        `failed`: also of those whose trial failed for no fault of theirs, and may be tried again.
        """
        trials = self._study.get_trials(deepcopy=False)
        left_out = _interrupted if failed else _without_result
        return {str(trial.user_attrs.get("digest")) for trial in trials if not left_out(trial)}

    def ask(self, space: SearchSpace) -> tuple[int, Candidate, str]:
        """Begin a trial: its number, candidate and label."""
        trial = self._study.ask()
        label = trial.user_attrs.get("label", "")
        if "candidate" in trial.user_attrs:
            candidate = Candidate.from_dict(trial.user_attrs["candidate"])
            if space.contains(candidate):
                space.suggest(trial)  # Registers the queued parameters, so that the sampler learns from them.
        else:
            candidate = space.suggest(trial)
            trial.set_user_attr("candidate", candidate.to_dict())
            trial.set_user_attr("digest", candidate.digest)
        return trial.number, candidate, label

    def tell(self, report: TrialReport, reused_from: int | None = None) -> None:
        """End a trial with what its report says."""
        trial = self._trial(report.number)
        attributes = {
            "reason": report.reason,
            "memory_bytes": report.memory_bytes,
            "stoi_standard_error": report.stoi_standard_error,
            "gains": [round(gain, GAIN_DIGITS) for gain in report.gains],
            "difference": report.baseline_difference,
            "difference_error": report.baseline_difference_error,
            "reused_from": reused_from,
            "seconds": sum(report.seconds.values()),
            "diverged": report.state is TrialState.FAILED and bool(report.seconds),
        }
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        for gate, excess in report.constraints.items():
            trial.set_constraint(gate, excess)
        complete = report.state is TrialState.COMPLETE
        values = [report.stoi_improvement, float(report.memory_bytes)] if complete else None
        self._study.tell(report.number, values, state=_TOLD[report.state])

    def interrupt(self, number: int) -> None:
        """End a running trial as interrupted and queue its candidate again."""
        trial = self._trial(number)
        trial.set_user_attr("reason", INTERRUPTED)
        known, parameters = trial.user_attrs, trial.params
        self._study.tell(number, state=OptunaState.FAIL)
        if "candidate" in known:
            reference = known.get("reference", False)
            self._queue(Candidate.from_dict(known["candidate"]), known.get("label", ""), parameters, reference)

    def _queue(self, candidate: Candidate, label: str, parameters: dict[str, Any], reference: bool) -> None:
        attributes = {"candidate": candidate.to_dict(), "digest": candidate.digest, "label": label}
        self._study.enqueue_trial(parameters, user_attrs=attributes | {"reference": reference})

    def _trial(self, number: int) -> Trial:
        frozen = self._study.get_trials(deepcopy=False)[number]
        return Trial(self._study, frozen._trial_id)


def check_unchanged(store: StudyStore, spec: StudySpec, data_digest: str) -> None:
    """Raise SpecError if the study was begun with other data or settings: its trials would not compare."""
    known = store.attributes
    began, now = known.get("fingerprint"), json.loads(json.dumps(spec.fingerprint()))
    if began is None:
        return
    if "space" in began:
        # Keys that have come since the study began have their defaults, with which it was run.
        began = began | {"space": SpaceSpec.model_validate(began["space"]).model_dump(mode="json")}
    if "training" in began:
        began = began | {"training": asdict(TrainingSettings()) | began["training"]}
    for place, old, new in _differences(began, now):
        raise SpecError(
            f"a study keeps its settings, but {place} was {old!r} and is now {new!r}; "
            f"change it back or give the study another name (study {spec.name!r})"
        )
    if known["data_digest"] != data_digest:
        raise SpecError(
            f"a study keeps its data, but the audio of {spec.name!r} has changed since it began "
            f"(was {known['data_digest'][:12]}, is {data_digest[:12]}); give the study another name"
        )


def check_baseline(store: StudyStore, name: str, content_digest: str) -> None:
    """Raise SpecError if the study was begun from other float weights: its trials would not compare."""
    began = store.attributes.get("baseline_content")
    if began not in (None, content_digest):
        raise SpecError(
            f"a study keeps its float baseline, but that of {name!r} was trained again with another result "
            f"(was {began}, is {content_digest}); bring its cache back or give the study another name"
        )


def load_study(study: str, home: Home | None = None) -> StudyView:
    """A launched study, by name or study file: rows, front, hypervolume. Raises SpecError."""
    home = home or Home.default()
    spec = home.find(study)
    return StudyStore.open(spec.name, home.optuna_address(spec)).view()


def _differences(old: Any, new: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys((*old, *new))
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))]
    return [] if old == new else [(place, old, new)]


def _storage(address: str) -> optuna.storages.RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    patient = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else {}
    try:
        return optuna.storages.RDBStorage(address, engine_kwargs=patient)
    except (SQLAlchemyError, ImportError, StorageInternalError, ValueError) as error:
        reason = str(error).splitlines()[0]
        # Without the address: it may hold a password.
        raise SpecError(f"the trials' storage must open, but it does not: {reason} (storage.optuna)") from None


def _without_result(trial: FrozenTrial) -> bool:
    """Cut off, or failed for no fault of the candidate's: worth another try."""
    return _interrupted(trial) or (trial.state == OptunaState.FAIL and not trial.user_attrs.get("diverged"))


def _interrupted(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("reason") == INTERRUPTED)


def _row(trial: FrozenTrial) -> TrialRow:
    known = trial.user_attrs
    states = {OptunaState.COMPLETE: "complete", OptunaState.PRUNED: "pruned", OptunaState.RUNNING: "running"}
    state = INTERRUPTED if _interrupted(trial) else states.get(trial.state, "failed")
    complete = trial.state == OptunaState.COMPLETE
    return TrialRow(
        number=trial.number,
        state=state,
        candidate=Candidate.from_dict(known["candidate"]) if "candidate" in known else None,
        label=known.get("label", ""),
        reason=known.get("reason", ""),
        stoi_improvement=trial.values[0] if complete else None,
        stoi_standard_error=known.get("stoi_standard_error"),
        gains=tuple(known.get("gains", ())),
        difference=known.get("difference"),
        difference_error=known.get("difference_error"),
        memory_bytes=known.get("memory_bytes"),
        seconds=known.get("seconds"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        reused_from=known.get("reused_from"),
        repeatable=not _without_result(trial),
    )
