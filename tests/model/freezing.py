# SPDX-License-Identifier: MIT
"""The state of a worker as a value: all that it knows, and where in its code it stands.

Two workers with equal values go on alike, whoever they are: owners' tokens and
versions of the store are holes, filled in beside the value, and moments are the
ticks since.  What nothing depends on (texts' bytes, caches, live seconds) is
left out; a test holds these omissions to the drivers.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Coroutine, Iterator
from typing import Any

import attrs

from haltable._book import Book
from haltable._effect_call import EffectCall, Policy
from haltable._fields import Settings
from haltable._state import RunState
from haltable.plan import Plan
from haltable.recollection import Recollection
from haltable.store import Conflict, Entry
from tests.model.strands import TICK, Clock, Request, Worker

#: What every token looks like.
STEM = "token-"
#: Ticks after which all moments look alike.
OLD = 2
#: Names that hold a moment of the worker's clock on which something depends,
#: in an attribute or in a frame of the code that is named.
_MOMENTS = {"written_at", "rested_at", "put.moment", "replace.moment", "watch.now", "renew.now"}
#: How frames call what is a moment; elsewhere nothing depends on it any more.
_MOMENT = {"moment", "now"}
#: Names that hold a version of the store.
_VERSIONS = {"version", "expected", "fence"}
#: Names on which nothing depends, in a world without limits of time.
_IDLE = {
    "_at",
    "_facts",
    "_head",
    "_head_owner",
    "_head_past",
    "_iteration",
    "_made_for",
    "_port",
    "breath_at",
    "claimed_at",
    "elapsed",
    "ended_at",
    "looks",
    "origin",
    "verb_at",
    "waited",
}
#: What never changes, or never lives from one request to the next.
_PLAIN = (Settings, Plan, Policy, Clock, Entry, Conflict, Request, Recollection, Worker)
_VALUES = (bool, int, float, str, type(None))


class Frozen:
    """A worker as a value, with what fills its holes.

    Attributes:
        form: the value.
        tokens: of owners, its own first, in the order in which the form names them.
        versions: likewise.
        ticking: whether time alone changes it.
    """

    def __init__(self, worker: Worker) -> None:
        self.tokens = [worker.token]
        self.versions: list[float] = []
        self.ticking = False
        self._now = worker.clock.seconds
        self._watched = worker.watched
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []
        parts = [
            (
                name,
                self._freeze(worker.requests[name].kind),
                self._request(worker.requests[name]),
                tuple(self._frame(frame) for frame in _frames(strand)),
            )
            for name, strand in sorted(worker.strands.items())
        ]
        ends = [(name, self._freeze(end)) for name, end in sorted(worker.ends.items())]
        own = self._freeze(worker.own)
        order = sorted(self.versions)
        ranks = tuple(order.index(version) for version in self.versions)
        self.form = (tuple(parts), tuple(ends), own, self._freeze(worker.lock.held), ranks)

    def _request(self, request: Request) -> Any:
        if request.kind != "write":
            return self._freeze(request.what)
        record, expected = request.what
        return self._freeze(record), self._freeze(expected, "expected")

    def _frame(self, frame: types.FrameType) -> Any:
        code = frame.f_code.co_qualname
        held = tuple(
            (name, self._freeze(v, f"{code}.{name}" if type(v) is float else name))
            for name, v in sorted(frame.f_locals.items())
        )
        return code, frame.f_lasti, held

    def _freeze(self, value: Any, name: str = "") -> Any:
        if name.rpartition(".")[2] in _IDLE:
            return None
        kind = type(value)
        if kind in _VALUES:
            return self._freeze_plain(value, name)
        if kind is tuple or kind is list:
            return tuple(self._freeze(each) for each in value)
        if isinstance(value, enum.Enum):
            return str(value)
        if isinstance(value, _PLAIN) or kind is bytes:
            return kind.__name__
        if attrs.has(kind) and not isinstance(value, BaseException):
            fields = attrs.fields(kind)
            held = (self._freeze(getattr(value, f.name), f.name) for f in fields)
            return (kind.__name__, *held)
        return self._freeze_object(value)

    def _freeze_plain(self, value: Any, name: str) -> Any:
        if name in _VERSIONS and value:
            if value not in self.versions:
                self.versions.append(value)
            return "version", self.versions.index(value)
        if isinstance(value, float) and (name in _MOMENTS or name.partition(".")[2] in _MOMENT):
            if name not in _MOMENTS or not self._watched:
                return None
            ticks = min((self._now - value) / TICK, OLD)
            self.ticking = self.ticking or ticks < OLD
            return ticks
        if isinstance(value, str) and value.startswith(STEM):
            if value not in self.tokens:
                self.tokens.append(value)
            return "token", self.tokens.index(value)
        return value

    def _freeze_object(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType):
            cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
            held = tuple((name, self._freeze(cell.cell_contents, name)) for name, cell in cells)
            return value.__qualname__, value.__code__.co_firstlineno, held
        if isinstance(value, types.MethodType):
            return value.__func__.__qualname__, self._freeze(value.__self__)
        if isinstance(value, functools.partial):
            return self._freeze((value.func, value.args))
        if isinstance(value, type | types.BuiltinFunctionType | types.ModuleType):
            return value.__name__
        if isinstance(value, BaseException):
            return type(value).__name__, self._freeze(value.args)
        if isinstance(value, frozenset | set):
            return tuple(sorted(str(each) for each in value))
        if isinstance(value, dict):
            return tuple((key, self._freeze(each, key)) for key, each in sorted(value.items()))
        if id(value) in self._seen:
            return "seen", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return type(value).__name__, tuple(
            (name, self._freeze(each, name)) for name, each in sorted(_attributes(value).items())
        )


def _attributes(value: object) -> dict[str, Any]:
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(value, name):
                held[name] = getattr(value, name)
    if isinstance(value, RunState | EffectCall | Book) or held:
        return held
    return {}


def _frames(coroutine: Coroutine[Any, Any, Any]) -> Iterator[types.FrameType]:
    """Yields the frames of a suspended coroutine, the outermost first."""
    inner: Any = coroutine
    while inner is not None:
        if isinstance(inner, types.CoroutineType):
            yield inner.cr_frame
            inner = inner.cr_await
        else:
            return
