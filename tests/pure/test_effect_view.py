# SPDX-License-Identifier: MIT
"""An effect as an operator reads it: what is told of each state, in 80 columns."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable.effect_records import EffectAct, EffectFault, EffectRecord
from haltable.effect_view import effect_view, unreadable_view
from haltable.effects import EffectState
from haltable.records import Owner

ME = Owner("boot", "pid:[1]", 4242, "100", "mine")
ACT = EffectAct("done", "ana", "the provider has it", "2026-01-02T03:04:05+00:00")
UNKNOWN = EffectRecord(
    "",
    "charge:7",
    EffectState.UNKNOWN,
    ME,
    fingerprint="f",
    checked="arguments",
    attempts=1,
    reason="process 4242 is dead, and it did not say how the effect ended",
    loop="report-42",
)


def seen(age=61.0, **changes):
    """Returns how an effect reads that differs from the one above in this."""
    return effect_view(attrs.evolve(UNKNOWN, **changes), age=age)


def shown(**changes):
    """Returns the lines of that."""
    return str(seen(**changes)).splitlines()


def test_an_unknown_effect_reads_like_this():
    """It says why nobody knows, in which loop, and what to do as a call to be copied."""
    assert shown() == [
        "UNKNOWN  charge:7   process 4242 is dead, and it did not say how the effect",
        "        ended",
        "  written 61 s ago · attempts 1 · arguments checked · in loop report-42",
        "  next: look outside, then",
        "        ops.resolve('charge:7', 'done' | 'failed' | 'free', by=..., why=...)",
    ]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        (
            {"state": EffectState.CLAIMED, "lease": 100.0, "reason": None},
            "CLAIMED  charge:7   process 4242 is at it; its lease has 39 s left unless it is",
        ),
        (
            {"state": EffectState.FREE, "reason": None},
            "FREE  charge:7   nothing has happened; the next call runs it",
        ),
        (
            {"state": EffectState.DONE, "reason": None, "result": '"receipt 7"'},
            'DONE  charge:7   returned "receipt 7"',
        ),
        ({"state": EffectState.DONE, "reason": None}, "DONE  charge:7   returned null"),
        (
            {"state": EffectState.DONE, "reason": None, "result": f'"{"x" * 60}"'},
            "DONE  charge:7   returned",
        ),
        (
            {"state": EffectState.DONE, "reason": None, "result_lost": "the result is not JSON"},
            "DONE  charge:7   the result is not JSON",
        ),
        (
            {"state": EffectState.FAILED, "reason": None, "fault": EffectFault("Declined", "no")},
            "FAILED  charge:7   Declined: no",
        ),
    ],
)
def test_each_state_says_what_it_means(changes, first):
    """The first line of each state says how the effect stands."""
    assert shown(**changes)[0] == first


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"age": 0.04}, "written 0.0 s ago"),
        ({"age": math.inf}, "before the machine's last boot"),
        ({"namespace": "shop"}, "namespace 'shop'"),
        ({"attempts": 3}, "attempts 3"),
        ({"checked": "nothing"}, "nothing checked"),
        ({"state": EffectState.DONE, "retention": 100.0}, "replayed for 39 s more"),
        ({"state": EffectState.DONE, "retention": 60.0}, "replayed for 0.0 s more"),
    ],
)
def test_a_fact_is_told_where_there_is_one(changes, fact):
    """The second line has the facts, and nothing about what is not the case."""
    assert fact in shown(reason=None, loop=None, **changes)[1].strip().split(" · ")
    assert fact not in shown(reason=None, loop=None)[1].strip().split(" · ")


def test_a_long_result_is_cut():
    """Of a result so much is shown as tells it from another."""
    lines = shown(state=EffectState.DONE, reason=None, result=f'"{"x" * 60}"')

    assert lines[1] == f'        "{"x" * 56}...'


def test_a_finished_effect_is_over():
    """Nobody is asked to do anything about it, and its history is told."""
    lines = shown(state=EffectState.DONE, reason=None, loop=None, history=(ACT,))

    assert lines[1:] == [
        "  written 61 s ago · attempts 1 · arguments checked",
        "  2026-01-02T03:04:05+00:00  done by ana: the provider has it",
    ]


def test_the_next_call_names_the_namespace():
    """A call that is copied reaches the very effect that it was shown for."""
    assert shown(namespace="shop")[-1] == (
        "        ops.resolve('charge:7', 'done' | 'failed' | 'free', by=..., why=..., "
        "namespace='shop')"
    )


def test_an_unreadable_record_is_told():
    """Damage is listed as such, under the effect's own name, and never as something to resolve."""
    view = unreadable_view("the%20shop/charge/7", "its checksum does not match", age=5.0)

    assert (view.namespace, view.key, view.state) == ("the shop", "charge/7", EffectState.UNKNOWN)
    assert str(view).splitlines() == [
        "UNREADABLE  charge/7   its checksum does not match",
        "  namespace 'the shop' · written 5.0 s ago",
        "  next: read it with the version of haltable that wrote it",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "it ended with ValueError: " + "no such page\n" * 500},
        {"history": (attrs.evolve(ACT, why="because " * 40),)},
        {"namespace": "shop", "loop": "a loop with quite a long name", "attempts": 100_000},
    ],
)
def test_it_fits_a_terminal(changes):
    """Whatever others wrote is broken at 80 columns; only a call may run over."""
    lines = [line for line in shown(**changes) if "ops.resolve" not in line]

    assert max(map(len, lines)) <= 80
    assert len(lines) < 15


@pytest.mark.parametrize(
    ("changes", "left", "more"),
    [
        ({"state": EffectState.CLAIMED, "lease": 100.0}, 39.0, None),
        ({"state": EffectState.CLAIMED, "lease": 30.0}, 0.0, None),
        ({"state": EffectState.CLAIMED, "owner": None}, None, None),
        ({"state": EffectState.DONE, "retention": 100.0}, None, 39.0),
        ({"state": EffectState.DONE, "retention": 100.0, "age": math.inf}, None, None),
        ({"retention": 100.0}, None, None),
    ],
)
def test_what_is_left_of_lease_and_retention(changes, left, more):
    """Seconds are there where there is something to count, and never below zero."""
    view = seen(**changes)

    assert (view.lease_left, view.expires_in) == (left, more)
