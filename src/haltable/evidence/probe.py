# SPDX-License-Identifier: MIT
"""A user's function as evidence.

It turns what the function returns into bytes; what that means, and whether it
was seen before, it does not know.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from haltable.errors import ConfigurationError
from haltable.probe import Evidence

__all__ = ["Probe"]


class Probe(Evidence):
    """What a function returns, as evidence: another value is another state.

    Return something that changes only when work was done (a row count, the
    newest row's number, a digest), never a clock's time.

    Args:
        function: called without arguments.  It returns bytes or anything that
            JSON can hold, or None for "cannot see"; or an awaitable of that,
            for async drivers.
        name: how receipts call it, unique within a stall detector; by default
            the function's name.

    Raises:
        ConfigurationError: if the function cannot be called without arguments,
            or the name is no non-empty string.

    Example:
        >>> from haltable.evidence import Probe
        >>> rows = ["first"]
        >>> count = Probe(lambda: len(rows), name="rows")
        >>> before = count.fingerprint()
        >>> rows.append("second")
        >>> count.fingerprint() == before
        False
    """

    def __init__(self, function: Callable[[], object], name: str | None = None) -> None:
        _check_function(function)
        _check_name(name)
        self._function = function
        self._name = name or _name_of(function)

    def fingerprint(self) -> bytes | Awaitable[bytes | None] | None:
        """Returns a digest of what the function returns; None if that is None.

        Raises:
            TypeError: if JSON cannot hold what it returns.
        """
        state = self._function()
        if inspect.isawaitable(state):
            return self._when_known(state)
        return self._digest(state)

    async def _when_known(self, state: Awaitable[object]) -> bytes | None:
        return self._digest(await state)

    def _digest(self, state: object) -> bytes | None:
        if state is None:
            return None
        if isinstance(state, bytes):
            return hashlib.blake2b(b"bytes\0" + state, digest_size=16).digest()
        try:
            text = json.dumps(state, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{self} returned {type(state).__name__}, of which there is no fingerprint: "
                f"return bytes, None or what JSON can hold ({error})"
            ) from error
        return hashlib.blake2b(b"json\0" + text.encode(), digest_size=16).digest()

    def __str__(self) -> str:
        return self._name


def _check_name(name: object) -> None:
    if name is not None and not (isinstance(name, str) and name):
        raise ConfigurationError(f"Probe(name={name!r}): give a non-empty string")


def _check_function(function: object) -> None:
    if not callable(function):
        raise ConfigurationError(f"Probe({function!r}): give a function of no arguments")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # A builtin without a signature; only calling it shows what it takes.
    try:
        signature.bind()
    except TypeError as error:
        raise ConfigurationError(
            f"Probe({function!r}): give a function of no arguments ({error})"
        ) from error


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None) or type(function).__name__
    return "the given probe" if name == "<lambda>" else name
