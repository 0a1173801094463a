# SPDX-License-Identifier: MIT
"""Carries a poller through, calling: the twin of ``_poll_async``.

What is attempted and when, the rounds say; how, the ports know.  Line under
line the same as the async driver, ``await`` aside.
"""

from __future__ import annotations

from haltable._poll_ports_sync import Air

__all__ = ["poll"]


def poll(air: Air) -> None:
    """Asks for tasks and has them attempted until something ends it; what is in the air lands."""
    rounds = air.rounds
    with air:
        while not air.is_over:
            if air.is_full:
                air.land()
                continue
            if air.is_to_ask and air.is_done():
                break
            task = air.fetch()
            if task is not None:
                if rounds.wants(task[0], air.now()):
                    air.launch(task)
                continue
            seconds = rounds.pause(air.now(), air.chance())
            # What lands without an attempt is no reason to ask at once.
            while seconds > 0 and not air.is_done():
                air.rest(seconds)
                seconds = rounds.rest(air.now())
