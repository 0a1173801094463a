# SPDX-License-Identifier: MIT
"""Connections of a store's own, made as those of the host's client are, but for two things.

They never retry, and they do not wait for ever.  What the client does for the
host's other needs stays as it is.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from redis.backoff import NoBackoff

from haltable.errors import ConfigurationError

__all__ = [
    "SECONDS_TO_ANSWER",
    "check_patience",
    "known",
    "own_pool",
    "place",
    "words_to_connect",
    "wrong_client",
]

#: How long an answer is waited for where the client states no ``socket_timeout``.
SECONDS_TO_ANSWER = 5.0
#: What an asyncio pool that blocks keeps its waiting tasks in; it has no public name.
_CONDITION = "_condition"


def check_patience(given: Mapping[str, Any], kind: type[Any]) -> None:
    """Refuses a cluster's client that would wait for an answer for ever.

    Args:
        given: what its connections are made with.
        kind: redis-py's own class of a client, whose default counts where nothing is given.

    Raises:
        ConfigurationError: nothing bounds how long it waits.
    """
    default = inspect.signature(kind.__init__).parameters["socket_timeout"].default
    if given.get("socket_timeout", default) is None:
        raise ConfigurationError(
            "socket_timeout=None: a server that hangs would hold the loop for ever; "
            "make the RedisCluster with socket_timeout=5"
        )


def known(client: Any) -> Any:
    """Returns a cluster's client, which has found the servers when it was made."""
    return client


def own_pool(pool: Any, retry: Callable[[NoBackoff, int], Any]) -> Any:
    """Returns a pool of the same kind, to the same server, that shares no connection.

    Args:
        pool: the client's pool, of redis-py or of redis.asyncio.
        retry: makes the driver's rule of retries.
    """
    # A copy, since pools of other kinds (Sentinel's, a host's own) are made in other ways.
    own = copy.copy(pool)
    given = pool.connection_kwargs
    own.connection_kwargs = {
        **given,
        "retry": retry(NoBackoff(), 0),
        "retry_on_error": [],
        "retry_on_timeout": False,
        "socket_timeout": given.get("socket_timeout") or SECONDS_TO_ANSWER,
    }
    own.reset()
    condition: Any = getattr(own, _CONDITION, None)
    if condition is not None:
        # Where a task waits for one of its pool's connections.  One that comes free wakes
        # one task, which must not be a task of the other pool.
        setattr(own, _CONDITION, type(condition)())
    return own


def place(pool: Any) -> str:
    """Returns where the server of a pool is, without what is secret about it."""
    if hasattr(pool, "service_name"):
        return f"{pool.service_name!r} (whom a Sentinel names)"
    arguments = pool.connection_kwargs
    if "path" in arguments:
        return repr(arguments["path"])
    return f"at {arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"


def words_to_connect(get_connection: Callable[..., Any]) -> tuple[str, ...]:
    """Returns what redis-py wants to be told when it hands out a connection.

    Before 5.3 it wants a command's name, since then it warns if it is given one.
    """
    asked = inspect.signature(get_connection).parameters.get("command_name")
    wanted = asked is not None and asked.default is inspect.Parameter.empty
    return ("EVALSHA",) if wanted else ()


def wrong_client(client: object, wanted: type[Any]) -> ConfigurationError:
    """Returns the error for a client of another kind.

    Args:
        client: what was given.
        wanted: redis-py's own class of the kind that is wanted.
    """
    home, other = "redis", "redis.asyncio there is AsyncRedisStore"
    if wanted.__module__.startswith("redis.asyncio"):
        home, other = "redis.asyncio", "redis, which block, there is RedisStore"
    return ConfigurationError(
        f"client={client!r}: it must be a {home}.Redis or a {home}.RedisCluster; "
        f"for clients of {other}"
    )
