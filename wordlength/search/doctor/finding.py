"""One line of `wordlength doctor`, and how slow things are looked at: in a process of their own, with a limit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LIMIT_SECONDS = 60.0
"""So long one of the slow looks may take; on an idle machine each needs less than ten."""


class State(StrEnum):
    """How a thing stands: a fault keeps studies from running, a warning some of what they can do."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, what was found, and what to do; the last is empty if nothing is."""

    what: str
    state: State
    found: str
    advice: str = ""


class Unanswered(Exception):
    """A look that failed; the message is one line."""


class TooSlow(Unanswered):
    """A look that took too long, which on a busy machine says nothing of what was looked at."""


class Question:
    """What `code` prints last, read as JSON, in a Python of its own whose other output is dropped.

    It runs from the start on; use as a context manager, which ends its whole process group, so that nothing stays.
    `given`: its standard input. Addresses come this way: they may hold a password, and everybody can read arguments.
    """

    def __init__(self, code: str, given: str = "", limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit, self._started = limit_seconds, time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        # At once: answers are waited for one after another.
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stream:
            stream.write(given)
        self._process.stdin = None

    def __enter__(self) -> Question:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process_group, signal.SIGKILL)
        self._process.communicate()

    @property
    def process_group(self) -> int:
        """Of the process and all that it starts."""
        return self._process.pid

    def answer(self) -> Any:
        """Wait for it. Raises Unanswered, TooSlow."""
        left = max(0.5, self._limit - (time.monotonic() - self._started))  # What is there already must be read.
        try:
            out, told = self._process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            raise TooSlow(f"no answer within {self._limit:g} s") from None
        status = self._process.returncode
        lines = (told if status else out).strip().splitlines() or [f"exit status {status}"]
        if status:
            # Of a traceback the last line, without our errors' class.
            raise Unanswered(re.sub(r"^wordlength\.errors\.\w+: ", "", lines[-1].strip()))
        return json.loads(lines[-1])


@dataclass(frozen=True, slots=True)
class Look:
    """A slow look: the question, what its answer means, and what to do if there is none."""

    what: str
    question: Question
    meaning: Callable[[Any], Finding]
    advice: str

    def finding(self) -> Finding:
        """Wait for the answer; none is a fault, a late one a warning."""
        try:
            return self.meaning(self.question.answer())
        except TooSlow as error:
            return Finding(self.what, State.WARNING, str(error), "look again when the machine is idle")
        except Unanswered as error:
            return Finding(self.what, State.FAULT, str(error), self.advice)
