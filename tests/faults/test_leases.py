# SPDX-License-Identifier: MIT
"""Rules 1, 3, 8: who holds a key, for how long, and who may take it over when."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import attrs
import pytest

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    MemoryStore,
    Operator,
    ledger,
)
from haltable._claim_async import watch as awatch
from haltable._claim_sync import watch
from haltable._owner import new_owner
from haltable._watch import shared
from haltable.conditions import never
from haltable.encoding import decode_loop, encode_head, encode_loop
from haltable.records import Owner, new_record
from haltable.testing import FakeClock
from tests.faults.faulty import DOWN, AsyncFaulty
from tests.faults.ways import WAYS

KEY = "job"
RECORD = f"haltable/loop/{KEY}"
LEASE = 60.0
CAP = 5
FAR = Owner("another boot", "pid:[1]", 4242, "17", "their token")
#: Seconds that no test waits for.
LONG = 30.0


@pytest.fixture
def clock():
    """The store's clock."""
    return FakeClock()


@pytest.fixture
def store(clock):
    """A store whose ages the test decides."""
    return MemoryStore(clock=clock.now)


@pytest.fixture
def ops(store):
    """Ana's handle."""
    return Operator(store)


def loop_on(store, **options):
    """The loop that contends for the key."""
    return Loop(
        IterationCap(CAP, max_consecutive_failures=None),
        ExitCondition(success=never),
        key=KEY,
        store=store,
        lease=LEASE,
        **options,
    )


def held_by(store, owner, *, pausing=False):
    """Writes what a run leaves that has charged one start, or pauses after it."""
    record = ledger.charged(new_record(KEY), owner, lease=LEASE, elapsed=0.0)
    record = ledger.held(record, owner, lease=LEASE, pausing=pausing)
    entry = store.read(RECORD)
    value = encode_loop(record, encode_head(record.past, owner, owner.token), 1)
    store.write(RECORD, value, expected=0 if entry is None else entry.version)


@pytest.mark.parametrize("way", WAYS)
def test_another_host_keeps_its_key_until_its_lease_lapses(store, clock, ops, way):
    """Rule 1: an owner on another host is busy for its lease by the store's age, and no longer."""
    held_by(store, FAR)
    before, bodies, carry = store.read(RECORD).value, [], WAYS[way]

    def body():
        bodies.append(1)

    for seconds in (0.0, 30.0, 29.9):
        clock.advance(seconds)
        with pytest.raises(LoopBusy) as busy:
            carry(loop_on(store), body)
    assert busy.value.lease_left == pytest.approx(0.1)
    assert "4242" in busy.value.holder
    assert (bodies, store.read(RECORD).value) == ([], before)
    clock.advance(0.1)
    report = carry(loop_on(store), body)
    assert (report.status, len(bodies)) == ("tripped", CAP - 1)
    assert (ops.show(KEY).starts, ops.show(KEY).crashes) == (CAP, 1)
    assert not shared.tokens()


def test_a_lapse_in_a_pause_is_no_crash(store, clock, ops):
    """Rule 5: whoever died between two iterations failed at none."""
    held_by(store, FAR, pausing=True)
    clock.advance(LEASE)
    report = loop_on(store).run(lambda: None)

    assert (report.starts, report.failures, ops.show(KEY).crashes) == (CAP, 0, 0)


@attrs.frozen
class Act:
    """What an operator may do to a held key."""

    name: str

    def do(self, ops):
        more = {"starts": 2} if self.name == "extend" else {}
        getattr(ops, self.name)(KEY, by="ana", why="because", **more)


@pytest.mark.parametrize("name", ["stop", "reset", "extend"])
def test_an_operator_does_not_refresh_a_lease(store, clock, ops, name):
    """Rule 3: however often an operator writes, the owner's lease ends when it would have."""
    held_by(store, FAR)
    for _ in range(5):
        clock.advance(11.0)
        Act(name).do(ops)
    assert ops.show(KEY).lease_left == pytest.approx(5.0)
    clock.advance(4.9)
    with pytest.raises(LoopBusy):
        loop_on(store).run(lambda: None)
    clock.advance(0.1)

    report = loop_on(store).run(lambda: None)
    assert report.status == ("stopped" if name == "stop" else "tripped")
    # What was charged before a reset belongs to the epoch before it.
    starts = {"stop": 1, "reset": CAP, "extend": CAP + 10}
    assert report.starts == starts[name]


def test_a_stop_of_a_key_held_elsewhere_is_obeyed_by_the_successor(store, clock, ops):
    """Rule 3: where the owner cannot obey, whoever comes next makes the stop terminal."""
    held_by(store, FAR)
    Act("stop").do(ops)
    asked = ops.show(KEY)
    clock.advance(LEASE)
    report = loop_on(store).run(lambda: None)

    assert (asked.status, asked.stop_requested) == ("open", "ana")
    assert (report.status, report.ran, report.starts) == ("stopped", False, 1)
    assert ops.show(KEY).status == "stopped"


def test_the_dead_of_this_host_have_no_lease(store, ops):
    """Rule 1: no such process, or a number that was given to another one: taken over at once."""
    gone = _other(pid=_free_pid())
    again = _other(born="1")
    ended = _other()
    for number, owner in enumerate((gone, again, ended), 1):
        held_by(store, owner)
        report = loop_on(store).step(lambda: None)
        assert (report.ran, report.starts) == (True, 2), number
        assert ops.show(KEY).crashes == 1


def test_who_cannot_be_seen_is_not_dead(store):
    """Rule 1: another boot, another PID namespace, or no number at all: only the lease decides."""
    owners = [
        _other(boot="another boot"),
        _other(space="pid:[17]", pid=_free_pid()),
        Owner("", "", _free_pid(), "", "of nobody known"),
        # Whoever started this process is alive.
        _other(pid=os.getppid(), born=_born(os.getppid())),
    ]
    for owner in owners:
        held_by(store, owner)
        with pytest.raises(LoopBusy):
            loop_on(store).run(lambda: None)


def test_a_run_of_this_process_is_busy_while_it_lives(store):
    """Rule 1: in one process a key is held by its run, and free the moment that has ended."""
    said = []

    def body():
        with pytest.raises(LoopBusy) as busy:
            loop_on(store).run(lambda: None)
        said.append(busy.value.holder)

    report = loop_on(store).step(body)
    after = loop_on(store).step(lambda: None)

    assert said == [f"process {os.getpid()}"]
    assert report.error is None
    assert after.ran


def tick_twice(run, said):
    """Somebody else's loop that does not take no for an answer."""
    for _ in range(2):
        try:
            run.tick()
        except LoopBusy:
            said.append("busy")
        else:
            said.append("started")


def call_twice(run, said):
    """The same with a tool, as an agent framework calls it again after an error."""
    tool = run.wrap(lambda: said.append("started"))
    for _ in range(2):
        try:
            tool()
        except LoopBusy:
            said.append("busy")


@pytest.mark.parametrize("insist", [tick_twice, call_twice])
@pytest.mark.parametrize("in_block", [True, False], ids=["in a block", "bare"])
def test_a_refused_run_does_not_insist(store, ops, insist, in_block):
    """Rule 1: a run that was refused once starts nothing, however often it is asked."""
    said = []

    def insisting():
        run = loop_on(store).start()
        with contextlib.suppress(LoopHalted, LoopBusy):
            if in_block:
                with run:
                    insist(run, said)
            else:
                insist(run, said)

    def body():
        thread = threading.Thread(target=insisting)
        thread.start()
        thread.join(LONG)

    report = loop_on(store).step(body)

    assert said[0] == "busy"
    assert "started" not in said
    assert (report.starts, ops.show(KEY).starts, ops.show(KEY).crashes) == (1, 1, 0)
    assert not shared.tokens()


def test_a_run_whose_lease_lapsed_lets_go(store, clock, ops):
    """Rule 1: an owner that finds its key taken writes nothing more, and starts nothing more."""
    bodies = []

    def late():
        bodies.append("late")
        clock.advance(LEASE)
        assert loop_on(store).step(lambda: bodies.append("other")).ran

    report = loop_on(store).run(late)

    assert bodies == ["late", "other"]
    assert (report.status, report.breaker) == ("open", "run")
    assert "lost the key" in report.reason
    assert (report.ran, report.durable) == (True, False)
    state = ops.show(KEY)
    assert (state.starts, state.crashes, state.running) == (2, 1, None)


def test_a_long_body_keeps_its_lease(store, ops):
    """Rule 8: the watcher renews a lease after a third of it, and the renewal is whole."""
    seen = []

    def body():
        pause, first = threading.Event(), store.read(RECORD)
        for _ in range(int(LONG * 100)):
            entry = store.read(RECORD)
            if entry.version > first.version:
                seen.append(decode_loop(entry.value))
                return
            pause.wait(0.01)

    Loop(IterationCap(1), key=KEY, store=store, lease=1.5).run(body)

    [renewed] = seen
    assert (renewed.starts, renewed.running.lease, renewed.running.pausing) == (1, 1.5, False)
    assert 0.4 < renewed.elapsed < LONG
    assert (ops.show(KEY).starts, ops.show(KEY).crashes) == (1, 0)


@pytest.mark.parametrize(("silence", "renews"), [(99.0, True), (101.0, False)])
def test_a_run_without_a_sign_of_life_is_not_renewed(store, silence, renews):
    """Rule 8: `max_hold` seconds after the last verb the renewal stops, until the next verb."""
    now = FakeClock()
    run = loop_on(store, max_hold=100.0, clock=now).start()
    versions = []

    def body(iteration):
        for signs in (False, True):
            if signs:
                iteration.check()
            now.advance(silence if not signs else 30.0)
            before = store.read(RECORD).version
            watch(run)
            versions.append(store.read(RECORD).version > before)
        iteration.give_up("that is all")

    report = run.run(body)

    assert report.error is None
    assert versions == [renews, True]


@pytest.mark.parametrize(("silence", "renews"), [(99.0, True), (101.0, False)])
async def test_an_async_run_without_a_sign_of_life_is_not_renewed(store, silence, renews):
    """Rule 8: the same by the task that attends an async run."""
    now = FakeClock()
    run = loop_on(store, max_hold=100.0, clock=now).start()
    versions = []

    async def body(iteration):
        for seconds in (silence, 30.0):
            now.advance(seconds)
            before = store.read(RECORD).version
            await awatch(run)
            versions.append(store.read(RECORD).version > before)
            iteration.check()
        iteration.give_up("that is all")

    report = await run.arun(body)

    assert report.error is None
    assert versions == [renews, True]


@pytest.mark.parametrize("fault", DOWN, ids=str)
async def test_a_look_that_fails_is_no_verdict(fault, caplog):
    """P7, rule 5: a store that fails a look is logged; the body and its claim are left alone."""
    faulty = AsyncFaulty(None, 0)
    run = loop_on(faulty, clock=faulty.clock).start()
    logged = []

    async def body(iteration):
        faulty.clock.advance(LEASE / 2)
        faulty.fault, faulty.at = fault, faulty.calls + 1
        await awatch(run)
        faulty.mend()
        logged.append(len(caplog.records))
        await awatch(run)

    report = await run.arun(body)

    assert (report.status, report.starts, report.failures) == ("tripped", CAP, 0)
    assert report.durable
    assert logged == list(range(1, CAP + 1))
    assert "job: could not look at its record" in caplog.text


def _other(**changes):
    """An owner like this process, but for the changes, with a token of nobody alive."""
    return attrs.evolve(new_owner(), **{"token": "of nobody alive", **changes})


def _free_pid():
    return int(Path("/proc/sys/kernel/pid_max").read_text()) - 1


def _born(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
