"""MLflow's own UI on a study's store: started on this machine only, and gone when the command ends.

The server is a child process with a process group of its own; this file does not import mlflow, so it costs nothing.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from wordlength.errors import ServerError

HOST = "127.0.0.1"

LEAN = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Server settings that a user's environment may override: 2 processes and 0.35 GB instead of 10 and 1.7 GB."""

START_SECONDS = 120.0
"""How long a server may take to answer: the first use of a store on a slow disk runs all migrations."""
_POLL_SECONDS = 0.1
_STOP_SECONDS = 5.0


class UiServer:
    """MLflow's server on a store; use as a context manager: it starts on entering and has ended on leaving.

    `port`: None for a free one, the same each time if it is free. Raises ValueError for a port that is taken or out
    of range. The server also ends when this process is killed.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None, port: int | None = None) -> None:
        self._port = _usual_port(tracking_uri) if port is None else _require_free(port)
        self._command = _command(artifact_root, self._port)
        # Not among the arguments: an address may hold a password, and those can be read by everybody.
        self._environment = LEAN | os.environ | {"MLFLOW_BACKEND_STORE_URI": tracking_uri}

    @property
    def address(self) -> str:
        """Where it answers once it is ready."""
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> UiServer:
        self._log = tempfile.TemporaryFile()
        # Its own session: Ctrl-C reaches us alone, and one signal to the group ends server and workers in order.
        # Its standard input is a pipe that nobody writes to: it closes when this process is gone, however it went.
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _end(self._process)
        finally:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._log.close()

    def wait_until_ready(self, progress: Callable[[float], None] | None = None) -> None:
        """Return once it answers; `progress` is told the seconds waited so far, about ten times a second.

        Raises ServerError if it ends before, or does not answer in time.
        """
        started = time.monotonic()
        while not _answers(self._port):
            waited = time.monotonic() - started
            if (code := self._process.poll()) is not None:
                raise ServerError(f"the MLflow server ended with code {code} before answering: {_tail(self._log)}")
            if waited > START_SECONDS:
                raise ServerError(
                    f"the MLflow server must answer within {START_SECONDS:.0f} s, but did not: {_tail(self._log)}"
                )
            if progress is not None:
                progress(waited)
            time.sleep(_POLL_SECONDS)

    def wait(self) -> None:
        """Wait for Ctrl-C. Raises ServerError if the server ends by itself."""
        code = self._process.wait()
        raise ServerError(f"the MLflow server must run until Ctrl-C, but ended with code {code}: {_tail(self._log)}")


def _command(artifact_root: Path | None, port: int) -> list[str]:
    command = [sys.executable, "-m", "wordlength.search.ui_process"]
    command += ["server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    return command + (["--artifacts-destination", artifact_root.resolve().as_uri()] if artifact_root else [])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        _signal_group(process, signal.SIGTERM)
        process.wait(_STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        # Workers that outlived the server, or a server that would not end.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, number)


def _answers(port: int) -> bool:
    # Not urllib: it would send even a loopback address through a configured proxy.
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: IO[bytes]) -> str:
    """The last lines that say something, in one line."""
    # pread: the child writes through the same file position, which seek() would move.
    size = os.fstat(log.fileno()).st_size
    text = os.pread(log.fileno(), 4000, max(0, size - 4000)).decode(errors="replace")
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-5:]) or "it wrote nothing"


def _usual_port(tracking_uri: str) -> int:
    """The same free port for the same store, if nobody has taken it: links stay good from one start to the next, and
    browsers remember what was folded or closed.
    """
    usual = 20_000 + zlib.crc32(tracking_uri.encode()) % 10_000
    try:
        return _require_free(usual)
    except ValueError:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])


def _require_free(port: int) -> int:
    if not 1 <= port <= 65535:
        raise ValueError(f"a port must be between 1 and 65535, but got {port}")
    with socket.socket() as probe:
        # As the server does: connections of a server that just ended do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(f"the port must be free, but {port} cannot be used: {error.strerror}") from error
    return port
