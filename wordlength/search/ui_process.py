"""The process that `ui.py` starts: `mlflow ARGUMENTS`, ended when whoever started it is gone.

Whoever starts it holds the other end of its standard input and writes nothing there.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # Not through sys.stdin, whose lock an ending interpreter wants.
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
