"""Speech and noise: the study file's corpora, or those of WORDLENGTH_DATA; the built-in speech."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
        there = corpus.path.exists()
        yield Finding(
            role,
            State.OK if there else State.FAULT,
            f"{getattr(corpus, 'kind', role)} in {corpus.path}{'' if there else ' is not there'}",
            "" if there else f"set {DATA_ROOT_VARIABLE}, or data_root in the study file",
        )
    if any(corpus.path is None for _, corpus in corpora):
        yield builtin_finding(needed=True)


def folder_finding(named: str | None) -> Finding:
    """The folder that holds corpora."""
    if not named:
        advice = f"for corpora of your own: set {DATA_ROOT_VARIABLE}, or data_root in the study file"
        return Finding("corpora", State.OK, f"{DATA_ROOT_VARIABLE} is not set", advice)
    folder = expanded(named)
    if not folder.is_dir():
        return Finding(
            "corpora",
            State.FAULT,
            f"{DATA_ROOT_VARIABLE} is {folder}, which is no folder",
            "set it to one that is there",
        )
    try:
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
