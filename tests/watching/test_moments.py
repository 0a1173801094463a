# SPDX-License-Identifier: MIT
"""Verdicts that fall at any moment: between two bodies, in one, as another run begins or ends."""

from __future__ import annotations

import pytest

from tests.faults.children import ended, start
from tests.watching.workers import FINE, WAYS, fork_in_a_body, try_often

TRIALS = 30


@pytest.mark.parametrize("keyed", [(), ("key",)], ids=["no key", "key"])
@pytest.mark.parametrize("way", WAYS)
def test_in_the_main_thread(way, keyed):
    """No interrupt leaks, no status is wrong, no signal is fatal, no handler or thread stays."""
    assert ended(start(try_often, way, 1, TRIALS, 0, *keyed)) == FINE


@pytest.mark.parametrize("way", [way for way in WAYS if way != "interrupted"])
def test_in_two_threads_at_once(way):
    """Only the right one is struck, and each ends as it should."""
    assert ended(start(try_often, way, 2, TRIALS // 2, 2)) == FINE


def test_many_short_bodies():
    """Three hundred verdicts, from 1 to 30 ms after the start, among bodies of 0 to 3 ms."""
    assert ended(start(try_often, "run", 3, 300, 0)) == FINE


def test_a_fork_while_somebody_looks():
    """The copy of a body that is looked at comes to its end, too."""
    assert ended(start(fork_in_a_body), within=20) == FINE
