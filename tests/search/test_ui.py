import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wordlength.errors import ServerError
from wordlength.search.ui import HOST, UiServer

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads children from /proc"),
    # As in test_tracking: a study is recorded through the server here.
    pytest.mark.filterwarnings(
        r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
    ),
]

SCRIPT = """
import signal, sys
from pathlib import Path
from wordlength.search.stopping import stop_signals
from wordlength.search.ui import UiServer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
try:
    with stop_signals(), UiServer(sys.argv[1], Path(sys.argv[2])) as server:
        server.wait_until_ready()
        print(server.address, flush=True)
        server.wait()
except KeyboardInterrupt:
    pass
assert "mlflow" not in sys.modules
"""


class Served:
    """A `UiServer` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", SCRIPT, f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rpartition(":")[2])

    def descendants(self) -> set[int]:
        found, waiting = set(), [self.process.pid]
        while waiting:
            pid = waiting.pop()
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            waiting += [int(child) for child in text.split()]
            found.add(pid)
        return found - {self.process.pid}

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("served")


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "sigterm", "kill"])
def test_serves_and_leaves_nothing(folder, number, request):
    served = Served(folder)
    request.addfinalizer(served.process.kill)  # Should something fail before: the server goes with it.
    assert re.fullmatch(rf"http://{HOST}:\d+", served.address)
    assert get(served.port, "/health") == (200, b"OK")
    assert b"<html" in get(served.port, "/")[1]
    descendants = served.descendants()
    assert descendants
    if number is signal.SIGTERM:
        record_through(served, capture=folder)
    assert served.end(number) == (-9 if number is signal.SIGKILL else 0)
    deadline = time.monotonic() + 60
    while any(map(is_running, descendants)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_open(served.port)
    assert not [pid for pid in descendants if is_running(pid)]


def record_through(served: Served, capture: Path) -> None:
    """A study recorded over http, artifacts kept by the server, nothing printed."""
    code = (
        "import pathlib, sys\n"
        "sys.path[:0] = sys.argv[3:]\n"
        "from recorded import BASELINE, report, view\n"
        "from wordlength.search.tracking import Description, Tracker\n"
        "tracker = Tracker(sys.argv[1], None, 'over http')\n"
        "tracker.begin(Description(BASELINE, params={'seed': '1'}, files={'study.yaml': 'x: 1'}))\n"
        "rows = [(0, 0.01, 50), (1, 0.01, 20)]\n"
        "for count in (1, 2):\n"
        "    tracker.log_trial(report(count - 1))\n"
        "    tracker.show(view(*rows[:count]), lambda number: pathlib.Path(sys.argv[3], 'recorded.py'), final=True)\n"
        "again = Tracker(sys.argv[1], None, 'over http')\n"
        "assert list(again.trials) == [1, 0], list(again.trials)\n"
        "assert again._front == {1}\n"
        "again.finish()\n"
        "open(sys.argv[2], 'w').write(again.run_id)\n"
    )
    result = capture / "run_id"
    done = subprocess.run(
        [sys.executable, "-c", code, served.address, str(result), *map(str, Path(__file__).parents[:2])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    status, content = get(served.port, f"/get-artifact?path=pareto_front.png&run_uuid={result.read_text()}")
    assert status == 200
    assert content.startswith(b"\x89PNG")
    assert list((capture / "artifacts").rglob("pareto_front.html"))
    assert len(list((capture / "artifacts").rglob("weights.npz"))) == 1, "of the trial that is on the front"


def test_the_same_store_has_the_same_port_unless_it_is_taken():
    first, other = UiServer("sqlite:///one.db").address, UiServer("sqlite:///other.db").address
    assert first == UiServer("sqlite:///one.db").address != other
    with socket.socket() as holder:
        holder.bind((HOST, int(first.rpartition(":")[2])))
        holder.listen()
        assert UiServer("sqlite:///one.db").address != first


def test_a_taken_port_is_refused():
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ValueError, match=f"the port must be free, but {port} cannot be used"):
            UiServer("sqlite:///unused.db", port=port)


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_a_port_is_a_port(port):
    with pytest.raises(ValueError, match=f"between 1 and 65535, but got {port}"):
        UiServer("sqlite:///unused.db", port=port)


def test_a_server_that_cannot_start_says_why():
    waited = []
    with (
        UiServer("nosuchdb://here") as server,
        pytest.raises(ServerError, match=r"ended with code \d+ before answering: .*nosuchdb"),
    ):
        server.wait_until_ready(waited.append)
    assert waited
    assert waited == sorted(waited)


def test_a_login_in_the_address_is_no_argument():
    server = UiServer("postgresql://me:secret@host/db")
    assert "secret" not in " ".join(server._command)


def test_a_server_that_ends_by_itself_is_told(tmp_path):
    with UiServer(f"sqlite:///{tmp_path / 'mlflow.db'}") as server:
        os.killpg(server._process.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match="must run until Ctrl-C, but ended with code -9"):
            server.wait()


def test_importing_is_cheap():
    code = "import sys, wordlength.search.ui; print({'mlflow', 'numpy', 'plotly'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "set()"
