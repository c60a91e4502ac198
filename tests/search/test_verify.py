"""`wordlength verify`: a whole bundle passes, a damaged one never does, and one that lies is found out."""

import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from wordlength import export
from wordlength.errors import BundleError, WordlengthError
from wordlength.search.export.manifest import check_seal, seal
from wordlength.search.export.verify import verify

pytestmark = [
    pytest.mark.usefixtures("ray_session", "tensorflow"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not here"),
]


@pytest.fixture(scope="module")
def bundle(tiny_study, tmp_path_factory) -> Path:
    _, home, _ = tiny_study
    return export("tiny", "best", tmp_path_factory.mktemp("verified") / "best", home, vectors=40, verify=False).folder


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    """The bundle in a folder of its own, free to be changed."""
    return Path(shutil.copytree(bundle, tmp_path / "best"))


def test_a_bundle_is_verified_from_its_files(bundle: Path, tiny_study, run_cli) -> None:
    _, home, view = tiny_study
    status, said, refused = run_cli("verify", bundle, "--no-fpga", "--home", home.root)
    assert (status, refused) == (0, "")
    lines = said.splitlines()
    assert lines[-1].startswith("verified, but for what is left out: tiny, trial ")
    best = max(point.quality for point in view.front)
    assert f"ok: the QKeras model reaches the STOI improvement {best:+.7f}" in lines
    through_c = re.search(r"ok: the C code reaches the STOI improvement (\S+)", said)
    assert through_c
    assert float(through_c[1]) == pytest.approx(best, abs=1e-3)
    assert "ok: the C code gives every layer of 40 test frames to the last bit" in lines


def test_what_is_left_out_is_told(bundle: Path, tiny_study, run_cli) -> None:
    _, home, _ = tiny_study
    _, said, _ = run_cli("verify", bundle, "--no-stoi", "--no-c", "--no-fpga", "--home", home.root)
    assert "left out: STOI improvement (--no-stoi)" in said
    assert "left out: C (--no-c)" in said
    assert "verified, but for what is left out: tiny" in said


@pytest.mark.parametrize("holds", ["file.txt", None])
def test_a_folder_without_a_bundle_is_refused_as_such(tmp_path: Path, run_cli, holds: str | None) -> None:
    if holds:
        (tmp_path / holds).touch()
    status, _, err = run_cli("verify", tmp_path)
    assert status == 2
    assert err == (
        f"error: a bundle must be a folder that wordlength export wrote, but {tmp_path} holds none; "
        "give the folder that export was told with --to\n"
    )


@pytest.mark.parametrize("given", ["bst", "build", "build/bests"])
def test_the_bundle_that_may_have_been_meant_is_told(tmp_path: Path, run_cli, monkeypatch, given: str) -> None:
    (tmp_path / "build" / "best").mkdir(parents=True)
    (tmp_path / "build" / "best" / "SHA256SUMS").touch()
    (tmp_path / "test").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, err = run_cli("verify", given)
    assert status == 2
    assert err.endswith("; did you mean build/best?\n")


def test_sha256sum_reads_the_sums(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_makefile_checks_the_c_code(copied: Path) -> None:
    done = subprocess.run(["make", "-C", copied / "c", "check", "sanitize"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("40 frames, 12 layers: equal to the last bit") == 2
    assert "c/network" in check_seal(copied)


@pytest.mark.parametrize("seed", range(200))
def test_no_corrupt_bundle_passes(bundle: Path, tiny_study, seed: int) -> None:
    """A flipped bit, a cut, missing, emptied, swapped or longer file: refused in one line that names a file."""
    _, home, _ = tiny_study
    chance = random.Random(seed)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    # Every file as often, however large: small ones say what the others are.
    path = chance.choice(files)
    other = chance.choice([file for file in files if file != path])
    held = {file: file.read_bytes() for file in (path, other)}
    try:
        damage(chance, path, other)
        if path.exists() and all(file.read_bytes() == content for file, content in held.items()):
            pytest.skip("two files of the same content")
        with pytest.raises(BundleError) as refused:
            verify(bundle, home)
        assert "\n" not in str(refused.value)
        assert {path.name, other.name} & set(re.findall(r"[\w.]+", str(refused.value)))
    finally:
        for file, content in held.items():
            file.write_bytes(content)
    check_seal(bundle)


def damage(chance: random.Random, path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    match chance.randrange(7):
        case 0 | 1:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
        case 2:
            path.write_bytes(content[: chance.randrange(len(content))])
        case 3:
            path.unlink()
        case 4:
            path.write_bytes(b"")
        case 5:
            path.write_bytes(other.read_bytes())
            other.write_bytes(content)
        case 6:
            path.write_bytes(content + bytes([chance.randrange(256)]))


def test_a_corrupt_bundle_is_one_line_and_exit_status_1(copied: Path, tiny_study, run_cli) -> None:
    _, home, _ = tiny_study
    (copied / "weights.bin").write_bytes(b"\0" * 10)
    status, said, refused = run_cli("verify", copied, "--home", home.root)
    assert (status, said) == (1, "")
    assert re.fullmatch(r"error: weights\.bin must have the SHA-256 \w+…, but has \w+… \(.*\)\n", refused)
    status, said, _ = run_cli("verify", copied, "--home", home.root, "--json", "-")
    figures = json.loads(said)
    assert (status, figures["verified"]) == (1, False)
    assert refused == f"error: {figures['fault']}\n"
    (copied / "SHA256SUMS").unlink()
    assert "must hold a readable SHA256SUMS" in run_cli("verify", copied, "--home", home.root)[2]
    assert "a bundle must be a folder" in run_cli("verify", copied / "nothing", "--home", home.root)[2]


def with_config(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return apply


def flip(name: str, place: int = -1) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)

    return apply


def replace(name: str, pattern: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text, count = re.subn(pattern, new, (folder / name).read_text(), count=1)
        assert count
        (folder / name).write_text(text)

    return apply


def longer(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(bytes(4))

    return apply


def set_objective(name: str, value: float) -> Callable[[Path], None]:
    return with_config(lambda config: config["objectives"].update({name: value}))


def set_arithmetic(name: str, value: object) -> Callable[[Path], None]:
    return with_config(lambda config: config["arithmetic"].update({name: value}))


def written_elsewhere(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """As another version of wordlength would have written it: its C code is judged by what it computes."""

    def apply(folder: Path) -> None:
        with_config(lambda config: config["versions"].update(wordlength="0.0.1"))(folder)
        change(folder)

    return apply


def in_turn(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for change in changes:
            change(folder)

    return apply


def cut_to_one_frame(folder: Path) -> None:
    for path in (folder / "vectors").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 40])


def empty_vectors(folder: Path) -> None:
    for path in (folder / "vectors").iterdir():
        path.write_bytes(b"")


def set_row(name: str, value: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        table = json.loads((folder / "weights.json").read_text())
        table["tensors"][0][name] = value
        (folder / "weights.json").write_text(json.dumps(table))

    return apply


OTHER_BIASES = replace("c/network.c", r"biases\[o\] = ", "biases[o] = 9999 + ")
NESTED = "[" * 100_000
LIES = {
    "another version": (with_config(lambda c: c.update(bundle_version=1)), r"must have bundle_version 2, but has 1"),
    "a missing key": (with_config(lambda c: c.pop("features")), r"breaks a rule at features: Field required"),
    "an unknown key": (with_config(lambda c: c.update(more=1)), r"config\.json breaks a rule at more"),
    "a path for a digest": (with_config(lambda c: c.update(data_digest="../../x")), r"breaks a rule at data_digest"),
    "nested JSON": (lambda folder: (folder / "config.json").write_text(NESTED), r"config\.json must be readable JSON"),
    "another candidate": (
        with_config(lambda c: c["candidate"].update({"dense_1.biases": "fixed<9,2>"})),
        r"must hold the candidate \w+, but holds \w+",
    ),
    "a format that is none": (
        with_config(lambda c: c["candidate"].update({"dense_1.biases": "fixed<99,2>"})),
        r"config\.json must hold formats for slots: fixed bits must be",
    ),
    "other bytes": (set_objective("memory_bytes", 12), r"weights\.bin must hold the 12 bytes .* but holds"),
    "other float bytes": (
        with_config(lambda c: c["float_baseline"].update(memory_bytes=1)),
        r"config\.json must have the float network's [\d,]+ bytes, but has 1",
    ),
    "another improvement": (set_objective("quality", 0.5), r"the QKeras model must reach .* \+0\.5000000"),
    "another improvement measured": (
        with_config(lambda c: c.update(quality_of_the_exported_model=0.5)),
        r"qkeras_model\.keras's STOI improvement in config\.json must reach",
    ),
    "another improvement through C": (set_arithmetic("quality", 0.5), r"the C code's STOI improvement in"),
    "another output": (set_arithmetic("output_exponent", -3), r"must have the output_exponent -\d+, but has -3"),
    "no layers": (set_arithmetic("layers", []), r"must have a row for every layer's arithmetic"),
    "another input": (
        set_arithmetic("input_format", "fixed<16,3,wrap>"),
        r"the input must be half_even and saturating",
    ),
    "more vectors": (set_arithmetic("vectors", 41), r"vectors/input\.bin must hold 41 frames of 1024 codes"),
    "fewer vectors": (cut_to_one_frame, r"vectors/input\.bin must hold 40 frames of 1024 codes, but has 2048 bytes"),
    "no vectors": (
        in_turn(
            set_arithmetic("vectors", 0), lambda folder: [p.write_bytes(b"") for p in (folder / "vectors").iterdir()]
        ),
        r"must hold 0 frames",
    ),
    "other features": (with_config(lambda c: c["features"].update(hop_samples=7)), r"features are made, but"),
    "another target": (with_config(lambda c: c["target"].update(kind="psm")), r"how the study's targets are made, but"),
    "another look-back": (with_config(lambda c: c["features"].update(frames_before=14)), r"features are made, but"),
    "another mean": (with_config(lambda c: c["features"]["mean"].__setitem__(0, 1.5)), r"features are made, but"),
    "no arithmetic": (
        with_config(lambda c: c.update(arithmetic=None, no_arithmetic="too wide")),
        r"must say why there is no integer arithmetic, and c/ and vectors/ be absent",
    ),
    "another weight": (flip("weights.bin", 1), r"must hold the weights of weights\.bin, but conv_1"),
    "another table": (set_row("bits_per_code", 9), r"weights\.json must describe weights\.bin, all of it"),
    "another axis": (set_row("channel_axes", 2), r"must have a row for every tensor of network\.json, but has others"),
    "a slot that is none": (set_row("slot", 5), r"weights\.json must have a row for every tensor, but has not"),
    "a huge shape": (set_row("shape", [10**7, 10**7]), r"weights\.bin must hold \d+ bytes of conv_1\.weights, but"),
    "a nested table": (
        lambda folder: (folder / "weights.json").write_text(NESTED),
        r"weights\.json must be readable JSON",
    ),
    "another layer": (flip("vectors/dense_1.bin"), r"vectors/dense_1\.bin must be what the integer reference gives"),
    "a longer vector": (longer("vectors/conv_2.bin"), r"vectors/conv_2\.bin must hold 40 frames of \d+ codes"),
    "other C code": (OTHER_BIASES, r"c/network\.c must be what wordlength writes for these weights, but differs"),
    "a judge in its own case": (
        in_turn(OTHER_BIASES, lambda folder: (folder / "c/main.c").write_text("int main(void) { return 0; }")),
        r"c/\w+\.c must be what wordlength writes",
    ),
    "other C code of another version": (
        written_elsewhere(OTHER_BIASES),
        r"the C code must give the test vectors, but does not: frame 0, layer conv_1,",
    ),
    "a judge of another version": (
        written_elsewhere(
            in_turn(OTHER_BIASES, lambda folder: (folder / "c/main.c").write_text("int main(void) { return 0; }"))
        ),
        r"the C code must give the test vectors, but does not: frame 0, layer conv_1,",
    ),
    "other C weights": (
        written_elsewhere(replace("c/weights.c", r"    \d+,", "    77,")),
        r"the C code must give the test vectors",
    ),
    "C that is none": (
        written_elsewhere(replace("c/network.c", r"static", "statik")),
        r"c/ must compile, but cc says: .*error",
    ),
    "a layer that is none": (replace("network.json", r'"Conv2D"', '"Conv2E"'), r"network\.json must load"),
    "no network": (lambda folder: (folder / "network.json").write_text("null"), r"network\.json must"),
    "an empty network": (lambda folder: (folder / "network.json").write_text("{}"), r"network\.json must"),
    "another model": (
        lambda folder: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(folder / "qkeras_model.keras"),
        r"qkeras_model\.keras must hold the weights of weights\.bin, but conv_1",
    ),
}


def test_sums_that_leave_files_out_are_refused(copied: Path, tiny_study) -> None:
    _, home, _ = tiny_study
    sums = copied / "SHA256SUMS"
    lines = sums.read_text().splitlines()[:-1]
    for kept, message in (
        ([], "must name "),
        ([line for line in lines if "report.md" not in line], "must name report.md"),
        ([*lines, lines[0]], "must have one hash for each file"),
        ([lines[0].upper(), *lines[1:]], "must have one hash for each file"),
        ([*lines, f"{'0' * 64}  ../outside"], "must have one hash for each file"),
        ([*lines, f"{'0' * 64}  /etc/hostname"], "must have one hash for each file"),
    ):
        body = "".join(f"{line}\n" for line in kept)
        sums.write_text(f"{body}# sha256 of the lines above: {hashlib.sha256(body.encode()).hexdigest()}\n")
        with pytest.raises(BundleError, match=message):
            verify(copied, home)


@pytest.mark.parametrize("seed", range(20))
def test_no_part_changed_at_random_passes_under_new_sums(copied: Path, tiny_study, seed: int) -> None:
    """Sealed again after the damage: what is checked is what the parts say of each other."""
    _, home, _ = tiny_study
    chance = random.Random(1000 + seed)
    parts = ["weights.bin", "weights.json", *(path.relative_to(copied) for path in sorted(copied.glob("[cv]*/*")))]
    path, other = (copied / part for part in chance.sample(parts, 2))
    before = path.read_bytes(), other.read_bytes()
    damage(chance, path, other)
    assert not path.exists() or (path.read_bytes(), other.read_bytes()) != before
    seal(copied)
    with pytest.raises((WordlengthError, OSError)) as refused:
        verify(copied, home)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("lie", LIES)
def test_a_bundle_that_lies_is_found_out(lie: str, copied: Path, tiny_study) -> None:
    """Sealed again after the change: the sums are right, the contents are not."""
    _, home, _ = tiny_study
    change, message = LIES[lie]
    change(copied)
    seal(copied)
    with pytest.raises(WordlengthError, match=message) as refused:
        verify(copied, home)
    assert "\n" not in str(refused.value)


def test_without_its_data_a_bundle_asks_for_the_study_file(copied: Path, tiny_study, tmp_path: Path, run_cli) -> None:
    path, _, _ = tiny_study
    away = ("--home", tmp_path / "elsewhere", "--no-c", "--no-fpga")
    status, _, refused = run_cli("verify", copied, *away)
    assert status == 2
    assert "say where the corpora lie with --study FILE, or leave it out with --no-stoi" in refused
    status, said, _ = run_cli("verify", copied, "--study", path, *away)
    assert status == 0
    assert "ok: the QKeras model reaches the STOI improvement" in said
    other = tmp_path / "other.yaml"
    other.write_text(path.read_text().replace("subset_fraction: 0.5", "subset_fraction: 0.4"))
    status, _, refused = run_cli(
        "verify", copied, "--study", other, "--home", tmp_path / "third", "--no-c", "--no-fpga"
    )
    assert status == 2
    assert "the study's data must have the digest" in refused


def test_frames_are_spread_over_all_windows(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    held = np.fromfile(bundle / "vectors" / "input.bin", "<i2").reshape(40, 16, 64)
    assert len(np.unique(held, axis=0)) == 40
    assert config["arithmetic"]["vectors"] == 40
    assert config["arithmetic"]["input_format"].startswith("fixed<16,")
