# SPDX-License-Identifier: MIT
"""A keeper as the process that started it sees it: orders go out, words come in.

It starts the interpreter, passes on what is ordered, and ends it.  It never waits
for a child, and does not know what the words mean.
"""

from __future__ import annotations

import _socket
import marshal
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from haltable._process_group import children
from haltable.bodies._family import signal_family
from haltable.bodies._pipe import above_streams
from haltable.bodies._task import Task, Told
from haltable.errors import HaltableError

__all__ = ["KeeperProcess", "written"]

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
#: Milliseconds that an idle keeper gets to leave by itself.
_PARTING = 2000
#: Bytes of a number in the note, of a message's length, and of words that are read at once.
_NUMBER, _LENGTH, _CHUNK = 8, 4, 1 << 12
_HERE = os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_PATH", 0)


class KeeperProcess:
    """One keeper; it is started with its first order, and whoever makes it closes it.

    Args:
        handed: descriptors that the first child finds under the same numbers.

    Attributes:
        orders: how many it was given.
        ended: whether it is known to be gone, or to go.
    """

    def __init__(self, handed: tuple[int, ...] = ()) -> None:
        self.orders = 0
        self.ended = False
        self._handed = handed
        self._host = os.getpid()
        self._told: Told | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._strays: set[int] = set()
        self._note = written(b"")
        self._line, self._theirs = (
            _socket.socket(fileno=above_streams(end.detach())) for end in _socket.socketpair()
        )
        self._line.settimeout(0)

    def _start(self) -> None:
        before = children()
        note = self._note.fileno()
        try:
            self._process = subprocess.Popen(
                [sys.executable, *LAUNCH, *map(str, (self._host, note, *self._handed))],
                stdin=self._theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(note, *self._handed),
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
            # It has had no order, so there is no family to wait for.
            self.ended = True
            raise
        finally:
            self._theirs.close()

    @property
    def reader(self) -> int:
        """The descriptor on which there may be words to read."""
        return self._line.fileno()

    @property
    def is_ours(self) -> bool:
        """Whether this process started it, and is not a copy of that one."""
        return self._host == os.getpid()

    @property
    def is_usable(self) -> bool:
        """Whether it takes an order, as far as can be seen."""
        self.hear()  # Between two orders it says nothing but that it is gone.
        return not self.ended

    def order(self, task: Task, streams: tuple[int, ...]) -> None:
        """Orders a child.

        Args:
            task: what is run.
            streams: descriptors to print to, one or two.

        Raises:
            HaltableError: if there is no interpreter to be the keeper.
        """
        self.orders += 1
        if self.orders == 1:
            self._start()
        names, descriptors = ["here", "output", "errors"][: 1 + len(streams)], [*streams]
        told = task.told()
        here = os.open(".", _HERE)
        try:
            descriptors.insert(0, here)
            if told == self._told:
                self._send(task, names, descriptors)
                return
            with written(marshal.dumps(told)) as file:
                self._send(task, [*names, "task"], [*descriptors, file.fileno()])
            self._told = told
        finally:
            os.close(here)

    def _send(self, task: Task, names: list[str], descriptors: list[int]) -> None:
        order = {"order": self.orders, "names": names, "numbers": dict(task.numbers)}
        self._say(order, descriptors)

    def end(self, *, at_once: bool) -> None:
        """Has it end the child that it has, and its family: TERM, grace, KILL."""
        self._say("at once" if at_once else "end")

    def _say(self, message: dict[str, Any] | str, descriptors: list[int] | None = None) -> None:
        if not self.is_ours:
            self.ended = True
            return
        said = marshal.dumps(message)
        said = len(said).to_bytes(_LENGTH, "big") + said
        with_it = b"".join(each.to_bytes(4, sys.byteorder) for each in descriptors or ())
        extra = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, with_it)] if with_it else []
        try:
            self._line.sendmsg([said], extra)
        except OSError:
            self.ended = True  # There is nobody, or one that has not listened for long.

    def hear(self) -> bytes:
        """Returns words that have come; none if it says nothing, or is gone."""
        if not self.is_ours:
            self.ended = True  # What it says is for the process that it listens to.
            return b""
        try:
            words = self._line.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            words = b""
        self.ended = self.ended or not words
        return words

    def begun(self) -> tuple[int, int]:
        """Returns which order it has begun last, and the number of that program; 0 for none.

        A program may have begun although its number is not there yet.
        """
        note = os.pread(self._note.fileno(), 2 * _NUMBER, 0)
        return int.from_bytes(note[:_NUMBER], "big"), int.from_bytes(note[_NUMBER:], "big")

    def bury(self) -> None:
        """Ends the family of a keeper that does nothing any more, and the keeper."""
        # It is stopped, or starved.  As long as it is there, the family is its own.
        process = self._process
        if process is not None and Path("/proc/self/stat").exists():
            for _ in range(_ROUNDS):
                if not signal_family(process.pid, signal.SIGKILL):
                    break
                time.sleep(_AGAIN)
        self._kill()

    def _give_back(self) -> None:
        self._line.close()
        self._theirs.close()
        self._note.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        for pid in self._strays:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends it, if nobody has yet, and gives everything back.

        It has no child then; or else it ends the child's family.
        """
        if not self.is_ours:
            # Of a keeper that the host has, a copy of the host only has descriptors.
            if self._process is not None:
                self._process.returncode = 0
            self._give_back()
            return
        try:
            # Unlike closing it, this is seen over there whoever has a copy.
            with suppress(OSError):
                self._line.shutdown(_socket.SHUT_WR)
            poller = select.poll()
            poller.register(self._line.fileno(), select.POLLIN)
            while self._process is not None and not self.ended and poller.poll(_PARTING):
                self.hear()
        finally:
            self._kill()
            self._give_back()
            if self._process is not None:
                self._process.wait()
            for pid in self._strays:
                with suppress(ChildProcessError):  # Somebody else has taken leave of it.
                    os.waitpid(pid, 0)


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
