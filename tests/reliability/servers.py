"""Servers of this machine for tests and benchmarks: a Ray head, PostgreSQL, MLflow; each begun anew, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray

LOOPBACK = "127.0.0.1"
START_SECONDS = 90
_FOUND = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where a job finds `python`: as in an environment that is active."""
JOINING = os.environ | {
    "PATH": _FOUND,
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(),
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment of a Ray head begun here, and of the drivers that join it."""


def free_port() -> int:
    """One that nobody listens on right now."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


@dataclass
class Server:
    """A process that can be killed and begun again at the same address."""

    command: list[str]
    log: Path
    address: str
    environment: dict[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    until_up: Callable[[], None] = lambda: None
    """Returns once it answers."""

    def start(self) -> None:
        """Begin it, or begin it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True, env=self.environment
            )

    def kill(self) -> None:
        """All its processes, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def until(self, answers: str) -> None:
        """Wait until its health page answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(answers, timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise TimeoutError(f"{self.command[0]} does not answer: {self.log.read_text()[-2000:]}")


@contextmanager
def ray_head(cores: int = 4, dashboard: int | None = None) -> Iterator[Server]:
    """A Ray cluster of one node; drivers join it at `address`, which is this machine's own: Ray takes no other.

    `dashboard`: the port at which it takes jobs, on loopback.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="r")), free_port()
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--temp-dir={folder}"]
    command += [f"--port={port}", f"--num-cpus={cores}"]
    # Jobs are begun by an agent, at a port that is the same for every Ray of a machine unless it is told.
    jobs = [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={free_port()}"]
    command += ["--include-dashboard=false"] if dashboard is None else jobs
    address = f"{ray.util.get_node_ip_address()}:{port}"
    server = Server(command, folder / "output.log", address, JOINING)
    places = [(ray.util.get_node_ip_address(), port)] + ([] if dashboard is None else [(LOOPBACK, dashboard)])
    server.until_up = lambda: [until_listens(*place) for place in places] and None
    server.start()
    try:
        server.until_up()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def until_listens(host: str, port: int) -> None:
    """Wait until somebody takes connections there."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nobody listens at port {port}")


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Server]:
    """An MLflow tracking server that keeps artifacts itself."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    server = Server(command, folder / "output.log", f"http://{LOOPBACK}:{port}")
    server.until_up = lambda: server.until(f"{server.address}/health")
    server.start()
    try:
        server.until_up()
        yield server
    finally:
        server.kill()


def has_postgresql() -> bool:
    """Whether its programs are here; Debian's are off the path."""
    return _program("initdb") is not None


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL cluster with one database; `address` is SQLAlchemy's."""
    folder, port = Path(tempfile.mkdtemp(prefix="p")), free_port()
    shutil.chown(folder, "postgres") if os.geteuid() == 0 else None
    made = [*_as_postgres(), str(_program("initdb")), "-D", str(folder / "data"), "-U", "wordlength", "-A", "trust"]
    subprocess.run(made, check=True, capture_output=True)
    command = [*_as_postgres(), str(_program("postgres")), "-D", str(folder / "data"), "-p", str(port)]
    command += [
        "-c",
        f"listen_addresses={LOOPBACK}",
        "-c",
        f"unix_socket_directories={folder}",
        "-c",
        "max_connections=60",
    ]
    log = folder / "output.log"
    server = Server(command, log, f"postgresql+psycopg://wordlength@{LOOPBACK}:{port}/postgres")
    server.until_up = lambda: _until_ready(server, port)
    server.start()
    try:
        server.until_up()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def another_database(server: Server, name: str) -> str:
    """A further database of a PostgreSQL cluster: its address."""
    base, _, _ = server.address.rpartition("/")
    host, _, port = base.rpartition("@")[2].partition(":")
    made = [str(_program("createdb")), "-h", host, "-p", port, "-U", "wordlength", name]
    subprocess.run(made, check=True, capture_output=True)
    return f"{base}/{name}"


def _until_ready(server: Server, port: int) -> None:
    """Begun again where it ended: it does not start while processes of the one that was killed are left."""
    asked = [str(_program("pg_isready")), "-h", LOOPBACK, "-p", str(port)]
    end = time.monotonic() + START_SECONDS
    while subprocess.run(asked, capture_output=True).returncode:
        if time.monotonic() > end:
            raise TimeoutError(f"PostgreSQL does not answer: {server.log.read_text()[-2000:]}")
        if server.process is not None and server.process.poll() is not None:
            server.start()
        time.sleep(0.2)


def _as_postgres() -> list[str]:
    """PostgreSQL does not run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def _program(name: str) -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    there = shutil.which(name)
    return found[-1] if found else Path(there) if there else None


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of so many bytes ("64k") at the folder; what it gives enlarges it. Skips where that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    made = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(made, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield lambda larger: _mount("mount", "-o", f"remount,size={larger}", folder)
    finally:
        _mount("umount", "--lazy", folder)


def _mount(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
