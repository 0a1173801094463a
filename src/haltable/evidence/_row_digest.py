# SPDX-License-Identifier: MIT
"""Rows as bytes: no two that differ, in a value or in its type, come to the same.

It knows the values that databases return, and no database.  What it does not
know it refuses: the words that Python has for such an object may change from
look to look, which would read like progress.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

__all__ = ["RowDigest"]

_MICROSECOND = dt.timedelta(microseconds=1)
#: What is written down for the values of a type, and under which letter; the first that fits.
_KINDS: tuple[tuple[Any, bytes, Callable[[Any], bytes]], ...] = (
    (type(None), b"n", lambda _: b""),
    (bool, b"o", lambda value: b"1" if value else b"0"),
    (int, b"i", lambda value: b"%x" % value),
    (float, b"f", lambda value: float.hex(value).encode()),
    (str, b"s", lambda value: str.encode(value, errors="surrogatepass")),
    ((bytes, bytearray, memoryview), b"b", bytes),
    (Decimal, b"d", lambda value: Decimal.__str__(value).encode()),
    (dt.datetime, b"t", lambda value: value.isoformat().encode()),
    (dt.date, b"a", lambda value: value.isoformat().encode()),
    (dt.time, b"c", lambda value: value.isoformat().encode()),
    (dt.timedelta, b"e", lambda value: b"%d" % (value // _MICROSECOND)),
    (uuid.UUID, b"u", lambda value: value.bytes),
    (Mapping, b"m", lambda value: b"".join(sorted(_bytes_of(pair) for pair in value.items()))),
    (Sequence, b"l", lambda value: b"".join(map(_bytes_of, value))),
)


class RowDigest:
    """Takes rows as they come, and forgets them.

    Args:
        name: how errors call whoever asked.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._digest = hashlib.blake2b(digest_size=16)

    def check(self, description: object) -> None:
        """Raises `TypeError` if a cursor's description says that there are no rows to come."""
        if description is None:
            raise TypeError(f"{self._name}: the query returns no rows; give a SELECT or the like")

    def add(self, rows: Iterable[object]) -> None:
        """Takes more rows.

        Raises:
            TypeError: if one holds something that is no plain value.
        """
        try:
            for row in rows:
                self._digest.update(_bytes_of(row))
        except TypeError as error:
            raise TypeError(f"{self._name}: {error}") from error

    def digest(self) -> bytes:
        """Returns the digest of all rows so far, in their order."""
        return self._digest.digest()


def _bytes_of(value: object) -> bytes:
    for kind, letter, form in _KINDS:
        if isinstance(value, kind):
            content = form(value)
            # With its length in front nothing runs into what comes next.
            return b"%s%d:%s" % (letter, len(content), content)
    raise TypeError(
        f"there is no fingerprint of a {type(value).__name__}; "
        "have the query cast it to text or to a number"
    )
