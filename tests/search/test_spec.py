"""Study files: what is read, and that anything broken is refused with rule, value and place."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from wordlength.errors import SpecError
from wordlength.search.study_file.spec import ScreeningSpec, json_schema, load_spec, parse_spec, with_overrides
from wordlength.space import Fixed, PowerOfTwo
from wordlength.space.search_space import SlotRange

REPOSITORY = Path(__file__).parents[2]
KLEIN = (
    (REPOSITORY / "examples" / "klein.yaml")
    .read_text(encoding="utf-8")
    .replace("bits: [1, 5]", "bits: [2, 5]")
    .replace("biases:\n    fixed: {bits: [4, 8]}", "biases: fixed<16,2>")
)
"""The example with a pinned format."""

BROKEN = [
    ("subset_fraction", "subset_fracton", r"got 'subset_fracton'; did you mean 'subset_fraction'\? \(data\."),
    ("data:", "dataa:", r"got 'dataa'; did you mean 'data'\?"),
    ("bits: [2, 8]", "bitz: [2, 8]", r"got 'bitz'; did you mean 'bits'\? \(space\.weights\.fixed\.bitz"),
    ("bits: [2, 8]", "bits: [2, 88]", r"fixed bits must be a whole number .*32, but got 88 \(space\.weights"),
    ("bits: [2, 8]", "bits: [0, 8]", r"fixed bits must be a whole number .* got 0 \(space\.weights\.fixed"),
    ("bits: [2, 8]", "bits: [8, 2]", r"low <= high, but got \[8, 2\] \(space\.weights\.fixed"),
    ("bits: [2, 8]", "bits: two", r"but got 'two' \(space\.weights\.fixed\.bits"),
    ("bits: [2, 5]", "bits: [2, 17]", r"po2 bits must be a whole number .*16, but got 17 \(space\.weights\.po2"),
    ("trials: 48", "trials: -3", r"greater than or equal to 1, but got -3 \(search\.trials"),
    ("trials: 48", "trials: 4.5", r"got 4\.5 \(search\.trials"),
    ("trials: 48", "trials: 48\n  sampler: grid", r"'tpe', 'nsga2' or 'random', but got 'grid' \(search\.sampler"),
    ("fixed<16,2>", "fixed<0,2>", r"but got 0 in 'fixed<0,2>'; for example fixed<16,2>: .* \(space\.biases"),
    (
        "fixed<16,2>",
        "fixed<8>",
        r"written fixed<bits,integer_bits>, but got 'fixed<8>' without integer_bits; for example fixed<16,2>",
    ),
    ("fixed<16,2>", "po2<40,1>", r"po2 bits must be .* 1 and 16, but got 40 in 'po2<40,1>'; for example po2<4,-1>"),
    ("fixed<16,2>", "vbs<4,group=0>", r"vbs group .* but got 0 in 'vbs<4,group=0>'; for example vbs<4>.* \(space\.b"),
    ("fixed<16,2>", "binary", r"biases cannot be binary: it is 0 or 1, for activations; .* \(space\.biases"),
    ("bits: [2, 8]", "bits: [2, 8], rounding: up", r"'half_even', 'half_up' or 'floor', but got 'up' \(space\.weights"),
    ("biases: fixed<16,2>", "biases: 5", r"but got 5 \(space\.biases"),
    ("kind: timit", "kind: timitt", r"corpus kind must be one of .*, but got 'timitt' \(data\.speech\.0"),
    ("{kind: timit, path: timit}", "{kind: timit}", r"corpus kind 'timit' needs a path, but got none"),
    ("name: klein", "name: 'a b'", r"but got 'a b' \(name"),
    ("name: klein\n", "\n", r"required, but it is missing \(name"),
    ("snr_db: [0]", "snr_db: [zero]", r"but got 'zero' \(data\.snr_db\.0"),
    ("snr_db: [0]", "snr_db: [0", r"must be YAML, but .*line \d+"),
    ("step_one_epochs: 1", "step_one_epochs: 0", r"step_one_epochs must be between 1 and 10000, but got 0 \(training"),
    ("name: irm_cnn", "name: resnet", r"model name must be one of irm_cnn, spectrum_dnn, .* got 'resnet' \(model"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "po3: {bits: [2, 5]}", r"got 'po3'; did you mean 'po2'"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "binary: {}", r"weights cannot be binary: .* \(space\.weights in"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "vbs: {bits: [2, 5], group: 0}", r"vbs group .* got 0 \(space\.weights"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "vbs: {bits: [2, 5], group: true}", r"but got True \(space\.weights\.vbs"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "vbs: {bits: [2, 5], group: 1.5}", r"but got 1\.5 \(space\.weights\.vbs"),
    ("po2: {bits: [2, 5], offset: [-1, 1]}", "vbs: {bits: [2, 5], group: '8'}", r"but got '8' \(space\.weights\.vbs"),
    ("bits: [2, 8]", "bits: [true, 8]", r"must be a number, but got True \(space\.weights\.fixed\.bits\.0"),
    ("120kB, 60kB", "60 pages, 60kB", r"such as 120kB, but got '60 pages' \(search\.budgets\.1"),
    ("[236506B, 120kB, 60kB]", "60kB", r"must be a list, but got '60kB' \(search\.budgets"),
    ("first_front: 6", "first_front: true", r"must be a number, but got True \(search\.first_front"),
    ("distillation: 1", "distillation: yes", r"must be a number, but got True \(training\.distillation"),
    ("first_front: 6", "first_front: -1", r"greater than or equal to 0, but got -1 \(search\.first_front"),
    ("allocated: 0.5", "allocated: 1.5", r"less than or equal to 1, but got 1\.5 \(search\.allocated"),
    ("trials: 48", "screening: 5", r"but got 5 \(search\.screening"),
    ("trials: 48", "screening: {passes: 0}", r"greater than or equal to 1, but got 0 \(search\.screening\.passes"),
    ("snr_db: [0]", "snr_db: [0]\n  validation_fraction: 0.9", r"leave something for training, but got 0\.9 and 0\.2"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN, ids=[new.strip() for _, new, _ in BROKEN])
def test_broken_study_file_is_refused_in_one_line(old: str, new: str, message: str) -> None:
    text = KLEIN.replace(old, new, 1)
    assert text != KLEIN
    with pytest.raises(SpecError, match=message) as refused:
        parse_spec(text, Path("study.yaml"))
    assert len(str(refused.value).splitlines()) == 1
    assert "study.yaml" in str(refused.value)


@pytest.mark.parametrize(("text", "message"), [("[1, 2]", r"keys and values, but got \[1, 2\]"), ("", "but got None")])
def test_a_study_file_without_keys_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(text, Path("study.yaml"))


@pytest.mark.parametrize(("given", "read"), [("true", ScreeningSpec()), ("{}", ScreeningSpec()), ("false", None)])
def test_screening_is_turned_on_and_off(given: str, read: ScreeningSpec | None) -> None:
    assert parse_spec(KLEIN.replace("trials: 48", f"screening: {given}"), Path("s.yaml")).search.screening == read


def test_several_broken_rules_give_a_line_each() -> None:
    text = KLEIN.replace("trials: 48", "trials: 0").replace("bits: [2, 5]", "bits: [2, 99]")
    with pytest.raises(SpecError) as refused:
        parse_spec(text, Path("study.yaml"))
    assert len(str(refused.value).splitlines()) == 2


def test_unreadable_study_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must be readable, but .*missing\.yaml is not"):
        load_spec(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(SpecError, match="must be UTF-8 text"):
        load_spec(tmp_path / "latin.yaml")


@pytest.mark.parametrize("example", ["klein.yaml", "demo.yaml", "nilsson.yaml"])
def test_examples_are_valid_by_spec_and_by_schema(example: str) -> None:
    path = REPOSITORY / "examples" / example
    assert load_spec(path).name == path.stem
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), json_schema())


def test_every_key_is_described() -> None:
    schema = json_schema()
    objects = [schema, *schema["$defs"].values()]
    keys = [(o.get("title"), key, value) for o in objects for key, value in o.get("properties", {}).items()]
    missing = [f"{title}.{key}" for title, key, value in keys if "description" not in value]
    assert len(objects) > 10
    assert missing == []


def test_schema_refuses_what_the_spec_refuses() -> None:
    plain = yaml.safe_load(KLEIN)
    plain["search"]["trails"] = 3
    with pytest.raises(jsonschema.ValidationError, match="trails"):
        jsonschema.validate(plain, json_schema())


def test_formats_and_ranges_are_read() -> None:
    space = parse_spec(KLEIN, Path("study.yaml")).space
    assert space.biases == Fixed(16, 2)
    assert isinstance(space.weights, SlotRange)
    assert space.weights.po2 is not None
    assert space.weights.po2.bits == (2, 5)
    assert PowerOfTwo(4, -1) in {uniform.weights for uniform in parse_spec(KLEIN, Path("s.yaml")).search.uniform}


def test_budgets_are_sizes() -> None:
    assert parse_spec(KLEIN, Path("s.yaml")).search.budgets == (236_506, 120_000, 60_000)


def test_corpus_paths_start_at_data_root_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORDLENGTH_DATA", raising=False)
    (tmp_path / "studies").mkdir()
    path = tmp_path / "studies" / "study.yaml"
    path.write_text(KLEIN.replace("../../shared/data", "../corpora"), encoding="utf-8")
    assert load_spec(path).data.speech[0].path == tmp_path / "corpora" / "timit"
    monkeypatch.setenv("WORDLENGTH_DATA", str(tmp_path / "elsewhere"))
    assert load_spec(path).data.speech[0].path == tmp_path / "elsewhere" / "timit"


def test_spec_survives_the_round_trip_through_yaml() -> None:
    spec = parse_spec(KLEIN, Path("study.yaml"))
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    assert parse_spec(text, Path("study.yaml")) == spec


def test_fingerprint_ignores_budget_and_places_but_not_settings() -> None:
    def fingerprint(old: str = "name", new: str = "name") -> str:
        return json.dumps(parse_spec(KLEIN.replace(old, new, 1), Path("study.yaml")).fingerprint())

    assert fingerprint("trials: 48", "trials: 99") == fingerprint()
    assert fingerprint("../../shared/data", "/elsewhere") == fingerprint()
    assert fingerprint("baseline_epochs: 40", "baseline_epochs: 41") != fingerprint()
    assert fingerprint("bits: [2, 8]", "bits: [2, 7]") != fingerprint()


def test_overrides_are_checked_like_the_file() -> None:
    spec = parse_spec(KLEIN, Path("study.yaml"))
    assert with_overrides(spec, trials=7, count=2).search.trials == 7
    assert with_overrides(spec, trials=7, count=2).workers.count == 2
    with pytest.raises(SpecError, match=r"trials must be at least 1, but got 0 \(--trials\)"):
        with_overrides(spec, trials=0)
    with pytest.raises(SpecError, match=r"workers must be at least 1, but got -1 \(--workers\)"):
        with_overrides(spec, count=-1)


def test_an_address_that_is_none_is_told_without_its_login() -> None:
    with pytest.raises(SpecError, match="an address has the form scheme://") as refused:
        parse_spec(KLEIN + "storage: {tracking: 'http:/ann:canary@host'}\n", Path("study.yaml"))
    assert "but got '…@host' (storage.tracking" in str(refused.value)
