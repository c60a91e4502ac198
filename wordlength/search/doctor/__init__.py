"""`wordlength doctor`: what a study needs of this machine, looked at in some seconds, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from wordlength.errors import WordlengthError
from wordlength.search.doctor.corpora import corpus_findings
from wordlength.search.doctor.finding import Finding, State
from wordlength.search.doctor.machine import cores, free_bytes, home_finding, machine_finding
from wordlength.search.doctor.services import compiler_finding, looks, new_store_finding
from wordlength.search.doctor.versions import version_findings
from wordlength.search.home import Home
from wordlength.search.spec import load_spec

if TYPE_CHECKING:
    from wordlength.search.spec import StudySpec

__all__ = ["Finding", "State", "examine"]


def examine(home: Home, study_file: Path | None = None) -> Iterator[Finding]:
    """Everything that was looked at, in order; slow looks go on beside each other. Never raises, never hangs.

    `study_file`: look at what this study needs of corpora, workers, storage and tracking, too.
    """
    spec, refusal = _spec(study_file)
    with ExitStack() as stack:
        slow = []
        for look in looks(home, spec):
            stack.enter_context(look.question)
            slow.append(look)
        if study_file is not None:
            yield refusal or Finding("study file", State.OK, str(study_file))
        yield from version_findings()
        wanted, each = (spec.workers.count, spec.workers.cpus) if spec else (None, 1)
        yield machine_finding(cores(), free_bytes(), wanted, each)
        yield home_finding(home.root)
        yield from corpus_findings(spec)
        yield compiler_finding()
        for look in slow:
            yield look.finding()
        if (finding := new_store_finding(home, spec)) is not None:
            yield finding


def _spec(study_file: Path | None) -> tuple[StudySpec | None, Finding | None]:
    """The study file's content, or why it cannot be used."""
    if study_file is None:
        return None, None
    try:
        return load_spec(study_file), None
    except WordlengthError as error:
        told = str(error).splitlines()[0]
        return None, Finding("study file", State.FAULT, told, "wordlength schema describes every key")
