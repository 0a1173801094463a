# SPDX-License-Identifier: MIT
"""How a command gets to the server that holds a name: one server, or a cluster.

It sends each command once, says whether it may have arrived, and knows no
record.  Its twin is ``_redis_routes_async``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster
from redis.retry import Retry

from haltable.stores._redis_faults import UNKNOWN_SCRIPT, NoScriptError, is_reply, store_error
from haltable.stores._redis_pool import (
    check_patience,
    known,
    own_pool,
    place,
    words_to_connect,
    wrong_client,
)

__all__ = ["route_of"]


class _OneServer:
    """The way to one server, or to the one that a Sentinel names."""

    def __init__(self, client: Any) -> None:
        pool: Any = client.connection_pool
        # A Sentinel's pool lives no longer than the client.
        self._client = client
        self._pool = own_pool(pool, Retry)
        self._words = words_to_connect(pool.get_connection)
        self.place = place(pool)

    def nodes(self) -> Sequence[Any]:
        """Returns all servers that hold records."""
        return (None,)

    def node_of(self, name: bytes) -> Any:
        """Returns the server that holds a name."""
        del name
        return None

    def ask(self, node: Any, *words: object) -> Any:
        """Sends a command once and returns the reply, ``UNKNOWN_SCRIPT`` if that is it.

        Raises:
            StoreError: it was refused, or nobody knows.
        """
        del node
        try:
            link = self._pool.get_connection(*self._words)
        except Exception as error:
            raise store_error(self.place, error, sent=False) from error
        try:
            link.send_command(*words)
            return link.read_response(disable_decoding=True)
        except NoScriptError:
            return UNKNOWN_SCRIPT
        except BaseException as error:
            # An answer that is still to come must not be taken for that of another question.
            if not is_reply(error):
                link.disconnect()
            if isinstance(error, Exception):
                raise store_error(self.place, error, sent=True) from error
            raise
        finally:
            self._pool.release(link)

    def close(self) -> None:
        """Closes the store's own connections; the client stays open."""
        self._pool.disconnect()


class _Cluster:
    """The way to the servers of a cluster; it uses the client, which knows where they are."""

    def __init__(self, client: Any) -> None:
        self._client: Any = client
        self.place = "cluster"
        check_patience(client.get_connection_kwargs(), Redis)

    def nodes(self) -> Sequence[Any]:
        """Returns all servers that hold records."""
        try:
            found: Sequence[Any] = known(self._client).get_primaries()
        except Exception as error:
            raise store_error(self.place, error, sent=False) from error
        return found

    def node_of(self, name: bytes) -> Any:
        """Returns the server that holds a name."""
        try:
            return known(self._client).get_node_from_key(name)
        except Exception as error:
            raise store_error(self.place, error, sent=False) from error

    def ask(self, node: Any, *words: object) -> Any:
        """Sends a command once and returns the reply, ``UNKNOWN_SCRIPT`` if that is it.

        One that has moved is sent to where it is now: it was refused before.

        Raises:
            StoreError: it was refused, or nobody knows.
        """
        try:
            # The client repeats nothing that it is told whom to send to.
            return self._client.execute_command(*words, target_nodes=node, NEVER_DECODE=True)
        except NoScriptError:
            return UNKNOWN_SCRIPT
        except Exception as error:
            raise store_error(self.place, error, sent=True) from error

    def close(self) -> None:
        """Does nothing: the connections are the client's."""


def route_of(client: object) -> _OneServer | _Cluster:
    """Returns the way to where a client leads.

    Raises:
        ConfigurationError: it is no client of this kind.
    """
    if isinstance(client, RedisCluster):
        return _Cluster(client)
    if isinstance(client, Redis):
        return _OneServer(client)
    raise wrong_client(client, Redis)
