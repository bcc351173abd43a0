"""Asking a run to stop: once politely, twice at once, and only while it runs."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from cutaway.training.signals import ASKING, StopRequest


@pytest.mark.parametrize("number", ASKING)
def test_the_first_signal_is_remembered(number: signal.Signals) -> None:
    with StopRequest() as request:
        assert not request.is_raised
        os.kill(os.getpid(), number)
        assert request.is_raised


def test_the_signals_mean_afterwards_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in ASKING]
    with StopRequest():
        assert [signal.getsignal(number) for number in ASKING] != before
    assert [signal.getsignal(number) for number in ASKING] == before


def test_the_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import os, signal\n"
        "from cutaway.training.signals import StopRequest\n"
        "with StopRequest():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('asked', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "asked\n")


def test_a_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    inside: list[object] = []

    def work() -> None:
        with StopRequest():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
