# SPDX-License-Identifier: MIT
"""A function in a process of its own as a body: it can be ended, and reaches nothing of ours.

It knows its iteration, whose verbs it lends to the function message by message.
What a failure means for the loop it does not know.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from haltable.bodies import _checks, _talk_sync
from haltable.bodies._channel import Channel
from haltable.bodies._ear import Ear
from haltable.bodies._keeper_process import written
from haltable.bodies._numbers import numbers_of
from haltable.bodies._refused import Refused
from haltable.bodies._task import Task, environment
from haltable.bodies.confinement import Confinement
from haltable.bodies.isolated_failed import IsolatedFailed
from haltable.body import Body
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["Isolated"]

#: What a clean environment takes over from ours.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
#: The first words of the process: with our path of modules, it finds all the rest.
_FIRST = """\
import json, os, sys
with open(int(sys.argv[1]), "rb") as file:
    job = json.loads(file.read())
sys.path[:] = job["path"]
from haltable.bodies import _in_isolation
_in_isolation.main(job)
"""
#: Bytes of output that are kept, for nobody to read but who looks for a fault.
_OUTPUT = 1 << 12


def _environment(env: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return _checks.environment("Isolated", env)


def _importable(instance: Isolated, attribute: attrs.Attribute[Any], value: Any) -> None:
    del instance, attribute
    name = _checks.name_of(value)
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if module == "__main__":
        why = "it is defined in the script itself, which a fresh interpreter cannot import"
    elif "<lambda>" in qualname:
        why = "a lambda has no name by which it could be imported"
    elif "<locals>" in qualname:
        why = "it is defined inside another function"
    elif not module or not qualname or _found(module, qualname) != value:
        why = "it is not what its own name leads to"
    else:
        return
    raise ConfigurationError(
        f"Isolated(fn={name}): {why}; give a function at the top of a module that can be imported"
    )


def _found(module: str, qualname: str) -> object:
    found: object = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _json(instance: Isolated, attribute: attrs.Attribute[Any], value: Any) -> None:
    del instance
    try:
        text = json.dumps(value, allow_nan=False)
        # JSON would write names that are no strings as such: then the texts differ.
        if isinstance(value, dict) and json.loads(text) == value and "iteration" not in value:
            return
    except (TypeError, ValueError, RecursionError):
        pass  # Said below, in one sentence for all that may be wrong.
    raise ConfigurationError(
        f"Isolated({attribute.name}=...): give a dict of the function's arguments by name, "
        "but for `iteration`, with values that JSON can hold"
    )


@attrs.frozen(eq=False)
class Isolated(Body):
    """Runs a function in a fresh interpreter, which can be ended whatever it does.

    The interpreter imports the function by its name, over this process's
    ``sys.path``.  It has a clean environment, no input, and no store: the verbs
    of its iteration are asked for over a pipe and carried out, or refused, here.
    An effect of `Iteration.once` is claimed and recorded here and runs there.
    Its result is JSON; like all that it says it is a claim.

    What it and its children leave running is ended with it, as for `Command`;
    when the run is interrupted, all of it is: TERM, then KILL after the grace.

    Args:
        fn: the body, with a parameter ``iteration`` or without; a function that
            can be imported, so no lambda and nothing defined in ``__main__``.
        arguments: what else it is given, by name; JSON.
        env: what it finds in its environment besides PATH, HOME, LANG and TMPDIR.
        grace: seconds from TERM to KILL, 0 or more.
        message_limit: how many bytes a message may have, the result above all;
            at least 1, 1 MiB by default.
        on_output: is called with each line that it prints, as it comes and
            without its end; by default nobody hears it.
        confine: what it may write to, on Linux; by default what its user may.
            Its loop's store is then out of its reach.

    Returns:
        Called with an iteration, what the function returns.

    Raises:
        ConfigurationError: if an argument is not as described above; before the
            first iteration, if `confine` would let it at the store.
        IsolatedFailed: when called, if the function raised, or its process did
            not answer as it should.

    Example:
        >>> import fnmatch
        >>> from haltable import IterationCap, Loop
        >>> from haltable.bodies import Isolated
        >>> body = Isolated(fnmatch.translate, arguments={"pat": "*.md"})
        >>> Loop(IterationCap(1)).run(body).result == fnmatch.translate("*.md")
        True
    """

    fn: Callable[..., Any] = attrs.field(
        validator=[_checks.function, _importable, _checks.parameters]
    )
    arguments: Mapping[str, Any] = attrs.field(
        factory=dict[str, Any], kw_only=True, validator=_json
    )
    env: Mapping[str, str] | None = attrs.field(
        default=None, kw_only=True, converter=_environment, repr=False
    )
    grace: float = attrs.field(default=1.0, kw_only=True, validator=_checks.seconds)
    message_limit: int = attrs.field(default=1 << 20, kw_only=True, validator=_checks.size)
    on_output: Callable[[str], object] | None = attrs.field(
        default=None, kw_only=True, validator=_checks.listener
    )
    confine: Confinement | None = attrs.field(
        default=None, kw_only=True, validator=_checks.confinement
    )
    _files: tuple[str, ...] = attrs.field(default=(), init=False, repr=False)

    def __call__(self, iteration: Iteration) -> Any:
        """Runs the function once and waits for it."""
        channel = Channel(str(self), self.message_limit)
        try:
            with written(self._job(iteration, channel)) as job:
                task = self._task(channel, job.fileno())
                return _talk_sync.call(task, self._ear(), channel, iteration)
        except Refused as refused:
            raise self._not_started(refused.error) from refused.error
        finally:
            channel.close()

    async def acall(self, iteration: Iteration) -> Any:
        """Runs the function once without blocking the event loop."""
        # Whoever is here has an event loop; in a sync loop nobody loads one.
        from haltable.bodies import _talk_async

        channel = Channel(str(self), self.message_limit)
        try:
            with written(self._job(iteration, channel)) as job:
                task = self._task(channel, job.fileno())
                return await _talk_async.call(task, self._ear(), channel, iteration)
        except Refused as refused:
            raise self._not_started(refused.error) from refused.error
        finally:
            channel.close()

    def kept_from(self, files: Sequence[str]) -> Isolated:
        """Returns the body as one that its loop's files are hidden from, if it is confined."""
        if self.confine is None:
            return self
        self.confine.check(files)
        kept = copy.copy(self)
        object.__setattr__(kept, "_files", tuple(files))
        return kept

    def _ear(self) -> Ear:
        return Ear(_OUTPUT, self.on_output)

    def _job(self, iteration: Iteration, channel: Channel) -> bytes:
        return json.dumps(
            {
                "line": channel.handed,
                "path": [str(Path(entry).absolute()) for entry in sys.path],
                "module": self.fn.__module__,
                "qualname": self.fn.__qualname__,
                "takes": _checks.takes_iteration(self.fn),
                "arguments": self.arguments,
                "numbers": numbers_of(iteration),
            }
        ).encode()

    def _task(self, channel: Channel, job: int) -> Task:
        given = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return Task(
            (sys.executable, "-I", "-c", _FIRST, str(job)),
            cwd=None,
            env=environment({**given, **(self.env or {})}),
            grace=self.grace,
            handed=(channel.handed, job),
            confine=None if self.confine is None else self.confine.instructions(self._files),
        )

    def _not_started(self, error: OSError) -> IsolatedFailed:
        return IsolatedFailed(str(self), None, f"did not start: {error}")

    def __str__(self) -> str:
        return f"{self.fn.__module__}.{self.fn.__qualname__}"
