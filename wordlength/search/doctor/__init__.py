"""`wordlength doctor`: what a study needs of this machine, looked at in some seconds, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from wordlength.search.doctor.corpora import corpus_findings
from wordlength.search.doctor.finding import Finding, State
from wordlength.search.doctor.machine import cores, free_bytes, home_finding, machine_finding
from wordlength.search.doctor.services import compiler_finding, looks, new_store_finding
from wordlength.search.doctor.versions import version_findings
from wordlength.search.home import Home

if TYPE_CHECKING:
    from wordlength.search.study_file.spec import StudySpec

__all__ = ["Finding", "State", "examine"]


def examine(home: Home, spec: StudySpec | None = None) -> Iterator[Finding]:
    """Everything that was looked at, in order; slow looks go on beside each other. Never raises, never hangs.

    `spec`: look at what this study needs of corpora, workers, storage and tracking, too.
    """
    with ExitStack() as stack:
        slow = []
        for look in looks(home, spec):
            stack.enter_context(look.question)
            slow.append(look)
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
