# SPDX-License-Identifier: MIT
"""A command as a body: one child process an iteration, with its whole process group.

It knows how to start, hear and end a child; what its failure means for the
loop it does not know.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from haltable._process_group import checked
from haltable.bodies import _child_sync
from haltable.bodies._excerpt import Excerpt
from haltable.bodies.command_failed import CommandFailed
from haltable.bodies.completed import Completed
from haltable.body import Body
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["Command"]


def _words(argv: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    return checked(argv, "Command")


def _directory(cwd: str | os.PathLike[str] | None) -> str | None:
    try:
        path = None if cwd is None else os.fspath(cwd)
        if path is None or (path and "\0" not in path):
            return path
    except TypeError:
        pass  # No path, or one of bytes.
    raise ConfigurationError(f"Command(cwd={cwd!r}): give a directory, or None for ours")


def _copied(env: Mapping[str, str] | None) -> Mapping[str, str] | None:
    try:
        copy = None if env is None else dict(env)
        if copy is None or not any("\0" in "".join(pair) for pair in copy.items()):
            return copy
    except (TypeError, ValueError):
        pass  # No mapping, or not of strings.
    # The value may be a secret: it is not shown.
    raise ConfigurationError("Command(env=...): give a mapping of strings without NUL, or None")


def _seconds(instance: Command, attribute: attrs.Attribute[Any], value: Any) -> None:
    del instance
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigurationError(
            f"Command({attribute.name}={value!r}): give seconds, a finite number of at least 0"
        )


def _size(instance: Command, attribute: attrs.Attribute[Any], value: Any) -> None:
    del instance
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"Command({attribute.name}={value!r}): give a number of bytes, at least 1"
        )


@attrs.frozen(eq=False)
class Command(Body):
    r"""Runs a program as the body: exit status 0 is a result, anything else a failure.

    The child has no input and leads a process group of its own.  What it and its
    children print is kept in bounded memory.  When it ends, whatever it left
    running in its group is ended too; when the run is interrupted, the whole
    group is: TERM, then KILL after the grace.  A process that leaves the group
    (``setsid``, another user) is not followed.

    The child finds in its environment ``HALTABLE_ITERATION`` and
    ``HALTABLE_STARTS``, the iteration's ``number`` and ``starts``, and on a
    keyed loop ``HALTABLE_KEY``.

    Args:
        argv: the program and its arguments; never a line for a shell.
        cwd: the directory it runs in; ours by default.
        env: its environment apart from those names; ours by default.
        grace: seconds from TERM to KILL, 0 or more.
        output_limit: how many bytes of output to keep, at least 1: half from
            the beginning, half from the end.

    Returns:
        Called with an iteration, a `Completed`.

    Raises:
        ConfigurationError: if an argument is not as described above.
        CommandFailed: when called, if the program could not be started or did
            not end with status 0.

    Example:
        >>> from haltable import IterationCap, Loop
        >>> from haltable.bodies import Command
        >>> report = Loop(IterationCap(1)).run(Command(["sh", "-c", "echo $HALTABLE_ITERATION"]))
        >>> report.result.text
        '1\n'
    """

    argv: tuple[str, ...] = attrs.field(converter=_words)
    cwd: str | None = attrs.field(default=None, kw_only=True, converter=_directory)
    env: Mapping[str, str] | None = attrs.field(
        default=None, kw_only=True, converter=_copied, repr=False
    )
    grace: float = attrs.field(default=1.0, kw_only=True, validator=_seconds)
    output_limit: int = attrs.field(default=64 * 1024, kw_only=True, validator=_size)

    def __call__(self, iteration: Iteration) -> Completed:
        """Runs the command once and waits for it."""
        output = Excerpt(self.output_limit)
        try:
            status = _child_sync.run(
                self.argv,
                cwd=self.cwd,
                env=self._environment(iteration),
                grace=self.grace,
                output=output,
            )
        except OSError as error:
            raise self._not_started(error) from error
        return self._ended(status, output)

    async def acall(self, iteration: Iteration) -> Completed:
        """Runs the command once without blocking the event loop."""
        # Whoever is here has an event loop; in a sync loop nobody loads one.
        from haltable.bodies import _child_async

        output = Excerpt(self.output_limit)
        try:
            status = await _child_async.run(
                self.argv,
                cwd=self.cwd,
                env=self._environment(iteration),
                grace=self.grace,
                output=output,
            )
        except OSError as error:
            raise self._not_started(error) from error
        return self._ended(status, output)

    def _environment(self, iteration: Iteration) -> dict[str, str]:
        environment = dict(os.environ if self.env is None else self.env)
        # That of a command around this one would be another loop's.
        environment.pop("HALTABLE_KEY", None)
        if iteration.key is not None:
            environment["HALTABLE_KEY"] = iteration.key
        environment["HALTABLE_ITERATION"] = str(iteration.number)
        environment["HALTABLE_STARTS"] = str(iteration.starts)
        return environment

    def _not_started(self, error: OSError) -> CommandFailed:
        status = 127 if isinstance(error, FileNotFoundError) else 126
        what = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        return CommandFailed(Completed(self.argv, status, b""), what)

    def _ended(self, status: int, output: Excerpt) -> Completed:
        completed = Completed(self.argv, status, bytes(output), output.left_out)
        if status != 0:
            raise CommandFailed(completed)
        return completed

    def __str__(self) -> str:
        return shlex.join(self.argv)
