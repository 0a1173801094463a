# SPDX-License-Identifier: MIT
"""What makes two calls of an effect the same: keys, payloads and their fingerprints.

Everything is made of canonical JSON, never of ``repr``: a text that differs
between two processes would be a second charge.  It knows no record and no store.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from haltable.errors import ConfigurationError, in_words

__all__ = [
    "ABSENT",
    "as_result",
    "canonical",
    "check_effect_key",
    "effect_prefix",
    "fingerprint",
]

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_SCALARS = frozenset({bool, int, str, type(None)})
#: Of an argument that was not given, where None is a payload like any other.
ABSENT: Any = object()
#: Stands before what is hashed, so that another way of writing JSON would be told from this one.
_FORM = "haltable payload 1:"


def check_effect_key(key: object, where: str = "once") -> None:
    """Raises `ConfigurationError` unless this can name an effect."""
    if not isinstance(key, str) or not key:
        raise ConfigurationError(f"{where}(key={key!r}): give a non-empty string")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{where}(key={key!r}): it is no valid text") from None


def effect_prefix(prefix: str, namespace: str) -> str:
    """Returns what the keys of a namespace's records begin with; no two namespaces share one."""
    return f"{prefix}/effect/{quote(namespace, safe='')}/"


def canonical(value: object) -> str:
    """Returns a payload's one and only text.

    Integers and floats differ (10 is not 10.0), lists and tuples do not, the
    order of an object's members does not matter.

    Raises:
        ConfigurationError: if it is not made of None, booleans, finite numbers,
            texts, sequences and mappings with texts as keys; the message says
            where.
    """
    try:
        _check(value, "payload")
        return _canonical(value)
    except ConfigurationError:
        raise
    except RecursionError:
        raise ConfigurationError("payload: it is nested too deeply, or contains itself") from None
    except Exception as error:  # Anybody's own mapping may raise anything; so do huge numbers.
        raise ConfigurationError(f"payload: it is no JSON: {in_words(error)}") from error


def fingerprint(
    payload: object, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[str | None, str]:
    """Returns what is compared between two calls of one key, and what it was made of.

    Args:
        payload: as given, `ABSENT` if it was not.
        args: the arguments of the effect, used if no payload was given.
        kwargs: likewise.

    Raises:
        ConfigurationError: if a payload was given that is no JSON.
    """
    if payload is not ABSENT:
        return _hash(canonical(payload)), "payload"
    try:
        if not kwargs and all(type(each) in _SCALARS for each in args):
            # What nearly every call is like needs no look inside.
            return _hash(_canonical([args, kwargs])), "arguments"
        return _hash(canonical([list(args), dict(kwargs)])), "arguments"
    except ValueError:  # Of the encoder, and ours is one too.
        return None, "nothing"


def as_result(value: object, limit: int) -> tuple[str | None, str | None]:
    """Returns a result as JSON text, or why there is none.

    Args:
        value: what the effect returned.
        limit: bytes that it may have.
    """
    try:
        text = _encode(value)
    except Exception as error:  # Anybody's own mapping may raise anything.
        return None, f"the result is not JSON: {in_words(error)}"
    if len(text) > limit:
        return None, f"as JSON the result has {len(text):,} bytes, more than {limit:,}"
    return text, None


def _hash(text: str) -> str:
    return hashlib.sha256((_FORM + text).encode()).hexdigest()


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(f"{where}={value!r}: it is no number that JSON knows")
        return
    if isinstance(value, dict):
        for key, each in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise ConfigurationError(f"{where}: the key {_shown(key)} is no text")
            _check(each, f"{where}[{key!r}]")
        return
    if isinstance(value, list | tuple):
        for number, each in enumerate(cast("Sequence[object]", value)):
            _check(each, f"{where}[{number}]")
        return
    raise ConfigurationError(
        f"{where}={_shown(value)}: a {type(value).__name__} is no JSON; "
        "give None, booleans, numbers, texts, lists and dicts"
    )


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # Anybody's own __repr__ may raise anything.
        return f"<{type(value).__name__}>"
