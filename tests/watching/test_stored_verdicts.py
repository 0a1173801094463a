# SPDX-License-Identifier: MIT
"""A verdict on a running body is in the store at once, and the key is held until the body ends."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from haltable import (
    ConfigurationError,
    Deadline,
    IterationCap,
    Loop,
    LoopBusy,
    LoopInterrupt,
    MemoryStore,
    Operator,
    SQLiteStore,
)
from tests.faults.children import ended, start
from tests.watching.bodies import INTERRUPTIBLE, Witness, holding, until
from tests.watching.workers import FINE, KEY, hang_until

ANA = {"by": "ana", "why": "a test"}


class Hung:
    """Another process, whose body hangs although a verdict has fallen."""

    def __init__(self, folder):
        self.path, self.free = folder / "loops.db", folder / "free"
        self.store = SQLiteStore(self.path)
        self.ops = Operator(self.store)
        self.process = start(hang_until, self.path, self.free)
        until(lambda: self.state is not None and self.state.status.terminal)

    @property
    def state(self):
        try:
            return self.ops.show(KEY)
        except KeyError:
            return None

    def run(self):
        """Runs another loop of the key."""
        return Loop(IterationCap(9), key=KEY, store=self.store).run(
            lambda iteration: iteration.done(1)
        )


@pytest.fixture
def hung(tmp_path):
    """A process that hangs."""
    hung = Hung(tmp_path)
    yield hung
    hung.free.touch()
    hung.store.close()


@pytest.fixture
def hold():
    """What keeps a body hanging."""
    with holding() as hold:
        yield hold


def test_another_process_sees_it_while_the_body_runs(hung):
    """The verdict stands in the record, and so does who holds the key."""
    state = hung.state
    report = hung.run()
    hung.free.touch()

    assert (state.status, state.breaker, state.starts) == ("tripped", "Deadline", 1)
    assert state.running is not None
    assert (report.status, report.ran) == ("tripped", False)
    assert ended(hung.process) == FINE
    assert hung.state.running is None
    assert (hung.state.status, hung.state.starts, hung.state.failures) == ("tripped", 1, 0)


def test_a_reset_key_stays_held_until_the_body_lets_go(hung):
    """Nobody starts beside a body that still runs; then the new epoch begins."""
    hung.ops.reset(KEY, **ANA)
    reset = hung.state
    with pytest.raises(LoopBusy):
        hung.run()
    hung.free.touch()

    assert ended(hung.process) == FINE
    assert (reset.status, reset.epoch) == ("open", 2)
    assert reset.running is not None
    assert (hung.state.status, hung.state.starts, hung.state.running) == ("open", 0, None)
    assert (hung.run().status, hung.state.starts) == ("succeeded", 1)


def test_an_extended_key_stays_held_until_the_body_lets_go(hung):
    """The key is given back open, and what the body did is no crash."""
    hung.ops.extend(KEY, starts=5, **ANA)
    with pytest.raises(LoopBusy):
        hung.run()
    hung.free.touch()

    assert ended(hung.process) == FINE
    state = hung.state
    assert (state.status, state.starts, state.running) == ("open", 1, None)
    assert (state.failures, state.crashes) == (0, 0)
    assert hung.run().status == "succeeded"


def test_a_condemned_key_cannot_be_stopped(hung):
    """It has ended already, and that is said."""
    with pytest.raises(ConfigurationError, match="ended already"):
        hung.ops.stop(KEY, **ANA)
    hung.free.touch()

    assert ended(hung.process) == FINE
    assert hung.state.status == "tripped"


def test_a_verdict_survives_the_death_of_its_run(hung):
    """After ``kill -9`` in the condemned body the key has ended, and a reset frees it at once."""
    os.kill(hung.process.pid, signal.SIGKILL)

    assert ended(hung.process) == -signal.SIGKILL
    report = hung.run()
    assert (report.status, report.breaker, report.ran) == ("tripped", "Deadline", False)
    hung.ops.reset(KEY, **ANA)
    assert (hung.run().status, hung.state.starts, hung.state.crashes) == ("succeeded", 1, 0)


@pytest.mark.parametrize("raises", [True, False])
def test_an_extension_while_the_body_lets_go(raises):
    """Extended between the verdict and the end: open, given back, no failure."""
    store = MemoryStore()
    ops, told = Operator(store), []

    def work(iteration):
        if iteration.number == 1 and iteration.starts == 1:
            try:
                INTERRUPTIBLE["sleep"](None)
            except LoopInterrupt:
                told.append(ops.show(KEY).status)
                ops.extend(KEY, starts=3, **ANA)
                if raises:
                    raise
            return
        iteration.done(2)

    loop = Loop(IterationCap(9), Deadline(iteration=0.1), key=KEY, store=store)
    first = loop.run(work)
    state = ops.show(KEY)

    assert told == ["tripped"]
    assert (first.status, first.breaker, first.durable) == ("open", "operator", True)
    assert (state.status, state.running, state.failures, state.crashes) == ("open", None, 0, 0)
    assert (loop.run(work).status, ops.show(KEY).starts) == ("succeeded", 2)


def test_an_extension_before_the_verdict_does_not_lift_it():
    """What an operator did earlier says nothing of a verdict that falls later."""
    store = MemoryStore()
    ops = Operator(store)

    def work():
        ops.extend(KEY, starts=3, **ANA)
        INTERRUPTIBLE["sleep"](None)

    report = Loop(IterationCap(9), Deadline(iteration=0.1), key=KEY, store=store).run(work)

    assert (report.status, report.breaker) == ("tripped", "Deadline")
    assert (ops.show(KEY).status, ops.show(KEY).running) == ("tripped", None)


@pytest.mark.parametrize("keyed_deadline", [True, False])
def test_a_run_that_was_stopped_writes_no_verdict(keyed_deadline):
    """Whoever stops a run leaves its key open, however long the body goes on after its check."""
    store = MemoryStore()
    limits = [Deadline(total=60, name="other")] if keyed_deadline else []
    watched = Deadline(iteration=1)  # Looked at every tenth of a second.
    loop = Loop(IterationCap(9), watched, *limits, key=KEY, store=store)
    run = loop.start()

    def work(iteration):
        run.stop("enough")
        with pytest.raises(LoopInterrupt):
            iteration.check()
        threading.Event().wait(0.3)

    report = run.run(work)

    assert (report.status, report.reason) == ("open", "enough")
    assert Operator(store).show(KEY).breaker is None
    assert loop.run(lambda iteration: iteration.done(1)).status == "succeeded"


@pytest.mark.parametrize("kind", ["sleep", "loop"])
def test_an_operator_interrupts_the_main_thread(kind, hold):
    """A stop is seen within about a second, whatever the body hangs in."""
    store, begun, asked = MemoryStore(), threading.Event(), []

    def stop():
        begun.wait()
        asked.append(time.monotonic())
        Operator(store).stop(KEY, **ANA)

    def work():
        begun.set()
        INTERRUPTIBLE[kind](hold)

    thread = threading.Thread(target=stop)
    thread.start()
    report = Loop(IterationCap(9), key=KEY, store=store).run(work)
    lasted = time.monotonic() - asked[0]
    thread.join()

    assert (report.status, report.breaker) == ("stopped", "operator")
    assert lasted <= 1.5
    assert Operator(store).show(KEY).status == "stopped"


def test_a_store_that_hangs_does_not_keep_a_body(hold):
    """The body is interrupted before its verdict is written, if that takes too long."""

    class Slow(MemoryStore):
        """Hangs while a body runs that was judged."""

        hangs = False

        def write(self, key, value, *, expected):
            if self.hangs and threading.current_thread() is not threading.main_thread():
                let_go.wait(5)
            return super().write(key, value, expected=expected)

    let_go, store, ends = threading.Event(), Slow(), []
    witness = Witness()

    def work():
        store.hangs = True
        try:
            INTERRUPTIBLE["sleep"](hold)
        finally:
            ends.append(time.monotonic())
            let_go.set()

    start_at = time.monotonic()
    loop = Loop(IterationCap(9), Deadline(iteration=0.1), key=KEY, store=store, sinks=[witness])
    report = loop.run(work)

    assert ends[0] - start_at <= 0.6
    assert (report.status, report.durable) == ("tripped", True)
