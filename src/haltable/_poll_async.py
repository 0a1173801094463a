# SPDX-License-Identifier: MIT
"""Carries a poller through, awaiting: the twin of ``_poll_sync``.

What is attempted and when, the rounds say; how, the ports know.  Line under
line the same as the sync driver, ``await`` aside.
"""

from __future__ import annotations

from haltable._poll_ports_async import AsyncAir

__all__ = ["poll"]


async def poll(air: AsyncAir) -> None:
    """Asks for tasks and has them attempted until something ends it; what is in the air lands."""
    rounds = air.rounds
    async with air:
        while not air.is_over:
            if air.is_full:
                await air.land()
                continue
            if air.is_to_ask and await air.is_done():
                break
            task = await air.fetch()
            if task is not None:
                if rounds.wants(task[0], air.now()):
                    await air.launch(task)
                continue
            seconds = rounds.pause(air.now(), air.chance())
            # What lands without an attempt is no reason to ask at once.
            while seconds > 0 and not await air.is_done():
                await air.rest(seconds)
                seconds = rounds.rest(air.now())
