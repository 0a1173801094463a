# SPDX-License-Identifier: MIT
"""The process that keeps one child: it starts it, follows its family, and ends all of it.

It runs in an interpreter of its own, one for each child, and has nothing but
the standard library, of which it loads little: its start is what a child costs.
It knows no loop and no iteration, and reads nothing of what the child says.

On Linux it is the sub-reaper of the family: whoever loses its parent, with
``setsid`` or without, becomes its child, so that none is left once it has no
child any more.  Elsewhere the family is the child's process group.

It ends the family (TERM, then KILL for what outlives the grace) when the child
has ended, when it is told to, and when whoever started it is gone: the other end
of its lifeline is then closed, by the kernel if by nobody else.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from contextlib import suppress

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the start.
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __package__:
    from haltable.bodies._family import sent, signal_family
else:  # It runs beside the package, not in it, to load nothing of that.
    from _family import sent, signal_family

__all__ = ["main"]

#: Seconds that the kernel gets to carry out a KILL, and between two of them.
_SETTLE, _AGAIN = 1.0, 0.005
#: Of Linux' prctl(2).
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
#: What asks the keeper to end the family, at once the last of them; what wakes it.
_POLITE, _AT_ONCE, _WAKING = (signal.SIGTERM, signal.SIGHUP), signal.SIGUSR1, signal.SIGCHLD
#: What Python ignores, and a program expects to find as it is by default.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFZ", "SIGXFSZ")


def main() -> None:
    """Keeps one child, as the instructions on the standard input say."""
    with open(0, "rb", closefd=False) as instructions:
        keeper = _Keeper(json.loads(instructions.read()))
    keeper.keep()
    os._exit(0)  # There is nothing to be tidied, and tidying takes time.


class _Keeper:
    """One child and its family.

    Args:
        given: the instructions: ``argv``, ``cwd``, ``env``, ``grace``, ``handed``
            (descriptors for the child), ``lifeline``, ``report``, ``parent`` (the
            number of the process that gave them) and ``confine``.  Strings hold
            one byte a character.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.ending = self.at_once = False
        self.program: int | None = None
        self.reaping = _becomes_reaper()
        self.ignored = [
            number
            for number in (*_POLITE, _AT_ONCE, _WAKING, signal.SIGINT)
            if signal.getsignal(number) is signal.SIG_IGN
        ]
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for descriptor in (given["lifeline"], given["report"]):
            os.set_inheritable(descriptor, False)
        self.poller = select.poll()
        self.parents = {given["lifeline"], *_watched(given["parent"])}
        for descriptor in self.parents:
            self.poller.register(descriptor, select.POLLIN)
        self.wakes, waker = os.pipe()
        for descriptor in (self.wakes, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.poller.register(self.wakes, select.POLLIN)
        signal.signal(signal.SIGINT, self._woken)
        for number in (*_POLITE, _AT_ONCE, _WAKING):
            signal.signal(number, self._woken)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_POLITE, _AT_ONCE, _WAKING))

    def keep(self) -> None:
        """Starts the child, waits for its end or for a word, and ends what is left."""
        try:
            self._look(0)
            if not self.ending:
                self._start()
                self._reap()
            while not self.ending:
                self._look(None)
                self._reap()
        finally:
            # Whatever has gone wrong here, the family does not outlive it.
            self._end_family()

    def _woken(self, number: int, frame: object) -> None:
        del frame
        self.ending = self.ending or number in _POLITE or number == _AT_ONCE
        self.at_once = self.at_once or number == _AT_ONCE

    def _look(self, milliseconds: float | None) -> set[int]:
        """Waits so long at most for something to happen; returns what else there is to read."""
        told = {descriptor for descriptor, _ in self.poller.poll(milliseconds)}
        if self.wakes in told:
            os.read(self.wakes, 4096)
        if told & self.parents:
            # They are at their end, and would wake the keeper for ever.
            self.ending = True
            for descriptor in self.parents:
                self.poller.unregister(descriptor)
            self.parents.clear()
        return told

    def _start(self) -> None:
        faults, fault = os.pipe()
        gate, key = os.pipe()
        keeper = os.getpid()
        self.program = os.fork()
        if self.program == 0:
            os.close(key)
            os.read(gate, 1)
            _become(self.given, fault, keeper, self.ignored, self.mask, follows=self.reaping)
        # Before it can do anything, its number is told: it may do harm to the keeper.
        self._say(f"started {self.program}")
        for descriptor in (fault, gate, key):
            os.close(descriptor)
        # The family alone holds the output, so that its end can be seen.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(nothing, descriptor)
        for descriptor in (nothing, *self.given["handed"]):
            os.close(descriptor)
        self.poller.register(faults, select.POLLIN)
        # Not read at once: a program on a dead network drive may take for ever.
        while not self.ending and faults not in self._look(None):
            pass
        said = None if self.ending else os.read(faults, 4096)
        self.poller.unregister(faults)
        os.close(faults)
        if said:
            self._say(f"refused {said.decode()}")
            self.program, self.ending = None, True

    def _say(self, words: str) -> None:
        with suppress(BrokenPipeError):  # Nobody is there to be told.
            os.write(self.given["report"], f"{words}\n".encode())

    def _reap(self) -> bool:
        """Takes leave of the dead; returns whether there may be somebody left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return not self.reaping and _is_group(self.program)
            if pid == 0:
                return True
            if pid == self.program:
                self._say(f"status {os.waitstatus_to_exitcode(status)}")
                self.ending = True

    def _end_family(self) -> None:
        if not self._reap():
            return
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self.given["grace"]
        while self._reap():
            left = deadline - time.monotonic()
            if self.at_once or left <= 0:
                break
            # Somebody else's child does not wake the keeper when it ends.
            self._look(min(left, 0.05) * 1000)
        deadline = time.monotonic() + _SETTLE
        while self._reap():
            self._signal(signal.SIGKILL)
            if time.monotonic() > deadline:
                return  # Somebody whom we may not signal, or whom the kernel holds.
            self._look(_AGAIN * 1000)

    def _signal(self, number: int) -> None:
        if self.reaping:
            signal_family(os.getpid(), number)
        elif self.program is not None:
            sent(os.killpg, self.program, number)


def _becomes_reaper() -> bool:
    """Says whether this process inherits the orphans of its family from now on."""
    if not os.path.exists("/proc/self/stat"):
        return False
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def _watched(parent: int) -> tuple[int, ...]:
    """Returns a descriptor that tells the parent's end, where there are such.

    The lifeline tells it too, but not while a copy of the parent, forked in
    mid-run, holds the other end.
    """
    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):
        return ()
    if os.getppid() != parent:  # Gone before, and the number is perhaps another's.
        os.close(descriptor)
        return ()
    return (descriptor,)


def _become(
    given: dict[str, Any],
    fault: int,
    keeper: int,
    ignored: list[signal.Signals],
    mask: set[Any],
    *,
    follows: bool,
) -> None:
    """Turns this process, the fork, into the program; it never returns."""
    what = "program"
    try:
        os.setsid()
        if follows:
            # The keeper has one thread, so that this is the end of the keeper.
            _prctl(_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(127)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        for name in _IGNORED_BY_PYTHON:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        for descriptor in given["handed"]:
            os.set_inheritable(descriptor, True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        what = "directory"
        if given["cwd"] is not None:
            os.chdir(_bytes(given["cwd"]))
        what = "confinement"
        confine(given["confine"])
        what = "program"
        argv = [_bytes(word) for word in given["argv"]]
        env = {_bytes(name): _bytes(value) for name, value in given["env"].items()}
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(fault, f"{error.errno} {what} {error.strerror}".encode())
    except ValueError:
        os.write(fault, f"{errno.EINVAL} {what}".encode())
    finally:
        os._exit(127)


def confine(instructions: dict[str, Any] | None) -> None:
    """Confines this process, single-threaded and about to become the program.

    It may return in another, which then is to become the program.

    Args:
        instructions: what the confinement said of itself; None for no confinement.

    Raises:
        OSError: if the kernel refuses; the program is then not started.
    """
    if instructions is not None:
        if TYPE_CHECKING or __package__:
            from haltable.bodies import _confine
        else:
            import _confine
        _confine.confine(instructions)


def _is_group(group: int | None) -> bool:
    return group is not None and sent(os.killpg, group, 0)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
