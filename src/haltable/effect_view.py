# SPDX-License-Identifier: MIT
"""How an effect stands, as an operator reads it: a value, and its lines for a terminal.

It is made of a record that was judged already and the age of that; it knows no
store, and who is dead is not its business.
"""

from __future__ import annotations

import math
from urllib.parse import unquote

import attrs

from haltable.effect_records import EffectAct, EffectRecord
from haltable.effects import EffectState
from haltable.prose import filled, in_seconds, joined, prose, resolving_call

__all__ = ["EffectView", "effect_view", "unreadable_view"]

#: Of a result, so many characters are shown.
_SHOWN = 60


@attrs.frozen
class EffectView:
    """How an effect stands, as the store has it.

    Args:
        key: names the effect.
        namespace: the guard's.
        state: how it stands.  A claim that has lapsed, or whose owner is known
            to be dead, reads as unknown, and so does a record that cannot be read.
        reason: why it is unknown, or how it failed; None for any other state.
        attempts: how often it was claimed to be run.
        owner: who is at it, or was last, in words; None if nobody ever was.
        lease_left: seconds until that one's lease lapses; None if nobody is at it.
        checked: what a call's fingerprint was made of: ``payload``,
            ``arguments`` or ``nothing``.
        loop: the key or name of the loop that it last ran in, None without one.
        result: what it returned as JSON text; None if it did not, or it was not kept.
        result_lost: why there is no result although it was done.
        expires_in: seconds for which it is replayed yet; None for ever, or if
            it is not finished.
        history: what operators and reconcilers decided, oldest first.
        age: seconds since the last write, by the store's clock.
        readable: whether the record could be read; of one that could not, only
            the key, the namespace, the reason and the age are known.
    """

    key: str
    namespace: str
    state: EffectState
    reason: str | None
    attempts: int
    owner: str | None
    lease_left: float | None
    checked: str
    loop: str | None
    result: str | None
    result_lost: str | None
    expires_in: float | None
    history: tuple[EffectAct, ...]
    age: float
    readable: bool = True

    def __str__(self) -> str:
        name = self.state.name if self.readable else "UNREADABLE"
        lines = prose(f"{name}  {self.key}   ", self._what())
        lines += filled("  ", self._facts(), " · ")
        for act in self.history:
            lines += prose(f"  {act.at}  ", f"{act.act} by {act.by}: {act.why}")
        if not self.readable:
            lines += prose("  next: ", "read it with the version of haltable that wrote it")
        elif self.state is EffectState.UNKNOWN:
            call = resolving_call(self.key, self.namespace)
            lines += filled("  next: ", ["look outside, then", call], " ")
        return joined(lines)

    def _what(self) -> str:
        if self.reason is not None:
            return self.reason
        if self.state is EffectState.CLAIMED:
            left = in_seconds(self.lease_left or 0.0)
            return f"{self.owner} is at it; its lease has {left} left unless it is renewed"
        if self.state is EffectState.FREE:
            return "nothing has happened; the next call runs it"
        if self.result_lost is not None:
            return self.result_lost
        text = self.result or "null"
        return f"returned {text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}"

    def _facts(self) -> list[str]:
        age = "before the machine's last boot"
        facts = [age if math.isinf(self.age) else f"written {in_seconds(self.age)} ago"]
        if self.namespace:
            facts.insert(0, f"namespace {self.namespace!r}")
        if self.readable:
            facts += [f"attempts {self.attempts}", f"{self.checked} checked"]
        if self.loop is not None:
            facts.append(f"in loop {self.loop}")
        if self.expires_in is not None:
            facts.append(f"replayed for {in_seconds(self.expires_in)} more")
        return facts


def effect_view(record: EffectRecord, *, age: float) -> EffectView:
    """Returns how an effect stands.

    Args:
        record: what the store holds, as unknown if its claim is not one any more.
        age: seconds since it was written, by the store's clock.
    """
    fault = record.fault
    at_it = record.state is EffectState.CLAIMED and record.owner is not None
    ends = record.state.finished and record.retention is not None and math.isfinite(age)
    return EffectView(
        key=record.key,
        namespace=record.namespace,
        state=record.state,
        reason=record.reason if fault is None else f"{fault.type}: {fault.message}",
        attempts=record.attempts,
        owner=None if record.owner is None else str(record.owner),
        lease_left=max(0.0, record.lease - age) if at_it else None,
        checked=record.checked,
        loop=record.loop,
        result=record.result,
        result_lost=record.result_lost,
        expires_in=max(0.0, (record.retention or 0.0) - age) if ends else None,
        history=record.history,
        age=age,
    )


def unreadable_view(where: str, why: str, *, age: float) -> EffectView:
    """Returns an effect whose record cannot be read: whether it has happened is unknown.

    Args:
        where: its place in the store, below the one that all effects share.
        why: what is the matter with the record.
        age: seconds since it was written, by the store's clock.
    """
    namespace, _, key = where.partition("/")
    return EffectView(
        key=key,
        namespace=unquote(namespace),
        state=EffectState.UNKNOWN,
        reason=why,
        attempts=0,
        owner=None,
        lease_left=None,
        checked="nothing",
        loop=None,
        result=None,
        result_lost=None,
        expires_in=None,
        history=(),
        age=age,
        readable=False,
    )
