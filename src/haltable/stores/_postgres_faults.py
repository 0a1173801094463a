# SPDX-License-Identifier: MIT
"""What PostgreSQL's errors mean for a caller, in words, and whether a write may have happened.

It knows the server's SQLSTATE codes, and no store and no driver.
"""

from __future__ import annotations

from haltable.errors import StoreError

__all__ = ["is_taken", "lost_race", "refusal", "store_error"]

_MEANINGS = {
    "08": "cannot be reached any more: the connection failed",
    "25006": "is read-only: is this a standby, or default_transaction_read_only on?",
    "26000": "is reached through a pooler that shares sessions: do not set prepare=True",
    "28": "is not accessible: the server does not know this user",
    "3F000": "lies in a schema that is missing: create that first, then call create_schema()",
    "40001": "was changed by another transaction at the same time",
    "40P01": "was changed by another transaction at the same time (a deadlock)",
    "42501": "is not accessible: permission denied",
    "42703": "has another form than this version of haltable reads",
    "42P05": "is reached through a pooler that shares sessions: do not set prepare=True",
    "42P01": "is missing: call create_schema() once, or run what schema() prints",
    "53": "cannot be used: the server is out of a resource",
    "53100": "cannot grow: the server's disk is full",
    "53200": "cannot be used: the server is out of memory",
    "53300": "cannot be used: the server has too many connections",
    "55P03": "is locked by another transaction",
    "57014": "did not answer in time: the statement was cancelled (statement_timeout?)",
    "57": "cannot be used: the server is being stopped or ended this connection",
    "58": "cannot be used: the server's disk or system reported an error",
    "XX": "cannot be used: the server reported an internal error, or damaged data",
}
# What the server reports before a statement commits, the transaction is rolled
# back for, so that the write certainly was not done.  Not among them are the ends
# of a connection and of the server, and errors of its disk, which may come after.
_IN_DOUBT = ("08", "40003", "57P", "58", "F0", "HV", "XX")


def _state(error: BaseException | None) -> str:
    # Set by the driver on errors that the server itself reported.
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _is_unsendable(error: Exception) -> bool:
    # Text that cannot be encoded, or holds a NUL, never reaches the server.
    return isinstance(error, UnicodeEncodeError) or type(error).__name__ == "DataError"


def lost_race(error: StoreError) -> bool:
    """Whether a stricter isolation than read committed refused what another had changed."""
    return _state(error.__cause__) in {"40001", "40P01"}


def is_taken(error: StoreError) -> bool:
    """Whether somebody else created the table at the same moment."""
    return _state(error.__cause__) in {"23505", "42P07", "42710"}


def store_error(table: str, act: str, error: Exception, *, writes: bool) -> StoreError:
    """Makes the `StoreError` for what the server, or its driver, raised.

    Args:
        table: the table, as it is quoted.
        act: what was tried, as ``"read 'key'"``.
        error: what was raised.
        writes: whether the statement changes something; one that only reads is
            never in doubt.
    """
    state = _state(error)
    certain = not writes or (state and not state.startswith(_IN_DOUBT))
    certain = certain or (not state and _is_unsendable(error))
    meaning = _MEANINGS.get(state) or _MEANINGS.get(state[:2]) or "failed"
    if not state and not certain:
        meaning = "did not answer: the connection was lost on the way"
    name = " ".join(filter(None, [type(error).__name__, state]))
    words = " ".join(str(error).split())
    message = f"PostgreSQL table {table} {meaning} ({name}: {words}; tried to {act})"
    return StoreError(message, outcome="refused" if certain else "unknown")


def refusal(table: str, what: str, act: str, error: Exception | None = None) -> StoreError:
    """Makes the `StoreError` for what was noticed before anything was sent.

    Args:
        table: the table, as it is quoted.
        what: what is the matter, as a predicate.
        act: what was to be done.
        error: what the driver said, if it did.
    """
    cause = ""
    if error is not None:
        words = " ".join(str(error).split())
        cause = f"{type(error).__name__}: {words}; "
    message = f"PostgreSQL table {table} {what} ({cause}tried to {act})"
    return StoreError(message, outcome="refused")
