"""Where a study's front can be seen: `wordlength ui`, the link of `launch`, tracking servers."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from wordlength import SpecError, load_spec
from wordlength.search.front_page import LivePage, show_fronts
from wordlength.search.ui import HOST, UiServer
from wordlength.search.views import link

pytestmark = pytest.mark.filterwarnings(
    r"ignore:The ``noload`` loader strategy is deprecated and will be removed in a future release"
)


def answers(address: str) -> bool:
    connection = http.client.HTTPConnection(HOST, int(address.rpartition(":")[2]), timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def elsewhere(spec, address: str):
    return spec.model_copy(update={"storage": spec.storage.model_copy(update={"tracking": address})})


def test_ui_prints_the_link_to_the_front_and_launches_use_it(copied_study) -> None:
    path, home = copied_study
    command = [
        str(Path(sys.executable).parent / "wordlength"),
        "ui",
        str(path),
        "--no-browser",
        "--home",
        str(home.root),
    ]
    environment = os.environ | {"COLUMNS": "40"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        match = re.fullmatch(r"tiny: (http://127\.0\.0\.1:\d+)(/#/experiments/\d+/runs\?viewStateShareKey=\S+)", line)
        assert match, line
        address, where = match.groups()
        assert where == link(where.split("/")[3])
        assert answers(address)
        assert process.stdout.readline() == "Ctrl-C ends it.\n"
        until = time.monotonic() + 60
        while home.served_at() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert home.served_at() == address
        with LivePage(load_spec(path), home, serve=True) as page:
            assert page.open("7", pytest.fail) == address + link("7"), "no second server"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.stdout.close()
    assert home.served_at() is None
    assert not answers(address)


def test_a_launch_serves_its_front_until_it_ends(copied_study) -> None:
    path, home = copied_study
    with LivePage(load_spec(path), home, serve=True) as page:
        where = page.open("1", pytest.fail)
        assert where.endswith(link("1"))
        address = where.removesuffix(link("1"))
        until = time.monotonic() + 60
        while not answers(address):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert not answers(address)


def test_without_a_server_the_command_is_told(copied_study) -> None:
    path, home = copied_study
    with LivePage(load_spec(path), home, serve=False) as page:
        assert page.open("1", pytest.fail) == "wordlength ui tiny"


def test_a_server_that_does_not_start_is_told_and_stops_nothing(copied_study) -> None:
    path, home = copied_study
    warned: list[str] = []
    with LivePage(elsewhere(load_spec(path), "nosuchdb://here"), home, serve=True) as page:
        page.open("1", warned.append)
        until = time.monotonic() + 60
        while not warned and time.monotonic() < until:
            time.sleep(0.1)
    assert len(warned) == 1
    assert warned[0].startswith("the front cannot be watched: the MLflow server ended with code")


def test_on_a_tracking_server_only_the_link_is_printed(copied_study, capsys) -> None:
    path, home = copied_study
    with UiServer(home.tracking_address(), home.artifacts) as server:
        server.wait_until_ready()
        spec = elsewhere(load_spec(path), server.address + "/")
        with LivePage(spec, home, serve=True) as page:
            assert page.open("1", pytest.fail) == server.address + link("1")
        show_fronts([spec], home, None, False, Console())
        assert capsys.readouterr().out == f"tiny: {server.address}{link('1')}\n"


def test_a_tracking_server_that_is_down_is_told_at_once(copied_study, capsys) -> None:
    path, home = copied_study
    down = elsewhere(load_spec(path), "http://me:secret@127.0.0.1:9")
    with pytest.raises(SpecError, match="tracking server must answer, but it does not"):
        show_fronts([down], home, None, False, Console())
    with LivePage(down, home, serve=True) as page:
        assert page.open("3", pytest.fail) == "http://127.0.0.1:9" + link("3"), "no password on the screen"
    other = elsewhere(load_spec(path), "http://127.0.0.1:10")
    show_fronts([down, other], home, None, False, Console(width=40))
    assert capsys.readouterr().out.count("tiny: MLflow's tracking server must answer, but it does not") == 2


def test_a_launch_that_ends_before_its_server_is_ready_says_nothing(copied_study) -> None:
    path, home = copied_study
    warned: list[str] = []
    with LivePage(load_spec(path), home, serve=True) as page:
        page.open("1", warned.append)
    time.sleep(0.5)
    assert warned == []


def test_ui_tells_a_taken_port_in_one_line(run_cli, copied_study) -> None:
    _, home = copied_study
    status, out, err = run_cli("ui", "tiny", "--port", 0, "--home", home.root)
    assert (status, out) == (2, "")
    assert err == "error: a port must be between 1 and 65535, but got 0 (--port)\n"
    status, out, err = run_cli("ui", "nobody", "--home", home.root)
    assert status == 2
    assert "a study must have been launched, but got 'nobody'; launched here: tiny" in err


def test_the_study_launched_last_comes_first(copied_study) -> None:
    _, home = copied_study
    home.study("older").path.mkdir()
    text = home.study("tiny").study_file.read_text(encoding="utf-8")
    home.study("older").study_file.write_text(text, encoding="utf-8")
    os.utime(home.study("older").study_file, (1, 1))
    assert home.newest_first() == ["tiny", "older"]
    assert isinstance(home.root, Path)
