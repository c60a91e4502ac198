"""Ctrl-C and SIGTERM, also where Python drops the exception."""

import os
import signal

import pytest

from wordlength.search.stopping import stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


@pytest.mark.filterwarnings("ignore:Exception ignored in")
def test_an_interrupt_that_python_drops_is_raised_at_the_next_check() -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with stop_signals() as stopping:
        stopping.check()
        item = Finalized()
        del item  # Python prints the KeyboardInterrupt and goes on.
        with pytest.raises(KeyboardInterrupt):
            stopping.check()


def test_signals_are_ignored_while_trials_are_told() -> None:
    with stop_signals() as stopping:
        with stopping.undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
        stopping.check()
