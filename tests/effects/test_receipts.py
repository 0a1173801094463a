# SPDX-License-Identifier: MIT
"""The receipt of a loop names the effects that it left in doubt, and the call that ends each."""

from __future__ import annotations

import ast
import pickle
import re

import pytest

from haltable import (
    IdempotencyGuard,
    IterationCap,
    Loop,
    LoopTripped,
    MemoryStore,
    Operator,
    OutcomeUnknown,
)
from haltable.prose import resolving_call

KEY = "charge:7"


@pytest.fixture
def store():
    """Where loops and effects are recorded."""
    return MemoryStore()


def loop_on(store, **options):
    """Returns a loop of two starts whose guard has these options."""
    return Loop(IterationCap(2), IdempotencyGuard(**options), key="report-42", store=store)


def fail():
    """An effect of which nobody knows whether it has happened."""
    raise TimeoutError("the line broke")


async def afail():
    """The same, awaited."""
    fail()


def charge(iteration):
    """A body that charges."""
    return iteration.once(KEY, fail)


def test_an_unknown_effect_is_in_the_receipt(store):
    """Told once, however often it was called, and it is still told when the error has travelled."""
    report = loop_on(store).run(charge)
    with pytest.raises(LoopTripped) as tripped:
        report.unwrap()

    assert (report.unknown_effects, report.failures) == ((KEY,), 2)
    assert "  unknown effects charge:7" in str(report).splitlines()
    assert str(pickle.loads(pickle.dumps(tripped.value))) == str(report)


async def test_an_async_one_too(store):
    """The async twin tells the same."""

    async def acharge(iteration):
        await iteration.aonce(KEY, afail)

    report = await loop_on(store).arun(acharge)

    assert report.unknown_effects == (KEY,)


@pytest.mark.parametrize("namespace", ["", "the shop"])
def test_the_call_in_the_receipt_works(store, namespace):
    """What is copied from the receipt, an answer chosen and the words filled in, resolves it."""
    receipt = str(loop_on(store, namespace=namespace).run(charge))
    (call,) = re.findall(r"ops\.resolve\(.*\)", receipt.partition("next:")[2])
    copied = ast.parse(call.replace("'done' | 'failed' | 'free'", "'done'")).body[0].value
    key, outcome = map(ast.literal_eval, copied.args)
    named = {each.arg: ast.literal_eval(each.value) for each in copied.keywords}
    view = Operator(store).resolve(key, outcome, **{**named, "by": "ana", "why": "it is there"})

    assert (view.state, view.namespace, view.history[-1].by) == ("done", namespace, "ana")


def test_what_was_resolved_meanwhile_is_not_told(store):
    """A receipt names what is in doubt when it is written, and not what was."""

    def resolved_in_between(iteration):
        if iteration.number == 2:
            Operator(store).resolve(KEY, "done", by="ana", why="it is on the bill")
        return iteration.once(KEY, fail)

    report = loop_on(store).run(resolved_in_between)

    assert (report.unknown_effects, report.result) == ((), None)
    assert "unknown" not in str(report)


def test_an_effect_of_an_earlier_run_is_told(store):
    """Whoever meets an unknown effect hears of it, not only who made it so."""
    loop_on(store).run(charge)
    report = loop_on(store).with_(key="report-43").run(charge)

    assert (report.unknown_effects, type(report.error)) == ((KEY,), OutcomeUnknown)


def test_the_error_has_the_same_call(store):
    """Without a loop the exception says what the receipt would, in its own namespace."""
    guard = IdempotencyGuard(store=store, namespace="the shop")
    with pytest.raises(TimeoutError):
        guard.once(KEY, fail)
    with pytest.raises(OutcomeUnknown) as unknown:
        guard.once(KEY, fail)

    assert f"look outside, then {resolving_call(KEY, 'the shop')}" in str(unknown.value)
    assert str(pickle.loads(pickle.dumps(unknown.value))) == str(unknown.value)


def test_a_loop_that_knows_tells_nothing(store):
    """Done, replayed, failed for good: none of them is in doubt."""
    report = loop_on(store, final=TimeoutError).run(charge)
    fine = loop_on(store).with_(key="fine").run(lambda i: i.once("charge:8", lambda: 8))

    assert (report.unknown_effects, fine.unknown_effects) == ((), ())
