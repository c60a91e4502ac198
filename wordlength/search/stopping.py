"""Ctrl-C and SIGTERM that cannot get lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Whether a stop was asked for.

    The handlers raise KeyboardInterrupt at once; but where the interpreter happens to be in a finalizer or a
    callback, Python prints and drops it. `check` raises it again.
    """

    def __init__(self) -> None:
        self._asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def install(self) -> None:
        """Handle both signals; again after libraries that put handlers of their own there."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._ask)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While the block runs, further signals are ignored: telling the trials must not be cut off itself."""
        before = _handlers(signal.SIG_IGN)
        try:
            yield
        finally:
            _restore(before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[Stopping]:
    """Handle Ctrl-C and SIGTERM while the block runs, if this is the main thread.

    Ctrl-C also where a shell has told us to ignore it, as it does with what it starts in the background.
    """
    stopping = Stopping()
    before = _handlers(stopping._ask)
    try:
        yield stopping
    finally:
        _restore(before)


def _handlers(handler: Any) -> dict[signal.Signals, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in _SIGNALS}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
