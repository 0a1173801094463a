# SPDX-License-Identifier: MIT
"""One call of an isolated function, and the verbs that it asks for: the twin of ``_talk_sync``.

Line under line the same as the sync twin, ``await`` aside.  Whatever the child
says is a claim: its verbs are carried out by the iteration, which judges them.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from haltable.bodies import _waits_async as waits
from haltable.bodies._channel import Channel
from haltable.bodies._child_async import keeping
from haltable.bodies._ear import Ear
from haltable.bodies._kept import Kept
from haltable.bodies._task import Task
from haltable.bodies._verbs import claimed, effect_failure, effect_of, failure, in_reply
from haltable.errors import LoopInterrupt
from haltable.iteration import Iteration

__all__ = ["call"]

#: Seconds in which a process ends after its last word, unless it has not ended with that.
_PARTING = 5.0


async def call(task: Task, ear: Ear, channel: Channel, iteration: Iteration) -> Any:
    """Runs an isolated function and returns its result; nothing of its family is left then.

    Args:
        task: the process.
        ear: hears what it prints.
        channel: the line to the function.
        iteration: carries out what it asks for.

    Raises:
        IsolatedFailed: if it raised, or did not answer as it should.
        LoopInterrupt: if the run has ended, and the function was told so.
    """
    async with keeping(task, ear) as kept:
        channel.let_go()
        answer = await converse(kept, ear, channel, iteration)
        await linger(kept, ear, channel)
    if channel.more or kept.status != 0:
        raise channel.fault("went on after its answer")
    ear.rest()
    if "returned" in answer:
        return answer["returned"]
    if "raised" in answer:
        raise failure(channel, answer["raised"])
    if channel.interrupt is None or "interrupted" not in answer:
        raise channel.fault("answered what nobody asked")
    raise channel.interrupt


async def converse(kept: Kept, ear: Ear, channel: Channel, iteration: Iteration) -> dict[str, Any]:
    """Carries out verbs until there is an answer, which it returns."""
    while True:
        message = await heard(kept, ear, channel)
        if "verb" not in message:
            return message
        channel.say(await reply(kept, ear, channel, iteration, message))


async def heard(kept: Kept, ear: Ear, channel: Channel) -> dict[str, Any]:
    """Waits for the next message."""
    while True:
        over = kept.status is not None or kept.gone
        channel.pump()
        # One that does not listen is not answered for ever.
        message = None if channel.writers else channel.next()
        if message is not None:
            await waits.breathe()
            return message
        if over or channel.ended:
            await linger(kept, ear, channel)
            raise channel.fault(ending(kept))
        await waits.ready((*kept.readers, *channel.readers), writers=channel.writers)
        ear.hear(*kept.read())


async def linger(kept: Kept, ear: Ear, channel: Channel) -> None:
    """Waits for the end of a process that has nothing more to say."""
    deadline = time.monotonic() + _PARTING
    while kept.status is None and not kept.gone and (left := deadline - time.monotonic()) > 0:
        await waits.ready(kept.readers, left)
        ear.hear(*kept.read())
    channel.pump()


async def reply(
    kept: Kept, ear: Ear, channel: Channel, iteration: Iteration, message: dict[str, Any]
) -> dict[str, Any]:
    """Carries out one verb and returns what the function is told of it."""
    try:
        if message["verb"] == "once":
            return {"value": await once(kept, ear, channel, iteration, message)}
        claimed(iteration, message)
    except LoopInterrupt as interrupt:
        channel.interrupt = interrupt
        return {"interrupt": str(interrupt)}
    except Exception as error:
        if channel.broken is not None:
            raise
        return in_reply(channel, error)
    return {"value": None}


async def once(
    kept: Kept, ear: Ear, channel: Channel, iteration: Iteration, message: dict[str, Any]
) -> Any:
    """Has an effect carried out: claimed and recorded here, run there."""

    async def effect(*args: Any, **kwargs: Any) -> Any:
        del args, kwargs  # It has its own.
        channel.say({"run": True})
        answer = await converse(kept, ear, channel, iteration)
        if "ran" in answer:
            return answer["ran"]
        if "failed" not in answer:
            raise channel.fault("ended its answer in the midst of an effect")
        channel.own = effect_failure(channel, answer["failed"])
        raise channel.own

    key, args, kwargs, payload = effect_of(message)
    return await iteration.aonce(key, effect, *args, payload=payload, **kwargs)


def ending(kept: Kept) -> str:
    """Says how a child ended that did not answer."""
    if kept.status is None and not kept.gone:
        return "closed the line without an answer"
    status = kept.result()
    if status >= 0:
        return f"ended with status {status} without an answer"
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"
