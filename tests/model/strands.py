# SPDX-License-Identifier: MIT
"""A worker as a machine that stops before each thing it does to the world.

The real drivers are coroutines whose ports hand a request out and wait for the
answer, so a worker is a function of the answers it was given.  Its strands are
the driver and whoever looks after its lease meanwhile; they share one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, ClassVar

import attrs

from haltable.errors import StoreError
from haltable.records import Owner

#: Seconds of one tick; leases are some of them.
TICK = 30.0
#: What a fault that the store answers with says of the outcome.
FAULTS = {"lost": "unknown", "refused": "refused"}


class Request:
    """What a strand waits for: awaited, it hands itself out."""

    def __init__(self, kind: str, *what: Any) -> None:
        self.kind = kind
        self.what = what

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self)


class Lock:
    """The lock that the strands of a worker share."""

    def __init__(self) -> None:
        self.held = False

    async def __aenter__(self) -> None:
        while self.held:
            await Request("lock", self)
        self.held = True

    async def __aexit__(self, *error: object) -> None:
        self.held = False


class Clock:
    """The worker's own clock, which others' never agree with."""

    virtual = False

    def __init__(self) -> None:
        # Anything but zero, which means never.
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


@attrs.frozen
class End:
    """How a strand ended: with a value, or with an exception."""

    value: Any = None
    error: BaseException | None = None


class Worker:
    """One worker, and where each of its strands stands.

    Args:
        token: its owner's.
        begin: makes its driver.
        look: makes whoever looks after its lease, once.
        watched: whether anybody ever does, so that its own time counts.
    """

    #: Whichever is at it just now.
    running: ClassVar[Worker]

    def __init__(
        self,
        token: str,
        *,
        begin: Callable[[Worker], Coroutine[Request, Any, Any]],
        look: Callable[[Worker], Coroutine[Request, Any, Any]],
        watched: bool,
    ) -> None:
        self.token = token
        self.watched = watched
        self.clock = Clock()
        self.lock = Lock()
        #: The tokens that were known to be dead at the newest answer.
        self.dead: frozenset[str] = frozenset()
        #: What is its own: a run, or a call.
        self.own: Any = None
        self.strands: dict[str, Coroutine[Request, Any, Any]] = {}
        self.requests: dict[str, Request] = {}
        self.ends: dict[str, End] = {}
        self._look = look
        self.strands["main"] = begin(self)
        self._resume("main", None)

    def happen(self, event: tuple[str, Any]) -> None:
        """Lets something happen to it: an answer to a strand, a tick, a look."""
        what, given = event
        if what == "tick":
            self.clock.seconds += TICK
        elif what == "look":
            self.strands["side"] = self._look(self)
            self._resume("side", None)
        elif what == "do":
            given(self)
        else:
            self._resume(what, given)
        self._pass_the_lock_on()

    def _resume(self, strand: str, answer: Any) -> None:
        coroutine, Worker.running = self.strands[strand], self
        self.requests.pop(strand, None)
        try:
            if isinstance(answer, BaseException):
                request = coroutine.throw(answer)
            else:
                request = coroutine.send(answer)
        except StopIteration as end:
            self.ends[strand] = End(end.value)
            del self.strands[strand]
        except BaseException as error:
            self.ends[strand] = End(error=error)
            del self.strands[strand]
        else:
            self.requests[strand] = request

    def _pass_the_lock_on(self) -> None:
        for strand, request in list(self.requests.items()):
            if request.kind == "lock" and not request.what[0].held:
                self._resume(strand, None)

    def close(self) -> None:
        """Lets go of what is still suspended; nothing of it runs any more."""
        for coroutine in self.strands.values():
            _abandon(coroutine)


def owner_of(worker: Worker, *, elsewhere: bool) -> Owner:
    """Returns the owner of a worker; of one elsewhere nobody knows whether it is dead."""
    return Owner("" if elsewhere else "boot", "space", 1, "born", worker.token)


def _abandon(coroutine: Coroutine[Request, Any, Any]) -> None:
    """Unwinds a driver, whatever it would still like to do."""
    for _ in range(100):
        try:
            coroutine.throw(StoreError("the world has ended", outcome="refused"))
        except BaseException:
            return
    raise AssertionError("a driver goes on for ever")
