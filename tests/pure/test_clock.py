# SPDX-License-Identifier: MIT
"""Clocks: what counts while the machine is suspended, and waits that can be cut short."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from haltable import ConfigurationError, IterationCap, Loop
from haltable.clock import BootClock, SystemClock

#: A machine that was suspended for 5000 s since it was booted, as Linux can pretend.
SUSPENDED = ["unshare", "--user", "--map-root-user", "--time", "--boottime", "5000", "--fork"]
ASK = (
    "import time; from haltable.clock import BootClock, SystemClock;"
    "print(round(BootClock().now() - SystemClock().now(), -2))"
)


def difference(*before):
    """Returns the seconds by which the clocks differ in a process."""
    told = subprocess.run([*before, sys.executable, "-c", ASK], capture_output=True, check=True)
    return float(told.stdout)


def test_a_suspended_machine_counts_where_it_is_asked_to():
    """Only the clock of the boot goes on while a machine is suspended."""
    assert difference(*SUSPENDED) - difference() == 5000


@pytest.mark.parametrize("clock", [BootClock(), SystemClock()], ids=["boot", "system"])
def test_a_wait_can_be_cut_short(clock):
    """A wait ends at its end, or at once when the event is set."""
    woken, start = threading.Event(), time.monotonic()
    clock.wait(0.01, woken)
    waited = time.monotonic() - start
    woken.set()
    clock.wait(60, woken)

    assert waited >= 0.01
    assert time.monotonic() - start < 30
    assert not clock.virtual


def test_a_loop_reads_the_clock_that_it_is_given():
    """A loop's live seconds are those of its clock, which never goes backwards."""
    clock = BootClock()
    before = clock.now()
    report = Loop(IterationCap(2), clock=clock).run(lambda: None)

    assert 0 <= report.elapsed <= clock.now() - before


def test_a_system_without_such_a_clock_says_so(monkeypatch):
    """Where suspended time cannot be read, the clock is refused when it is made."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")

    with pytest.raises(ConfigurationError, match="no CLOCK_BOOTTIME"):
        BootClock()
