# SPDX-License-Identifier: MIT
"""What Redis's errors mean for a caller, in words, and whether a write may have happened.

It knows redis-py's exceptions and no store.  Here is also the one place that
says what to install when redis-py is absent.
"""

from __future__ import annotations

import re

from haltable.errors import StoreError

try:
    from redis.exceptions import (
        AuthenticationError,
        AuthorizationError,
        BusyLoadingError,
        NoScriptError,
        ResponseError,
    )
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    message = "stores on Redis and Valkey need redis-py: pip install 'haltable[redis]'"
    raise ModuleNotFoundError(message, name="redis") from error

__all__ = ["UNKNOWN_SCRIPT", "NoScriptError", "ResponseError", "is_reply", "store_error"]

#: Stands for a server's reply that it has to be sent the whole script.
UNKNOWN_SCRIPT = object()
#: What a server answers with instead of doing what it was asked.
_REPLIES = (ResponseError, BusyLoadingError, AuthenticationError, AuthorizationError)

#: The driver has types for some errors; a script's error, on some servers, is only text.
_MEANINGS = (
    (r"ReadOnlyError|\bREADONLY\b", "is a read-only replica"),
    (r"OutOfMemoryError|\bOOM\b", "is out of memory (its maxmemory is reached)"),
    (r"BusyLoadingError|\bLOADING\b", "is still loading its data"),
    (r"ClusterDownError|\bCLUSTERDOWN\b", "belongs to a cluster that is down"),
    (r"NoPermissionError|\bNOPERM\b|has no permissions", "does not permit this to its user"),
    (r"AuthenticationError|AuthorizationError", "did not accept the client's credentials"),
    (r"\bMISCONF\b", "takes no writes, since it cannot save them to its disk"),
    (r"\bNOREPLICAS\b", "takes no writes, since too few replicas are in reach"),
    (r"\bMASTERDOWN\b|MasterDownError", "is a replica that has lost its master"),
    (r"\bBUSY\b", "is busy with somebody's script"),
    (r"\bWRONGTYPE\b", "holds something else under this name"),
    (r"TimeoutError", "did not answer in time"),
    (r"MaxConnectionsError", "has no connection left in the client's pool"),
    (r"\bnon local key\b", "is moving records between its servers: ask again when that is done"),
    (r"SlotNotCoveredError", "has no server for the record's slot"),
    (r"ConnectionError", "cannot be reached, or has cut the connection"),
    (r"RedisClusterException.*cannot be connected", "cannot be reached"),
)


def is_reply(error: BaseException) -> bool:
    """Whether the server itself said it, so that the connection is in order."""
    return isinstance(error, _REPLIES)


def store_error(server: str, error: Exception, *, sent: bool) -> StoreError:
    """Makes the `StoreError` for what redis-py raised.

    Args:
        server: where the server is.
        error: what was raised.
        sent: whether the server may have the command: only then, and without a
            reply, can it have been carried out.
    """
    name = type(error).__name__
    said = f"{name} {error}"
    meaning = next((text for words, text in _MEANINGS if re.search(words, said)), "failed")
    certain = not sent or is_reply(error)
    message = f"Redis {server} {meaning} ({name}: {error})"
    return StoreError(message, outcome="refused" if certain else "unknown")
