"""Work that takes long: its progress on standard error, and Ctrl-C at any moment."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from wordlength.search.cli.loudness import errors, notes

if TYPE_CHECKING:
    from wordlength.search.front_page import LivePage
    from wordlength.search.progress import LaunchDisplay

CACHED = "prepared data and a trained float baseline are kept"


@contextmanager
def at_work(kept: str = CACHED, page: LivePage | None = None) -> Iterator[LaunchDisplay]:
    """Show progress while the block runs.

    Ctrl-C and SIGTERM end it with status 130 and one line: what is `kept`, and the command that goes on from there.
    """
    from wordlength.search.progress import LaunchDisplay
    from wordlength.search.stopping import stop_signals

    try:
        with stop_signals(), LaunchDisplay(notes, page) as display:
            yield display
    except KeyboardInterrupt:
        again = shlex.join(sys.argv[1:])
        errors.print(f"stopped; {kept}; go on with: wordlength {again}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
