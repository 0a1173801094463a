# SPDX-License-Identifier: MIT
"""Ctrl-C that comes again while the first one is being written down."""

from __future__ import annotations

import anyio
import pytest

from haltable import IterationCap, Loop, MemoryStore
from haltable._watch import shared


class Impatient(MemoryStore):
    """A store during whose last write somebody presses Ctrl-C."""

    pressed = False

    def write(self, key, value, *, expected):
        if self.pressed:
            raise KeyboardInterrupt
        return super().write(key, value, expected=expected)


def run(loop, body):
    """Runs it to its end, which is an interrupt; returns the run."""
    run = loop.start()
    with pytest.raises(KeyboardInterrupt):
        run.run(body)
    return run


def arun(loop, body):
    """The same, awaited."""
    run = loop.start()

    async def awaited():
        body()

    async def main():
        with pytest.raises(KeyboardInterrupt):
            await run.arun(awaited)

    anyio.run(main)
    return run


@pytest.mark.parametrize("way", [run, arun])
def test_it_ends_the_run_all_the_same(way):
    """The run has a report, nothing of it is left, and its key is there for the next one."""
    store = Impatient()

    def body():
        store.pressed = True
        raise KeyboardInterrupt

    ended = way(Loop(IterationCap(3), key="k", store=store), body)
    store.pressed = False
    again = Loop(IterationCap(3), key="k", store=store).run(lambda: None)

    assert ended.finished
    assert (ended.report.status, ended.report.durable) == ("open", False)
    assert not shared.tokens()
    assert again.starts == 3
