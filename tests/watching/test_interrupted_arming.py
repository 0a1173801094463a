# SPDX-License-Identifier: MIT
"""P10: Ctrl-C while a run arms itself against its body, or disarms, leaves nothing behind."""

from __future__ import annotations

import itertools
import signal

import pytest

from haltable import Deadline, IterationCap, Loop, _watch

LOOP = Loop(IterationCap(2), Deadline(iteration=60))


class Pressed:
    """Presses Ctrl-C around one of the calls that set handlers of signals."""

    def __init__(self, at, *, after):
        self.calls, self.at, self.after = 0, at, after
        self.set = signal.signal

    def __call__(self, number, handler):
        self.calls += 1
        if self.calls == self.at and not self.after:
            raise KeyboardInterrupt
        before = self.set(number, handler)
        if self.calls == self.at:
            raise KeyboardInterrupt
        return before


def handlers():
    """Returns who handles which signal."""
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def by_run(run):
    """Lets the run drive the body."""
    run.run(lambda: None)


def by_block(run):
    """Lets the run count somebody else's loop."""
    with run:
        while True:
            run.tick()


def by_for(run):
    """Lets the run watch the body of a `for`."""
    for iteration in run:
        with iteration:
            pass


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("way", [by_run, by_block, by_for])
def test_every_handler_is_as_before(monkeypatch, way, after):
    """Whichever handler was just being set, and whether it was yet, the run gives it back."""
    here, reached = handlers(), 0
    for at in itertools.count(1):
        pressed, run = Pressed(at, after=after), LOOP.start()
        monkeypatch.setattr(signal, "signal", pressed)
        try:
            way(run)
        except KeyboardInterrupt:
            reached += 1
        except Exception:
            assert pressed.calls < at  # Its own end, with nothing left to spoil.
        finally:
            monkeypatch.undo()
        assert handlers() == here
        assert run.finished
        assert not _watch.bodies.tokens()
        if pressed.calls < at:
            break

    assert reached >= 2
