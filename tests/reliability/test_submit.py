"""A study with a network of its user's own, handed to a cluster: nothing of it has to lie there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import JOINING, LOOPBACK, free_port, ray_head

NETWORK = """
import keras
from keras import layers


def build(inputs, outputs, units=4):
    x = keras.Input(inputs)
    y = layers.Dense(units, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(x, layers.Dense(outputs, activation="sigmoid", name="mask")(y))
"""


@pytest.fixture
def on_cluster() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a command of the line for a cluster of one node that takes jobs."""
    port = free_port()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-m", "wordlength", *map(str, arguments), "--address", f"http://{LOOPBACK}:{port}"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=300, env=JOINING)

    with ray_head(dashboard=port):
        yield run


def test_a_network_of_ones_own_goes_along(on_cluster, run_cli, write_study, tmp_path: Path) -> None:
    there, home = tmp_path / "mine", tmp_path / "home"
    there.mkdir()
    (there / "net.py").write_text(NETWORK)
    text = write_study(("search: {trials: 6", "workers: {count: 1}\nsearch: {trials: 2")).read_text()
    model = "model: {filters: [2, 2, 2, 2, 2, 2], dense: [8, 8]}"
    assert model in text
    study = there / "study.yaml"
    study.write_text(text.replace(model, "model: {name: net.py:build, arguments: {units: 5}}"))

    (there / "helper.py").touch()
    (there / "net.py").write_text(f"from helper import *\n{NETWORK}")
    done = on_cluster("submit", study)
    assert done.returncode == 2
    assert "network must stand in one file, but" in done.stderr
    assert "net.py imports helper.py beside it" in done.stderr
    (there / "net.py").write_text(NETWORK)
    done = on_cluster("submit", study, "--cluster-home", home, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wordlength-tiny-1: succeeded" in done.stdout
    assert done.stderr == ""
    assert run_cli("check", "tiny", "--home", home)[1] == "storage, folder and MLflow agree\n"
    (there / "net.py").unlink()  # Here it is needed to be submitted again, there it is not.
    done = on_cluster("submit", study, "--cluster-home", home, "--trials", 3)
    assert (done.returncode, "net.py: No such file" in done.stderr) == (2, True), done.stderr
    (there / "net.py").write_text(NETWORK)
    done = on_cluster("submit", study, "--cluster-home", home, "--trials", 3, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    status, out, _ = run_cli("status", "tiny", "--json", "-", "--home", home)
    assert (status, json.loads(out)["counts"]["complete"]) == (0, 3)
    assert "wordlength-tiny-2: succeeded" in on_cluster("job", "status", "tiny").stdout
    assert "trials: 3 of 3" in on_cluster("job", "logs", "tiny").stdout
