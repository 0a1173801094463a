# SPDX-License-Identifier: MIT
"""Generators whose every resumption is an iteration, sync and async.

The host's generator keeps its own loop; this stands between it and its caller,
hands values and exceptions through both ways, and lets no resumption happen
that was not charged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from haltable import _drive_sync as driver
from haltable.model import Done
from haltable.run import Run

__all__ = ["agenerate", "generate"]

_RETURNED = Done("the generator returned")
_CLOSED = "the generator was closed"


def generate(run: Run, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Yields what the generator yields, until its loop ends."""
    sent: Any = None
    thrown: BaseException | None = None
    run.begin_generator()
    try:
        while driver.turn(run, each_asked=False):
            run.give_control()
            try:
                value = generator.send(sent) if thrown is None else generator.throw(thrown)
            except StopIteration as stop:
                run.kernel.returned(stop.value)
                run.kernel.say("body", _RETURNED)
                driver.leave(run, "the generator returned")
                return run.unwrap()
            finally:
                run.take_control()
            run.shut()
            run.kernel.returned(value)
            sent = thrown = None
            try:
                sent = yield value
            except GeneratorExit:
                raise
            except BaseException as error:
                thrown = error
    except GeneratorExit:
        _close(run, generator)
        raise
    except Exception as error:
        driver.end_block(run, error)
        raise
    except BaseException as error:
        if not driver.interrupt(run, error):
            raise
    finally:
        generator.close()
    return run.unwrap()


async def agenerate(run: Run, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Yields what the async generator yields, until its loop ends."""
    from haltable import _drive_async as adriver

    sent: Any = None
    thrown: BaseException | None = None
    run.begin_generator()
    try:
        while await adriver.turn(run, each_asked=False):
            run.give_control()
            try:
                if thrown is None:
                    value = await generator.asend(sent)
                else:
                    value = await generator.athrow(thrown)
            except StopAsyncIteration:
                run.kernel.returned(None)
                run.kernel.say("body", _RETURNED)
                await adriver.leave(run, "the generator returned")
                run.unwrap()
                return
            finally:
                run.take_control()
            run.kernel.returned(value)
            sent = thrown = None
            try:
                sent = yield value
            except GeneratorExit:
                raise
            except BaseException as error:
                thrown = error
    except GeneratorExit:
        # An async generator that is being closed may await, but not yield.
        await _aclose(run, generator)
        raise
    except Exception as error:
        await adriver.end_block(run, error)
        raise
    except BaseException as error:
        if not await adriver.interrupt(run, error):
            raise
    finally:
        await generator.aclose()
    run.unwrap()


def _close(run: Run, generator: Generator[Any, Any, Any]) -> None:
    # First the generator, whose last lines are the body's too; then the key goes back.
    try:
        generator.close()
    finally:
        driver.leave(run, _CLOSED)


async def _aclose(run: Run, generator: AsyncGenerator[Any, Any]) -> None:
    from haltable import _drive_async as adriver

    try:
        await generator.aclose()
    finally:
        await adriver.leave(run, _CLOSED)
