# SPDX-License-Identifier: MIT
"""A command as a body: one child process an iteration, with its whole process group.

It knows how to start, hear and end a child; what its failure means for the
loop it does not know.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence

import attrs

from haltable._process_group import aend, end, start, wait
from haltable.bodies._excerpt import Excerpt
from haltable.bodies._pipe import Pipe
from haltable.bodies.command_failed import CommandFailed
from haltable.bodies.completed import Completed
from haltable.body import Body
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["Command"]

#: Seconds between two looks whether a silent child is still there.
_TICK = 0.1


def _words(argv: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    try:
        words = () if isinstance(argv, str) else tuple(os.fspath(word) for word in argv)
        if words and words[0] and not any("\0" in word for word in words):
            return words
    except TypeError:
        pass  # No sequence, or something in it is no string.
    raise ConfigurationError(
        f"Command({argv!r}): give the program and its arguments as a list of strings "
        'without NUL; for a line of shell, ["sh", "-c", line]'
    )


def _directory(cwd: str | os.PathLike[str] | None) -> str | None:
    return None if cwd is None else os.fspath(cwd)


def _copy(env: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if env is None else dict(env)


@attrs.frozen(eq=False)
class Command(Body):
    """Runs a program as the body: exit status 0 is a result, anything else a failure.

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
        '1\\n'
    """

    argv: tuple[str, ...] = attrs.field(converter=_words)
    cwd: str | None = attrs.field(default=None, kw_only=True, converter=_directory)
    env: Mapping[str, str] | None = attrs.field(
        default=None, kw_only=True, converter=_copy, repr=False
    )
    grace: float = attrs.field(default=1.0, kw_only=True)
    output_limit: int = attrs.field(default=64 * 1024, kw_only=True)

    @grace.validator
    def _check_grace(self, attribute: attrs.Attribute[float], value: object) -> None:
        del attribute
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise ConfigurationError(
                f"Command(grace={value!r}): give seconds, a finite number of at least 0"
            )

    @output_limit.validator
    def _check_output_limit(self, attribute: attrs.Attribute[int], value: object) -> None:
        del attribute
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(
                f"Command(output_limit={value!r}): give a number of bytes, at least 1"
            )

    def __call__(self, iteration: Iteration) -> Completed:
        """Runs the command once and waits for it."""
        output = Excerpt(self.output_limit)
        with Pipe() as pipe:
            try:
                process = start(
                    self.argv, output=pipe.writer, cwd=self.cwd, env=self._environment(iteration)
                )
            except OSError as error:
                raise self._not_started(error) from error
            try:
                pipe.close_writer()
                while process.poll() is None and not pipe.ended:
                    pipe.wait(_TICK)
                    output.add(pipe.read())
                wait(process)
                output.add(pipe.rest())
            finally:
                end(process, self.grace)
        return self._completed(process.returncode, output)

    async def acall(self, iteration: Iteration) -> Completed:
        """Runs the command once without blocking the event loop."""
        import anyio

        output = Excerpt(self.output_limit)
        with Pipe() as pipe:
            try:
                # Cancelled half-way, some event loops would lose the child.
                with anyio.CancelScope(shield=True):
                    process = await anyio.open_process(
                        self.argv,
                        stdin=subprocess.DEVNULL,
                        stdout=pipe.writer,
                        stderr=pipe.writer,
                        cwd=self.cwd,
                        env=self._environment(iteration),
                        start_new_session=True,
                    )
            except OSError as error:
                raise self._not_started(error) from error
            try:
                pipe.close_writer()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._listen, pipe, output)
                    await process.wait()
                    tasks.cancel_scope.cancel()
                output.add(pipe.rest())
            finally:
                await aend(process, self.grace)
        return self._completed(process.returncode, output)

    async def _listen(self, pipe: Pipe, output: Excerpt) -> None:
        import anyio

        while not pipe.ended:
            await anyio.wait_readable(pipe.reader)
            output.add(pipe.read())

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

    def _completed(self, status: int | None, output: Excerpt) -> Completed:
        assert status is not None
        completed = Completed(self.argv, status, bytes(output), output.left_out)
        if status != 0:
            raise CommandFailed(completed)
        return completed

    def __str__(self) -> str:
        return shlex.join(self.argv)
