# SPDX-License-Identifier: MIT
"""A child with its keeper, as the process that started them sees both.

It starts the keeper, reads what that reports, and lets go of it.  It never
waits: that is for the twins that use it, and so is every decision.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from haltable._process_group import children, signal_group
from haltable.bodies._family import signal_family
from haltable.bodies._pipe import Pipe, above_streams
from haltable.bodies._refused import Refused
from haltable.bodies._task import Task
from haltable.errors import ConfigurationError, HaltableError

__all__ = ["Kept", "written"]

#: How the keeper is started: alone, without site, and from the compiled file.
LAUNCH = (
    "-I",
    "-S",
    "-c",
    "import sys; sys.path.append(sys.argv[1]); import _keeper; _keeper.main()",
    str(Path(__file__).parent),
)
#: How often a family whose keeper does nothing is looked for, and seconds between two looks.
_ROUNDS, _AGAIN = 100, 0.001


class Kept:
    """One child and its keeper; nothing is started before `start`.

    Args:
        task: what is run.

    Attributes:
        task: the same.
        output: what the family prints.
        errors: what it prints to its standard error, if that is kept apart.
        status: the child's exit status, below zero the signal that killed it.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.output = Pipe()
        self.errors = Pipe() if task.apart else None
        self.status: int | None = None
        self._report, self._lifeline = Pipe(), Pipe()
        self._said = b""
        self._refusal: tuple[int, str, str] | None = None
        self._program: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._strays: set[int] = set()

    @property
    def gone(self) -> bool:
        """Whether the keeper has ended, and with it the family."""
        return self._report.ended or not (self._process or self._strays)

    @property
    def readers(self) -> tuple[int, ...]:
        """The descriptors on which there may be something to read."""
        pipes = (self._report, self.output, self.errors)
        return tuple(pipe.reader for pipe in pipes if pipe is not None and not pipe.ended)

    def start(self) -> None:
        """Starts the keeper, which starts the child.

        Raises:
            HaltableError: if there is no interpreter to be the keeper.
        """
        before = children()
        try:
            with written(
                self.task.instructions(lifeline=self._lifeline.reader, report=self._report.writer)
            ) as instructions:
                self._process = subprocess.Popen(
                    [sys.executable, *LAUNCH],
                    stdin=instructions,
                    stdout=self.output.writer,
                    stderr=(self.errors or self.output).writer,
                    pass_fds=(self._lifeline.reader, self._report.writer, *self.task.handed),
                    start_new_session=True,
                )
        except (OSError, TypeError, ValueError) as error:
            raise HaltableError(
                f"the keeper of a child could not be started by {sys.executable!r}, "
                f"which should be a Python interpreter: {error}"
            ) from error
        except BaseException:
            # What a signal or another thread raises here may come when the keeper
            # is born and nobody has been told its number yet.
            self._strays = children() - before
            raise
        finally:
            self.output.close_writer()
            if self.errors is not None:
                self.errors.close_writer()
            self._report.close_writer()
            self._lifeline.close_reader()

    def read(self) -> tuple[bytes, bytes]:
        """Returns some of what was printed, and takes in what the keeper reports.

        Returns:
            Some of the output, and some of the errors if they are kept apart.
        """
        self._said += self._report.read()
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            what, *words = line.decode().split()
            if what == "started":
                self._program = int(words[0])
            elif what == "status":
                self.status = int(words[0])
            elif what == "refused":
                self._refusal = int(words[0]), words[1], " ".join(words[2:])
        return self._some(self.output), b"" if self.errors is None else self._some(self.errors)

    def _some(self, pipe: Pipe) -> bytes:
        return pipe.rest() if self.gone else pipe.read()

    def result(self) -> int:
        """Returns the child's status, once it is known or the keeper is gone.

        Raises:
            Refused: if the child could not be started.
            ConfigurationError: if it could not be confined.
            HaltableError: if the keeper has died without a word.
        """
        if self._refusal is not None:
            number, what, why = self._refusal
            if what == "confinement":
                raise ConfigurationError(f"Confinement: {why}")
            names = {"program": self.task.argv[0], "directory": self.task.cwd}
            raise Refused(OSError(number, os.strerror(number), names.get(what, what)))
        if self.status is None:
            raise HaltableError(
                "how the child ended is not known: the process that keeps it is gone "
                "(somebody has killed it?)"
            )
        return self.status

    def let_go(self) -> None:
        """Has the keeper end the family: TERM, grace, KILL."""
        self._lifeline.close_writer()

    def hurry(self) -> None:
        """Has the keeper end the family at once."""
        self._kill(signal.SIGUSR1)

    def close(self) -> None:
        """Gives everything back; a keeper that is not gone is killed, its family first."""
        if not self.gone:
            self._bury()
        if self._program is not None and self.status is None:
            # The keeper was killed: what is left of the group is all that can be found.
            signal_group(self._program, signal.SIGKILL)
        for pipe in (self.output, self.errors, self._report, self._lifeline):
            if pipe is not None:
                pipe.close()
        if self._process is not None:
            self._process.wait()
        for pid in self._strays:
            with suppress(ChildProcessError):  # Somebody else has taken leave of it.
                os.waitpid(pid, 0)

    def _bury(self) -> None:
        # It is stopped, or starved.  As long as it is there, the family is its own.
        process = self._process
        if process is not None and Path("/proc/self/stat").exists():
            for _ in range(_ROUNDS):
                if not signal_family(process.pid, signal.SIGKILL):
                    break
                time.sleep(_AGAIN)
        self._kill(signal.SIGKILL)

    def _kill(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
        for pid in self._strays:
            os.kill(pid, number)


def written(instructions: bytes) -> IO[bytes]:
    """Returns a file without a name that holds the instructions, to be read from its start."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("haltable")
    else:
        import tempfile

        descriptor, path = tempfile.mkstemp()
        Path(path).unlink()
    file = os.fdopen(above_streams(descriptor), "w+b")
    file.write(instructions)
    file.seek(0)  # Which writes it out, too.
    return file
