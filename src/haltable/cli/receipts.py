# SPDX-License-Identifier: MIT
"""What to type next, for every way in which a loop can stand.

It knows statuses and words for a shell, and carries nothing out.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from haltable.report import Report, receipt

__all__ = ["command", "reopening", "resolving", "told"]

#: So many unknown effects get a command of their own.
_RESOLVED = 3

#: Within ``$'...'``, as bash, zsh and others have it.
_ESCAPED = {"\\": "\\\\", "'": "\\'"}


def command(*words: str, store: str | None) -> str:
    """Returns a command of ours, to be copied, in one line.

    Args:
        words: what follows ``haltable``.
        store: the store's file; None for the one that is found without asking.
    """
    named = () if store is None else ("--store", store)
    return " ".join(map(_quoted, ("haltable", *words, *named)))


def _quoted(word: str) -> str:
    """Returns a word as a shell reads it, which a terminal shows and does not obey."""
    if word.isprintable():
        return shlex.quote(word)
    signs = (_ESCAPED.get(sign, sign) if sign.isprintable() else _code(sign) for sign in word)
    return f"$'{''.join(signs)}'"


def _code(sign: str) -> str:
    number = ord(sign)
    # A byte that was no UTF-8 came in as half of a surrogate.
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else repr(sign)[1:-1]


def told(report: Report[Any], words: Sequence[str], *, store: str | None) -> str:
    """Returns a run's receipt, which ends with what to type next.

    Args:
        report: how it ended.
        words: what followed ``haltable run``.
        store: the store's file, if it must be named.
    """
    unknown = [*report.unknown_effects]
    return receipt(report, _steps(report, ["run", *words], unknown, store))


def _steps(
    report: Report[Any], words: list[str], unknown: list[str], store: str | None
) -> list[str]:
    steps = [resolving(key, store, report.namespace) for key in unknown[:_RESOLVED]]
    if report.ok:
        return steps or ["nothing to do"]
    again = command(*words, store=None)
    if report.key is None:
        return [*steps, again]
    if report.status.terminal:
        return [*steps, *reopening(report.key, report.breaker, store), again]
    return [*steps, again, command("show", report.key, store=store)]


def reopening(key: str, breaker: str | None, store: str | None) -> list[str]:
    """Returns the commands that let a key that has ended go on."""
    if breaker == "IterationCap":
        return [command("extend", key, "--starts", "10", "--why", "nearly done", store=store)]
    return [command("reset", key, "--why", "the cause is mended", store=store)]


def resolving(key: str, store: str | None, namespace: str = "") -> str:
    """Returns a command that ends an unknown effect."""
    where = ["--namespace", namespace] if namespace else []
    return command("resolve", key, "done", "--why", "it has happened", *where, store=store)
