# SPDX-License-Identifier: MIT
"""The switch that takes the waits out of loops, here and nowhere else."""

from __future__ import annotations

import contextvars
import threading

import anyio
import pytest

from haltable import (
    Backoff,
    ConfigurationError,
    Deadline,
    IterationCap,
    Loop,
    SQLiteStore,
    current,
)
from haltable.clock import SystemClock
from haltable.testing import FakeClock, instant

HOURS = Loop(IterationCap(3), delay=3600)


def test_a_loop_inside_does_not_wait():
    """Hours of pauses take no time, and are told."""
    with instant() as clock:
        report = HOURS.run(lambda: None)

    assert report.starts == 3
    assert clock.waits == (3600, 3600)
    assert report.elapsed >= 7200


def test_a_backoff_inside_does_not_wait():
    """Retries in decorated code end at once."""

    def fail():
        raise OSError

    with instant() as clock:
        Loop(IterationCap(4, max_consecutive_failures=None), delay=Backoff(initial=100)).run(fail)

    assert 0 < len(clock.waits) <= 3


def test_waits_count_against_deadlines():
    """A pause that took no time has passed all the same."""
    with instant():
        report = Loop(Deadline(total=1000), delay=300).run(lambda: None)

    assert report.starts == 4
    assert report.breaker == "Deadline"


def test_bodies_take_their_own_time():
    """Real time goes on: a loop without pauses still meets its deadline."""
    with instant() as clock:
        report = Loop(Deadline(total=0.02)).run(lambda: None)

    assert report.breaker == "Deadline"
    assert clock.waits == ()


async def test_an_async_loop_inside_does_not_wait():
    """The async driver waits no more than the other."""

    async def body():
        await anyio.lowlevel.checkpoint()

    with instant() as clock:
        report = await HOURS.arun(body)

    assert (report.starts, clock.waits) == (3, (3600, 3600))


def test_a_keyed_loop_inside_does_not_wait(tmp_path):
    """A loop whose counts are in a database does not wait either."""
    loop = Loop(IterationCap(3), delay=3600, key="k", store=SQLiteStore(tmp_path / "loops.db"))
    with instant() as clock:
        report = loop.run(lambda: None)

    assert (report.starts, report.durable, clock.waits) == (3, True, (3600, 3600))


def test_a_clock_of_its_own_is_left_alone():
    """A loop that was given a clock keeps it."""
    own = FakeClock()
    with instant() as clock:
        Loop(IterationCap(2), delay=60, clock=own).run(lambda: None)

    assert (own.waits, clock.waits) == ((60,), ())


def test_a_system_clock_that_was_given_is_left_alone():
    """Asking for the machine's clock by name is also a choice."""
    with instant() as clock:
        Loop(IterationCap(2), delay=0.001, clock=SystemClock()).run(lambda: None)

    assert clock.waits == ()


def test_it_nests_and_restores():
    """The innermost holds, and each end brings back what was around it."""
    with instant() as outer:
        with instant() as inner:
            HOURS.run(lambda: None)
        HOURS.run(lambda: None)

    assert (inner.waits, outer.waits) == ((3600, 3600), (3600, 3600))


def test_it_ends_when_an_exception_passes():
    """What was there before is there again, whatever happened inside."""
    before = contextvars.copy_context()

    with pytest.raises(OSError, match="passes"), instant():
        raise OSError("passes")

    assert dict(contextvars.copy_context().items()) == dict(before.items())


def test_a_loop_in_a_body_inside_does_not_wait():
    """A nested loop inherits what its outer loop was begun in."""
    with instant() as clock:
        Loop(IterationCap(1)).run(lambda: HOURS.run(lambda: None))

    assert clock.waits == (3600, 3600)


def test_it_holds_in_its_own_context_only():
    """Another thread, which did not ask for it, waits as ever."""
    clocks = []
    with instant() as clock:
        other = threading.Thread(
            target=lambda: clocks.append(Loop(IterationCap(2), delay=0.001).start().clock)
        )
        other.start()
        other.join()
        inside = HOURS.start().clock

    assert inside is clock
    assert isinstance(clocks[0], SystemClock)


def test_no_iteration_is_open_inside():
    """It is no run: there is nothing that `current` could answer."""
    with instant(), pytest.raises(ConfigurationError, match="no iteration of a loop is open here"):
        current()


def test_a_body_is_the_wrong_place():
    """Inside a body it would cut loops off from the run around them, so it is refused."""

    def body():
        with instant():
            pass

    report = Loop(IterationCap(1)).run(body)

    assert "put it around the loop, not into its body" in str(report.error)


def test_it_may_decorate_a_test():
    """A whole function can be made instant."""

    @instant()
    def decorated():
        return HOURS.run(lambda: None).elapsed

    assert decorated() >= 7200
