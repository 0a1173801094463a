# SPDX-License-Identifier: MIT
"""What goes wrong while a body is watched: stores, probes, and the watching itself."""

from __future__ import annotations

import threading

import anyio
import pytest

from haltable import (
    Deadline,
    IterationCap,
    Loop,
    MemoryStore,
    StallDetector,
    _attend,
    _oversee_async,
    _oversee_sync,
)
from haltable.events import VerdictFell
from haltable.evidence import Probe

LONG = 20.0


class Flaky(MemoryStore):
    """A store that refuses to write while it is told to."""

    down = False

    def write(self, key, value, *, expected):
        if self.down:
            raise OSError("the disk is gone")
        return super().write(key, value, expected=expected)


def run(loop, begin=lambda: None):
    """Runs a body that hangs; returns the report."""

    def body():
        begin()
        threading.Event().wait(LONG)

    return loop.run(body)


def arun(loop, begin=lambda: None):
    """The same, awaited."""

    async def body():
        begin()
        await anyio.sleep(LONG)

    return anyio.run(loop.arun, body)


WAYS = pytest.mark.parametrize("way", [run, arun])


class Once:
    """Stands before a function, and fails the first time."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("not this time")
        return self.function(*args)


@WAYS
def test_a_verdict_that_cannot_be_written_is_told_and_carried_out(way):
    """The store's fault hides no verdict; the end of the run writes it."""
    store, told = Flaky(), []

    def listen(event):
        if isinstance(event, VerdictFell):
            told.append(event.durable)
            store.down = False

    def begin():
        store.down = True

    limits = IterationCap(9), Deadline(iteration=0.1)
    report = way(Loop(*limits, key="k", store=store, sinks=[listen]), begin)

    assert told == [False]
    assert (report.status, report.breaker, report.durable) == ("tripped", "Deadline", True)


@WAYS
def test_a_probe_that_raises_while_the_body_runs_is_blind(way):
    """What cannot be seen for a whole window ends the body, under that name."""

    def look():
        raise OSError("no such table")

    report = way(Loop(IterationCap(9), StallDetector(after=0.2, evidence=Probe(look))))

    assert report.breaker == "StallDetector"
    assert report.reason.startswith("blind")
    assert "no such table" in report.reason


@pytest.mark.parametrize(("way", "room"), [(run, _oversee_sync), (arun, _oversee_async)])
def test_a_question_that_nobody_could_be_sent_for_is_asked_again(way, room, monkeypatch):
    """Where no helper can be started, the next glance tries again."""
    aside = Once(room.ports.aside)
    monkeypatch.setattr(room.ports, "aside", aside)
    report = way(Loop(IterationCap(9), StallDetector(after=0.2, evidence=Probe(lambda: b"same"))))

    assert aside.calls > 1
    assert report.reason.startswith("nothing new")


def test_a_glance_that_fails_is_not_the_last(monkeypatch):
    """A fault in the watching is no verdict, and does not end it."""
    glance = Once(_attend.glance)
    monkeypatch.setattr(_attend, "glance", glance)
    report = arun(Loop(IterationCap(9), Deadline(iteration=0.1)))

    assert glance.calls > 1
    assert report.breaker == "Deadline"


def test_nothing_is_looked_at_before_the_first_iteration():
    """A block in which nothing has started yet has no body to be judged."""

    async def main():
        async with Loop(IterationCap(9), Deadline(iteration=0.02)).start() as run:
            await anyio.sleep(0.1)
        return run.report

    assert anyio.run(main).status == "succeeded"
