# SPDX-License-Identifier: MIT
"""The command as a body whose exit statuses have meanings.

It runs nothing itself: `haltable.bodies.Command` does.  What a meaning leads to
is the loop's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from haltable import Iteration
from haltable.bodies import Body, Command, CommandFailed
from haltable.effects import NothingHappened

__all__ = ["CommandBody", "FatalExit", "NotStarted", "TransientExit"]


class FatalExit(CommandFailed):
    """The command ended with a status that says that trying again is no use."""


class TransientExit(CommandFailed, NothingHappened):
    """The command ended with a status that says that nothing has happened yet."""


class NotStarted(CommandFailed, NothingHappened):
    """The command could not be started."""


@attrs.frozen(eq=False)
class CommandBody(Body):
    """Runs a command, and says of its failure what the exit status means.

    Args:
        command: what is run.
        fatal: exit statuses that end the loop.
        transient: those that are no failures.
    """

    command: Command
    fatal: frozenset[int] = frozenset()
    transient: frozenset[int] = frozenset()

    def __call__(self, iteration: Iteration) -> int:
        """Runs it once; returns its status, which is 0."""
        try:
            return self.command(iteration).status
        except CommandFailed as failed:
            raise self._meant(failed) from None

    async def acall(self, iteration: Iteration) -> int:
        """Runs it once without blocking the event loop."""
        try:
            return (await self.command.acall(iteration)).status
        except CommandFailed as failed:
            raise self._meant(failed) from None

    def kept_from(self, files: Sequence[str]) -> CommandBody:
        """Returns it as one run has it: its loop's files are hidden from it."""
        return attrs.evolve(self, command=self.command.kept_from(files))

    def close(self) -> None:
        """Gives back what the run's children had in common."""
        self.command.close()

    def _meant(self, failed: CommandFailed) -> CommandFailed:
        kind: type[CommandFailed] = CommandFailed
        if failed.why is not None:
            kind = NotStarted
        elif failed.status in self.fatal:
            kind = FatalExit
        elif failed.status in self.transient:
            kind = TransientExit
        return kind(failed.completed, failed.why)

    def __str__(self) -> str:
        return str(self.command)
