"""The pages' commands and Python run, in their order and in one folder, at a small scale."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import REPOSITORY, blocks, commands, pages
from workshop import Workshop, is_run

from wordlength.objectives.audio import DataSettings, PreparedData, TargetSettings, prepare

pytestmark = pytest.mark.usefixtures("tensorflow", "ray_session")


@pytest.fixture(scope="module")
def workshop(tiny_corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "120")
        for name in ("WORDLENGTH_HOME", "WORDLENGTH_DATA"):
            patch.delenv(name, raising=False)
        (function,) = (block for block in blocks("docs/your-model.md") if block.kind == "python")
        (folder / "net.py").write_text(function.text, encoding="utf-8")
        yield Workshop(folder, tiny_corpora)


@pytest.mark.parametrize("page", [page for page in pages() if any(is_run(command) for command in commands(page))])
def test_its_commands_run(page: str, workshop: Workshop) -> None:
    for command in commands(page):
        if is_run(command):
            workshop.run(command)


@pytest.fixture(scope="module")
def scored(tiny_data_settings: DataSettings, study_cache: Path) -> PreparedData:
    """Tiny data whose target is a score."""
    target = TargetSettings(kind="score", measure="stoi", segment_seconds=1)
    return prepare(dataclasses.replace(tiny_data_settings, target=target), study_cache)


@pytest.fixture(scope="module")
def given(tiny_data: PreparedData, scored: PreparedData, tensorflow: Any) -> dict[str, dict[str, Any]]:
    """What the blocks of a page speak of without saying where it is from."""
    import keras

    frames = tiny_data.validation.frames
    signal = {
        "data": tiny_data,
        "number": 0,
        "outputs": np.ones((frames.windows_of(0).size, 129), np.float32),
        "scored": scored,
        "estimates": np.zeros((scored.validation.frames.windows.size, 1), np.float32),
    }
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    return {"docs/signal.md": signal, "examples/bring_your_own/README.md": {"network": network}}


@pytest.mark.parametrize("page", [page for page in pages() if any(block.kind == "python" for block in blocks(page))])
def test_its_python_runs(page: str, workshop: Workshop, given: dict[str, dict[str, Any]]) -> None:
    names = dict(given.get(page, {}))
    for block in blocks(page):
        if block.kind == "python" and block.text.endswith(":"):  # The head of a function that lies beside the page.
            assert any(block.text in file.read_text("utf-8") for file in (REPOSITORY / page).parent.glob("*.py"))
        elif block.kind == "python":
            if "best/" in block.text and not (workshop.folder / "best").exists():
                workshop.run(next(command for command in commands(page) if "--to best" in command.text))
            workshop.run_python(block.text, names)
