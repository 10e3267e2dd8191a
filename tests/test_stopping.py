"""Signals that end a run: raised at once, put off, ignored, and never put off twice."""

import os
import signal
import subprocess
import sys

import pytest

from charlab.stopping import EndingSignals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def send(signum):
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_at_once(signum):
    before = signal.getsignal(signum)
    with pytest.raises(SystemExit) as caught, EndingSignals().handled():
        send(signum)
    assert caught.value.code == 128 + signum
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_that_is_put_off_is_remembered(signum):
    signals = EndingSignals()
    with signals.handled():
        signals.deferred = True
        assert signals.asked is None
        send(signum)
        assert signals.asked == signum


def test_a_signal_is_not_put_off_once_the_run_is_over_elsewhere():
    signals = EndingSignals(is_over=lambda: True)
    with pytest.raises(SystemExit), signals.handled():
        signals.deferred = True
        send(signal.SIGTERM)


def test_signals_do_nothing_while_the_end_is_recorded():
    signals = EndingSignals()
    with signals.handled():
        signals.ignore()
        for signum in SIGNALS:
            send(signum)
    assert signals.asked is None


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with EndingSignals().handled():
            send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("state", ["signals.deferred = True", "signals.ignore()"])
def test_a_second_interrupt_ends_the_process_there_and_then(state):
    code = f"""
import os, signal
from charlab.stopping import EndingSignals
signals = EndingSignals()
with signals.handled():
    {state}
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    print("goes on", flush=True)
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        print("never", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "goes on\n")
    assert done.stderr == "interrupted twice: ended at once\n"
