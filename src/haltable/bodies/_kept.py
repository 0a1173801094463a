# SPDX-License-Identifier: MIT
"""One child as the process that has a keeper for it sees both.

It orders the child, reads what the keeper says of it, and lets go of it.  It never
waits: that is for the twins that use it, and so is every decision.
"""

from __future__ import annotations

import os
import signal

from haltable._process_group import signal_group
from haltable.bodies._holders import signal_holders
from haltable.bodies._keeper_process import KeeperProcess
from haltable.bodies._keepers import Keepers
from haltable.bodies._pipe import Pipe
from haltable.bodies._refused import Refused
from haltable.bodies._task import Task
from haltable.errors import ConfigurationError, HaltableError

__all__ = ["Kept"]


class Kept:
    """One child; nothing is started before `start`.

    Args:
        task: what is run.
        keepers: who lends it a keeper.

    Attributes:
        task: the same.
        output: what the family prints.
        errors: what it prints to its standard error, if that is kept apart.
        status: the child's exit status, below zero the signal that killed it.
        gone: whether nothing is left of the family, or the keeper has ended.
    """

    def __init__(self, task: Task, keepers: Keepers) -> None:
        self.task = task
        self.output = Pipe()
        self.errors = Pipe() if task.apart else None
        self.status: int | None = None
        self.gone = True
        self._keepers = keepers
        self._keeper: KeeperProcess | None = None
        self._said = b""
        self._over = self._ending = False
        self._refusal: tuple[int, str, str] | None = None

    @property
    def readers(self) -> tuple[int, ...]:
        """The descriptors on which there may be something to read."""
        readers = [pipe.reader for pipe in self._pipes() if not pipe.ended]
        if self._keeper is not None and not self.gone:
            readers.append(self._keeper.reader)
        return tuple(readers)

    def start(self) -> None:
        """Has a keeper start the child.

        Raises:
            HaltableError: if there is no interpreter to be the keeper.
        """
        try:
            keeper = self._keeper = self._keepers.take(self.task.handed)
            self.gone = False
            keeper.order(self.task, tuple(pipe.writer for pipe in self._pipes()))
        finally:
            for pipe in self._pipes():
                pipe.close_writer()
        if keeper.ended:
            self._miss(keeper)

    def read(self) -> tuple[bytes, bytes]:
        """Returns some of what was printed, and takes in what the keeper says.

        Returns:
            Some of the output, and some of the errors if they are kept apart.
        """
        if self._keeper is not None and not self.gone:
            self._hear(self._keeper)
        return self._some(self.output), b"" if self.errors is None else self._some(self.errors)

    def _hear(self, keeper: KeeperProcess) -> None:
        *lines, self._said = (self._said + keeper.hear()).split(b"\n")
        for line in lines:
            what, *words = line.decode().split()
            if what == "status":
                self.status = int(words[0])
            elif what == "refused":
                self._refusal = int(words[0]), words[1], " ".join(words[2:])
            elif what == "over":
                self._over = self.gone = True
        if keeper.ended and not self._over:
            self._miss(keeper)

    def _miss(self, keeper: KeeperProcess) -> None:
        """Notes that the keeper is gone; the child is ordered from another if it had not begun."""
        self.gone = True
        # One that is new and dies has a reason that another would have, too.
        idle = keeper.is_ours and keeper.orders > 1 and keeper.begun()[0] != keeper.orders
        if idle and not self._ending:
            self._keeper = None
            keeper.close()
            self._close_pipes()
            self.output = Pipe()
            self.errors = Pipe() if self.task.apart else None
            self.start()

    def _pipes(self) -> tuple[Pipe, ...]:
        return (self.output,) if self.errors is None else (self.output, self.errors)

    def _close_pipes(self) -> None:
        for pipe in self._pipes():
            pipe.close()

    def _some(self, pipe: Pipe) -> bytes:
        return pipe.rest() if self.gone and not pipe.ended else pipe.read()

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
        self._ending = True
        # Once the child itself has ended, the keeper does so anyhow.
        if self._keeper is not None and not self.gone and self.status is None:
            self._keeper.end(at_once=False)

    def hurry(self) -> None:
        """Has the keeper end the family at once."""
        if self._keeper is not None and not self.gone:
            self._keeper.end(at_once=True)

    def close(self) -> None:
        """Gives everything back; a keeper that is not done is killed, its family first."""
        keeper, self._keeper = self._keeper, None
        try:
            if keeper is not None and self._over:
                self._keepers.give_back(keeper)
            elif keeper is not None:
                self._end(keeper)
        finally:
            self._close_pipes()

    def _end(self, keeper: KeeperProcess) -> None:
        try:
            if keeper.is_ours and not self.gone:
                keeper.bury()
            order, program = keeper.begun()
            if keeper.is_ours and self.status is None and order == keeper.orders:
                # The keeper was killed: what is left of the group is all that can be found.
                if program:
                    signal_group(program, signal.SIGKILL)
                else:
                    signal_holders(self.output.reader, signal.SIGKILL)
        finally:
            keeper.close()
