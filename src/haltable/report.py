# SPDX-License-Identifier: MIT
"""The receipt of a run, and the exceptions that carry it.

A report is a frozen value: why the loop stopped, on what evidence, how the
counts stand against the limits, and what to do next.  It knows no run and no
store.  It is made once, when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import attrs

from haltable.errors import HaltableError, ResultNotStored, in_words
from haltable.model import Status
from haltable.prose import filled, in_seconds, joined, prose, resolving_call

__all__ = ["LoopGaveUp", "LoopHalted", "LoopStopped", "LoopTripped", "Report"]

R_co = TypeVar("R_co", covariant=True)
#: So many unknown effects are named in a receipt, and so many calls resolve the first of them.
_NAMED, _RESOLVED = 5, 3


@attrs.frozen(eq=False)
class Report(Generic[R_co]):
    """Why a run ended, and how its key stands.

    Args:
        status: how the key stands; `Status.OPEN` if another run may go on.
        breaker: who said so: a breaker's name, or ``operator``, ``store``, ``run``.
        reason: why, in words.
        starts: bodies started in this epoch of the key.
        failures: how many of them failed or crashed.
        failures_in_row: how many of these were the last ones.
        ran: whether this run started a body at all.
        result: the last result, or the stored one of an earlier run.
        error: the last exception that was an iteration's outcome.
        pending: the item that ``Loop.over`` was refused a start for.
        evidence: the newest outside evidence, in words.
        retry_after: seconds before which the next start is too early.
        elapsed: seconds for which the loop was alive, summed over runs.
        durable: whether all of this is stored; False for a loop without a key.
        key: the loop's key, None without one.
        name: what the receipt calls the loop.
        warnings: what breakers warned of, oldest first.
        limits: the limits that the counts stand against, as pairs of words.
        last_error: the newest failure in words, also one of an earlier run.
        result_lost: why there is no stored result although the run succeeded.
        extension: starts that operators added to the cap.
        unknown_effects: keys of the effects that this run called and of which
            nobody knows whether they have happened, the newest last.
        namespace: the one of these keys.
    """

    status: Status
    breaker: str
    reason: str
    starts: int
    failures: int
    ran: bool
    result: R_co | None
    error: BaseException | None
    pending: Any
    evidence: str | None
    retry_after: float | None
    elapsed: float
    durable: bool
    key: str | None
    failures_in_row: int = 0
    name: str = "loop"
    warnings: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    last_error: str | None = None
    result_lost: str | None = None
    extension: int = 0
    unknown_effects: tuple[str, ...] = ()
    namespace: str = ""

    @property
    def ok(self) -> bool:
        """Whether the loop succeeded."""
        return self.status is Status.SUCCEEDED

    def unwrap(self) -> R_co:
        """Returns the last result.

        Raises:
            LoopTripped: if a breaker opened.
            LoopGaveUp: if the loop gave up.
            LoopStopped: if an operator or ``run.stop()`` ended it.
            LoopHalted: if the run ended and the key is open: a store fault, an
                interruption, a start that was too early.
            ResultNotStored: if the key succeeded in an earlier run and its
                result was not kept.
        """
        if self.status is not Status.SUCCEEDED:
            raise halted(self)
        if self.result_lost is not None:
            raise ResultNotStored(f"{self.name}: {self.result_lost}")
        return cast("R_co", self.result)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values, exceptions in words.

        The result and the pending item are as they are; whether they are
        JSON is the caller's business.
        """
        plain = {field.name: getattr(self, field.name) for field in attrs.fields(Report)}
        plain["status"] = self.status.value
        plain["error"] = None if self.error is None else in_words(self.error)
        plain["warnings"] = list(self.warnings)
        plain["unknown_effects"] = list(self.unknown_effects)
        plain["limits"] = {name: value for name, value in self.limits if value}
        plain["ok"] = self.ok
        return plain

    def __str__(self) -> str:
        return receipt(self)


class LoopHalted(HaltableError):
    """A loop ended without success; ``report`` says why.

    The user's own last exception, if there was one, is its ``__cause__``.

    Args:
        report: the run's report.
    """

    def __init__(self, report: Report[Any]) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return str(self.report)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return halted, (portable(self.report),)


class LoopTripped(LoopHalted):
    """A breaker opened."""


class LoopGaveUp(LoopHalted):
    """The loop gave up: it could not succeed any more."""


class LoopStopped(LoopHalted):
    """An operator, ``run.stop()`` or an outer loop ended it."""


_HALTED: dict[Status, type[LoopHalted]] = {
    Status.TRIPPED: LoopTripped,
    Status.GAVE_UP: LoopGaveUp,
    Status.STOPPED: LoopStopped,
}


def halted(report: Report[Any]) -> LoopHalted:
    """Returns the exception for a report, its cause set."""
    error = _HALTED.get(report.status, LoopHalted)(report)
    error.__cause__ = report.error
    return error


def portable(report: Report[Any]) -> Report[Any]:
    """Returns the report with what cannot be pickled replaced by its words."""
    return attrs.evolve(
        report,
        result=_or_words(report.result),
        error=report.error if _pickles(report.error) else None,
        pending=_or_words(report.pending),
    )


def _pickles(value: object) -> bool:
    import pickle  # Only a report that crosses processes needs it.

    try:
        pickle.loads(pickle.dumps(value))
    except Exception:  # Any class's own __reduce__ may raise anything.
        return False
    return True


def _or_words(value: object) -> object:
    return value if _pickles(value) else _shown(value)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # The same; what is told must be told all the same.
        return f"<{type(value).__name__} whose repr raised {in_words(error)}>"


def receipt(report: Report[Any], steps: list[str] | None = None) -> str:
    """Returns the report as a few lines that help at three in the morning.

    Args:
        report: what is told.
        steps: what to do next, a line each; by default calls of Python's.
    """
    limits = {name: value for name, value in report.limits if value}
    who = f"{report.breaker}: " if report.breaker else ""
    lines = prose(f"{report.status.name}  {report.name}   ", who + report.reason)
    lines += filled("  ", _counts(report, limits), " · ")
    if report.evidence is not None:
        lines += prose("  newest evidence ", report.evidence)
    elif "stall" in limits and not report.ok:
        lines.append(f"  no new evidence yet (limit {limits['stall']} s)")
    # What ended the loop as fatal is its reason, and is told once.
    if report.last_error is not None and not report.last_error.startswith(f"{report.reason}, "):
        lines += prose("  last error ", report.last_error)
    if report.result_lost is not None:
        lines += prose("  no result: ", report.result_lost)
    if report.unknown_effects:
        lines += filled("  unknown effects ", _named(report.unknown_effects), ", ")
    for warning in report.warnings:
        lines += prose("  warning: ", warning)
    if report.pending is not None:
        lines += prose("  pending: ", f"{_short(report.pending)} was not started")
    if not report.durable and report.key is not None and report.breaker:
        lines.append("  not stored: the store did not confirm the last write")
    if steps is None:
        lines += filled("  next: ", _next(report), " · ")
    else:
        lines += [f"{'' if place else '  next: ':8}{step}" for place, step in enumerate(steps)]
    return joined(lines)


def _counts(report: Report[Any], limits: dict[str, str]) -> list[str]:
    starts = f"starts {report.starts}"
    if "starts" in limits:
        starts += f" of {int(limits['starts']) + report.extension}"
    if report.starts and not report.ran:
        starts += ", none in this run"
    failures = f"failures {report.failures}"
    if "failures" in limits:
        failures += f" of {limits['failures']}"
    if report.failures:
        row = report.failures_in_row
        failures += f", {'all' if row == report.failures else row or 'none'} in a row"
    if "row" in limits:
        failures += f" (limit {limits['row']}{'' if report.failures else ' in a row'})"
    alive = f"alive {in_seconds(report.elapsed)}"
    if "seconds" in limits:
        alive += f" of {limits['seconds']} s"
    return [starts, failures, alive]


def _next(report: Report[Any]) -> list[str]:
    first = ["ops = Operator(store)"]
    resolving = [
        resolving_call(key, report.namespace) for key in report.unknown_effects[:_RESOLVED]
    ]
    if report.status is Status.SUCCEEDED:
        if resolving:
            return [*first, *resolving]
        return ["nothing to do" if report.ran else "nothing to do, it was done already"]
    if report.key is None:
        if not report.breaker:
            return ["wait for its end"]
        again = "see to the cause and run it again; without a key nothing is kept"
        return [*first, *resolving, again] if resolving else [again]
    key = repr(report.key)
    calls = [*first, f"ops.show({key})", *resolving]
    if report.status.terminal:
        calls.append(f"ops.reset({key}, by=..., why=...)")
        if report.breaker == "IterationCap" and report.status is Status.TRIPPED:
            calls.append(f"ops.extend({key}, starts=..., by=..., why=...)")
    elif not report.breaker:
        calls.append(f"ops.stop({key}, by=..., why=...)")
    elif report.retry_after:
        later = f"run it again, not before {in_seconds(report.retry_after)} have passed"
        return [*first, *resolving, later] if resolving else [later]
    elif report.breaker == "store":
        calls.insert(0, "mend the store and run it again")
    else:
        calls.insert(0, "run it again")
    return calls


def _named(keys: tuple[str, ...]) -> list[str]:
    """Returns the first of many keys, and how many more there are."""
    more = len(keys) - _NAMED
    return [*keys[:_NAMED], f"{more} more"] if more > 0 else [*keys]


def _short(value: object) -> str:
    text = _shown(value)
    return text if len(text) <= 50 else text[:47] + "..."
