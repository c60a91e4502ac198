"""examples/notebooks/first_study.ipynb: every cell runs, on a study of seconds."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebooks" / "first_study.ipynb"


@pytest.fixture(scope="module")
def written() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs(written: nbformat.NotebookNode) -> None:
    nbformat.validate(written)
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.studies
def test_every_cell_runs(
    written: nbformat.NotebookNode, write_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDLENGTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[2]), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    (parameters,) = [cell for cell in written.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = f"study_file = {str(write_study())!r}\ntrials = 2"
    NotebookClient(written, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in written.cells for output in cell.get("outputs", ())]
    printed = "".join(output.text for output in shown if output.output_type == "stream" and output.name == "stdout")
    assert "2 of 2 trials are finished" in printed
    data = [output.data for output in shown if "data" in output]
    assert sum("image/png" in one for one in data) == 2
    pages = [one["text/html"] for one in data if "text/html" in one]
    for text in ("study tiny: 2 of 2 trials finished", "Pareto front", "candidate ", "last analysis", "zero gradient"):
        assert any(text in page for page in pages), text
    assert sum("<audio" in page for page in pages) == 4
    assert (tmp_path / "product" / "config.json").is_file()
    assert {path.name for path in (tmp_path / "heard").glob("*.wav")} == {
        *("clean.wav", "noisy.wav", "float.wav", "quantized.wav")
    }
