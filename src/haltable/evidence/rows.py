# SPDX-License-Identifier: MIT
"""The rows of a query as evidence, over any connection that Python's database API describes.

It knows cursors and rows, and no database: drivers are recognised by what they
can do.  What the rows mean it does not know.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from haltable.errors import ConfigurationError
from haltable.evidence._row_digest import RowDigest
from haltable.probe import Evidence

__all__ = ["Rows"]

#: How many rows are fetched at a time.
_FETCHED = 1000


class _Connection(Protocol):
    """What makes a connection: sqlite3's, psycopg's, and their asynchronous kin."""

    def cursor(self) -> Any: ...

    def close(self) -> Any: ...


class Rows(Evidence):
    """What a query returns: other rows, or the same in another order, are another state.

    Ask for what changes only when work was done, and for little of it: a count,
    the newest number.  Rows count in the order in which they come, so give a
    query of several an ``ORDER BY``.

    A *factory* is called at each look, and what it makes is closed after it;
    it may be a coroutine function, or return a context of a connection, as
    pools do.  It is the safer choice: a connection that is given as it is is
    used as it is, in whatever transaction it stands, by whatever thread looks
    (``sqlite3`` refuses another one), and stays open.

    What the database raises makes the evidence blind, with its words; so does a
    query that returns no rows at all (an ``INSERT``), and a value that is none
    of None, bool, int, float, str, bytes, `Decimal`, a date, a time, a
    `UUID`, or a list or mapping of these.

    Args:
        query: in the database's own words; it is passed on as it is.
        connection: of Python's database API (``sqlite3``, ``psycopg`` and the
            like), sync or async, or a function without arguments that makes one.
        *parameters: of the query, in its order; or a single mapping, by name.
        name: how receipts call it, unique within a stall detector; by default
            the query.

    Raises:
        ConfigurationError: if the query is empty, the connection is neither of
            the two, or the name is no non-empty string.

    Example:
        >>> import sqlite3
        >>> from haltable.evidence import Rows
        >>> invoices = sqlite3.connect(":memory:")
        >>> _ = invoices.execute("create table invoice (number, state)")
        >>> sent = Rows("select count(*) from invoice where state = ?", invoices, "sent")
        >>> before = sent.fingerprint()
        >>> _ = invoices.execute("insert into invoice values (7, 'draft')")
        >>> sent.fingerprint() == before
        True
        >>> _ = invoices.execute("update invoice set state = 'sent'")
        >>> sent.fingerprint() == before
        False
        >>> invoices.close()
    """

    _connection: Any

    def __init__(
        self,
        query: str,
        connection: _Connection | Callable[[], Any],
        *parameters: object,
        name: str | None = None,
    ) -> None:
        if not isinstance(query, str) or not query.strip():
            raise ConfigurationError(f"Rows({query!r}): give a query")
        if name is not None and not (isinstance(name, str) and name):
            raise ConfigurationError(f"Rows(name={name!r}): give a non-empty string, or None")
        self._connection = connection
        self._is_given = _is_connection(connection)
        if not self._is_given:
            _check_factory(connection)
        self._words = _words(query, parameters)
        self._name = name or f"Rows({' '.join(query.split())})"
        last: Any = self._connection.close if self._is_given else self._connection
        self._is_async = inspect.iscoroutinefunction(last)
        #: Whether a database may keep a thread waiting: async drivers then ask in another.
        self.blocks = not self._is_async

    def fingerprint(self) -> bytes | Awaitable[bytes]:
        """Returns a digest of the rows.

        Raises:
            TypeError: if the query returns no rows, or one holds something of
                which there is no fingerprint.
            Exception: whatever the factory and the database raise.
        """
        if self._is_given:
            given = contextlib.nullcontext(self._connection)
            return self._later(given) if self._is_async else self._look(self._connection)
        if self._is_async:
            return self._later(self._connection)
        made = self._connection()
        if _is_promised(made):
            return self._later(lambda: made)
        if not (hasattr(made, "cursor") or hasattr(made, "__enter__")):
            raise TypeError(f"{self}: the function made {made!r}, which is no connection")
        with contextlib.closing(made) if hasattr(made, "cursor") else made as connection:
            return self._look(connection)

    def _look(self, connection: Any) -> bytes:
        digest = RowDigest(str(self))
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(*self._words)
            digest.check(cursor.description)
            while rows := cursor.fetchmany(_FETCHED):
                digest.add(rows)
        return digest.digest()

    def _later(self, source: Any) -> Awaitable[bytes]:
        from haltable.evidence import _rows_later  # Only who awaits pays for it.

        opened = _rows_later.closed_after(source) if callable(source) else source
        return _rows_later.look(opened, self._words, RowDigest(str(self)), _FETCHED)

    def __str__(self) -> str:
        return self._name


def _is_connection(value: Any) -> bool:
    # sqlite3's connections can be called, too, and mean something else by it.
    return not isinstance(value, type) and callable(getattr(value, "cursor", None))


def _is_promised(made: Any) -> bool:
    """Says whether what a factory made has to be awaited, sooner or later."""
    if inspect.isawaitable(made):
        return True
    if hasattr(made, "cursor"):
        return inspect.iscoroutinefunction(made.close)
    return hasattr(made, "__aenter__") and not hasattr(made, "__enter__")


def _check_factory(value: Any) -> None:
    wanted = "give a database connection, or a function without arguments that makes one"
    if not callable(value):
        raise ConfigurationError(f"Rows(connection={value!r}): {wanted}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return  # A builtin without a signature; only calling it shows what it takes.
    try:
        signature.bind()
    except TypeError as error:
        raise ConfigurationError(f"Rows(connection={value!r}): {wanted} ({error})") from error


def _words(query: str, parameters: tuple[object, ...]) -> tuple[object, ...]:
    if not parameters:
        return (query,)  # Some drivers read a percent sign otherwise once there are any.
    first: Any = parameters[0]
    by_name = len(parameters) == 1 and issubclass(type(first), Mapping)
    return query, first if by_name else parameters
