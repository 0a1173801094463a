# SPDX-License-Identifier: MIT
"""Effects at most once: the fourth breaker, and the verbs that need no loop.

A guard is configuration, frozen and shareable.  What a call knows is the
call's, and how it is carried out is the drivers' business.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

import attrs

from haltable._context import here
from haltable._effect_call import EffectCall, OnHeld, Policy
from haltable._effect_policy import Stores, check_guard, check_guard_store
from haltable._effect_verbs import Guarded, LoopEffects, aperform, check_effect, make_call, perform
from haltable._effects_sync import look
from haltable._policy import check_clock, check_exceptions
from haltable._recording import NAMESPACE
from haltable.breaker import Breaker
from haltable.clock import Clock
from haltable.effect_ledger import Open
from haltable.effects import Semantics
from haltable.errors import ConfigurationError
from haltable.hooks import Horizon
from haltable.iteration import Given, Iteration
from haltable.memory import remembered
from haltable.model import Trip
from haltable.payload import ABSENT, check_effect_key, effect_prefix
from haltable.store import AnyStore

__all__ = ["IdempotencyGuard", "effects_of"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


@attrs.define(eq=False)
class IdempotencyGuard(Breaker):
    """Carries out an effect at most once, however often it is asked to.

    The key names the effect in the world, not the place in the code: whoever
    calls with the same key, in any process, gets the same result.  A crash
    between the effect and its record makes it *unknown*: listed, resolvable,
    never silently run again.

    In ``Loop(...)`` it serves ``iteration.once``; with ``key=`` it guards each
    whole iteration; alone it serves ``guard.once``.

    Args:
        key: names the effect that a whole iteration is, as a function of the
            iteration; an iteration that was done before runs no body.
        store: where effects are recorded; in a loop, its store by default.
        namespace: keeps the keys of one application from another's.
        semantics: ``"at_most_once"``, or ``"at_least_once"`` for effects that
            may be repeated: a claim that has lapsed is then taken over, up to
            ``max_attempts`` times.
        lease: seconds for which a claim holds without a word.
        reconcile: called as ``reconcile(key, record)`` when nobody knows
            whether the effect has happened; looks outside and returns
            `haltable.effects.Happened`, `NotHappened` or `DontKnow`.
        on_held: while somebody else is at the effect: ``"raise"`` `EffectHeld`,
            ``"wait"``, or ``"skip"``, which returns None.
        final: exception types that are an effect's final answer: stored, and
            replayed as `EffectFailed`.
        retention: seconds after its end for which an effect is replayed; None
            (the default) for ever.
        max_result: bytes of JSON that a stored result may have.
        max_attempts: how often an ``at_least_once`` effect is attempted.
        max_replays: opens after so many iterations in a row that did nothing
            but replay, counted on over restarts of a keyed loop; None (the
            default) for no such limit.
        max_hold: seconds after which a running effect is no longer renewed.
        grace: seconds that a cancelled call still waits for its store.
        transactional: whether the record is written into the host's own open
            transaction; needs `haltable.stores.SQLiteTransaction` as its store.
        clock: where seconds are read; the monotonic clock by default.
        name: how receipts call it.

    Raises:
        ConfigurationError: if an argument cannot be right.

    Example:
        >>> from haltable import IdempotencyGuard, MemoryStore
        >>> guard = IdempotencyGuard(store=MemoryStore())
        >>> bills = []
        >>> [guard.once("charge:7", lambda: bills.append(7) or len(bills)) for _ in range(3)]
        [1, 1, 1]
    """

    key: Callable[[Iteration], str] | None = attrs.field(default=None, kw_only=True)
    store: AnyStore | None = attrs.field(default=None, kw_only=True)
    namespace: str = attrs.field(default="", kw_only=True)
    semantics: Semantics = attrs.field(default="at_most_once", kw_only=True)
    lease: float = attrs.field(default=60.0, kw_only=True)
    reconcile: Callable[..., Any] | None = attrs.field(default=None, kw_only=True)
    on_held: OnHeld = attrs.field(default="raise", kw_only=True)
    final: type[Exception] | tuple[type[Exception], ...] = attrs.field(default=(), kw_only=True)
    retention: float | None = attrs.field(default=None, kw_only=True)
    max_result: int = attrs.field(default=256 * 1024, kw_only=True)
    max_attempts: int = attrs.field(default=3, kw_only=True)
    max_replays: int | None = attrs.field(default=None, kw_only=True)
    max_hold: float | None = attrs.field(default=None, kw_only=True)
    grace: float = attrs.field(default=1.0, kw_only=True)
    transactional: bool = attrs.field(default=False, kw_only=True)
    clock: Clock | None = attrs.field(default=None, kw_only=True)
    policy: Policy = attrs.field(init=False, repr=False)
    _stores: Stores = attrs.field(init=False, repr=False)
    _ran: int = attrs.field(init=False, default=0, repr=False)
    _replayed: int = attrs.field(init=False, default=0, repr=False)
    replays_in_row: int = remembered(default=0)

    def __attrs_post_init__(self) -> None:
        check_guard(self)
        self._stores = None, None
        if self.store is not None:
            self._stores = check_guard_store(self.store, transactional=self.transactional)
        if self.clock is not None:
            check_clock(self.clock)
        self.policy = Policy(
            namespace=self.namespace,
            prefix=effect_prefix(NAMESPACE, self.namespace),
            semantics=self.semantics,
            lease=float(self.lease),
            reconcile=self.reconcile,
            on_held=self.on_held,
            final=check_exceptions("final", self.final),
            retention=self.retention,
            max_result=self.max_result,
            max_attempts=self.max_attempts,
            max_hold=self.max_hold,
            grace=float(self.grace),
            transactional=self.transactional,
        )

    # As a breaker -----------------------------------------------------------------

    @property
    def stateful(self) -> bool:
        """It counts only the iterations that did nothing but replay."""
        return self.max_replays is not None

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent, unless it counts replays."""
        del extension
        return Horizon() if self.max_replays is None else None

    def after(self, iteration: Iteration) -> Trip | None:
        """Opens after too many iterations in a row that did nothing but replay."""
        if self.max_replays is None:
            return None
        ran = iteration.effects_ran > self._ran
        replayed = iteration.effects_replayed > self._replayed
        self._ran, self._replayed = iteration.effects_ran, iteration.effects_replayed
        self.replays_in_row = row = 0 if ran or not replayed else self.replays_in_row + 1
        if row < self.max_replays:
            return None
        return Trip(
            f"{row} iterations in a row only replayed effects that were done "
            f"(limit {self.max_replays})"
        )

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limit in words."""
        return () if self.max_replays is None else (("replays", str(self.max_replays)),)

    # Without a loop -------------------------------------------------------------------

    @overload
    def once(
        self, key: str, fn: Callable[..., R], *args: Any, payload: object, **kwargs: Any
    ) -> R: ...
    @overload
    def once(self, key: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def once(
        self, key: str, fn: Callable[..., Any], *args: Any, payload: object = ABSENT, **kwargs: Any
    ) -> Any:
        """Carries out an effect, or returns what it returned when it was.

        Args:
            key: names the effect in the world.
            fn: the effect; its result is JSON, or it cannot be replayed.
            args: handed to it.
            payload: what two calls of this key must have in common, as JSON;
                by default the arguments, if they are JSON.
            kwargs: handed to it.

        Returns:
            Its result as JSON gives it back, the same for the call that ran
            it and for every replay; None if it was skipped.

        Raises:
            PayloadMismatch: if the key was used with another payload.
            EffectHeld: if somebody else is at it, with ``on_held="raise"``.
            OutcomeUnknown: if nobody knows whether it has happened.
            EffectFailed: if it failed for good in an earlier call.
            ResultNotStored: if it was done, and its result was not kept.
            LeaseLost: if it was decided without this call while it ran.
            StoreError: if the store failed before it began.
            ConfigurationError: if the key, the payload or the function cannot
                be right, or the guard has no store of its own.
        """
        return self._carry(key, fn, (args, kwargs, payload))

    @overload
    async def aonce(
        self, key: str, fn: Callable[..., Awaitable[R]], *args: Any, payload: object, **kwargs: Any
    ) -> R: ...
    @overload
    async def aonce(
        self, key: str, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    async def aonce(
        self, key: str, fn: Callable[..., Any], *args: Any, payload: object = ABSENT, **kwargs: Any
    ) -> Any:
        """Carries out an async effect, on asyncio or trio; the twin of `once`."""
        return await self._acarry(key, fn, (args, kwargs, payload))

    def effect(self, *, key: str | Callable[..., str]) -> Guarded:
        """Decorates a function so that each of its calls is an effect.

        Args:
            key: names the effect: a format string over the function's
                arguments, such as ``"charge:{order}"``, or a function of them.

        Raises:
            ConfigurationError: if the key or the function cannot be right.

        Example:
            >>> from haltable import IdempotencyGuard, MemoryStore
            >>> guard = IdempotencyGuard(store=MemoryStore())
            >>> @guard.effect(key="charge:{order}")
            ... def charge(order):
            ...     return f"receipt of {order}"
            >>> guard.claimed("charge:7"), charge(7), guard.claimed("charge:7"), charge(7)
            (False, 'receipt of 7', True, 'receipt of 7')
        """
        return Guarded(self._carry, self._acarry, key)

    def claimed(self, key: str) -> bool:
        """Says whether a call of a key would find it claimed, and not run the effect.

        Asked before a call it tells a replay from a run; in between somebody
        else may claim it.

        Args:
            key: the effect's.

        Returns:
            False if the next call runs the effect; True if it is being carried
            out, was, or nobody knows.

        Raises:
            ConfigurationError: if the key cannot be right, or the guard has no
                synchronous store of its own.
            StoreError: if the store fails.
        """
        check_effect_key(key, "claimed")
        call = self._call(key, _nothing, ((), {}, None))
        call.request = attrs.evolve(call.request, fingerprint=None)
        return not isinstance(look(call), Open)

    def _carry(self, key: str, fn: Callable[..., Any], given: Given) -> Any:
        check_effect(key, fn, "once", awaited=False)
        return perform(self._call(key, functools.partial(fn, *given[0], **given[1]), given))

    async def _acarry(self, key: str, fn: Callable[..., Any], given: Given) -> Any:
        check_effect(key, fn, "aonce", awaited=True)
        return await aperform(self._call(key, functools.partial(fn, *given[0], **given[1]), given))

    def _call(self, key: str, effect: Callable[[], Any], given: Given) -> EffectCall:
        around = here.get()
        ambient = None if around is None else around.ambient_clock
        clock = self.clock or ambient
        return make_call(
            self.policy, key, effect, given, stores=self._stores, clock=clock, run=None
        )


def _nothing() -> None:
    """What is carried out by a call that only looks."""


def effects_of(breakers: tuple[Breaker, ...], store: AnyStore | None) -> LoopEffects | None:
    """Returns what the iterations of a loop reach of its guard, None without one.

    Args:
        breakers: the loop's.
        store: the loop's, which serves a guard without one.

    Raises:
        ConfigurationError: if there are two guards, or a store does not fit.
    """
    guards = [breaker for breaker in breakers if isinstance(breaker, IdempotencyGuard)]
    if not guards:
        return None
    if len(guards) > 1:
        raise ConfigurationError("two IdempotencyGuards: one guards all effects of a loop")
    guard = guards[0]
    stores: Stores = None, None
    if guard.store is not None or store is not None:
        stores = check_guard_store(guard.store or store, transactional=guard.transactional)
    return LoopEffects(guard.policy, key=guard.key, stores=stores, clock=guard.clock)
