# SPDX-License-Identifier: MIT
"""The handle of one execution: iterate it, drive it, tick it, stop it.

A run is used once.  Its verbs hand over to the drivers; the decisions are the
kernel's.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

from typing_extensions import Self

from haltable import _drive_sync as driver
from haltable._call import Call, is_async, is_generator
from haltable._context import here
from haltable._state import RunState, Settings
from haltable.errors import ConfigurationError, HaltableError, LoopBusy, LoopInterrupt
from haltable.iteration import Iteration
from haltable.kernel import Step
from haltable.model import Outcome, Ruling, Status
from haltable.report import LoopHalted, Report, halted

__all__ = ["Run"]

F = TypeVar("F", bound=Callable[..., Any])


class LeftEarly(HaltableError):
    """The ``for`` was left with an iteration open, by ``break`` or by an exception."""


class Run(RunState):
    """One execution of a loop, from ``loop.start()``.

    Iterate it (``for iteration in run``), give it a body (``run.run(work)``),
    or enter it and count somebody else's loop (``with run: ... run.tick()``).
    A run is used once.
    """

    __slots__ = ("_serial", "_used")

    def __init__(self, settings: Settings, key: str | None) -> None:
        super().__init__(settings, key)
        self._used = ""
        self._serial: threading.RLock | None = None

    # Somebody else's body -------------------------------------------------------

    def run(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs the body until a breaker ends it.

        Args:
            body: called once an iteration, with ``iteration`` if it has a
                parameter of that name.
            args: handed to the body each time.
            kwargs: likewise.

        Returns:
            The report.

        Raises:
            LoopBusy: if another run holds the key.
            ConfigurationError: if the body is async or a generator, or the run
                was used before.
        """
        call = Call.of(body, args, kwargs, awaited=False)
        self._use("run")
        token = here.set(self)
        try:
            driver.drive(self, call)
        finally:
            here.reset(token)
        return self.report

    def step_once(self, call: Call) -> Report[Any]:
        """Runs one iteration and gives the key back; `Loop.step` is its public face."""
        self._use("step")
        self.single_step = True
        token = here.set(self)
        try:
            driver.single(self, call)
        finally:
            here.reset(token)
        return self.report

    async def arun(self, body: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs an async body until a breaker ends it; the twin of `run`."""
        from haltable import _drive_async as adriver
        from haltable._ports_async import BREATH, run_watched

        call = Call.of(body, args, kwargs, awaited=True)
        self._use("arun")
        self.kernel.breath = BREATH
        token = here.set(self)
        try:
            if self.key is None:
                await adriver.drive(self, call)
            else:
                await run_watched(self, lambda: adriver.drive(self, call), adriver.watch)
        finally:
            here.reset(token)
        return self.report

    async def astep_once(self, call: Call) -> Report[Any]:
        """Runs one iteration and gives the key back; `Loop.astep` is its public face."""
        from haltable import _drive_async as adriver
        from haltable._ports_async import run_watched

        self._use("astep")
        self.single_step = True
        token = here.set(self)
        try:
            await run_watched(self, lambda: adriver.single(self, call), adriver.watch)
        finally:
            here.reset(token)
        return self.report

    # A `for` --------------------------------------------------------------------

    def __iter__(self) -> Iterator[Iteration]:
        """Iterates until the loop succeeds; any other end is raised.

        Raises:
            LoopHalted: if the loop ends without success.
            LoopBusy: if another run holds the key.
        """
        self._use("for")
        self.looping = True
        return self._iterations()

    def _iterations(self) -> Iterator[Iteration]:
        kernel = self.kernel
        try:
            while driver.turn(self, each_asked=False):
                self._give_control()
                yield kernel.current(self)
                self._take_control()
                if kernel.outcome is None:
                    kernel.returned(None)
        except GeneratorExit:
            self._drop()
            raise
        except BaseException as error:
            driver.interrupt(self, error)
            raise
        self._raise_unless_ok()

    def _drop(self) -> None:
        """Ends a run whose ``for`` was left."""
        self._take_control()
        self._note_left()
        driver.leave(self, "the `for` was left before the loop had ended")

    def _note_left(self) -> None:
        kernel = self.kernel
        if not self.ran or kernel.outcome is not None:
            return
        if kernel.claim is not None:
            kernel.returned(None)
        elif self.key is None:
            kernel.interrupted()
        else:
            kernel.failed(
                LeftEarly(
                    "the `for` was left without `with iteration:`, done() or give_up(); "
                    "`break` and an exception look the same from here"
                )
            )

    # Somebody else's loop ---------------------------------------------------------

    def __enter__(self) -> Self:
        """Begins to count a loop that somebody else drives."""
        self._use("with")
        self.entered = True
        self._give_control()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._take_control()
        ours, rest = split_interrupt(self, error)
        driver.end_block(self, rest)
        self.entered = False
        return self._leave_block(ours=ours, rest=rest)

    def tick(self) -> None:
        """Says that one more iteration of somebody else's loop starts.

        Raises:
            LoopInterrupt: inside ``with loop.start() as run``, once the run has
                ended; it becomes `LoopHalted` at the end of the block.
            LoopHalted: the same, without a block around it.
            LoopBusy: if another run holds the key.
        """
        self._check_open()
        if self.ran and self.kernel.outcome is None:
            self.kernel.returned(None)
        if not driver.turn(self, each_asked=False):
            raise self.refusal()

    def wrap(self, tool: F) -> F:
        """Returns the tool, each call of which is a whole iteration.

        Its signature is kept.  What it raises is the iteration's outcome, and
        raised on to its caller.  Calls from several threads or tasks wait for
        one another.

        Args:
            tool: a function, sync or async.

        Raises:
            ConfigurationError: if it is no function, or a generator.
        """
        if not callable(tool) or is_generator(tool):
            raise ConfigurationError(f"wrap({tool!r}): give a function, sync or async")
        if is_async(tool):
            return cast("F", self._wrap_async(tool))

        @functools.wraps(tool)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._one_at_a_time():
                self._begin_call()
                if not driver.turn(self, each_asked=False):
                    raise self.refusal()
                try:
                    result = tool(*args, **kwargs)
                except Exception as error:
                    self.kernel.failed(error)
                    driver.end_call(self)
                    raise
                except BaseException as error:
                    driver.interrupt(self, error)
                    raise
                self.kernel.returned(result)
                driver.end_call(self)
                return result

        return cast("F", wrapped)

    # From outside -------------------------------------------------------------------

    def stop(self, why: str = "run.stop() was called") -> None:
        """Ends the run after the iteration that is open; callable from any thread.

        A pause is cut short, a running body is not interrupted.  The key of a
        keyed loop stays open: `haltable.Operator.stop` is what ends it.

        Args:
            why: the reason, for the receipt.
        """
        self.ask_to_stop(self.stopped("run", why))

    def snapshot(self) -> Report[Any]:
        """Returns the report as it would read now; callable from any thread."""
        return self.report

    # Inside ---------------------------------------------------------------------------

    def _use(self, way: str) -> None:
        used = self._used
        if used and not (used == "with" and way == "for"):
            raise ConfigurationError(
                f"this run was used already ({used}); a run is used once, take a new loop.start()"
            )
        self._used = way

    def _give_control(self) -> None:
        self.previous = here.get()
        here.set(self)

    def _take_control(self) -> None:
        if here.get() is self:
            here.set(self.previous)
        self.previous = None

    def _check_open(self) -> None:
        kernel = self.kernel
        if kernel.ruling is not None or self.finished:
            raise self.refusal()

    def _begin_call(self) -> None:
        self._check_open()
        if self.ran and self.kernel.outcome is None and self.step is None:
            raise ConfigurationError(
                f"iteration {self.kernel.run_number} of this run is still open: a wrapped tool "
                "called another, or tick() and wrap() are mixed"
            )

    def _leave_block(self, *, ours: bool, rest: BaseException | None) -> bool:
        report = self.report
        passes = rest is not None and not isinstance(rest, Exception)
        if passes or (rest is not None and not ours):
            return False
        if ours or (report.status.terminal and not report.ok):
            raise halted(report)
        return False

    def _raise_unless_ok(self) -> None:
        report = self.report
        if not report.ok:
            raise halted(report)

    def _one_at_a_time(self) -> threading.RLock:
        if self._serial is None:
            self._serial = threading.RLock()
        return self._serial


def split_interrupt(
    run: RunState, error: BaseException | None
) -> tuple[bool, BaseException | None]:
    """Takes a run's own interrupts out of what left its block, also out of groups.

    Returns:
        Whether there was one, and what is left.
    """
    if isinstance(error, LoopInterrupt) and error.run is run:
        return True, None
    if isinstance(error, BaseExceptionGroup):
        own, rest = error.split(lambda e: isinstance(e, LoopInterrupt) and e.run is run)
        return own is not None, rest
    return False, error
