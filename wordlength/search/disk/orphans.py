"""What belongs to nothing any more: half-written files, and what one of a study's places has and the others do not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wordlength.search.disk.item import Item, Kind, counted, counted_trials, item_of, states_in
from wordlength.search.drivers import user_of
from wordlength.search.home import Home, artifact_folder_name
from wordlength.search.storage import stored_studies
from wordlength.search.tracking import KeptExperiment

DRAFT_SECONDS = 3600.0
"""Age from which a half-written file counts as left behind: whose it is may be another machine's matter."""


def orphans(home: Home, experiments: Sequence[KeptExperiment]) -> Iterator[Item]:
    """All of them; `experiments`: those of the project's own database."""
    yield from _drafts(home)
    known, names = set(home.names()), _begun(home)
    for name in sorted(names - known):
        folder = home.study(name)
        yield item_of(Kind.FOLDER, name, [folder.path], busy=user_of(folder))
    busy = {name: text for name in sorted(names) if (text := user_of(home.study(name)))}
    if home.optuna_file.exists():
        for name, one in stored_studies(home.optuna_address()).items():
            if name not in known:
                told = f"{counted_trials(one.trials, one.queued)} in optuna.db"
                yield item_of(Kind.TRIALS, name, [], busy=busy.get(name, ""), told=told)
    yield from _in_mlflow(home, experiments, known, busy)


def _begun(home: Home) -> set[str]:
    """Folders among the studies, whether these were ever launched to the end of their beginning or not."""
    root = home.root / "studies"
    return {path.name for path in root.iterdir() if path.is_dir()} if root.exists() else set()


def _drafts(home: Home) -> Iterator[Item]:
    """What killed processes left half-written; not what one that lives may be writing."""
    prepared = home.cache / "prepared"
    tops = (home.root, home.cache, prepared, prepared / "index", home.cache / "baselines")
    found = [path for top in tops if top.exists() for path in top.iterdir() if path.name.startswith(".")]
    found += list((home.root / "studies").rglob(".*.tmp"))
    for path in sorted(found):
        if _is_old(path):
            yield item_of(Kind.DRAFT, os.path.relpath(path, home.root), [path])


def _is_old(path: Path) -> bool:
    try:
        newest = max((path.lstat().st_mtime, *(state.st_mtime for state in states_in(path))))
    except FileNotFoundError:  # It has just been finished.
        return False
    return time.time() - newest > DRAFT_SECONDS


def _in_mlflow(
    home: Home, experiments: Sequence[KeptExperiment], known: set[str], busy: Mapping[str, str]
) -> Iterator[Item]:
    """`busy`: name → in words, who uses it now."""
    for one in experiments:
        paths = [one.artifacts] if one.artifacts and one.artifacts.exists() else []
        told = counted(len(one.runs), "run")
        if one.trashed:
            yield item_of(
                Kind.TRASH, one.name, paths, busy=busy.get(one.name, ""), told=f"{told}, the experiment as a whole"
            )
        elif one.is_study and one.name not in known:
            yield item_of(Kind.EXPERIMENT, one.name, paths, busy=busy.get(one.name, ""), told=told)
        elif one.trashed_runs:
            own = [one.artifacts / run for run in one.trashed_runs] if one.artifacts else []
            paths = [path for path in own if path.exists()]
            yield item_of(
                Kind.TRASH, one.name, paths, busy=busy.get(one.name, ""), told=counted(len(one.trashed_runs), "run")
            )
    if home.mlflow_file.exists() and home.artifacts.exists():
        yield from _lost_artifacts(home, experiments, {artifact_folder_name(name) for name in known}, busy)


def _lost_artifacts(
    home: Home, experiments: Sequence[KeptExperiment], own: set[str], busy: Mapping[str, str]
) -> Iterator[Item]:
    """`own`: folders of studies, which may be recorded in a database of their own."""
    places = {one.artifacts: one for one in experiments if one.artifacts}
    for folder in sorted(path for path in home.artifacts.iterdir() if path.is_dir()):
        one = places.get(folder.resolve())
        if one is None and folder.name in own:
            continue
        if one is None:
            yield item_of(Kind.ARTIFACTS, folder.name, [folder], busy=next(iter(busy.values()), ""))
            continue
        for path in sorted(folder.iterdir()):
            if re.fullmatch(r"[0-9a-f]{32}", path.name) and path.name not in one.runs:
                yield item_of(Kind.ARTIFACTS, f"{folder.name}/{path.name}", [path], busy=busy.get(one.name, ""))
