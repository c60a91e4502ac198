"""`wordlength init`: the study file that it writes loads, fits its network, and launches."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import yaml
from keras import layers

from wordlength import Home, launch, load_spec
from wordlength.objectives.goals import require_measurable
from wordlength.objectives.models.float_network import float_network
from wordlength.search.study_file.new_study import corpus_kind
from wordlength.search.study_file.space import build_space
from wordlength.space import Role, Slot, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")

NETWORK = """
import keras
from keras import layers


def build(inputs, outputs, blocks=3):
    x = keras.Input(inputs)
    y = layers.Dense(300, "relu", name="wide")(layers.Flatten()(x))
    y = layers.Dense(8, "relu", name="narrow")(y)
    for number in range(blocks):
        y = layers.Dense(8, "relu", name=f"block_{number}")(y)
    return keras.Model(x, layers.Dense(outputs, "sigmoid", name="mask")(y))
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NETWORK, encoding="utf-8")
    return tmp_path / "net.py"


def test_a_study_file_for_a_network_and_folders(network: Path, tiny_corpora: Path, run_cli) -> None:
    corpora = ("--speech", tiny_corpora / "speech", "--noise", tiny_corpora / "noise")
    status, out, err = run_cli("init", "--model", "net.py:build", *corpora, "--to", "sub/own study.yaml")
    assert status == 0, err
    assert all(told in out for told in ("wide", "Dense", "307,500", "1,230,000"))
    assert "what its data are: wordlength data 'sub/own study.yaml'\n" in err
    assert "wordlength launch 'sub/own study.yaml' --trials 6; the same without --trials goes on" in err
    path = network.parent / "sub" / "own study.yaml"
    spec = load_spec(path)
    assert spec.name == "own-study"
    assert [(one.kind, one.path) for one in spec.data.speech] == [("folder", tiny_corpora / "speech")]
    assert yaml.safe_load(path.read_text())["model"] == "../net.py:build"
    space = build_space(spec.space, slots := find_slots(float_network(spec.model, spec.data.shape)))
    assert len(space.order) == len(slots) == 3 * 6
    tied = next(group for group in space.groups if group.name == "dense_8x8" and group.slots[0].role is Role.WEIGHTS)
    assert tied.slots == tuple(Slot(f"block_{number}", Role.WEIGHTS) for number in range(3))
    narrow = {group.slots[0].layer: group.choice for group in space.groups if group.slots[0].role is Role.WEIGHTS}
    assert narrow["wide"].fixed.bits == (2, 8)
    assert narrow["narrow"].fixed.bits == narrow["block_0"].fixed.bits == (6, 8)


def test_every_key_has_a_line_that_explains_it(network: Path, run_cli) -> None:
    assert run_cli("init", "--model", "net.py:build")[0] == 0
    lines = (network.parent / "study.yaml").read_text(encoding="utf-8").splitlines()
    keys = [n for n, line in enumerate(lines) if line and not line.lstrip().startswith("#")]
    assert len(keys) > 20
    for n in keys:
        sections = ("data:", "training:", "space:", "search:")
        inner = lines[n].startswith("    ")  # Of a map whose key is explained.
        assert inner or lines[n] in sections or lines[n - 1].lstrip().startswith("# "), lines[n]
    assert all(len(line) < 140 for line in lines)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"), [("irm_cnn", 64, 129), ("spectrum_dnn", 129, 129), ("quality_cnn", 64, 1)]
)
def test_a_network_of_the_literature_gets_its_features_and_target(
    tmp_path: Path, run_cli, name: str, inputs: int, outputs: int
) -> None:
    assert run_cli("init", "--model", name, "--to", tmp_path / "one.yaml")[0] == 0
    spec = load_spec(tmp_path / "one.yaml")
    assert (spec.data.shape.bins, spec.data.shape.outputs) == (inputs, outputs)
    require_measurable(spec.objectives, spec.data.target.kind, spec.data.features.sample_rate_hz)


@pytest.mark.parametrize(
    ("inputs", "outputs", "features", "target"),
    [
        ((16, 64), 129, {"kind": "log_mel"}, "irm"),
        ((10, 40), 101, {"kind": "log_mel", "mel_bins": 40, "frame_samples": 200, "look_back": 9}, "irm"),
        ((3, 129), 129, {"kind": "log_spectrum", "look_back": 2}, "irm"),
        ((250, 32), 1, {"kind": "log_mel", "mel_bins": 32}, "score"),
    ],
)
def test_a_network_of_its_own_shape_gets_features_that_fit(
    network: Path, run_cli, inputs: tuple[int, int], outputs: int, features: dict, target: str
) -> None:
    """Whether it is a function that takes no shape or a file; what the shape does not tell is written beside."""
    fixed = NETWORK.replace("inputs, outputs, blocks=3", "").replace("inputs", str(inputs)).replace("blocks", "0")
    network.write_text(fixed.replace("outputs", str(outputs)), encoding="utf-8")
    status, out, err = run_cli("init", "--model", "net.py:build", "-q")
    assert (status, err) == (0, ""), out
    spec = load_spec(Path("study.yaml"))
    shape = spec.data.shape
    assert ((shape.frames, shape.bins), shape.outputs) == (inputs, outputs)
    assert (features, target) == (
        {key: getattr(spec.data.features, key) for key in features},
        spec.data.target.kind,
    )
    text = Path("study.yaml").read_text(encoding="utf-8")
    told = f"# The network takes {inputs[0]} frames of {inputs[1]} bins and gives {outputs} output"
    assert (told in text) == (inputs != (16, 64))
    assert all(len(line) < 140 for line in text.splitlines())


def test_a_shape_that_no_features_make_is_refused(network: Path, run_cli) -> None:
    network.write_text(NETWORK.replace("keras.Input(inputs)", "keras.Input((4, 300))"), encoding="utf-8")
    status, _, err = run_cli("init", "--model", "net.py:build")
    assert status == 2
    assert "it takes (4, 300) and gives (129,); data.features and data.target decide which" in err
    assert not Path("study.yaml").exists()


@pytest.mark.studies
def test_what_it_wrote_launches(network: Path, tiny_corpora: Path, run_cli, ray_session: None) -> None:
    keras.utils.set_random_seed(3)
    stack = [layers.Flatten(), layers.Dense(4, "relu", name="hidden"), layers.Dense(129, "sigmoid", name="mask")]
    keras.Sequential([keras.Input((16, 64)), *stack]).save("net.keras")
    corpora = ("--speech", tiny_corpora / "speech", "--noise", tiny_corpora / "noise")
    assert run_cli("init", "--baseline", "net.keras", *corpora)[0] == 0
    text = Path("study.yaml").read_text(encoding="utf-8")
    assert "baseline_epochs" not in text
    assert "trials: 50" in text
    Path("study.yaml").write_text(text.replace("trials: 50", "trials: 1"), encoding="utf-8")
    view = launch(load_spec(Path("study.yaml")), Home(network.parent / "home"))
    assert view.finished == 1


def test_a_file_that_is_there_is_kept_unless_forced(network: Path, run_cli) -> None:
    Path("study.yaml").write_text("mine", encoding="utf-8")
    status, _, err = run_cli("init", "--model", "net.py:build")
    assert status == 2
    assert "study.yaml is; replace it with --force" in err
    assert Path("study.yaml").read_text(encoding="utf-8") == "mine"
    assert run_cli("init", "--model", "net.py:build", "--force")[0] == 0
    assert load_spec(Path("study.yaml")).name == "study"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "a study needs a network, but got none"),
        (("--model", "no.py:build"), "no.py: No such file or directory (--model)"),
        (("--model", "net.py:built"), "'built' is not there; its functions are build"),
        (("--model", "net.py:built"), "net.py) (--model)"),
        (("--model", "resnet"), "but got 'resnet' (--model)"),
        (("--model", "net.py:build", "--to", "study.txt"), "must end in .yaml, but got 'study.txt'"),
        (("--model", "net.py:build", "--speech", "nowhere"), "nowhere is not (--speech)"),
        (("--model", "net.py:build", "--noise", "nowhere"), "nowhere is not (--noise)"),
        (("--model", "net.py:build", "--pairs", "nowhere"), "nowhere is not (--pairs)"),
        (("--model", "no.py:build", "--speech", "nowhere"), "no.py"),
        (("--model", "net.py:built", "--speech", "nowhere"), "'built' is not there"),
        (("--model", "net.py:build", "--speech", "empty"), "but no such file was found"),
        (("--model", "net.py:build", "--name", "__"), "must have letters or digits, but got '__'"),
        (("--model", "net.py:build", "--pairs", "empty"), "(--pairs)"),
        (("--model", "net.py:build", "--arguments", "blocks"), "is written key=value, but got 'blocks'"),
        (("--model", "net.py:build", "--arguments", "depth=2"), "must be the function's, but got 'depth'"),
        (("--model", "irm_cnn", "--arguments", "depth=2"), "arguments are for a function"),
        (("--baseline", "net.py"), "must end in .keras, but got 'net.py' (--baseline)"),
        (("--baseline", "no.keras"), "no.keras: No such file or directory (--baseline)"),
        (("--baseline", "text.keras"), "but text.keras is no such archive"),
        (
            ("--model", "odd.py:needs"),
            "outputs and the model's arguments, but it needs 'shape' as well",
        ),
        (("--model", "odd.py:ends"), "must return a Keras model, but it raised SystemExit: 3"),
        (("--model", "net.py:build", "--speech", "one"), "at least 3 speakers, but got 1 (one:a) (--speech)"),
        (("--model", "net.py:build", "--noise", "one"), "at least 3 recordings, but got 1 (one:a.wav) (--noise)"),
        (("--model", "net.py:build", "--speech", "one/a.wav"), "a.wav is a file (--speech)"),
    ],
)
def test_what_cannot_be_a_study_is_refused_and_nothing_written(network: Path, run_cli, options, message: str) -> None:
    Path("empty").mkdir()
    Path("one").mkdir()
    soundfile.write("one/a.wav", np.zeros(800), 16_000)
    Path("text.keras").write_text("text", encoding="utf-8")
    Path("odd.py").write_text("def needs(shape): pass\ndef ends(): raise SystemExit(3)\n", encoding="utf-8")
    status, _, err = run_cli("init", *options)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert "data_root" not in err
    assert not Path("study.yaml").exists()


def test_pairs_and_the_functions_arguments(network: Path, run_cli) -> None:
    for name in ("clean/anna/one.wav", "noisy/anna/one.wav", "clean/bea/two.wav", "noisy/bea/two.wav"):
        (network.parent / "mixed" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(network.parent / "mixed" / name, np.zeros(800), 16_000)
    status, _, err = run_cli("init", "--model", "net.py:build", "--arguments", "blocks=1", "--pairs", "mixed", "-q")
    assert (status, err) == (0, "")
    spec = load_spec(Path("study.yaml"))
    assert [(one.kind, one.path) for one in spec.data.pairs] == [("paired", network.parent / "mixed")]
    assert spec.data.speech == spec.data.noise == ()
    assert len(find_slots(float_network(spec.model, spec.data.shape))) == 3 * 4


def test_a_folder_s_layout_is_found(tmp_path: Path) -> None:
    def write(name: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(800), 16_000)

    write("timit/dr1-fvmh0/sa1.wav")
    write("anything/anna/one.wav")
    write("dns/datasets_fullband/clean_fullband/read_speech/book_00000_chp_0009_reader_06709_0_seg_1.wav")
    write("esc/001 - Dog bark/1-30226-A.wav")
    assert corpus_kind(tmp_path / "timit", "speech", tmp_path) == "timit"
    assert corpus_kind(tmp_path / "dns", "speech", tmp_path) == "dns_challenge"
    assert corpus_kind(tmp_path / "anything", "speech", tmp_path) == "folder"
    assert corpus_kind(tmp_path / "anything", "noise", tmp_path) == "folder"
    assert corpus_kind(tmp_path / "esc", "noise", tmp_path) == "esc"
    shutil.rmtree(tmp_path / "timit")
