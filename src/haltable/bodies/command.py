# SPDX-License-Identifier: MIT
"""A command as a body: one child process an iteration, with its whole family.

It knows how to start, hear and end a child; what its failure means for the
loop it does not know.
"""

from __future__ import annotations

import copy
import os
import shlex
from collections.abc import Callable, Mapping, Sequence

import attrs

from haltable._process_group import checked
from haltable.bodies import _checks, _child_sync
from haltable.bodies._ear import Ear
from haltable.bodies._keepers import ALONE, Keepers
from haltable.bodies._refused import Refused
from haltable.bodies._task import Task, environment
from haltable.bodies.command_failed import CommandFailed
from haltable.bodies.completed import Completed
from haltable.bodies.confinement import Confinement
from haltable.body import Body
from haltable.iteration import Iteration

__all__ = ["Command"]


def _words(argv: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    return checked(argv, "Command")


def _directory(cwd: str | os.PathLike[str] | None) -> str | None:
    return _checks.directory("Command", cwd)


def _environment(env: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return _checks.environment("Command", env)


@attrs.frozen(eq=False)
class Command(Body):
    r"""Runs a program as the body: exit status 0 is a result, anything else a failure.

    The child has no input and leads a session of its own.  What it and its
    children print is kept in bounded memory, and handed on line by line if
    somebody wants to hear it.  When it ends, whatever it left running is ended
    too; when the run is interrupted, all of it is: TERM, then KILL after the
    grace.  On Linux that is every process that descends from it, with
    ``setsid`` or without, elsewhere its process group.  The same happens when
    this process dies, by ``kill -9`` too.

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
        on_output: is called with each line that is printed, as it comes and
            without its end; nobody by default.  What it raises ends the
            command, and is the iteration's failure.
        on_bytes: is called with the number of a stream, 1 or 2, and with each
            piece that is printed to it, as it comes; nobody by default.  What it
            raises counts likewise.
        confine: what it may write to, on Linux; by default what its user may.
            Its loop's store is then out of its reach.

    Returns:
        Called with an iteration, a `Completed`.

    Raises:
        ConfigurationError: if an argument is not as described above; before the
            first iteration, if `confine` would let it at the store.
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
        default=None, kw_only=True, converter=_environment, repr=False
    )
    grace: float = attrs.field(default=1.0, kw_only=True, validator=_checks.seconds)
    output_limit: int = attrs.field(default=64 * 1024, kw_only=True, validator=_checks.size)
    on_output: Callable[[str], object] | None = attrs.field(
        default=None, kw_only=True, validator=_checks.listener
    )
    on_bytes: Callable[[int, bytes], object] | None = attrs.field(
        default=None, kw_only=True, validator=_checks.listener
    )
    confine: Confinement | None = attrs.field(
        default=None, kw_only=True, validator=_checks.confinement
    )
    _files: tuple[str, ...] = attrs.field(default=(), init=False, repr=False)
    _keepers: Keepers = attrs.field(default=ALONE, init=False, repr=False)

    def __call__(self, iteration: Iteration) -> Completed:
        """Runs the command once and waits for it."""
        ear = self._ear()
        try:
            status = _child_sync.run(self._task(iteration), ear, self._keepers)
        except Refused as refused:
            raise self._not_started(refused.error) from refused.error
        return self._ended(status, ear)

    async def acall(self, iteration: Iteration) -> Completed:
        """Runs the command once without blocking the event loop."""
        # Whoever is here has an event loop; in a sync loop nobody loads one.
        from haltable.bodies import _child_async

        ear = self._ear()
        try:
            status = await _child_async.run(self._task(iteration), ear, self._keepers)
        except Refused as refused:
            raise self._not_started(refused.error) from refused.error
        return self._ended(status, ear)

    def kept_from(self, files: Sequence[str]) -> Command:
        """Returns the command for one run: with a keeper for all its children, until `close`.

        If it is confined, its loop's files are hidden from it.
        """
        if self.confine is not None:
            self.confine.check(files)
        kept = copy.copy(self)
        object.__setattr__(kept, "_files", tuple(files))
        object.__setattr__(kept, "_keepers", Keepers(lasting=True))
        return kept

    def close(self) -> None:
        """Ends the keeper of the run's children."""
        self._keepers.close()

    def _ear(self) -> Ear:
        return Ear(self.output_limit, self.on_output, self.on_bytes)

    def _task(self, iteration: Iteration) -> Task:
        return Task(
            self.argv,
            cwd=self.cwd,
            env=self._environment(iteration),
            numbers={
                b"HALTABLE_ITERATION": b"%d" % iteration.number,
                b"HALTABLE_STARTS": b"%d" % iteration.starts,
            },
            grace=self.grace,
            apart=self.on_bytes is not None,
            confine=None if self.confine is None else self.confine.instructions(self._files),
        )

    def _environment(self, iteration: Iteration) -> dict[bytes, bytes]:
        env = environment(self.env)
        # That of a command around this one would be another loop's.
        env.pop(b"HALTABLE_KEY", None)
        if iteration.key is not None:
            env[b"HALTABLE_KEY"] = os.fsencode(iteration.key)
        return env

    def _not_started(self, error: OSError) -> CommandFailed:
        status = 127 if isinstance(error, FileNotFoundError) else 126
        what = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        return CommandFailed(Completed(self.argv, status, b""), what)

    def _ended(self, status: int, ear: Ear) -> Completed:
        completed = Completed(self.argv, status, bytes(ear.excerpt), ear.excerpt.left_out)
        if status != 0:
            raise CommandFailed(completed)
        return completed

    def __str__(self) -> str:
        return shlex.join(self.argv)
