"""How work that takes long tells how far it is: it calls what it was given with what is done, and of how much."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""(done, total)."""
StageProgress = Callable[[str, int, int], None]
"""(name of the stage, done, total)."""


def stage(name: str, progress: StageProgress) -> Progress:
    """What tells of this stage alone."""
    return lambda done, total: progress(name, done, total)
