"""Networks in a study file: how they are read, what of them counts, and that a study needs their files no more."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import yaml

from wordlength import Home, launch, load_spec
from wordlength.errors import ModelError, SpecError
from wordlength.objectives.models import IrmCnn, KerasFile, QualityCnn, SpectrumDnn, UserModel
from wordlength.search.study_file.spec import StudySpec, json_schema
from wordlength.search.submit import write_study

NETWORK = """
import keras
from keras import layers


def build(inputs, outputs, units=4):
    x = keras.Input(inputs)
    y = layers.Dense(units, "relu")(layers.Flatten()(x))
    return keras.Model(x, layers.Dense(outputs, "sigmoid", name="mask")(y))
"""
DATA = "data: {speech: [{kind: builtin}], noise: [{kind: builtin}]}\n"
Write = Callable[..., Path]


def read(folder: Path, keys: str, network: str | None = NETWORK) -> StudySpec:
    if network is not None:
        (folder / "net.py").write_text(network, encoding="utf-8")
    (folder / "study.yaml").write_text(f"name: own\n{DATA}{keys}\n", encoding="utf-8")
    return load_spec(folder / "study.yaml")


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("", IrmCnn()),
        ("model: irm_cnn", IrmCnn()),
        ("model: {dense: [8, 9]}", IrmCnn(dense=(8, 9))),
        ("model: spectrum_dnn", SpectrumDnn()),
        ("model: {name: spectrum_dnn, hidden: [64, 32]}", SpectrumDnn(hidden=(64, 32))),
        ("model: {name: quality_cnn, width: 0.25}", QualityCnn(width=0.25)),
    ],
)
def test_networks_of_the_literature_by_name(tmp_path: Path, keys: str, wanted: object) -> None:
    assert read(tmp_path, keys, None).model == wanted


@pytest.mark.parametrize("keys", ["model: net.py:build", "model: {name: net.py:build, arguments: {units: 8}}"])
def test_a_function_s_text_is_read_beside_the_study_file(tmp_path: Path, keys: str) -> None:
    spec = read(tmp_path, keys)
    arguments = {"units": 8} if "units" in keys else {}
    assert spec.model == UserModel(f"{tmp_path / 'net.py'}:build", arguments, NETWORK)
    jsonschema.validate(yaml.safe_load((tmp_path / "study.yaml").read_text()), json_schema())


BROKEN = [
    ("model: no.py:build", r"file must be readable, but .*no\.py: No such file or directory \(model in"),
    ("model: net.py:built", r"'built' is not there; its functions are build \(.*net\.py\) \(model in .*study\.yaml"),
    (
        "model: {name: net.py:build, args: {}}",
        r"keys must be known, but got 'args'; did you mean 'arguments'\? \(model\.",
    ),
    ("model: {name: spectrum_dnn, hiden: [3]}", r"but got 'hiden'; did you mean 'hidden'\? \(model\.hiden in"),
    ("model: {name: spectrum_dnn, hidden: []}", r"hidden must name 1 to 16 layers, but got 0 \(model in"),
    ("model: {name: spectrum_dnn, hidden: [0]}", r"hidden units must be between 1 and 4096, but got 0 \(model in"),
    ("model: {name: quality_cnn, width: 9}", r"width must be above 0 and at most 8, but got 9 \(model in"),
    ("model: {name: quality_cnn, width: x}", r"value must be a valid number.*, but got 'x' \(model\.width in"),
    ("model: 5", r"but got 5 \(model in"),
    ("model: net.h5", r"a function as file\.py:function or a file\.keras, but got 'net\.h5' \(model in"),
    ("baseline: net.h5", r"a network's file must end in \.keras, but got 'net\.h5' \(baseline in"),
    ("baseline: no.keras", r"must be readable, but .*no\.keras: No such file or directory \(baseline in"),
]


@pytest.mark.parametrize(("keys", "message"), BROKEN, ids=[keys for keys, _ in BROKEN])
def test_a_broken_network_is_refused_in_one_line(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        read(tmp_path, keys)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("def build(:\n", r"must be Python, but invalid syntax \(.*net\.py, line 1\)"),
        ("", "must define the function, but .* is empty"),
        ("x = '\0'", "must be Python, but source code string cannot contain null bytes"),
    ],
)
def test_a_broken_text_is_refused_when_the_study_file_is_read(tmp_path: Path, network: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        read(tmp_path, "model: net.py:build", network)
    assert len(str(refused.value).splitlines()) == 1


def test_the_text_counts_and_the_place_does_not(tmp_path: Path) -> None:
    def fingerprint(folder: str, network: str = NETWORK, keys: str = "model: net.py:build") -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        return json.dumps(read(tmp_path / folder, keys, network).fingerprint())

    assert fingerprint("here") == fingerprint("there")
    others = [
        fingerprint("here", NETWORK + "# changed"),
        fingerprint("here", keys="model: {name: net.py:build, arguments: {units: 5}}"),
        fingerprint("here", keys=""),
    ]
    assert len({fingerprint("here"), *others}) == len(others) + 1


def test_others_are_told_neither_text_nor_place(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"weights")
    published = read(tmp_path, "model: net.py:build\nbaseline: net.keras").published()
    assert "Flatten" not in published
    assert str(tmp_path) not in published
    assert yaml.safe_load(published)["model"] == {"name": "net.py:build", "arguments": {}}
    assert yaml.safe_load(published)["baseline"] == "net.keras"


def test_a_trained_file_is_the_network_too_unless_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"weights")
    alone, beside = read(tmp_path, "baseline: net.keras"), read(tmp_path, "baseline: net.keras\nmodel: irm_cnn")
    assert alone.model == alone.baseline == KerasFile.holding(str(tmp_path / "net.keras"), b"weights")
    assert beside.model == IrmCnn()
    digests = {spec.fingerprint()["baseline"] for spec in (alone, beside)}
    (tmp_path / "net.keras").write_bytes(b"others")
    assert read(tmp_path, "baseline: net.keras").fingerprint()["baseline"] not in digests


@pytest.mark.parametrize(
    "keys",
    ["model: net.py:build", "baseline: net.keras", "model: net.py:build\nbaseline: net.keras", "model: net.keras"],
)
def test_what_a_cluster_is_handed_needs_no_other_file(tmp_path: Path, keys: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "net.keras").write_bytes(b"weights")
    spec = read(here, keys)
    write_study(spec, there)
    shutil.rmtree(here)
    again = load_spec(there / "study.yaml")
    assert again.fingerprint() == spec.fingerprint()
    assert again.model.described == spec.model.described
    assert again.baseline == (spec.baseline and KerasFile.holding(str(there / "baseline" / "net.keras"), b"weights"))


def test_a_study_of_a_network_by_name_is_handed_over_to_the_letter(tmp_path: Path) -> None:
    spec = read(tmp_path, "model: irm_cnn  # as in the paper", None)
    (tmp_path / "there").mkdir()
    write_study(spec, tmp_path / "there")
    assert (tmp_path / "there" / "study.yaml").read_text() == (tmp_path / "study.yaml").read_text()


MODEL = "model: {filters: [2, 2, 2, 2, 2, 2], dense: [8, 8]}"
TRIALS = "search: {trials: 6, first_front: 0, allocated: 0, startup_trials: 2}"


@pytest.fixture(scope="module")
def own_study(write_study: Write, ray_session: None, tensorflow: ModuleType) -> tuple[Path, Home]:
    """A launched study of a user's network that came trained: its file, and its home."""
    from wordlength.objectives.models import build_model
    from wordlength.objectives.shape import NetworkShape

    own = "model: net.py:build\nbaseline: net.keras"
    path = write_study((MODEL, own), (TRIALS, "search: {trials: 2, first_front: 0, uniform: []}"), name="own")
    (path.parent / "net.py").write_text(NETWORK, encoding="utf-8")
    trained = build_model(load_own(path).model, NetworkShape(16, 64, 129), seed=3)
    trained.save(path.parent / "net.keras")
    home = Home(path.parent / "home")
    view = launch(load_spec(path), home)
    assert view.finished == 2
    return path, home


def load_own(path: Path) -> StudySpec:
    (path.parent / "net.keras").write_bytes(b"")
    return load_spec(path)


@pytest.mark.studies
def test_a_user_s_trained_network_is_searched_without_float_training(own_study: tuple[Path, Home]) -> None:
    from wordlength.objectives.baseline import load_baseline

    _, home = own_study
    (cached,) = (home.cache / "baselines").glob("*.npz")
    baseline = load_baseline(cached)
    assert baseline is not None
    assert (baseline.losses, baseline.scores, baseline.best_epoch) == ((), (), 0)
    assert {info.slot.layer for info in baseline.slots} == {"dense", "mask"}
    assert baseline.memory_bytes == 4 * (16 * 64 * 4 + 4 + 4 * 129 + 129)


@pytest.mark.studies
def test_a_launched_study_needs_its_files_no_more(own_study: tuple[Path, Home], tmp_path: Path, run_cli) -> None:
    path, home = own_study
    shutil.copytree(home.root, tmp_path / "home")
    away = tmp_path / "away"
    path.parent.rename(away)  # Home, study file and all; the copy is what is left.
    try:
        options = ("--home", tmp_path / "home", "--pick", "best", "--to", tmp_path / "best", "-q")
        status, _, err = run_cli("export", "own", *options)
    finally:
        away.rename(path.parent)
    assert (status, err) == (0, "")
    network = json.loads((tmp_path / "best" / "network.json").read_text(encoding="utf-8"))
    assert [layer["config"]["name"] for layer in network["config"]["layers"]][-1] == "mask"


@pytest.mark.studies
def test_a_changed_file_is_another_study(own_study: tuple[Path, Home]) -> None:
    path, home = own_study
    (path.parent / "net.py").write_text(NETWORK + "# changed\n", encoding="utf-8")
    try:
        with pytest.raises(
            SpecError, match=r"a study keeps its settings, but model\.source was '\w+' and is now"
        ) as told:
            launch(load_spec(path), home)
    finally:
        (path.parent / "net.py").write_text(NETWORK, encoding="utf-8")
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.studies
def test_a_network_of_another_shape_is_refused_before_anything_trains(own_study, write_study: Write) -> None:
    """In the one line that says what was wanted and what was got, though another process built it."""
    _, home = own_study
    path = write_study((MODEL, "model: net.py:build"), name="wrong")
    (path.parent / "net.py").write_text(NETWORK.replace("Dense(outputs", "Dense(7"), encoding="utf-8")
    wanted = (
        r"^a network must take \(16, 64\) and give \(129,\) for each window, .* gives \(7,\); .* \(.*net\.py:build\)$"
    )
    with pytest.raises(ModelError, match=wanted):
        launch(load_spec(path), home)
    assert "wrong" not in home.names()
