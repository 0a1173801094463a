# SPDX-License-Identifier: MIT
"""From a guard's policy and a function to one call of an effect, in a loop and without.

It knows no breaker; what a call does is the drivers' business.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

from haltable import _effects_sync
from haltable._call import is_async, is_generator
from haltable._effect_call import EffectCall, Policy
from haltable._effect_policy import Stores, key_maker
from haltable._state import RunState
from haltable.clock import Clock, SystemClock
from haltable.effect_ledger import Request
from haltable.effects import EffectState
from haltable.errors import ConfigurationError, shorten
from haltable.iteration import Given, Iteration
from haltable.payload import ABSENT, check_effect_key, fingerprint
from haltable.store import files_of

__all__ = ["Guarded", "LoopEffects", "aperform", "check_effect", "make_call", "perform"]

_NEVER = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
F = TypeVar("F", bound=Callable[..., Any])
_SYSTEM_CLOCK = SystemClock()


class LoopEffects:
    """What a loop's iterations reach of its policy."""

    __slots__ = ("_clock", "_policy", "_stores", "key")

    def __init__(
        self,
        policy: Policy,
        *,
        key: Callable[[Iteration], str] | None,
        stores: Stores,
        clock: Clock | None,
    ) -> None:
        self._policy = policy
        self._stores = stores
        self._clock = clock
        #: Names the effect that a whole iteration is.
        self.key = key

    @property
    def namespace(self) -> str:
        """Keeps the keys of one application from another's."""
        return self._policy.namespace

    @property
    def files(self) -> tuple[str, ...]:
        """What the guard's store keeps its records in, as far as that is files."""
        return files_of(*self._stores)

    def once(
        self,
        run: RunState,
        key: str,
        fn: Callable[..., Any],
        given: Given,
    ) -> Any:
        """Carries out an effect of an iteration."""
        check_effect(key, fn, "once", awaited=False)
        return perform(self._call(run, key, fn, given))

    async def aonce(
        self,
        run: RunState,
        key: str,
        fn: Callable[..., Any],
        given: Given,
    ) -> Any:
        """Carries out an async effect of an iteration."""
        check_effect(key, fn, "aonce", awaited=True)
        return await aperform(self._call(run, key, fn, given))

    def _call(
        self,
        run: RunState,
        key: str,
        fn: Callable[..., Any],
        given: Given,
    ) -> EffectCall:
        effect = functools.partial(fn, *given[0], **given[1])
        clock = self._clock or run.clock
        return make_call(
            self._policy, key, effect, given, stores=self._stores, clock=clock, run=run
        )


class Guarded:
    """Makes a function an effect of a guard.

    Args:
        carry: the guard's way to carry out an effect: its key, function and arguments.
        acarry: its async twin.
        key: names the effect of a call.
    """

    def __init__(
        self,
        carry: Callable[[str, Callable[..., Any], Given], Any],
        acarry: Callable[[str, Callable[..., Any], Given], Any],
        key: str | Callable[..., str],
    ) -> None:
        self._carry = carry
        self._acarry = acarry
        self._key = key

    def __call__(self, function: F) -> F:
        """Returns the function, each call of which is an effect."""
        named = key_maker(self._key, function)
        carry, acarry = self._carry, self._acarry
        check_effect("any", function, "effect", awaited=is_async(function))
        signature = inspect.signature(function)

        def bind(args: Any, kwargs: Any) -> tuple[str, Given]:
            bound = signature.bind(*args, **kwargs)
            # However they are passed, the same arguments are the same payload.
            bound.apply_defaults()
            return named(bound), (bound.args, bound.kwargs, ABSENT)

        if is_async(function):

            @functools.wraps(function)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                key, given = bind(args, kwargs)
                return await acarry(key, function, given)

            return cast("F", acall)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            key, given = bind(args, kwargs)
            return carry(key, function, given)

        return cast("F", call)


def perform(call: EffectCall) -> Any:
    """Carries a call out and notes whether it ran."""
    try:
        return _effects_sync.carry_out(call)
    except BaseException as error:
        if call.run is None:  # In a loop there are more, and the iteration does it.
            shorten(error)
        raise
    finally:
        _note(call)


async def aperform(call: EffectCall) -> Any:
    """Carries an async call out and notes whether it ran."""
    from haltable import _effects_async

    try:
        return await _effects_async.carry_out(call)
    except BaseException as error:
        if call.run is None:
            shorten(error)
        raise
    finally:
        _note(call)


def _note(call: EffectCall) -> None:
    if call.run is None or call.record is None:
        return
    state = call.record.state
    # Claimed still, if the store did not take the end of what was carried out.
    unknown = state is EffectState.UNKNOWN or (call.ran and state is EffectState.CLAIMED)
    call.run.note_effect(
        call.key,
        ran=call.ran,
        replayed=state.finished and not call.ran,
        # In the host's own transaction only its commit would make it so.
        unknown=unknown and not call.policy.transactional,
    )


def make_call(
    policy: Policy,
    key: str,
    effect: Callable[[], Any],
    given: Given,
    *,
    stores: Stores,
    clock: Clock | None,
    run: RunState | None,
) -> EffectCall:
    """Returns one call of an effect, ready to be carried out.

    Raises:
        ConfigurationError: if there is no store, or the payload is no JSON.
    """
    args, kwargs, payload = given
    sync_store, async_store = stores
    if sync_store is None and async_store is None:
        raise ConfigurationError(
            "once(): there is no store to record effects in; give store= to the IdempotencyGuard, "
            "or to its loop"
        )
    what, checked = fingerprint(payload, args, kwargs)
    request = Request(
        policy.namespace,
        key,
        what,
        checked,
        policy.semantics,
        policy.max_attempts,
        policy.retention,
        None if run is None else run.label,
    )
    return EffectCall(
        policy,
        request,
        policy.prefix + key,
        store=sync_store,
        async_store=async_store,
        clock=clock or _SYSTEM_CLOCK,
        effect=effect,
        run=run,
    )


def check_effect(key: object, fn: object, where: str, *, awaited: bool) -> None:
    """Raises `ConfigurationError` unless this can be called under this key."""
    check_effect_key(key, where)
    if type(fn) is FunctionType:
        # The flags say it all, in a tenth of the time.
        flags = fn.__code__.co_flags
        if not flags & _NEVER and (awaited or not flags & inspect.CO_COROUTINE):
            return
    if not callable(fn) or is_generator(fn):
        raise ConfigurationError(f"{where}({key!r}, {fn!r}): give a function that does the effect")
    if is_async(fn) and not awaited:
        raise ConfigurationError(f"{where}({key!r}, ...): the effect is async; await aonce(...)")
