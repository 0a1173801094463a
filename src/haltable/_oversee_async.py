# SPDX-License-Identifier: MIT
"""Watches the body of a run while it is running, awaiting: the twin of ``_oversee_sync``.

It asks what is due, has the breakers weigh it, and when a verdict falls has it
written, told and carried out.  When it is called, the ports decide.
"""

from __future__ import annotations

import functools

from haltable import _ports_async as ports
from haltable._claim_async import condemned
from haltable._inquiry import Inquiry
from haltable._state import RunState
from haltable.errors import StoreError
from haltable.probe import Answer

__all__ = ["glance"]

#: Seconds that writing and telling a verdict may take before the body is interrupted.
_PATIENCE = 0.2


async def glance(run: RunState) -> None:
    """Looks at the running body: has a breaker anything to say, is a question due?"""
    oversight, now = run.overseen(), run.now()
    if oversight.weigh(now):
        await carry_out(run, now)
        return
    inquiry = oversight.inquire(now)
    if inquiry is None:
        return
    try:
        ports.aside(run, functools.partial(inquire, run, inquiry))
    except BaseException:
        # No thread could be started: nobody is asking.
        oversight.inquiry = None
        raise


async def inquire(run: RunState, inquiry: Inquiry) -> None:
    """Puts questions that are due to the world, and has the answers weighed."""
    try:
        for asked in inquiry.due:
            try:
                answer = Answer(await ports.ask(asked, None))
            except Exception as fault:
                answer = Answer(fault=fault)
            inquiry.note(asked, answer)
    finally:
        has_fallen = run.overseen().conclude(inquiry)
    if has_fallen:
        await carry_out(run, run.now())


async def carry_out(run: RunState, now: float) -> None:
    """Has the verdict written and told, and interrupts the body."""
    oversight = run.overseen()
    if oversight.ruled is not None and not oversight.pronouncing and not oversight.is_stored:
        oversight.pronouncing = True
        run.stop_inner()
        ports.aside(run, functools.partial(pronounce, run))
    if oversight.is_late(now, _PATIENCE):
        oversight.strike(now)


async def pronounce(run: RunState) -> None:
    """Writes and tells the verdict on the running body, and interrupts that."""
    oversight, durable = run.overseen(), False
    try:
        durable = await condemned(run)
        oversight.is_stored = True
    except StoreError as error:
        # The next glance tries again, and so does the end of the run.
        run.note_blind_watch(error)
    finally:
        oversight.pronouncing = False
    if not oversight.is_told:
        oversight.is_told = True
        run.tell_verdict(durable=durable)
    oversight.strike(run.now())
