"""The version, written here alone: pyproject.toml reads it from here, and so does all that tells it.

By the sources themselves and not by what is installed: on a cluster they may be others than those installed there.
"""

VERSION = "0.1.0"
