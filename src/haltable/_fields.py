# SPDX-License-Identifier: MIT
"""The fields of a run, and the frozen settings that all runs of a loop share.

Values and their first values only; what is done with them is in the rooms
that build on this one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs

from haltable._book import Book
from haltable._oversight import Oversight
from haltable._standby import Standby
from haltable.clock import Clock
from haltable.iteration import Given, Iteration
from haltable.kernel import Kernel, Step
from haltable.ledger import Standing
from haltable.model import Outcome
from haltable.plan import Plan
from haltable.recollection import Recollection
from haltable.records import LoopRecord
from haltable.sink import Sink
from haltable.store import AsyncStore, Store

__all__ = ["RunFields", "Settings"]


class Effects(Protocol):
    """What iterations reach of their loop's guard."""

    @property
    def key(self) -> Callable[[Iteration], str] | None:
        """Names the effect that a whole iteration is; None if none is."""
        ...

    @property
    def namespace(self) -> str:
        """Keeps the keys of one application from another's."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """What the guard's store keeps its records in, as far as that is files."""
        ...

    def once(self, run: Any, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an effect."""
        ...

    async def aonce(self, run: Any, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an async effect."""
        ...


@attrs.frozen(eq=False)
class Settings:
    """A loop's configuration, shared by all of its runs."""

    plan: Plan
    name: str
    store: Store | None
    async_store: AsyncStore | None
    sinks: tuple[Sink, ...]
    clock: Clock
    own_clock: bool
    lease: float
    max_hold: float | None
    grace: float
    #: None without a guard.
    effects: Effects | None = None


class RunFields:
    """What changes in one execution of a loop, and what it starts as.

    Most runs touch few of these, so the defaults are the class's: a call of a
    decorated function pays for what it uses.
    """

    settings: Settings
    kernel: Kernel
    clock: Clock
    now: Callable[[], float]
    key: str | None = None
    listening: bool = False
    #: The run whose body this one was begun in.
    outer: RunFields | None = None

    # How far it is.
    begun: bool = False
    ran: bool = False
    finished: bool = False
    step: Step | None = None
    ended_at: float | None = None

    # How it is driven.
    entered: bool = False
    in_block: bool = False
    #: Whether the body is called by a driver of ours, which can take what is raised in it.
    driven: bool = False
    #: Whether it is a generator's, each of whose resumptions is one.
    generating: bool = False
    looping: bool = False
    single_step: bool = False
    #: Whether the key is known to have a record.
    known: bool = False
    previous: Any = None
    turnstile: Any = None
    attendant: Any = None
    #: Whether a task looks at the record, so that the watcher thread need not.
    attended: bool = False
    breath_at: float = 0.0
    #: How often its task was asked to end, and how often before the run; asyncio's only.
    cancellations: Callable[[], int] | None = None
    cancelled_before: int = 0

    # How it is reached from outside.
    waker: Callable[[], None] | None = None
    #: Interrupts the running body; None where the mode cannot.
    interrupter: Callable[[], None] | None = None
    interrupted_by_us: bool = False
    #: Starts a task beside the run; None where no task attends it.
    spawn: Callable[[Callable[[], Awaitable[None]]], None] | None = None
    #: A signal that is held for the runs of this thread; None if none is.
    standby: Standby | None = None
    #: What those know who watch its bodies; None if nobody does.
    oversight: Oversight | None = None
    #: The moment at which an interrupted run stops waiting for its store.
    shelter_end: float = math.inf

    # Its record, if it has a key.
    #: Where the record lies.
    store_key: str
    book: Book | None = None
    lock: threading.Lock | None = None
    async_lock: AbstractAsyncContextManager[object] | None = None
    memory: Recollection
    apart: Recollection
    apart_version: int = 0
    apart_stored_text: str = "{}"
    verb_at: float = 0.0
    #: The moment at which its newest pause ends.
    rested_at: float = 0.0
    #: How an iteration ended that the record does not know of yet.
    unsettled: Outcome | None = None
    #: Standings of the claim over which the run's last write goes all the same.
    overruled: frozenset[Standing] = frozenset()

    # What its report says beyond the kernel.
    fault: BaseException | None = None
    pending: Any = None
    durable: bool = False
    #: Effects of which this run does not know whether they have happened.
    unknown_effects: tuple[str, ...] = ()
    retry_after: float | None = None
    stored_result: LoopRecord | None = None
    #: Whether the key had ended before, so that nothing was run.
    refused: bool = False
