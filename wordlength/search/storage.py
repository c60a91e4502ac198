"""Optuna's storage: SQLite for one launch at a time, PostgreSQL for several, and waited for while it is away."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from wordlength.errors import SpecError

LOCK_SECONDS = 60
"""How long SQLite waits for another process that writes."""
CONNECT_SECONDS = 10
_LONGEST_PAUSE_SECONDS = 5.0
_GIVEN_UP = {
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""libpq's settings by which a connection whose network was cut fails after half a minute: else it hangs for many."""

# Of RDBStorage, what Optuna's own cache in front of it calls beside the public methods.
_CALLED_BY_CACHE = ("_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id")


class PatientStorage(RDBStorage):  # type: ignore[misc]  # optuna is not typed here.
    """An RDBStorage whose every call waits while the database is away, at most `patience_seconds`, then SpecError.

    A call that was carried out, but whose answer was lost, is made again: StudyStore knows which may not be.
    """

    def __init__(self, address: str, patience_seconds: float) -> None:
        self.patience_seconds = 0.0  # At first it must be there.
        self._calls = 0
        if is_file(address):
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


def is_file(address: str) -> bool:
    """Whether the storage is an SQLite file, which one launch at a time can use."""
    return address.startswith("sqlite")


def open_storage(address: str, patience_seconds: float = 0.0) -> PatientStorage:
    """The storage at an SQLAlchemy address. Raises SpecError, without the address: it may hold a password."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return PatientStorage(address, patience_seconds)
    except (SQLAlchemyError, ImportError, StorageInternalError, ValueError) as error:
        raise SpecError(f"the trials' storage must open, but it does not: {_reason(error, address)}") from None


def _reason(error: BaseException, address: str) -> str:
    """One line that names no password."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    try:
        password = make_url(address).password
    except (ArgumentError, ValueError):
        password = None
    for secret in filter(None, (address, password and str(password))):
        text = text.replace(secret, "***")
    return f"{text} (storage.optuna)"


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
            except (SQLAlchemyError, StorageInternalError) as error:
                # One method may call another: only the outermost waits.
                if self._calls > 1 or not _is_away(error):
                    raise
                if time.monotonic() + pause > until:
                    if not self.patience_seconds:
                        raise
                    raise SpecError(
                        f"the trials' storage must answer, but for {self.patience_seconds / 60:g} minutes it has not: "
                        f"{_reason(error, str(self.url))}"
                    ) from None
            finally:
                self._calls -= 1
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    return call


for _name, _method in vars(RDBStorage).items():
    if _name in _CALLED_BY_CACHE or (_name in vars(BaseStorage) and not _name.startswith("_")):
        setattr(PatientStorage, _name, _patient(_method))
