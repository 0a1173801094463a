# SPDX-License-Identifier: MIT
"""A breaker's memory: the fields that survive a restart of a keyed loop.

This room knows how such a field is declared and found again, and nothing of
breakers, records or stores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import attrs

from haltable.errors import ConfigurationError

__all__ = ["remembered"]

T = TypeVar("T")
_REMEMBERED = "haltable.remembered"


@overload
def remembered(*, default: T, apart: bool = False) -> T: ...
@overload
def remembered(*, factory: Callable[[], T], apart: bool = False) -> T: ...
def remembered(
    *, default: Any = attrs.NOTHING, factory: Callable[[], Any] | None = None, apart: bool = False
) -> Any:
    """Declares a field that is a breaker's memory.

    On a keyed loop it survives restarts, stored as JSON under the breaker's
    name; otherwise it is fresh for every run.

    Args:
        default: the value at the start of an epoch.
        factory: makes that value; for lists and dicts.
        apart: keeps it in a record of its own, written only when it changed;
            for memory too large to go with every iteration.

    Returns:
        A field for a class decorated with ``@attrs.define``.

    Raises:
        ConfigurationError: if all runs would share the default, as they would a list.

    Example:
        >>> import attrs
        >>> from haltable import Breaker, Trip, remembered
        >>> @attrs.define
        ... class CostCap(Breaker):
        ...     limit: float
        ...     spent: float = remembered(default=0.0)
        ...     def after(self, iteration):
        ...         self.spent += iteration.result or 0.0
        ...         return Trip("too dear") if self.spent > self.limit else None
    """
    if type(default).__hash__ is None:
        kind = type(default).__name__
        raise ConfigurationError(
            f"remembered(default={default!r}): all runs would share it; give factory={kind}"
        )
    memory = _Memory(apart, factory if factory is not None else lambda: default)
    return attrs.field(
        default=attrs.Factory(memory.initial), init=False, metadata={_REMEMBERED: memory}
    )


@attrs.frozen
class _Memory:
    """What `remembered` leaves in a field's metadata."""

    apart: bool
    initial: Callable[[], Any]


def remembered_fields(cls: type[Any], *, apart: bool) -> tuple[str, ...]:
    """Returns the names of the class's remembered fields, those kept along or those kept apart."""
    found: list[str] = []
    for field in attrs.fields(cls):
        memory = field.metadata.get(_REMEMBERED)
        if memory is not None and memory.apart is apart:
            found.append(field.name)
    return tuple(found)


def undecorated_fields(cls: type[Any]) -> list[str]:
    """Returns the names of fields whose class was never given ``@attrs.define``."""
    # What `attrs.field` returns is consumed by the decorator; one that is still
    # in the class's own dictionary was never seen by it.
    marker: Any = type(cast("object", attrs.field()))
    return [name for name, value in vars(cls).items() if isinstance(value, marker)]


def forget(owner: Any) -> None:
    """Sets the remembered fields to what they are at the start of an epoch."""
    kind: type[Any] = type(cast("object", owner))
    for field in attrs.fields(kind):
        memory = field.metadata.get(_REMEMBERED)
        if memory is not None:
            setattr(owner, field.name, memory.initial())
