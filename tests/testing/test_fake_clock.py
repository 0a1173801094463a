# SPDX-License-Identifier: MIT
"""The clock of tests: it moves when told to, never backwards, and says what was waited."""

from __future__ import annotations

import math
import threading

import pytest

from haltable import ConfigurationError, Deadline, IterationCap, Loop
from haltable.clock import Clock
from haltable.testing import FakeClock


@pytest.fixture
def unset():
    """An event that nobody has set."""
    return threading.Event()


def test_it_stands_still_by_itself():
    """Nothing but a wait or an advance moves it."""
    clock = FakeClock(start=7)

    assert [clock.now(), clock.now()] == [7.0, 7.0]
    assert repr(clock) == "<FakeClock 7 s>"


def test_it_moves_by_what_it_is_told(unset):
    """Advances and waits add up; only waits are recorded."""
    clock = FakeClock()

    clock.advance(2)
    clock.wait(3, unset)
    clock.advance(0)
    clock.wait(0.5, unset)

    assert clock.now() == 5.5
    assert clock.waits == (3.0, 0.5)


def test_a_wait_that_is_cut_short_takes_no_time(unset):
    """Who is woken already does not wait."""
    clock = FakeClock()
    unset.set()

    clock.wait(60, unset)

    assert clock.now() == 0
    assert clock.waits == ()


def test_a_negative_wait_moves_nothing(unset):
    """Time never goes backwards, whatever it is asked to wait."""
    clock = FakeClock()

    clock.wait(-5, unset)

    assert clock.now() == 0


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, True])
def test_it_refuses_to_go_backwards_or_nowhere(seconds):
    """An advance is a number of seconds from 0 on."""
    clock = FakeClock()

    with pytest.raises(ConfigurationError, match=r"advance\(.*give 0 or more seconds"):
        clock.advance(seconds)
    assert clock.now() == 0


@pytest.mark.parametrize("start", [math.nan, math.inf, -math.inf, True])
def test_it_starts_at_a_number(start):
    """A start that is no moment is refused by name."""
    with pytest.raises(ConfigurationError, match=r"FakeClock\(start=.*a finite number"):
        FakeClock(start)


def test_threads_lose_no_second(unset):
    """Advances from several threads at once all count."""
    clock = FakeClock()
    threads = [
        threading.Thread(target=lambda: [clock.advance(1) for _ in range(2000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for _ in range(100):
        clock.wait(1, unset)
    for thread in threads:
        thread.join()

    assert clock.now() == 4 * 2000 + 100


def test_it_fulfils_the_contract():
    """It may stand wherever a clock may."""
    clock: Clock = FakeClock()

    assert clock.virtual
    assert clock.now() == 0


def test_a_loop_waits_on_it():
    """A pause moves the loop's time on and takes none."""
    clock = FakeClock()

    report = Loop(Deadline(total=3600), delay=1000, clock=clock).run(lambda: clock.advance(1))

    assert (report.starts, report.elapsed) == (4, 3600)
    assert clock.waits == (1000, 1000, 1000, 596)


async def test_an_async_loop_waits_on_it():
    """The async driver does not sleep on it either."""
    clock = FakeClock()

    async def body():
        clock.advance(1)

    report = await Loop(IterationCap(3), delay=1000, clock=clock).arun(body)

    assert (report.starts, report.elapsed) == (3, 2003)
    assert clock.waits == (1000, 1000)
