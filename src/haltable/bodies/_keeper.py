# SPDX-License-Identifier: MIT
"""The process that keeps a run's children: it starts one after another, and ends each's family.

It runs in an interpreter of its own, one for each run, and has nothing but the
standard library, of which it loads little: its start is what a first child costs.
It knows no loop and no iteration, and reads nothing of what a child says.

On Linux it is the sub-reaper of the family: whoever loses its parent, with
``setsid`` or without, becomes its child, so that none is left once it has no
child any more.  Elsewhere the family is the child's process group.

It ends the family (TERM, then KILL for what outlives the grace) when the child
has ended, when it is told to, and when whoever started it is gone: the other end
of its line is then closed, by the kernel if by nobody else.  Only when nothing is
left of one child it says so, and waits for the next.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the start.
if TYPE_CHECKING:
    import signal
    from typing import Any
else:  # The same without the names of numbers, which take longer than all the rest.
    import _signal as signal

if TYPE_CHECKING or __package__:
    from haltable.bodies._family import sent, signal_family
    from haltable.bodies._launch import Launch, prctl
    from haltable.bodies._order import Order
    from haltable.bodies._orders import Orders
else:  # It runs beside the package, not in it, to load nothing of that.
    from _family import sent, signal_family
    from _launch import Launch, prctl
    from _order import Order
    from _orders import Orders

__all__ = ["main"]

#: Seconds that the kernel gets to carry out a KILL, and between two of them.
_SETTLE, _AGAIN = 1.0, 0.005
#: Of Linux' prctl(2).
_SET_CHILD_SUBREAPER = 36
#: What asks the keeper to end the family and itself; what wakes it.
_POLITE, _WAKING = (signal.SIGTERM, signal.SIGHUP), signal.SIGCHLD
#: The line, and bytes of a number in the note.
_LINE, _NUMBER = 0, 8


def main() -> None:
    """Keeps one child after another, as whoever is at the standard input says."""
    keeper = _Keeper(*map(int, sys.argv[2:]))
    keeper.keep()
    os._exit(0)  # There is nothing to be tidied, and tidying takes time.


class _Keeper:
    """The children of one run, one at a time, and their families.

    Args:
        parent: the number of the process that gives the orders.
        note: a file where it finds, if nobody can say it any more, the number of
            the order that was begun last and of its program.
        handed: descriptors that the first child finds under the same numbers.
    """

    def __init__(self, parent: int, note: int, *handed: int) -> None:
        self.note, self.handed = note, handed
        self.ending = self.leaving = False
        self.program: int | None = None
        self.task: tuple[Any, ...] = ()
        self.words = b""
        self.reaping = _becomes_reaper()
        numbers = (*_POLITE, _WAKING, signal.SIGINT)
        self.ignored = [each for each in numbers if signal.getsignal(each) == signal.SIG_IGN]
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for descriptor in (_LINE, note):
            os.set_inheritable(descriptor, False)
        os.chdir("/")  # It keeps no directory from being unmounted; each order brings its own.
        self.orders = Orders(_LINE)
        self.poller = select.poll()
        self.parents = {_LINE, *_watched(parent)}
        for descriptor in self.parents:
            self.poller.register(descriptor, select.POLLIN)
        self.wakes, waker = os.pipe()
        for descriptor in (self.wakes, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.poller.register(self.wakes, select.POLLIN)
        for number in numbers:
            signal.signal(number, self._woken)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_POLITE, _WAKING))

    def keep(self) -> None:
        """Carries out order after order, until nobody is there to give one."""
        try:
            while not self.leaving:
                if self.orders.order is None:
                    self._look(None)
                else:
                    self._carry_out(self.orders.order)
        finally:
            # Whatever has gone wrong here, the family does not outlive it.
            self._end_family()

    def _woken(self, number: int, frame: object) -> None:
        del frame
        self.leaving = self.leaving or number in _POLITE

    def _look(self, milliseconds: float | None) -> set[int]:
        """Waits so long at most for something to happen; returns what else there is to read."""
        told = {descriptor for descriptor, _ in self.poller.poll(milliseconds)}
        if self.wakes in told:
            os.read(self.wakes, 4096)
        if _LINE in told:
            self.orders.hear()
        if self.orders.ended or told & self.parents - {_LINE}:
            # They are at their end, and would wake the keeper for ever.
            self.leaving = True
            for descriptor in self.parents:
                self.poller.unregister(descriptor)
            self.parents.clear()
        order = self.orders.order
        self.ending = self.ending or self.leaving or (order is not None and order.ending)
        return told

    def _carry_out(self, order: Order) -> None:
        self.ending = order.ending
        self.task = order.task or self.task
        if not self.ending:
            # Before anything is begun: whoever finds this number knows that it may have been.
            os.pwrite(self.note, _noted(order.number) + _noted(0), 0)
            self._start(order)
        # The family alone holds the output, so that its end can be seen.
        order.close()
        for descriptor in self.handed:
            os.close(descriptor)
        self.handed = ()
        while not self.ending:
            self._look(None)
            self._reap()
        self._end_family()
        self.program = self.orders.order = None
        self._say(b"over\n")

    def _start(self, order: Order) -> None:
        launch = Launch(
            self.task,
            order.numbers,
            order.here,
            order.streams,
            ignored=self.ignored,
            mask=self.mask,
        )
        self.program = launch.spawned()
        if self.program is not None:
            os.pwrite(self.note, _noted(self.program), _NUMBER)
            return
        faults, fault = os.pipe()
        gate, key = os.pipe()
        keeper = os.getpid()
        self.program = os.fork()
        if self.program == 0:
            os.close(key)
            os.read(gate, 1)
            launch.become(fault, keeper, follows=self.reaping)
        # Before it can do anything, its number is told: it may do harm to the keeper.
        os.pwrite(self.note, _noted(self.program), _NUMBER)
        for descriptor in (fault, gate, key):
            os.close(descriptor)
        self.poller.register(faults, select.POLLIN)
        # Not read at once: a program on a dead network drive may take for ever.
        while not self.ending and faults not in self._look(None):
            pass
        said = b"" if self.ending else os.read(faults, 4096)
        self.poller.unregister(faults)
        os.close(faults)
        if said:
            self.words += b"refused " + said + b"\n"
            self.program, self.ending = None, True

    def _say(self, words: bytes = b"") -> None:
        said, self.words = self.words + words, b""
        if said:
            self.orders.say(said)

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
                self.words += b"status %d\n" % os.waitstatus_to_exitcode(status)
                self.ending = True

    def _end_family(self) -> None:
        if not self._reap():
            return
        self._say()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self.task[3]
        while self._reap():
            left = deadline - time.monotonic()
            if left <= 0 or (self.orders.order is not None and self.orders.order.at_once):
                break
            # Somebody else's child does not wake the keeper when it ends.
            self._look(min(left, 0.05) * 1000)
        deadline = time.monotonic() + _SETTLE
        while self._reap():
            self._signal(signal.SIGKILL)
            if time.monotonic() > deadline:
                # Somebody whom we may not signal, or whom the kernel holds; the
                # next child's family is not to have it.
                self.leaving = True
                return
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
    return prctl(_SET_CHILD_SUBREAPER, 1)


def _watched(parent: int) -> tuple[int, ...]:
    """Returns a descriptor that tells the parent's end, where there are such.

    The line tells it too, but not while a copy of the parent, forked in
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


def _is_group(group: int | None) -> bool:
    return group is not None and sent(os.killpg, group, 0)


def _noted(number: int) -> bytes:
    return number.to_bytes(_NUMBER, "big")
