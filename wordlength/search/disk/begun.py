"""A restore that has begun: its study's folder says where trials and runs are being put, until the study is whole.

Only there, and only as long as it says so, is something of the study's name known to be the restore's own.
"""

from __future__ import annotations

import json
import shutil

from wordlength.atomic import write_atomically
from wordlength.search.home import Home, StudyFolder, is_lock, is_server
from wordlength.search.storage import remove_stored
from wordlength.search.study_file.spec import StudySpec
from wordlength.search.tracking import remove_experiment

BEGUN = "restoring"
"""The file of the study's folder."""


def begin(spec: StudySpec, home: Home) -> None:
    """Write down where the study is being put; both places must have nothing of its name."""
    plain = {"optuna": home.optuna_address(spec), "tracking": home.tracking_address(spec)}
    # Addresses may hold a login.
    write_atomically(home.study(spec.name).path / BEGUN, json.dumps(plain).encode(), private=True)


def end(folder: StudyFolder) -> None:
    """The study is whole, or nothing of it is left."""
    (folder.path / BEGUN).unlink(missing_ok=True)


def undo(folder: StudyFolder, home: Home) -> None:
    """Remove what a restore that did not end has put into its two places and the folder; safe to be cut off.

    Raises SpecError if a place does not answer.
    """
    file = folder.path / BEGUN
    if not file.exists():
        return
    places, name = json.loads(file.read_text(encoding="utf-8")), folder.path.name
    remove_experiment(places["tracking"], None if is_server(places["tracking"]) else home.artifacts, name)
    remove_stored(places["optuna"], name)
    for path in folder.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != file and not is_lock(path):  # The folder's lock is held.
            path.unlink()
    end(folder)
