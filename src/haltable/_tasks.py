# SPDX-License-Identifier: MIT
"""What a poller's source hands out, and how the function that acts on it is called.

It looks at values and signatures; it knows no loop and no poller.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeGuard, cast

from haltable._call import Call, is_generator, place_of_iteration
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["NO_MORE", "Task", "calling", "checked", "is_task", "several", "takes_skip"]

#: A key, and what the function that acts is given.
Task: TypeAlias = tuple[str, Any]
#: What stands behind the last task of an answer.
NO_MORE = object()


def is_task(handed: object) -> TypeGuard[Task]:
    """Says whether this is one task, a pair that begins with a key."""
    if not isinstance(handed, tuple):
        return False
    pair = cast("tuple[object, ...]", handed)
    return len(pair) == 2 and isinstance(pair[0], str)


def checked(handed: object) -> Task:
    """Returns a task that was handed out.

    Raises:
        TypeError: if it is none.
    """
    if not is_task(handed):
        raise TypeError(f"ready() handed out {handed!r}: a task is a pair (key, payload)")
    return handed


def several(handed: object) -> Iterable[object]:
    """Returns the tasks of one answer of the source.

    Raises:
        TypeError: if it is neither a task, nor several, nor None.
    """
    if handed is None:
        return ()
    if is_task(handed):
        return (handed,)
    if not isinstance(handed, Iterable) or isinstance(handed, (str, bytes, dict)):
        raise TypeError(
            f"ready() returned {handed!r}: return None, a pair (key, payload), or several pairs"
        )
    return cast("Iterable[object]", handed)


def takes_skip(ready: Callable[..., Any]) -> bool:
    """Says whether the source has a parameter ``skip``.

    Raises:
        ConfigurationError: if it cannot be called with that, or without anything.
    """
    try:
        signature = inspect.signature(ready)
        skips = "skip" in signature.parameters
        signature.bind(**({"skip": ()} if skips else {}))
    except ValueError:
        return False  # A builtin without a signature: the first call will tell.
    except TypeError as error:
        raise ConfigurationError(
            f"ready={ready!r}: it is called with nothing, or with skip= if it has such "
            f"a parameter, and {error}"
        ) from None
    return skips


def calling(act: Callable[..., Any]) -> Callable[[Any], Call]:
    """Returns what makes the call of a payload.

    Raises:
        ConfigurationError: if the function cannot be called with one.
    """
    if not callable(act) or is_generator(act):
        raise ConfigurationError(f"act={act!r}: give a function of one payload")
    place = place_of_iteration(act)
    try:
        named = {} if place in {None, 0} else {"iteration": None}
        inspect.signature(act).bind(*(None,) * (2 if place == 0 else 1), **named)
    except ValueError:
        pass  # A builtin without a signature: the first attempt will tell.
    except TypeError as error:
        raise ConfigurationError(
            f"act={act!r}: it is called with the payload, and with iteration= if it has such "
            f"a parameter, and {error}"
        ) from None

    def call(payload: Any) -> Call:
        if place is None:
            return Call(functools.partial(act, payload), takes=False)

        def by_place(iteration: Iteration) -> Any:
            return act(iteration, payload)

        def by_name(iteration: Iteration) -> Any:
            return act(payload, iteration=iteration)

        return Call(by_name if place else by_place, takes=True)

    return call
