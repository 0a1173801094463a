# SPDX-License-Identifier: MIT
"""A world of several runs over one key: a store that fails on demand, and an auditor.

Everything happens on one thread and one clock, so that a life can be lived
again.  The runs are real ones, driven verb by verb; what they write is judged
against the promises, record by record, as it is committed.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import json
from collections.abc import Iterator

import attrs

from haltable import (
    Breaker,
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    Operator,
    StoreError,
    _owner,
    _watch,
    remembered,
)
from haltable._book import Book
from haltable._claim_sync import watch
from haltable.conditions import never
from haltable.encoding import decode_loop
from haltable.model import Ruling
from haltable.records import Owner
from haltable.stores import Conflict, Durability, Entry
from haltable.testing import FakeClock

KEY = "k"
LEASE = 60.0
PAUSE = 5.0
CAP = 5
ROW = 3


class BrokenPromise(AssertionError):
    """What happened must never happen; the text names the promise."""


@attrs.define
class Tally(Breaker):
    """Remembers how many iterations it was shown."""

    count: int = remembered(default=0)

    def after(self, iteration):
        self.count += 1


class Alive:
    """The runs that this process knows to be alive, in place of the watcher's thread."""

    def __init__(self):
        self._tokens = set()

    def add(self, token, look):
        self._tokens.add(token)

    def remove(self, token, *, lingering=False):
        del lingering  # There is no thread that could stay.
        self._tokens.discard(token)

    def tokens(self):
        return frozenset(self._tokens)


@attrs.define(eq=False)
class Actor:
    """One run of the key, in a context of its own, as a ``for`` loop that is stepped.

    Attributes:
        run: the run.
        iterator: its ``for``.
        context: what its body sees.
        remote: whether nobody on this host can know that it is dead.
        iteration: the open one, None while its body has no control.
        lease_ends: until when its claim holds, as far as it wrote itself.
    """

    run: object
    iterator: Iterator[object]
    context: contextvars.Context
    remote: bool
    iteration: object = None
    lease_ends: float = 0.0
    in_call: bool = False
    charges: int = 0
    bodies: int = 0
    epochs: set[int] = attrs.field(factory=set)

    @property
    def token(self):
        """The token that its writes are signed with; empty before it began."""
        return "" if self.run.book is None else self.run.book.owner.token


class Clock(FakeClock):
    """The one clock; while a run waits on it, something may happen too."""

    __slots__ = ("_happens",)

    def __init__(self, happens):
        super().__init__()
        self._happens = happens

    def wait(self, seconds, woken):
        self._happens()
        super().wait(seconds, woken)


class World:
    """The key's record, everybody who works on it, and what was seen of it."""

    durability = Durability.PROCESS
    blocks = False

    def __init__(self, *, pausing=False):
        self.clock = Clock(self._pause)
        self.entries: dict[str, tuple[bytes, int, float]] = {}
        self.previous: Entry | None = None
        self.version = 0
        #: What happens at the next calls of the store, one for each.
        self.schedule: list[str] = []
        self.closed = False
        self.broken: BrokenPromise | None = None
        self.read_at = 0.0
        self.actors: list[Actor] = []
        self.gone: list[Actor] = []
        self.acting: Actor | None = None
        self.known_tokens = 0
        self.remote = False
        self.committed: set[tuple[str, int]] = set()
        self.rulings: set[Ruling] = set()
        self.faults = 0
        # By epoch: bodies that got control, and how they ended as far as they did.
        self.starts: collections.Counter[int] = collections.Counter()
        self.bodies: collections.Counter[int] = collections.Counter()
        self.failures: collections.Counter[int] = collections.Counter()
        self.ends: collections.Counter[int] = collections.Counter()
        self.loop = Loop(
            IterationCap(CAP, max_consecutive_failures=ROW),
            Tally(),
            ExitCondition(success=never),
            key=KEY,
            store=self,
            clock=self.clock,
            lease=LEASE,
            delay=PAUSE if pausing else 0,
            transient=TimeoutError,
        )
        self.operator = Operator(self)
        self._saved = _watch.shared, _owner.new_owner, Book.compare
        self.alive = _watch.shared = Alive()
        _owner.new_owner = self.new_owner
        Book.compare = lambda book, entry, draft=None: self.compare(book, entry, draft)

    def close(self):
        """Ends everything that is left, without another write."""
        self.closed = True
        for actor in [*self.actors, *self.gone]:
            actor.context.run(actor.iterator.close)
        _watch.shared, _owner.new_owner, Book.compare = self._saved

    def promise(self, name, *, kept):
        """Raises unless the promise is kept."""
        if not kept:
            # Noted too: a driver takes what a store raises for a fault of the store.
            self.broken = self.broken or BrokenPromise(name)
            raise self.broken

    def compare(self, book, entry, draft):
        """Lets a run compare what it wrote with what is there, and judges the answer."""
        done = self._saved[2](book, entry, draft)
        if draft is not None:
            sent = (book.owner.token, draft.serial) in self.committed
            self.promise("rule 4: what was written is known", kept=done <= sent)
        return done

    def new_owner(self):
        """Returns the next owner; of one elsewhere nobody here knows whether it is dead."""
        self.known_tokens += 1
        owner = self._saved[1]()
        token = f"{self.known_tokens:032x}"
        return Owner("" if self.remote else owner.boot, owner.space, owner.pid, owner.born, token)

    # The store ---------------------------------------------------------------------

    def read(self, key):
        """Reads; or whatever the schedule says."""
        self._happen()
        self.read_at = self.clock.now()
        return self._entry(key)

    def write(self, key, value, *, expected):
        """Compares and sets; or whatever the schedule says."""
        what = self._happen()
        if what == "request lost":
            raise OSError("the connection was cut")
        found = self._entry(key)
        if expected != (0 if found is None else found.version):
            stale = what == "stale refusal" and key.startswith("haltable/loop/")
            return Conflict(self.previous if stale else found)
        self.version += 1
        if key.startswith("haltable/loop/"):
            self.previous = found
            self._audit(found, decode_loop(value))
        self.entries[key] = value, self.version, self.clock.now()
        if what == "reply lost":
            raise OSError("the connection was cut")
        return Entry(value, self.version, 0.0)

    def scan(self, prefix):
        """Yields nothing that these tests need."""
        raise NotImplementedError

    def delete(self, key, *, expected):
        """Deletes nothing in these tests."""
        raise NotImplementedError

    def _entry(self, key):
        found = self.entries.get(key)
        if found is None:
            return None
        value, version, written = found
        return Entry(value, version, self.clock.now() - written)

    def _happen(self):
        if self.closed:
            raise StoreError("the test is over", outcome="refused")
        what = self.schedule.pop(0) if self.schedule else "nothing"
        if what in {"request lost", "reply lost"}:
            self.faults += 1
        elif what == "refused":
            self.faults += 1
            raise StoreError("the disk is full", outcome="refused")
        elif what in MEANWHILE:
            with self._aside():
                MEANWHILE[what](self)
        return what

    def _pause(self):
        claim = None if self.record is None else self.record.running
        if claim is not None and claim.owner.token == self.acting.token:
            self.promise("rule 5: a pause is told from a body", kept=claim.pausing)
        what = self.schedule.pop(0) if self.schedule else "nothing"
        if what in MEANWHILE:
            with self._aside():
                MEANWHILE[what](self)

    @contextlib.contextmanager
    def _aside(self):
        acting, schedule, read_at = self.acting, self.schedule, self.read_at
        self.acting, self.schedule = None, []
        yield
        self.acting, self.schedule, self.read_at = acting, schedule, read_at

    @property
    def record(self):
        """The key's record as it is, None before the first."""
        found = self._entry(f"haltable/loop/{KEY}")
        return None if found is None else decode_loop(found.value)

    # The auditor ---------------------------------------------------------------------

    def _audit(self, entry, new):
        old = None if entry is None else decode_loop(entry.value)
        by_operator = self.acting is None
        if not by_operator:
            self.committed.add((new.writer, new.serial))
            self.acting.lease_ends = self.clock.now() + LEASE
            self.acting.charges += old is None or new.starts > old.starts
        if old is not None:
            self._audit_counts(old, new, by_operator=by_operator)
            self._audit_claim(entry, old, new, by_operator=by_operator)
        if new.past.ruling is not None:
            self.rulings.add(new.past.ruling)
        allowed = CAP + new.extension
        self.promise("P1: no more starts than the cap", kept=new.starts <= allowed)
        self.starts[new.epoch] = max(self.starts[new.epoch], new.starts)
        known = self.failures[new.epoch]
        self.promise("only failures count", kept=new.failures - new.crashes <= known)
        memory = json.loads(new.past.memory).get("Tally", {"count": 0})
        self.promise("memory is of this epoch", kept=memory["count"] <= self.ends[new.epoch])

    def _audit_counts(self, old, new, *, by_operator):
        grown = len(new.past.history) - len(old.past.history)
        self.promise(
            "history only grows", kept=new.past.history[: len(old.past.history)] == old.past.history
        )
        self.promise("only an operator makes history", kept=grown == by_operator)
        self.promise(
            "epochs follow one another", kept=new.epoch - old.epoch in (0, int(by_operator))
        )
        if new.epoch > old.epoch:
            self.promise("an epoch begins at zero", kept=(new.starts, new.failures) == (0, 0))
            return
        self.promise(
            "starts come one by one", kept=new.starts - old.starts in (0, int(not by_operator))
        )
        self.promise("failures are not forgotten", kept=new.failures >= old.failures)
        claim, mine = old.running, not by_operator and _claimed(old) == self.acting.token
        inside = claim is not None and not claim.pausing and claim.start == old.starts
        crashed = inside and not mine and not by_operator
        self.promise("a body that was left has crashed", kept=new.crashes - old.crashes == crashed)
        self.promise("time does not go back", kept=new.elapsed >= old.elapsed)
        self.promise("only an operator extends", kept=by_operator or new.extension == old.extension)
        if old.past.ruling is not None and not by_operator:
            self.promise("P3: terminal absorbs", kept=False)

    def _audit_claim(self, entry, old, new, *, by_operator):
        claim = old.running
        live = claim is not None and entry.age < claim.lease and not self._known_dead(claim.owner)
        if by_operator:
            if new.past.ruling is None:
                self.promise("an operator keeps the claim", kept=_claimed(new) == _claimed(old))
            else:
                self.promise("an operator ends no live claim", kept=not live)
            if claim is not None and new.running is not None:
                # As old as it was when the operator read it; it may have taken its time.
                age = entry.age - (self.clock.now() - self.read_at)
                left = max(0.0, claim.lease - age)
                self.promise("only its owner refreshes a lease", kept=new.running.lease <= left)
            return
        mine = claim is not None and claim.owner.token == self.acting.token
        self.promise("rule 1: nobody else writes a held key", kept=mine or not live)
        if new.starts > old.starts:
            self.promise("a start is claimed by its owner", kept=_claimed(new) == self.acting.token)
            self.promise("rule 3: nothing starts after a stop", kept=old.past.stop is None)

    def _known_dead(self, owner):
        return bool(owner.boot) and owner.token not in self.alive.tokens()

    @contextlib.contextmanager
    def _as(self, actor):
        acting, self.acting = self.acting, actor
        actor.in_call = True
        try:
            yield
        finally:
            self.acting = acting
            actor.in_call = False
            if self.broken is not None:
                raise self.broken

    # What actors do ---------------------------------------------------------------------

    def begin(self, *, remote=False):
        """Makes an actor that has not begun yet."""
        run = self.loop.start()
        context = contextvars.copy_context()
        actor = Actor(run, context.run(iter, run), context, remote)
        self.actors.append(actor)
        return actor

    def proceed(self, actor, outcome=None):
        """Ends the actor's iteration, if one is open, and lets it begin the next."""
        self.remote = actor.remote
        with self._as(actor):
            try:
                actor.iteration = actor.context.run(self._next, actor, outcome)
            except (LoopBusy, LoopHalted, StopIteration):
                self._end(actor)
            else:
                self._audit_body(actor)

    def _next(self, actor, outcome):
        if actor.iteration is not None:
            self._end_block(actor, outcome)
        iteration = next(actor.iterator)
        iteration.__enter__()
        return iteration

    def _end_block(self, actor, outcome=None):
        epoch = actor.run.book.charged_epoch
        self.ends[epoch] += 1
        self.failures[epoch] += isinstance(outcome, ValueError)
        iteration, actor.iteration = actor.iteration, None
        kept = iteration.__exit__(outcome and type(outcome), outcome, None)
        assert kept or outcome is None, "an exception is an outcome"

    def _audit_body(self, actor):
        now, book = self.clock.now(), actor.run.book
        epoch = book.charged_epoch
        actor.epochs.add(epoch)
        self.promise("a run stays in its epoch", kept=len(actor.epochs) == 1)
        self.bodies[epoch] += 1
        self.promise("P2: charged before it runs", kept=self.bodies[epoch] <= self.starts[epoch])
        actor.bodies += 1
        self.promise("P1: a charge a body, a body a charge", kept=actor.charges == actor.bodies)
        self.promise(
            "P2: its own write charged it", kept=(actor.token, book.serial) in self.committed
        )
        others = [a for a in self.actors if a is not actor and a.iteration is not None]
        self.promise(
            "rule 1: no two bodies of a key", kept=all(a.lease_ends <= now for a in others)
        )

    def _end(self, actor):
        actor.iteration = None
        self.actors.remove(actor)
        self.alive.remove(actor.token)
        report = actor.run.report
        ruling = Ruling(report.status, report.breaker, report.reason)
        if report.status.terminal and report.durable:
            self.promise("a durable verdict was stored", kept=ruling in self.rulings)

    def leave(self, actor):
        """Leaves the actor's ``for`` by a ``break`` in its block."""
        with self._as(actor):
            actor.context.run(self._end_block, actor)
            actor.context.run(actor.iterator.close)
            self._end(actor)

    def crash(self, actor):
        """Kills the actor where it stands; nothing of it runs any more."""
        self.actors.remove(actor)
        self.gone.append(actor)
        self.alive.remove(actor.token)

    def look(self, actor):
        """Lets the watcher look at the actor's record."""
        with self._as(actor):
            watch(actor.run)

    # What operators do ---------------------------------------------------------------------

    def operate(self, act):
        """Does an operator's act; one that the key is not in a state for is refused."""
        acts = {
            "stop": lambda: self.operator.stop(KEY, by="ana", why="runaway"),
            "reset": lambda: self.operator.reset(KEY, by="ana", why="mended"),
            "extend": lambda: self.operator.extend(KEY, starts=2, by="ana", why="nearly"),
        }
        acting, self.acting = self.acting, None
        try:
            with contextlib.suppress(KeyError, ConfigurationError, StoreError, OSError):
                acts[act]()
        finally:
            self.acting = acting

    def rival(self):
        """Lets somebody else try to start."""
        if len(self.actors) < 4:
            self.proceed(self.begin())

    def crash_somebody(self):
        """Kills somebody who is not in the middle of a call."""
        for actor in self.actors:
            if actor.iteration is not None and not actor.in_call:
                self.crash(actor)
                return

    def recover(self):
        """Kills everybody, ends the faults, and lets one more begin."""
        if self.record is None or self.broken is not None:
            return
        self.schedule = []
        for actor in [*self.actors]:
            self.crash(actor)
        self.clock.advance(LEASE)
        self.operate("reset")
        actor = self.begin()
        self.proceed(actor)
        self.promise("P5: a key is usable once faults end", kept=actor.iteration is not None)


def _claimed(record):
    return None if record.running is None else record.running.owner.token


#: What somebody else may do while a call of the store is on its way.
MEANWHILE = {
    "meanwhile a stop": lambda world: world.operate("stop"),
    "meanwhile a reset": lambda world: world.operate("reset"),
    "meanwhile an extension": lambda world: world.operate("extend"),
    "meanwhile the lease lapses": lambda world: world.clock.advance(LEASE + 1),
    "meanwhile a rival": World.rival,
    "meanwhile a crash": World.crash_somebody,
}
#: What may befall a call of the store.
BEFALLS = ["nothing", "request lost", "reply lost", "refused", "stale refusal", *MEANWHILE]
