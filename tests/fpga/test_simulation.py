"""hls4ml's C simulation equals the integers: compiled by g++, half a minute each."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hls_networks import chain, line, plane, written
from keras import layers

from wordlength.errors import BundleError
from wordlength.search.export.hls import simulation
from wordlength.search.export.hls.simulation import simulate

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.skipif(bool(simulation.missing()), reason="hls4ml or g++ is not here"),
]


def test_the_simulation_of_a_plane_equals_the_integers(tmp_path: Path) -> None:
    _, folder = written(
        tmp_path,
        plane(),
        conv__weights="po2<4,0>",
        conv__activations="binary",
        sep__weights="vbs<4>",
        depth__weights="po2<3,0,zero>",
        limited__activations="ufixed<8,2,half_up>",
        wide__weights="vbs<5,group=channel>",
        wide__activations="fixed<10,0,floor,wrap>",
        each__activations="fixed<9,3>",
        dense__activations="fixed<10,2>",
        mask__weights="po2<4,1>",
        mask__activations="fixed<16,2>",
    )
    held = np.load(folder / "expected.npz")
    assert min(len(np.unique(held[name])) for name in held) > 1
    assert len(np.unique(held["mask_sigmoid"])) > 15
    assert "mask_layer:" in (folder / "hls4ml_config.yml").read_text().partition("Exponents:")[2]
    found = simulate(folder)
    assert re.fullmatch(r"10 layers of 20 frames equal to the last bit; mask_sigmoid: .*(every|up to [12] of).*", found)


def test_the_simulation_of_a_line_equals_the_integers_up_to_its_curve(tmp_path: Path) -> None:
    channels = "/".join(str(n % 3 - 1) for n in range(9))
    _, folder = written(
        tmp_path,
        line(),
        **{"first-conv__activations": "binary", "sep.1__weights": f"fixed<5,{channels}>"},
        each__weights="po2<4,0>",
        each__activations="fixed<9,3>",
        c__activations="fixed<10,1>",
    )
    held = np.load(folder / "expected.npz")
    assert len(np.unique(held["c_tanh"])) > 15
    found = simulate(folder)
    assert re.match(r"7 layers of 20 frames equal to the last bit; c_tanh: (every |\d+ .*, by up to 1 of )", found)
    assert "; out_layer, behind c_tanh: " in found


def test_check_py_runs_alone_and_keeps_the_project(tmp_path: Path) -> None:
    model = chain((4,), layers.Dense(3, activation="relu", name="first"), layers.Dense(2))
    _, folder = written(tmp_path, model, weights="po2<4,0>")
    code = (
        "import runpy, sys; sys.modules['wordlength'] = None; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    options = [str(folder / "check.py"), "--fixed", "--to", str(tmp_path / "project")]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 layers of 20 frames equal to the last bit")
    types = (tmp_path / "project" / "firmware" / "defines.h").read_text()
    assert re.search(r"typedef ap_fixed<\d+,-?\d+> first_layer_weight_t;", types)


def test_what_hls4ml_passes_over_is_found(tmp_path: Path) -> None:
    _, folder = written(tmp_path, chain((4,), layers.Dense(3, name="dense")))
    path = folder / "hls4ml_config.yml"
    path.write_text(path.read_text().replace("weight:", "weights:"))
    with pytest.raises(BundleError, match=r"must give the test frames, but: dense_layer must have weights .* has None"):
        simulate(folder)
