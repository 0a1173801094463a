# SPDX-License-Identifier: MIT
"""How keys and effects are shown: in words, as a table, as one array of JSON.

It knows values and columns, and asks no store.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import attrs

from haltable.cli.receipts import command, reopening, resolving
from haltable.effect_view import EffectView
from haltable.effects import EffectState
from haltable.key_state import KeyState
from haltable.model import Status
from haltable.prose import joined

__all__ = ["as_json", "effect_in_words", "effect_rows", "key_in_words", "key_rows"]


def as_json(values: Sequence[KeyState | EffectView]) -> str:
    """Returns values as one array."""
    return json.dumps([_plain(value) for value in values], indent=2)


def _plain(value: KeyState | EffectView) -> dict[str, Any]:
    plain = attrs.asdict(value)
    if "limits" in plain:
        plain["limits"] = {name: limit for name, limit in plain["limits"] if limit}
    # JSON knows no infinity: an age from before the machine's last boot is unknown.
    infinite = (
        name for name, each in plain.items() if isinstance(each, float) and math.isinf(each)
    )
    return {**plain, **dict.fromkeys(infinite)}


def key_in_words(state: KeyState, unknown: Sequence[EffectView] = (), *, store: str | None) -> str:
    """Returns how a key stands, with its unknown effects, and what to type next."""
    text = str(attrs.evolve(state, unknown_effects=()))
    named = joined([f"  unknown effect {_name(view)}" for view in unknown])
    step = f"  next: {_next_of_key(state, unknown, store)}"
    return "\n".join(filter(None, (text, named, step)))


def _next_of_key(state: KeyState, unknown: Sequence[EffectView], store: str | None) -> str:
    for view in unknown:
        if view.readable:
            return resolving(view.key, store, view.namespace)
    if state.status is Status.SUCCEEDED:
        return command("reset", state.key, "--why", "to be done again", store=store)
    if state.status.terminal:
        return reopening(state.key, state.breaker, store)[0]
    if state.running is not None and state.stop_requested is None:
        return command("stop", state.key, "--why", "it must not go on", store=store)
    return command("show", state.key, store=store)


def effect_in_words(view: EffectView, *, store: str | None) -> str:
    """Returns how an effect stands, and what to type next."""
    text = str(view).partition("\n  next: ")[0]
    step = command("effects", "--state", view.state.value, store=store)
    if view.state is EffectState.UNKNOWN and view.readable:
        step = resolving(view.key, store, view.namespace)
    return f"{text}\n  next: {step}"


def key_rows(states: Sequence[KeyState]) -> list[tuple[str, ...]]:
    """Returns the rows of a table of keys, its heads first."""
    rows: list[tuple[str, ...]] = [("STATUS", "KEY", "STARTS", "FAILED", "ALIVE", "WRITTEN", "WHY")]
    for state in states:
        limits = dict(state.limits)
        cap = f"/{int(limits['starts']) + state.extension}" if limits.get("starts") else ""
        running = "running" if state.running is not None else "goes on"
        rows.append(
            (
                state.status.value,
                state.key,
                f"{state.starts}{cap}",
                str(state.failures),
                f"{state.elapsed:.0f} s",
                _ago(state.age),
                state.reason or running,
            )
        )
    return rows


def effect_rows(views: Sequence[EffectView]) -> list[tuple[str, ...]]:
    """Returns the rows of a table of effects, its heads first."""
    rows: list[tuple[str, ...]] = [("STATE", "KEY", "ATTEMPTS", "WRITTEN", "LOOP", "WHY")]
    for view in views:
        loop, why = view.loop or "", view.reason or view.owner or ""
        state = view.state.value if view.readable else "unreadable"
        rows.append((state, _name(view), str(view.attempts), _ago(view.age), loop, why))
    return rows


def _name(view: EffectView) -> str:
    return f"{view.namespace}/{view.key}" if view.namespace else view.key


def _ago(seconds: float) -> str:
    if math.isinf(seconds):
        return "before boot"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
