# SPDX-License-Identifier: MIT
"""The rows of a query over an asynchronous connection, or one that has to be awaited.

The twin of what ``rows`` does by itself; it is loaded only for those who need it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from haltable.evidence._row_digest import RowDigest

__all__ = ["closed_after", "look"]

#: Seconds that closing may take when the loop is being cancelled.
GRACE = 1.0


async def look(
    opened: AbstractAsyncContextManager[Any],
    words: tuple[Any, ...],
    digest: RowDigest,
    size: int,
) -> bytes:
    """Returns the digest of the rows.

    Args:
        opened: the connection, as a context.
        words: the query, and its parameters if it has any.
        digest: takes the rows.
        size: how many are fetched at a time.
    """
    async with opened as connection:
        cursor = await _settled(connection.cursor())
        try:
            await _settled(cursor.execute(*words))
            digest.check(cursor.description)
            while rows := await _settled(cursor.fetchmany(size)):
                digest.add(rows)
        finally:
            await _closed(cursor)
    return digest.digest()


@asynccontextmanager
async def closed_after(make: Callable[[], Any]) -> AsyncGenerator[Any]:
    """Gives the connection that a factory makes, and closes it.

    Args:
        make: returns a connection, a context of one, or an awaitable of either.
    """
    made = await _settled(make())
    if hasattr(made, "cursor"):
        try:
            yield made
        finally:
            await _closed(made)
    elif hasattr(made, "__aenter__"):
        async with made as connection:
            yield connection
    else:
        with made as connection:
            yield connection


async def _settled(answer: Any) -> Any:
    """Returns an answer, awaited if it is a promise."""
    return await answer if inspect.isawaitable(answer) else answer


async def _closed(thing: Any) -> None:
    # A cancellation goes on afterwards: what was opened is given back first.
    with anyio.move_on_after(GRACE, shield=True):
        await _settled(thing.close())
