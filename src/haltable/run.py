# SPDX-License-Identifier: MIT
"""The handle of one execution: iterate it, drive it, tick it, stop it.

A run is used once.  Its verbs hand over to the drivers; the decisions are the
kernel's.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast, overload

from haltable import _drive_sync as driver
from haltable._async_verbs import AsyncVerbs
from haltable._call import Call, is_async, is_generator
from haltable._context import here
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.report import Report

__all__ = ["Run"]

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


class Run(AsyncVerbs):
    """One execution of a loop, from ``loop.start()``.

    Iterate it (``for iteration in run``), give it a body (``run.run(work)``),
    or enter it and count somebody else's loop (``with run: ... run.tick()``).
    A run is used once.
    """

    # A body of the caller's ---------------------------------------------------------

    @overload
    def run(
        self, body: Callable[Concatenate[Iteration, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    @overload
    def run(self, body: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Report[R]: ...
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
        self.carry(Call.of(body, args, kwargs, awaited=False))
        return self.report

    @overload
    async def arun(
        self,
        body: Callable[Concatenate[Iteration, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Report[R]: ...
    @overload
    async def arun(
        self, body: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    async def arun(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs an async body until a breaker ends it; the twin of `run`."""
        await self.acarry(Call.of(body, args, kwargs, awaited=True))
        return self.report

    def carry(self, call: Call) -> None:
        """Runs a body until the run ends."""
        self.use("run")
        call = self.guarded(call)
        token = here.set(self)
        try:
            driver.drive(self, call.body, takes=call.takes)
        finally:
            here.reset(token)
            call.close()

    def carry_once(self, call: Call) -> None:
        """Runs one iteration and gives the key back."""
        self.use("step")
        self.single_step = True
        call = self.guarded(call)
        token = here.set(self)
        try:
            driver.single(self, call.body, takes=call.takes)
        finally:
            here.reset(token)
            call.close()

    # A `for` --------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Iteration]:
        """Iterates until the loop succeeds; any other end is raised.

        Raises:
            LoopHalted: if the loop ends without success.
            LoopBusy: if another run holds the key.
        """
        self.use("for")
        self.looping = True
        return self._iterations()

    def _iterations(self) -> Iterator[Iteration]:
        kernel = self.kernel
        try:
            while driver.turn(self, each_asked=False):
                self.give_control()
                yield kernel.current(self.verbs)
                self.take_control()
                if kernel.outcome is None:
                    kernel.returned(None)
        except GeneratorExit:
            self.take_control()
            self.note_left()
            driver.leave(self, "the `for` was left before the loop had ended")
            raise
        except BaseException as error:
            driver.interrupt(self, error)
            raise
        self.unwrap()

    # Somebody else's loop -----------------------------------------------------------------

    def __enter__(self) -> Self:
        """Begins to count a loop that somebody else drives."""
        self.use("with")
        self.entered = True
        self.give_control()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.take_control()
        ours, rest = self.end_of_body(error)
        driver.end_block(self, rest)
        self.entered = False
        return self.end_of_block(ours=ours, rest=rest)

    def tick(self) -> None:
        """Says that one more iteration of somebody else's loop starts.

        Raises:
            LoopInterrupt: inside ``with loop.start() as run``, once the run has
                ended; it becomes `LoopHalted` at the end of the block.
            LoopHalted: the same, without a block around it.
            LoopBusy: if another run holds the key.
        """
        self.count("tick()")
        if self.ran and self.kernel.outcome is None:
            self.kernel.returned(None)
        if not driver.turn(self, each_asked=False):
            raise self.refuse_call()

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
            return cast("F", self.wrap_async(tool))

        @functools.wraps(tool)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.one_at_a_time():
                self.check_call()
                if not driver.turn(self, each_asked=False):
                    raise self.refuse_call()
                token = here.set(self)
                try:
                    result = tool(*args, **kwargs)
                except Exception as error:
                    self.kernel.failed(error)
                    driver.end_call(self)
                    raise
                except BaseException as error:
                    if not driver.interrupt(self, error):
                        raise
                else:
                    self.kernel.returned(result)
                    driver.end_call(self)
                    return result
                finally:
                    here.reset(token)
                raise self.refuse_call()

        return cast("F", wrapped)

    # From outside ---------------------------------------------------------------------------

    def stop(self, why: str = "run.stop() was called") -> None:
        """Ends the run after the iteration that is open; callable from any thread.

        A pause is cut short, a running body is not interrupted.  The key of a
        keyed loop stays open for the next run: `haltable.Operator.stop` is what
        ends it.

        Args:
            why: the reason, for the receipt.
        """
        self.ask_to_stop(self.stopped("run", why))

    def snapshot(self) -> Report[Any]:
        """Returns the report as it would read now; callable from any thread."""
        return self.report
