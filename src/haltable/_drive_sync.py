# SPDX-License-Identifier: MIT
"""Carries one run through, calling: the twin of ``_drive_async``.

1. Nothing is decided here.  The kernel decides, the ledger says what is
   written; a driver calls the body, asks the questions, sends the writes and
   waits, in the kernel's order.
2. Line under line the same as its twin, ``await`` aside; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haltable import _ports_sync as ports
from haltable._claim_sync import admitted, charge, close, extended, fail, keep, watch
from haltable._oversee_sync import glance
from haltable._state import RunState
from haltable.errors import StoreError
from haltable.kernel import GO, HALT, PAUSE, RETURNED, Step
from haltable.model import Done, Outcome, Ruling, Status
from haltable.probe import Answer

__all__ = ["drive", "end_block", "end_call", "exhaust", "interrupt", "leave", "single", "turn"]


def drive(run: RunState, body: Callable[..., Any], *, takes: bool) -> bool:
    """Runs a body until the run ends.

    Args:
        run: the run.
        body: what is called, with the iteration or with nothing.
        takes: whether it takes the iteration.

    Returns:
        Whether it ended quietly: it succeeded, and the result is the last one.
    """
    kernel, now = run.kernel, run.now
    each, writing = ports.each_return(run), run.key is not None
    verbs = run.verbs if takes else None
    try:
        moment = now()
        going = run.begin_quietly(moment)
        if not going:
            run.driven = True
            going = turn(run, each_asked=True)
        while going:
            while True:
                try:
                    result = body(kernel.fresh(verbs, moment)) if takes else body()
                except Exception as error:
                    kernel.failed(error)
                    break
                for ask, asked in each:
                    try:
                        answer = ask(result)
                        if answer and (answer is True or ports.settle(answer)):
                            kernel.hold(asked, result)
                    except Exception as fault:
                        kernel.gave(result)
                        kernel.hear(asked, Answer(fault=fault), run.verbs)
                moment = now()
                if writing or not kernel.quiet(result, moment):
                    if not kernel.held:
                        kernel.gave(result)
                    break
            if kernel.held and run.end_quietly(moment):
                return True
            going = turn(run, each_asked=True)
            moment = now()
    except BaseException as error:
        if not interrupt(run, error):
            raise
    return False


def single(run: RunState, body: Callable[..., Any], *, takes: bool) -> None:
    """Runs one iteration of a key and gives the key back; see `drive`."""
    kernel, run.driven = run.kernel, True
    try:
        if not turn(run, each_asked=False):
            return
        try:
            result = body(kernel.current(run.verbs)) if takes else body()
            kernel.gave(result)
        except Exception as error:
            kernel.failed(error)
        run.shut()
        plainly = kernel.is_plain
        if plainly and succeeded(run):
            return
        step = finish(run, last=False, each_asked=plainly)
        if step is not HALT:
            run.step_aside(wait := kernel.pause if step is PAUSE else 0.0)
            close(run, wait)
    except BaseException as error:
        if not interrupt(run, error):
            raise


def succeeded(run: RunState) -> bool:
    """Puts the questions that come after every return; True if that ended a step."""
    kernel, run.unsettled = run.kernel, RETURNED  # Before a question can be interrupted.
    for ask, asked in ports.each_return(run):
        try:
            answer = ask(kernel.result)
            if answer and (answer is True or ports.settle(answer)):
                kernel.hold(asked, kernel.result)
        except Exception as fault:
            kernel.hear(asked, Answer(fault=fault), run.verbs)
    if not kernel.held or not kernel.rule_quietly(run.now()):
        return False
    close(run)
    return True


def turn(run: RunState, *, each_asked: bool) -> bool:
    """Ends the open iteration, if one is, and begins the next; False once the run has ended."""
    run.shut()
    kernel, step = run.kernel, run.step
    run.step = None
    try:
        if not run.begun and not begin(run):
            return False
        if step is not None:
            step = kernel.go_on(step, run.now(), run.verbs)
        elif kernel.silent(run.now(), each_asked=each_asked):
            step = GO
        else:
            step = finish(run, last=False, each_asked=each_asked)
        return proceed(run, step)
    except StoreError as error:
        fail(run, error)
        return False


def end_call(run: RunState) -> None:
    """Ends the iteration of one wrapped call; whether another may start is asked by the next."""
    run.shut()
    try:
        run.step = finish(run, last=True)
        if run.book is not None and not run.finished:
            keep(run, run.pausing(run.now(), 0.0))
    except StoreError as error:
        fail(run, error)


def end_block(run: RunState, error: BaseException | None) -> None:
    """Ends a run that counted somebody else's loop, when their block ends."""
    if error is not None and (not isinstance(error, Exception) or run.is_refused(error)):
        interrupt(run, error)
        return
    run.shut()
    kernel = run.kernel
    try:
        if error is not None and not run.begun:
            run.rule_on_block(error)
            run.end(durable=False)
        if run.finished or not (run.begun or begin(run)):
            return
        if run.ran and kernel.outcome is None:
            if error is not None:
                kernel.failed(error)
            else:
                kernel.returned(None)
        if run.step is None:
            finish(run, last=True)
        run.rule_on_block(error)
        close(run)
    except StoreError as fault:
        fail(run, fault)


def exhaust(run: RunState, verdict: Done) -> None:
    """Ends a run whose items are at their end."""
    run.shut()
    try:
        if run.finished or not (run.begun or begin(run)):
            return
        run.kernel.say("items", verdict)
        if run.step is None:
            finish(run, last=True)
        else:
            run.kernel.resume(run.now(), run.verbs)
            close(run)
    except StoreError as error:
        fail(run, error)


def leave(run: RunState, why: str) -> None:
    """Ends a run whose caller went away between two turns; the key stays open."""
    run.shut()
    kernel = run.kernel
    try:
        if run.finished or not run.begun:
            return
        if kernel.outcome is Outcome.INTERRUPTED:
            run.unsettled = kernel.outcome
            if run.listening:
                run.tell_ended()
        elif run.step is None:
            finish(run, last=True)
        if kernel.ruling is None:
            kernel.ruling = Ruling(Status.OPEN, "run", why)
        close(run)
    except StoreError as error:
        fail(run, error)


def begin(run: RunState) -> bool:
    """Opens the key, if there is one; False if the run ended over it."""
    run.begun = True
    run.nest()
    if run.is_watched:
        ports.oversee(run, glance)
    if run.key is None:
        return True
    run.book = ports.new_book(run, watch)
    return run.presumes_absent() or admitted(run)


def finish(run: RunState, *, last: bool, each_asked: bool = False) -> Step:
    """Ends the open iteration, if one is: asks what is due and lets the kernel decide."""
    kernel = run.kernel
    moment = run.now()
    if run.ran:
        run.unsettled = kernel.outcome
        if run.listening:
            run.tell_ended()
        run.note_overrun(moment)
    if run.is_asking():
        ports.wait_for_answers(run)
        run.take_answers()
    for asked in kernel.due(moment, each_asked=each_asked):
        try:
            run.check_unasked(asked)
            answer = Answer(ports.ask(asked, kernel.subject()))
        except Exception as fault:
            answer = Answer(fault=fault)
        kernel.hear(asked, answer, run.verbs)
    step = kernel.decide(moment, run.verbs, run.chance, last=last)
    if step is HALT and run.tripped_while_charged and extended(run):
        step = kernel.reconsider(run.keyed_book().record, moment, run.verbs, run.chance)
    run.tell_warnings()
    if run.book is not None and not run.remember():
        step = kernel.resume(moment, run.verbs)
    if step is HALT:
        close(run)
    return step


def proceed(run: RunState, step: Step) -> bool:
    """Waits if a wait is due and begins the next iteration; False once the run has ended."""
    kernel = run.kernel
    if run.finished:
        return False
    if step is PAUSE:
        if run.book is not None and not keep(run, run.pausing(run.now(), kernel.pause)):
            return False
        if run.listening:
            run.tell_paused(kernel.pause)
        ports.rest(run, kernel.pause)
        step = kernel.resume(run.now(), run.verbs)
    if step is HALT:
        close(run)
        return False
    ports.breathe(run)
    if run.book is None:
        kernel.begin(run.now())
    elif not charge(run):
        return False
    run.ran = True
    if run.listening:
        run.tell_started()
    run.opened()
    return True


def interrupt(run: RunState, error: BaseException) -> bool:
    """Ends the run over an exception that is no outcome; True if it was our own interrupt."""
    try:
        return wind_up(run, error)
    except BaseException:
        # Whoever presses Ctrl-C twice shall find a run that has ended, too.
        if run.finished:
            run.let_go()
        else:
            fail(run, StoreError("the end of the run was interrupted"))
        raise


def wind_up(run: RunState, error: BaseException) -> bool:
    """Does what `interrupt` says, unless that is interrupted in its turn."""
    run.shut()
    kernel = run.kernel
    ours, rest = run.own_part(error)
    if run.is_refused(error):
        run.end(durable=False)
    if run.finished:
        run.let_go()
        return ours and rest is None
    with ports.sheltered(run):
        if ours and (rest is None or isinstance(rest, Exception)):
            kernel.killed(rest)
            finish(run, last=True)
        else:
            if kernel.outcome is None and run.ran:
                kernel.interrupted()
                run.unsettled = kernel.outcome
                if run.listening:
                    run.tell_ended()
            if kernel.ruling is None:
                why = f"interrupted by {type(rest).__name__}"
                kernel.ruling = Ruling(Status.OPEN, "run", why)
            close(run)
    if not run.finished:
        fail(run, StoreError("the store did not confirm the end of the run within the grace"))
    if ours and rest is not None and not isinstance(rest, Exception):
        raise rest from rest.__cause__
    return ours
