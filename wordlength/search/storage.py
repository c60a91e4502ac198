"""Optuna's storage: SQLite for one launch at a time, PostgreSQL for several, and waited for while it is away.

Whole studies are taken out of it as plain values, put into another one, removed.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from json import JSONDecodeError
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from wordlength.errors import SpecError, first_line
from wordlength.search.home import is_sqlite
from wordlength.search.logins import without_login_of

LOCK_SECONDS = 60
"""How long SQLite waits for another process that writes."""
CONNECT_SECONDS = 10

_SETTING = "storage.optuna"
_LONGEST_PAUSE_SECONDS = 5.0
_GIVEN_UP = {
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""libpq's settings by which a connection whose network was cut fails after half a minute: else it hangs for many."""

_FAULTS = (SQLAlchemyError, StorageInternalError, JSONDecodeError, IndexError)
"""What a database that is away raises, or a damaged one; the last two for rows that hold what nobody has written."""

# Of RDBStorage, what Optuna's own cache in front of it calls beside the public methods.
_CALLED_BY_CACHE = ("_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id")


class PatientStorage(RDBStorage):  # type: ignore[misc]  # optuna is not typed here.
    """An RDBStorage whose every call waits while the database is away, at most `patience_seconds`, then SpecError.

    For one that is damaged SpecError at once. A call that was carried out, but whose answer was lost, is made again:
    StudyStore knows which may not be.
    """

    def __init__(self, address: str, patience_seconds: float) -> None:
        self.patience_seconds = 0.0  # At first it must be there.
        self._calls = 0
        if is_sqlite(address):
            super().__init__(address, engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
        else:
            arguments = {"connect_timeout": CONNECT_SECONDS}
            if make_url(address).get_backend_name() == "postgresql":
                arguments |= _GIVEN_UP
            super().__init__(address, engine_kwargs={"pool_pre_ping": True, "connect_args": arguments})
        self.patience_seconds = patience_seconds

    def close(self) -> None:
        """End its connections."""
        self.remove_session()
        self.engine.dispose()


def open_storage(address: str, patience_seconds: float = 0.0) -> PatientStorage:
    """The storage at an SQLAlchemy address. Raises SpecError, without the address: it may hold a password."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return PatientStorage(address, patience_seconds)
    except (SQLAlchemyError, ImportError, StorageInternalError, ValueError, RuntimeError) as error:
        # The last for tables of another version of optuna.
        raise SpecError(f"the trials' storage must open, but it does not: {_reason(error, address)}") from None


def place_of(address: str) -> str:
    """Where a storage is, for people and for comparing: its address without login."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        return address.partition("://")[0] + "://…"
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def no_trials(name: str, address: str) -> SpecError:
    """What is told of a study that is not in its storage."""
    return SpecError(f"a study must be in its storage, but {name!r} has no trials there ({_file(address) or _SETTING})")


def require_opening(address: str) -> None:
    """Raise SpecError if a storage does not open. A file is not made for it."""
    file = _file(address)
    if file is None or os.path.lexists(file):
        open_storage(address).close()


def _file(address: str) -> str | None:
    """Of an SQLite storage, its file."""
    return make_url(address).database if is_sqlite(address) else None


def _reason(error: BaseException, address: str) -> str:
    """One line that names SQLite's file, and no password."""
    # Optuna's own says of every error that data may be invalid.
    text = first_line(error.__cause__ or error if isinstance(error, StorageInternalError) else error)
    try:
        text = without_login_of(address, text)
    except (ArgumentError, ValueError):  # Which names a part that it took for the port.
        return f"its address cannot be read; it has the form scheme://user@host:port/database ({_SETTING})"
    file = _file(address)
    return f"{text} ({f'{_SETTING}: {file}' if file else _SETTING})"


def _is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached, or is busy; what it refuses it would refuse again."""
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    # The last of these is what a second call meets in a transaction that the first one lost.
    if isinstance(cause, (OperationalError, InterfaceError, PendingRollbackError)):
        return True
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: PatientStorage, *arguments: Any, **named: Any) -> Any:
        until, pause = time.monotonic() + self.patience_seconds, 0.1
        while True:
            self._calls += 1
            try:
                return method(self, *arguments, **named)
            except _FAULTS as error:
                # One method may call another: only the outermost waits.
                if self._calls > 1:
                    raise
                away = _is_away(error)
                if not away or time.monotonic() + pause > until:
                    raise _unanswered(error, self, away) from None
            finally:
                self._calls -= 1
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    return call


def _unanswered(error: BaseException, storage: PatientStorage, away: bool) -> SpecError:
    reason, waited = _reason(error, str(storage.url)), storage.patience_seconds / 60
    if away and waited:
        return SpecError(f"the trials' storage must answer, but for {waited:g} minutes it has not: {reason}")
    return SpecError(f"the trials' storage must answer, but it does not: {reason}")


for _name, _method in vars(RDBStorage).items():
    if _name in _CALLED_BY_CACHE or (_name in vars(BaseStorage) and not _name.startswith("_")):
        setattr(PatientStorage, _name, _patient(_method))


@dataclass(frozen=True)
class StoredStudy:
    """A study in a storage: how many trials it has begun, how many candidates wait, what it remembers of itself."""

    trials: int
    queued: int
    attributes: Mapping[str, Any]


def stored_studies(address: str) -> dict[str, StoredStudy]:
    """All of a storage, by name. Raises SpecError if it does not open."""
    with closing(open_storage(address)) as storage:
        found = {}
        for study in storage.get_all_studies():
            every, queued = (storage.get_n_trials(study._study_id, state) for state in (None, OptunaState.WAITING))
            found[study.study_name] = StoredStudy(every - queued, queued, study.user_attrs)
        return found


def take_out(address: str, name: str) -> dict[str, Any]:
    """The study, JSON-able; `put_in` is the inverse. Raises SpecError if the storage has none of this name."""
    with closing(open_storage(address)) as storage:
        place = _place(storage, name)
        if place is None:
            raise no_trials(name, address)
        return {
            "directions": [direction.name for direction in storage.get_study_directions(place)],
            "user_attrs": _in_order(storage.get_study_user_attrs(place)),
            "system_attrs": _in_order(storage.get_study_system_attrs(place)),
            "trials": [_plain(trial) for trial in storage.get_all_trials(place, deepcopy=False)],
        }


def put_in(address: str, name: str, plain: Mapping[str, Any]) -> None:
    """Put a study into a storage that has none of this name.

    Every trial keeps its number, times, parameters and attributes: a sampler goes on as if nothing had happened.
    """
    with closing(open_storage(address)) as storage:
        place = storage.create_new_study([StudyDirection[direction] for direction in plain["directions"]], name)
        for key, value in plain["user_attrs"].items():
            storage.set_study_user_attr(place, key, value)
        for key, value in plain["system_attrs"].items():
            storage.set_study_system_attr(place, key, value)
        for trial in plain["trials"]:
            storage.create_new_trial(place, template_trial=_trial(trial))


def remove_stored(address: str, name: str) -> bool:
    """Remove a study with all its trials; False if there is none."""
    with closing(open_storage(address)) as storage:
        if (place := _place(storage, name)) is None:
            return False
        storage.delete_study(place)
        return True


def _place(storage: PatientStorage, name: str) -> int | None:
    try:
        return int(storage.get_study_id_from_name(name))
    except KeyError:
        return None


def _plain(trial: FrozenTrial) -> dict[str, Any]:
    times = {"started": trial.datetime_start, "ended": trial.datetime_complete}
    return {
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "distributions": {name: distribution_to_json(one) for name, one in trial.distributions.items()},
        "user_attrs": _in_order(trial.user_attrs),
        "system_attrs": _in_order(trial.system_attrs),
        **{name: time and time.isoformat() for name, time in times.items()},
    }


def _in_order(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """By name: each database gives them in an order of its own. Their values stay as they are."""
    return dict(sorted(attributes.items()))


def _trial(plain: Mapping[str, Any]) -> FrozenTrial:
    times = {name: plain[name] and datetime.fromisoformat(plain[name]) for name in ("started", "ended")}
    return FrozenTrial(
        number=-1,  # The storage's own count.
        trial_id=-1,
        state=OptunaState[plain["state"]],
        value=None,
        values=plain["values"],
        datetime_start=times["started"],
        datetime_complete=times["ended"],
        params=plain["params"],
        distributions={name: json_to_distribution(text) for name, text in plain["distributions"].items()},
        user_attrs=plain["user_attrs"],
        system_attrs=plain["system_attrs"],
        intermediate_values={},
    )
