# SPDX-License-Identifier: MIT
"""The store on Redis or Valkey, for asynchronous drivers on asyncio.

It knows keys, bytes and versions.  What a record looks like there is in
``_redis_script``, how a command gets there in ``_redis_routes_async``.  Its twin
is ``redis``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from haltable.errors import StoreError
from haltable.store import Conflict, Durability, Entry
from haltable.stores._redis_faults import UNKNOWN_SCRIPT, ResponseError
from haltable.stores._redis_routes_async import route_of
from haltable.stores._redis_script import (
    ABOUT,
    PAGE,
    RECORD,
    Script,
    entry_of,
    key_of,
    name_of,
    pattern_of,
)
from haltable.stores._redis_server import (
    check_arguments,
    durability_of,
    read_about,
    read_settings,
    refusal_of,
    weakness_of,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

__all__ = ["AsyncRedisStore"]

_LOG = logging.getLogger("haltable")


class AsyncRedisStore:
    """Keeps records in Redis or Valkey, for the processes of many machines.

    One script a call; ages and versions follow the server's clock.  The store
    opens connections of its own, made as the client's are: they never repeat a
    command, they wait for an answer as long as the client's ``socket_timeout``
    says (5 seconds if it says nothing), and what the client decodes or retries
    otherwise stays its own business.  A cluster's client is used itself.

    Making a store asks nothing of the server.  The first call does, and the one
    after a failure: a replica is refused, and so is a ``maxmemory-policy`` that
    forgets records.  A server that may forget what it has acknowledged is warned of.

    The tasks of one event loop may share a store, and should close it there.
    Under trio give `RedisStore` instead: it is called in threads.

    Args:
        client: a ``redis.asyncio.Redis`` (from a Sentinel too) or a
            ``redis.asyncio.RedisCluster``.
        prefix: begins the name of each record in Redis; no store's prefix may begin
            with that of another on the same database.
        durability: what a write survives, if you know better than the server's
            settings tell, as for a managed one, or take the risk; nothing is warned of then.

    Raises:
        ConfigurationError: an argument cannot be right.

    Example:
        >>> import redis.asyncio
        >>> store = AsyncRedisStore(redis.asyncio.Redis(host="10.0.0.7"))
        >>> store
        <AsyncRedisStore: at 10.0.0.7:6379, 'haltable:'>
    """

    #: What redis-py's own event loop is.
    event_loop = "asyncio"

    __slots__ = ("_asked", "_closed", "_durability", "_prefix", "_route", "_stated", "_warned")

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "haltable:",
        durability: Durability | None = None,
    ) -> None:
        check_arguments(prefix, durability)
        self._route = route_of(client)
        self._prefix = prefix
        self._stated = durability
        self._durability = Durability.NOTHING if durability is None else durability
        self._asked = self._closed = self._warned = False

    def __repr__(self) -> str:
        return f"<AsyncRedisStore: {self._route.place}, {self._prefix!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives: stated, or read from the server's settings.

        Until the server was asked, by `check` or by the first call, it is
        ``NOTHING``, unless it was stated.
        """
        return self._durability

    async def aclose(self) -> None:
        """Closes the store's own connections; every later call raises.  The client stays open."""
        self._closed, self._asked = True, False
        await self._route.aclose()

    async def check(self) -> Durability:
        """Asks the server whether it can hold records, and returns what a write survives.

        With ``appendonly yes`` it is ``MACHINE`` if ``appendfsync`` is ``always``, and
        ``PROCESS`` if it is ``no``.  It is ``NOTHING`` with ``everysec``, since a
        server that is killed may then forget seconds, and without ``appendonly``.
        Replication does not count: it does not wait.

        Raises:
            StoreError: it cannot be reached, is a replica, or would forget records.
        """
        if self._closed:
            raise StoreError(f"{self!r} is closed", outcome="refused")
        found, weakness = [max(Durability) if self._stated is None else self._stated], None
        for node in await self._route.nodes():
            about = read_about(await self._run(node, ABOUT, 0))
            refusal = refusal_of(about)
            if refusal is not None:
                raise StoreError(f"Redis {self._route.place} {refusal}", outcome="refused")
            if self._stated is None:
                settings = await self._settings(node)
                found.append(durability_of(about, settings))
                weakness = weakness or weakness_of(about, settings)
        self._durability = min(found)
        self._asked = True
        if weakness is not None and not self._warned:
            self._warned = True
            _LOG.warning("Redis %s %s", self._route.place, weakness)
        return self._durability

    async def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the server cannot be asked.
        """
        return entry_of((await self._record(key, "read"))[1:])

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.

        Raises:
            StoreError: the write was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        done, *found = await self._record(key, "write", expected, value)
        return Entry(value, found[0]) if done else Conflict(entry_of(found))

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, in any order.

        The server looks through all names of its database: one that holds much
        else makes it slow.

        Raises:
            StoreError: the server cannot be asked.
        """
        await self._ready()
        pattern = pattern_of(self._prefix, prefix)
        # A name may be found more than once, on a server and on another that it moves to.
        seen: set[bytes] = set()
        for node in await self._route.nodes():
            cursor = b"0"
            while True:
                cursor, page = await self._run(node, PAGE, 0, cursor, pattern)
                for name, *held in page:
                    entry = None if name in seen else entry_of(held)
                    if entry is not None:
                        seen.add(name)
                        yield key_of(self._prefix, name), entry
                if cursor == b"0":
                    break

    async def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Its version stays, so that no later one repeats it.

        Raises:
            StoreError: the removal was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        return bool((await self._record(key, "delete", expected))[0])

    async def _record(self, key: str, act: str, *words: object) -> list[Any]:
        await self._ready()
        name = name_of(self._prefix, key)
        node = await self._route.node_of(name)
        reply: list[Any] = await self._run(node, RECORD, 1, name, act, *words)
        return reply

    async def _ready(self) -> None:
        if not self._asked:
            await self.check()

    async def _run(self, node: Any, script: Script, *words: object) -> Any:
        try:
            reply = await self._route.ask(node, "EVALSHA", script.digest, *words)
            if reply is UNKNOWN_SCRIPT:
                reply = await self._route.ask(node, "EVAL", script.text, *words)
        except StoreError:
            # Whoever answers next may be another server, or one that has forgotten all.
            self._asked = False
            raise
        return reply

    async def _settings(self, node: Any) -> dict[str, str]:
        try:
            return read_settings(await self._route.ask(node, "CONFIG", "GET", "*append*"))
        except StoreError as error:
            # Many hosts of servers let nobody ask.
            if isinstance(error.__cause__, ResponseError):
                return {}
            raise
