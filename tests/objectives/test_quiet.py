"""What TensorFlow says at its start is shown only where it may explain a failure."""

from __future__ import annotations

import os

import pytest

from wordlength.errors import DataError
from wordlength.objectives.quiet import quiet_tensorflow


@pytest.mark.parametrize(
    ("error", "shown"), [(DataError("folders must exist"), False), (RuntimeError("unforeseen"), True)]
)
def test_notices_are_shown_with_unforeseen_errors_only(capfd, error: Exception, shown: bool) -> None:
    with pytest.raises(type(error)):
        _fail_after_a_notice(error)
    assert ("a notice of CUDA" in capfd.readouterr().err) is shown


@quiet_tensorflow()
def _fail_after_a_notice(error: Exception) -> None:
    os.write(2, b"a notice of CUDA\n")
    raise error
