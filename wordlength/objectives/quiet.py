"""How TensorFlow starts: without its chatter on the terminal, and with a trial's threads."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from wordlength.errors import WordlengthError


@contextmanager
def quiet_tensorflow(verbose: bool = False) -> Iterator[None]:
    """Around TensorFlow's first import and first device use: no notices of its own, of absl or of CUDA.

    Its C++ side writes to the file descriptor before it reads any setting, so standard error is put aside
    meanwhile; what was put aside is shown if the block fails, unless by an error of ours, which says what is wrong
    itself. `verbose` leaves everything as it is.
    """
    if verbose:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            yield
        except WordlengthError:
            raise
        except Exception:
            aside.seek(0)
            os.write(saved, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def start_tensorflow(threads: int, verbose: bool) -> None:
    """Import TensorFlow with `threads` threads per operation, quietly unless `verbose`."""
    with quiet_tensorflow(verbose):
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            # One op at a time: on few cores it is as fast, and sums keep their order, so results repeat.
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            # TensorFlow was in use before, by the caller's own model.
            warnings.warn(
                f"TensorFlow runs already, not with a trial's {threads} threads: figures may differ in the last digits",
                stacklevel=2,
            )
