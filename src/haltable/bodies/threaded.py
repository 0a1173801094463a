# SPDX-License-Identifier: MIT
"""A function in a thread of its own as a body, so that whoever waits can stop waiting.

It cannot end a thread, and says so: what was interrupted and runs on is
reported as abandoned.  It knows its iteration and nothing of the run.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import attrs

from haltable.bodies import _checks
from haltable.bodies._fence import Fence
from haltable.bodies._numbers import numbers_of, with_numbers
from haltable.bodies._worker import Worker
from haltable.bodies.abandoned import Abandoned
from haltable.body import Body
from haltable.errors import ConfigurationError, HaltableError, LoopInterrupt
from haltable.iteration import Iteration

__all__ = ["Threaded"]

#: Seconds within which an exception that another thread sets in the waiting one is raised.
_TICK = 0.02


@attrs.frozen(eq=False)
class Threaded(Body):
    """Runs a blocking function in a thread: an interrupted run goes on without it.

    Nothing in a process can end a thread.  When the run is interrupted while
    the function hangs, the run ends on time all the same, and `Abandoned` is its
    report's error: with the place where the thread still is.  From then on every
    verb of its iteration raises in the thread, so that what comes late changes
    nothing.  Where a body must be ended, use `Command` or `Isolated`.

    Under ``arun`` it keeps the event loop free.  The thread sees the context of
    its caller, so `haltable.current` works in it.

    Args:
        fn: the body, with a parameter ``iteration`` or without any; not async.
        max_abandoned: how many threads of this body may be abandoned and still
            running; with as many, nothing more is started, and the iteration
            fails. At least 1.

    Returns:
        Called with an iteration, what the function returns.

    Raises:
        ConfigurationError: if an argument is not as described above.
        HaltableError: when called, if too many threads are abandoned.

    Example:
        >>> from haltable import IterationCap, Loop
        >>> from haltable.bodies import Threaded
        >>> Loop(IterationCap(1)).run(Threaded(lambda iteration: iteration.number)).result
        1
    """

    fn: Callable[..., Any] = attrs.field(validator=[_checks.function, _checks.parameters])
    max_abandoned: int = attrs.field(default=8, kw_only=True, validator=_checks.size)
    _abandoned: list[Worker] = attrs.field(factory=list[Worker], init=False, repr=False)

    def __call__(self, iteration: Iteration) -> Any:
        """Runs the function in a thread and waits for it."""
        ended = threading.Event()
        worker = self._worker(iteration, ended.set)
        try:
            worker.start()
            while not ended.wait(_TICK):
                pass
        except BaseException as error:
            left = self._leave(worker)
            if left is not None and isinstance(error, LoopInterrupt):
                raise BaseExceptionGroup(str(left), [error, left]) from None
            _note(error, left)
            raise
        return worker.result()

    async def acall(self, iteration: Iteration) -> Any:
        """Runs the function in a thread without blocking the event loop."""
        # Whoever is here has an event loop; in a sync loop nobody loads one.
        import anyio

        reader, writer = os.pipe()
        # Closing wakes whoever waits, on every event loop, and can hurt nobody.
        worker = self._worker(iteration, functools.partial(os.close, writer))
        try:
            worker.start()
            await anyio.wait_readable(reader)
        except BaseException as error:
            left = self._leave(worker)
            if left is not None and isinstance(error, anyio.get_cancelled_exc_class()):
                ours = _interrupt(iteration)
                if ours is not None:
                    raise BaseExceptionGroup(str(left), [error, ours, left]) from None
            _note(error, left)
            raise
        finally:
            os.close(reader)
            if not worker.begun:
                os.close(writer)
        return worker.result()

    def _worker(self, iteration: Iteration, tell: Callable[[], object]) -> Worker:
        self._abandoned[:] = [worker for worker in self._abandoned if not worker.ended]
        if len(self._abandoned) >= self.max_abandoned:
            raise HaltableError(
                f"{self} is not started: {len(self._abandoned)} of its threads are abandoned and "
                f"still running (limit {self.max_abandoned})"
            )

        takes = _checks.takes_iteration(self.fn)

        def call() -> Any:
            return self.fn(iteration=fenced) if takes else self.fn()

        worker = Worker(str(self), call, tell)
        fence = Fence(lambda: worker.abandoned is not None, iteration)
        fenced = with_numbers(numbers_of(iteration), fence)
        return worker

    def _leave(self, worker: Worker) -> Abandoned | None:
        """Abandons the thread, if it still runs."""
        if worker.ended or not worker.begun:
            return None
        worker.abandon()
        self._abandoned.append(worker)
        return Abandoned(worker.name, worker.stack())

    def __str__(self) -> str:
        return _checks.name_of(self.fn)


def _note(error: BaseException, left: Abandoned | None) -> None:
    if left is not None:
        error.add_note(f"{left}\n{left.stack}")


def _interrupt(iteration: Iteration) -> LoopInterrupt | None:
    """Returns the run's own interrupt, if it was the run that cancelled."""
    try:
        iteration.check()
    except LoopInterrupt as interrupt:
        return interrupt
    except ConfigurationError:
        pass  # It belongs to no run, or is over.
    return None
