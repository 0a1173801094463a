# SPDX-License-Identifier: MIT
"""What a Redis server says of itself: what it keeps, and what it would forget.

It knows the server's settings by name, and no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from haltable.errors import ConfigurationError
from haltable.store import Durability

__all__ = [
    "check_arguments",
    "durability_of",
    "read_about",
    "read_settings",
    "refusal_of",
    "weakness_of",
]

_OR_SAY_SO = "or say what a write survives with durability=haltable.stores.Durability..."


def check_arguments(prefix: object, durability: object) -> None:
    """Refuses what cannot be a store's prefix, or a statement about its server.

    Raises:
        ConfigurationError: one of them cannot be right.
    """
    if not isinstance(prefix, str) or not prefix:
        raise ConfigurationError(f"prefix={prefix!r}: it must be text, and not empty")
    if durability is not None and not isinstance(durability, Durability):
        message = f"durability={durability!r}: it must be a haltable.stores.Durability"
        raise ConfigurationError(message)


def read_about(text: bytes) -> dict[str, str]:
    """Returns the lines of the server's INFO by their names."""
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def read_settings(pairs: Mapping[Any, Any] | Sequence[Any]) -> dict[str, str]:
    """Returns the settings of a CONFIG GET by their names, in whichever protocol it came."""
    if isinstance(pairs, Mapping):
        flat = [word for pair in pairs.items() for word in pair]
    else:
        flat = [*pairs]
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def refusal_of(about: Mapping[str, str]) -> str | None:
    """Returns why a server cannot hold records, as a predicate; None if it can."""
    policy = about.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        return (
            f"has maxmemory-policy {policy!r}: it would forget records when memory is short; "
            "set maxmemory-policy to 'noeviction', or to one of 'volatile-...'"
        )
    if about.get("role", "master") != "master":
        return "is a replica: it takes no writes, and what it reads may be old; name its master"
    return None


def durability_of(about: Mapping[str, str], settings: Mapping[str, str]) -> Durability:
    """Returns what an acknowledged write survives, as far as settings tell.

    Args:
        about: the server's INFO.
        settings: its append-only settings; empty if it does not tell them.
    """
    if weakness_of(about, settings) is not None:
        return Durability.NOTHING
    always = settings.get("appendfsync") == "always"
    # While it rewrites its log, such a server does not wait for the disk either.
    rests = settings.get("no-appendfsync-on-rewrite", "no") != "no"
    return Durability.MACHINE if always and not rests else Durability.PROCESS


def weakness_of(about: Mapping[str, str], settings: Mapping[str, str]) -> str | None:
    """Returns what a server forgets that it has acknowledged, as a predicate; None if nothing.

    Args:
        about: the server's INFO.
        settings: its append-only settings; empty if it does not tell them.
    """
    if about.get("aof_enabled", "0") != "1":
        return (
            "has appendonly 'no': when it restarts, it forgets counts, verdicts and effects; set "
            f"appendonly to 'yes' and appendfsync to 'always', {_OR_SAY_SO}"
        )
    forced = settings.get("appendfsync")
    # With "no", all is written before it is acknowledged, and only the disk may lag.  With
    # "everysec", the write too waits for a slow disk, up to two seconds, and the reply does not.
    if forced in {"always", "no"}:
        return None
    said = "does not tell its appendfsync" if forced is None else f"has appendfsync {forced!r}"
    return (
        f"{said}: when it is killed, it may forget the starts and effects of the last seconds; "
        f"set appendfsync to 'always', {_OR_SAY_SO}"
    )
