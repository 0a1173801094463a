# SPDX-License-Identifier: MIT
"""Carries one run through, calling: the twin of ``_drive_async``.

1. Nothing is decided here.  The kernel decides, the ledger says what is
   written; a driver calls the body, asks the questions, sends the writes and
   waits, in the kernel's order.
2. Line under line the same as the async driver, ``await`` aside; a test holds
   the two against each other.
"""

from __future__ import annotations

from haltable import _ports_sync as ports
from haltable._book import Change, Draft
from haltable._call import FULL, PLAIN, TAKES_ITERATION, Call
from haltable._state import RunState
from haltable._watch import INTERVAL
from haltable.errors import LoopBusy, StoreError
from haltable.kernel import GO, HALT, PAUSE, Step
from haltable.ledger import MINE, Held, Left, Standing, Terminal, admit
from haltable.model import Done, Outcome, Ruling, Status
from haltable.probe import Answer
from haltable.records import Apart, decode_apart, encode_apart, new_record
from haltable.store import Conflict, Entry

__all__ = ["drive", "end_block", "end_call", "exhaust", "interrupt", "leave", "single", "turn"]

#: How often a refused write is answered with a record that is older than mine.
_STALE_READS = 8


def drive(run: RunState, call: Call) -> None:
    """Runs a body until the run ends."""
    kernel, now = run.kernel, run.now
    body, mode, args, kwargs = call.body, call.mode, call.args, call.kwargs
    each = ports.each_return(run)
    try:
        moment = now()
        going = run.begin_quietly(moment) or turn(run, each_asked=True)
        while going:
            while True:
                try:
                    if mode is PLAIN:
                        result = body()
                    elif mode is TAKES_ITERATION:
                        result = body(kernel.fresh(run, moment))
                    elif mode is FULL:
                        result = body(*args, **call.keywords(kernel.fresh(run, moment)))
                    else:
                        result = body(*args, **kwargs)
                except Exception as error:
                    kernel.failed(error)
                    break
                for ask, asked in each:
                    try:
                        answer = ask(result)
                        if answer is True or (answer and ports.settle(answer)):
                            kernel.hold(asked, result)
                    except Exception as fault:
                        kernel.returned(result)
                        kernel.hear(asked, Answer(fault=fault), run)
                moment = now()
                if not kernel.quiet(result, moment):
                    kernel.returned(result)
                    break
            if run.end_quietly(moment):
                return
            going = turn(run, each_asked=True)
            moment = now()
    except BaseException as error:
        if not interrupt(run, error):
            raise


def single(run: RunState, call: Call) -> None:
    """Runs one iteration of a key and gives the key back."""
    try:
        if not turn(run, each_asked=False):
            return
        try:
            if call.mode is PLAIN:
                result = call.body()
            elif call.mode is TAKES_ITERATION:
                result = call.body(run.kernel.current(run))
            elif call.mode is FULL:
                result = call.body(*call.args, **call.keywords(run.kernel.current(run)))
            else:
                result = call.body(*call.args, **call.kwargs)
            run.kernel.returned(result)
        except Exception as error:
            run.kernel.failed(error)
        step = finish(run, last=False)
        if step is not HALT:
            wait = run.kernel.pause if step is PAUSE else 0.0
            run.step_aside(wait)
            close(run, wait)
    except BaseException as error:
        if not interrupt(run, error):
            raise


def turn(run: RunState, *, each_asked: bool) -> bool:
    """Ends the open iteration, if one is, and begins the next; False once the run has ended."""
    kernel, step = run.kernel, run.step
    run.step = None
    try:
        if not run.begun and not begin(run):
            return False
        if step is None:
            step = finish(run, last=False, each_asked=each_asked)
        elif step is GO:
            step = kernel.resume(run.now(), run)
        return proceed(run, step)
    except StoreError as error:
        fail(run, error)
        return False


def end_call(run: RunState) -> None:
    """Ends the iteration of one wrapped call; whether another may start is asked by the next."""
    try:
        run.step = finish(run, last=True)
        if run.book is not None and not run.finished:
            keep(run, run.pausing(run.now(), 0.0))
    except StoreError as error:
        fail(run, error)


def end_block(run: RunState, error: BaseException | None) -> None:
    """Ends a run that counted somebody else's loop, when their block ends."""
    if error is not None and not isinstance(error, Exception):
        interrupt(run, error)
        return
    kernel = run.kernel
    try:
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
    try:
        if run.finished or not (run.begun or begin(run)):
            return
        run.kernel.say("items", verdict)
        finish(run, last=True)
    except StoreError as error:
        fail(run, error)


def leave(run: RunState, why: str) -> None:
    """Ends a run whose caller went away between two turns; the key stays open."""
    kernel = run.kernel
    try:
        if run.finished or not run.begun:
            return
        if kernel.outcome is Outcome.INTERRUPTED:
            run.unsettled = kernel.outcome
        elif run.step is None:
            finish(run, last=True)
        if kernel.ruling is None:
            kernel.ruling = Ruling(Status.OPEN, "run", why)
        close(run)
    except StoreError as error:
        fail(run, error)


def fail(run: RunState, error: StoreError) -> None:
    """Ends the run, not the key, over a store that failed."""
    run.blame_store(error)
    ports.forget(run)
    run.end(durable=False)


def begin(run: RunState) -> bool:
    """Opens the key, if there is one; False if the run ended over it."""
    run.begun = True
    if run.key is None:
        return True
    run.book = ports.new_book(run, watch)
    return admitted(run)


def admitted(run: RunState) -> bool:
    """Reads the key and goes on from what is there; False if the run ended over it.

    Raises:
        LoopBusy: if another run holds the key.
    """
    book = run.keyed_book()
    while True:
        entry = ports.read(run, run.store_key)
        book.see(entry, new_record(run.label))
        running = book.record.running
        dead = running is not None and ports.is_dead(run, running.owner)
        admission = admit(book.record, age=0.0 if entry is None else entry.age, dead=dead)
        if isinstance(admission, Held):
            ports.forget(run)
            raise LoopBusy(run.label, str(admission.owner), admission.left)
        if isinstance(admission, Terminal):
            return refused(run, admission.ruling)
        if admission.wait <= 0:
            break
        if run.single_step:
            run.retry_after = admission.wait
            return refused(run, Ruling(Status.OPEN, "run", "it is too early for the next start"))
        ports.rest(run, admission.wait)
        if run.kernel.stop is not None:
            break
    crashed = isinstance(admission, Left) and admission.crashed
    run.take_over(admission.record, crashed=crashed)
    if run.apart.wanted:
        stored = ports.read(run, run.apart_key)
        if stored is not None:
            run.recall_apart(decode_apart(stored.value), stored.version)
    return True


def refused(run: RunState, ruling: Ruling) -> bool:
    """Ends a run that may not start; nothing is written."""
    run.refuse(ruling)
    ports.forget(run)
    return False


def finish(run: RunState, *, last: bool, each_asked: bool = False) -> Step:
    """Ends the open iteration, if one is: asks what is due and lets the kernel decide."""
    kernel = run.kernel
    moment = run.now()
    if run.ran:
        run.unsettled = kernel.outcome
        if run.listening:
            run.tell_ended()
    for asked in kernel.due(moment, each_asked=each_asked):
        try:
            answer = Answer(ports.ask(asked, kernel.subject()))
        except Exception as fault:
            answer = Answer(fault=fault)
        kernel.hear(asked, answer, run)
    step = kernel.decide(moment, run, run.chance, last=last)
    if run.book is not None and not run.remember():
        step = kernel.resume(moment, run)
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
        step = kernel.resume(run.now(), run)
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
    return True


def charge(run: RunState) -> bool:
    """Records the next start before the body gets control; False if the run ended instead."""
    book, kernel = run.keyed_book(), run.kernel
    while not book.claimed:
        moment = run.now()
        if put(run, run.charging(moment)) is MINE:
            kernel.adopt(book.record, moment, book.version)
            return store_apart(run)
        # Somebody was quicker: everything that was known of the key is old.
        if not admitted(run):
            return False
        if kernel.resume(run.now(), run) is HALT:
            close(run)
            return False
    moment = run.now()
    if not keep(run, run.charging(moment)):
        return False
    kernel.adopt(book.record, moment, book.version)
    return store_apart(run)


def keep(run: RunState, change: Change) -> bool:
    """Sends a write of a claim that stands; False if it does not, and the run ended over it."""
    standing = put(run, change)
    if standing is MINE:
        run.unsettled = None
        return True
    run.bow_to(standing)
    close(run)
    return False


def close(run: RunState, wait: float = 0.0) -> None:
    """Writes how the run ends, if it has a key, and ends it."""
    if run.finished or run.kernel.ruling is None:
        return
    book = run.book
    if book is None:
        run.end(durable=False)
        return
    durable = True
    try:
        while run.owes_a_write:
            standing = put(run, run.closing(run.now(), wait), despite=run.overruled)
            if standing is MINE:
                break
            durable = False
            if book.claimed:
                durable = run.bow_to(standing)
            elif not admitted(run):
                return
        else:
            durable = book.claimed or run.kernel.ruling.status is Status.OPEN
    except StoreError as error:
        fail(run, error)
        return
    ports.forget(run)
    run.end(durable=durable)


def interrupt(run: RunState, error: BaseException) -> bool:
    """Ends the run over an exception that is no outcome; True if it was our own interrupt."""
    kernel = run.kernel
    if run.finished:
        return False
    if isinstance(error, LoopBusy):
        run.end(durable=False)
        return False
    ours = run.is_ours(error)
    with ports.sheltered(run):
        if ours:
            kernel.killed()
            finish(run, last=True)
        else:
            if kernel.outcome is None and run.ran:
                kernel.interrupted()
                run.unsettled = kernel.outcome
            kernel.ruling = Ruling(Status.OPEN, "run", f"interrupted by {type(error).__name__}")
            close(run)
    if not run.finished:
        fail(run, StoreError("the store did not confirm the end of the run within the grace"))
    return ours


def put(run: RunState, change: Change, *, despite: frozenset[Standing] = frozenset()) -> Standing:
    """Applies a change to the run's record; says how the claim stands.

    Anything but MINE means that nothing was written.  ``despite`` names the
    standings over which the change is written all the same.

    Raises:
        StoreError: if the store failed, or it is unknown whether it wrote.
    """
    book = run.keyed_book()
    with ports.locked(run):
        for _ in range(_STALE_READS):
            if book.standing is not MINE and book.standing not in despite:
                return book.standing
            draft = book.draft(change)
            reply = send(run, draft)
            if isinstance(reply, Entry):
                book.accepted(draft, reply.version, run.now())
                return MINE
            found = reply.current
            if found is None or found.version <= draft.expected:
                # What came with the refusal may be older than the refusal itself.
                found = ports.read(run, run.store_key)
            if book.compare(found, draft):
                return MINE
            if not book.claimed:
                return book.standing
    raise StoreError(f"{run.label}: the store refused {_STALE_READS} writes in a row")


def send(run: RunState, draft: Draft) -> Entry | Conflict:
    """Sends a write; one whose outcome is unknown is sent a second time.

    The same compare-and-set cannot be done twice, and a refusal shows whether
    the first was.
    """
    try:
        return ports.write(run, run.store_key, draft.value, draft.expected)
    except StoreError as error:
        if error.outcome == "refused":
            raise
    return ports.write(run, run.store_key, draft.value, draft.expected)


def store_apart(run: RunState) -> bool:
    """Writes the breakers' large memory, if it changed."""
    run.unsettled = None
    if run.apart.text == run.apart_stored_text:
        return True
    book = run.keyed_book()
    value = encode_apart(Apart(run.label, book.charged_epoch, run.apart.text))
    for _ in range(_STALE_READS):
        reply = ports.write(run, run.apart_key, value, run.apart_version)
        if isinstance(reply, Entry):
            run.apart_version, run.apart_stored_text = reply.version, run.apart.text
            return True
        found = ports.read(run, run.apart_key)
        # Damage must fail here, before it is written over.
        run.apart_version = 0 if found is None else found.version
        if found is not None:
            decode_apart(found.value)
    raise StoreError(f"{run.label}: the store refused {_STALE_READS} writes in a row")


def watch(run: RunState) -> None:
    """Looks at the record of a run whose body or pause is long, and renews its lease.

    A store fault here is no verdict: the next look tries again, and the next
    write of the run itself says what is to be said.
    """
    book, now = run.keyed_book(), run.now()
    if run.finished or not book.claimed or now - book.written_at < INTERVAL:
        return
    try:
        with ports.locked(run):
            entry = ports.read(run, run.store_key)
            if entry is None or entry.version != book.version:
                book.compare(entry)
            standing = book.standing
        if standing is not MINE:
            run.ask_to_stop(run.ruling_for(standing), interrupting=True)
        elif run.renewal_due(now):
            put(run, run.renewing(now))
    except StoreError as error:
        run.note_blind_watch(error)
