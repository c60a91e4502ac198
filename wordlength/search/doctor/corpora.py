"""Speech and noise: the study file's corpora, or those of WORDLENGTH_DATA; the built-in speech."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wordlength.errors import DataError
from wordlength.paths import expanded
from wordlength.search.doctor.finding import Finding, State
from wordlength.search.study_file.spec import CORPUS_ROLES, DATA_ROOT_VARIABLE

if TYPE_CHECKING:
    from wordlength.search.study_file.spec import StudySpec


def corpus_findings(spec: StudySpec | None) -> Iterator[Finding]:
    """Where the corpora lie. Whether they can be used, `wordlength data` tells."""
    if spec is None:
        yield folder_finding(os.environ.get(DATA_ROOT_VARIABLE))
        yield builtin_finding(needed=False)
        return
    corpora = [(role, corpus) for role in CORPUS_ROLES for corpus in getattr(spec.data, role)]
    for role, corpus in corpora:
        if corpus.path is None:
            continue
        fault, told = _fault_of(corpus.path), f"{getattr(corpus, 'kind', role)} in {corpus.path}"
        if fault:
            advice = f"set {DATA_ROOT_VARIABLE}, or data_root in the study file"
            yield Finding(role, State.FAULT, f"{told} {fault}", advice)
        else:
            yield Finding(role, State.OK, told)
    if any(corpus.path is None for _, corpus in corpora):
        yield builtin_finding(needed=True)


def _fault_of(path: Path) -> str:
    """In words, why a corpus cannot be listed; empty if it can."""
    try:
        needed = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
        there = path.exists()
    except OSError as error:  # A folder above it may not be read.
        return f"cannot be read: {error.strerror}"
    if not there:
        return "is not there"
    return "" if os.access(path, needed) else "may not be read"


def folder_finding(named: str | None) -> Finding:
    """The folder that holds corpora."""
    if not named:
        advice = f"for corpora of your own: set {DATA_ROOT_VARIABLE}, or data_root in the study file"
        return Finding("corpora", State.OK, f"{DATA_ROOT_VARIABLE} is not set", advice)
    folder = expanded(named)
    try:
        if not folder.is_dir():
            told = f"{DATA_ROOT_VARIABLE} is {folder}, which is no folder"
            return Finding("corpora", State.FAULT, told, "set it to one that is there")
        found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        told = f"{DATA_ROOT_VARIABLE} is {folder}: {error.strerror}"
        return Finding("corpora", State.FAULT, told, "set it to one that you may read")
    return Finding("corpora", State.OK, f"{folder}: {', '.join(found) or 'no folders in it'}")


def builtin_finding(needed: bool) -> Finding:
    """The speech that needs no download."""
    from wordlength.objectives.audio.espeak import Espeak

    try:
        Espeak()
    except (DataError, OSError) as error:
        return Finding(
            "built-in speech",
            State.FAULT if needed else State.WARNING,
            str(error).partition("; hint")[0],
            "pip install 'wordlength[demo]'",
        )
    return Finding("built-in speech", State.OK, "espeak-ng speaks")
