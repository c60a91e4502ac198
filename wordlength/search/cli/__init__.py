"""The command line: launch a study, look at its front, export the best config."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from wordlength.errors import WordlengthError
from wordlength.paths import expanded

# Importing the commands registers them, in the order in which --help lists them.
from wordlength.search.cli import doctor  # noqa: F401  isort: skip
from wordlength.search.cli import init  # noqa: F401  isort: skip
from wordlength.search.cli import studies  # noqa: F401  isort: skip
from wordlength.search.cli import front  # noqa: F401  isort: skip
from wordlength.search.cli import ui  # noqa: F401  isort: skip
from wordlength.search.cli import compare  # noqa: F401  isort: skip
from wordlength.search.cli import data  # noqa: F401  isort: skip
from wordlength.search.cli import candidates  # noqa: F401  isort: skip
from wordlength.search.cli import propose  # noqa: F401  isort: skip
from wordlength.search.cli import sensitivity  # noqa: F401  isort: skip
from wordlength.search.cli import subset  # noqa: F401  isort: skip
from wordlength.search.cli import retrain  # noqa: F401  isort: skip
from wordlength.search.cli import bundles  # noqa: F401  isort: skip
from wordlength.search.cli import archive  # noqa: F401  isort: skip
from wordlength.search.cli import clean  # noqa: F401  isort: skip
from wordlength.search.cli import listen  # noqa: F401  isort: skip
from wordlength.search.cli import cluster  # noqa: F401  isort: skip
from wordlength.search.cli.common import app, print_error
from wordlength.search.cli.completion import use_bash_script

__all__ = ["app", "main", "refusing"]


def main() -> NoReturn:
    """Run the command line; anything that wordlength refuses becomes one line and exit status 2."""
    with refusing():
        _hold_streams()
        _show_what_can_be_shown()
        _send_token()
        use_bash_script()
        app(prog_name="wordlength")  # However it was started: the name that completion is installed for.
    sys.exit(0)


@contextmanager
def refusing() -> Iterator[None]:
    """End the process as the command line does: one line for what cannot be done."""
    try:
        yield
    except WordlengthError as error:
        print_error(str(error))
        sys.exit(2)
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOSPC:
            print_error(f"what is written must find room, but: {error.strerror} (standard output)")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What is left of it would fail again at the end.
            sys.exit(2)
        if error.filename is None:
            raise
        print_error(f"files must be readable and folders writable, but {error.filename}: {error.strerror}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _hold_streams() -> None:
    """Put /dev/null where a standard stream is closed: the next file opened would take its place, and what is said."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.


def _show_what_can_be_shown() -> None:
    """Where a terminal or a file is not of UTF-8, print ? for ± and ≈ in place of ending at them."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def _send_token() -> None:
    """Have Ray, once it is imported, send a cluster's token where there is one; else it does so for local ones only."""
    token = expanded("~/.ray/auth_token")
    if "ray" in sys.modules:
        return  # It has read the variable already.
    if token.exists() or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
