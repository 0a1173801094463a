# SPDX-License-Identifier: MIT
"""What SQLite's errors mean for a caller, in words, and whether a write may have happened.

It knows SQLite's error numbers and no store.
"""

from __future__ import annotations

from haltable.errors import StoreError

__all__ = ["is_busy", "is_passing", "refusal", "store_error"]

_BUSY, _LOCKED, _PROTOCOL, _FULL = 5, 6, 15, 13

#: The primary result codes that arise before a statement commits, so that the
#: write certainly was not done.  An I/O error is not among them: the commit may
#: already lie in the write-ahead log when its sync or its index fails.
_NOT_DONE = {
    3: "is not accessible: permission denied",
    _BUSY: "is locked by another process or connection",
    _LOCKED: "is locked by another connection of this process",
    8: "is read-only",
    11: "is damaged",
    _FULL: "cannot grow: the disk or the quota is full",
    14: "cannot be opened: is the file, its directory or the disk missing, or read-only?",
    18: "cannot hold a value of this size",
    26: "is not a SQLite database, or its first page is damaged",
}
_OTHER = {
    10: "cannot be used: the disk reported an error",
    _PROTOCOL: "cannot be locked: its locks are in disorder",
}
# What cannot be bound to a statement never reaches the file.
_UNSENDABLE = (UnicodeEncodeError, OverflowError)


def _primary(error: Exception) -> int | None:
    # Set by the driver on errors that come from SQLite itself.
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def is_passing(error: Exception) -> bool:
    """Whether the connection is as good as before, and only somebody else was in the way."""
    return isinstance(error, _UNSENDABLE) or _primary(error) in (_BUSY, _LOCKED, _FULL)


def is_busy(error: Exception) -> bool:
    """Whether waiting a little may help."""
    return _primary(error) in (_BUSY, _LOCKED, _PROTOCOL)


def store_error(path: str, act: str, error: Exception, *, writes: bool) -> StoreError:
    """Makes the `StoreError` for what SQLite, or its driver, raised.

    Args:
        path: the database file.
        act: what was tried, as ``"read 'key'"``.
        error: what was raised.
        writes: whether the statement changes something; one that only reads is
            never in doubt.
    """
    code = _primary(error)
    certain = not writes or code in _NOT_DONE or isinstance(error, _UNSENDABLE)
    meaning = "failed"
    if code is not None:
        meaning = _NOT_DONE.get(code) or _OTHER.get(code) or meaning
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    message = f"SQLite database {path!r} {meaning} ({name}: {error}; tried to {act})"
    return StoreError(message, outcome="refused" if certain else "unknown")


def refusal(path: str, what: str, error: OSError | None = None) -> StoreError:
    """Makes the `StoreError` for what was noticed before anything was sent.

    Args:
        path: the database file.
        what: what is the matter with it, as a predicate.
        error: what the system said, if it did.
    """
    cause = "" if error is None else f" ({error.strerror})"
    return StoreError(f"SQLite database {path!r} {what}{cause}", outcome="refused")
