# SPDX-License-Identifier: MIT
"""What a contract means: the loop, its breakers, its store and its body.

It puts together what the library has, and runs nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Generator
from pathlib import Path

from haltable import Backoff, Breaker, IterationCap, Loop
from haltable.bodies import Command
from haltable.cli.body import CommandBody, FatalExit, NotStarted, TransientExit
from haltable.cli.contract import Contract
from haltable.cli.exits import NOT_FOUND, NOT_RUNNABLE, Refused
from haltable.cli.failure_cap import FailureCap
from haltable.cli.passage import Passage
from haltable.errors import EffectFailed, OutcomeUnknown
from haltable.probe import Condition, Evidence
from haltable.sink import Sink
from haltable.store import Store

__all__ = ["body_of", "check_command", "loop_of", "store_of"]


def check_command(contract: Contract) -> None:
    """Refuses a command that is not there, or cannot be run, before anything starts.

    Raises:
        Refused: with the code that ``timeout`` has for it.
    """
    program = contract.command[0]
    places = [Path(program)]
    if os.sep not in program:
        places = [Path(place, program) for place in os.get_exec_path()]
    there = [place for place in places if place.exists()]
    if not there:
        raise Refused(f"{program!r}: there is no such command", NOT_FOUND)
    if not any(place.is_file() and os.access(place, os.X_OK) for place in there):
        raise Refused(f"{program!r} is there, but cannot be run: see its mode", NOT_RUNNABLE)


def body_of(contract: Contract, passage: Passage) -> CommandBody:
    """Returns the body.

    Args:
        contract: what bounds it.
        passage: takes what the command prints.
    """
    confine = None
    if contract.confine:
        from haltable.bodies import Confinement

        confine = Confinement(writable=contract.confine)
    return CommandBody(
        Command(contract.command, on_bytes=passage, confine=confine),
        frozenset(contract.fatal_exit),
        frozenset(contract.transient_exit),
    )


def loop_of(
    contract: Contract, passage: Passage, store: Store | None, sinks: tuple[Sink, ...]
) -> Loop:
    """Returns the loop.

    Args:
        contract: what bounds it.
        passage: knows when the command printed something.
        store: where counts are kept.
        sinks: what listens.
    """
    once = contract.once_key is not None
    fatal: tuple[type[Exception], ...] = (NotStarted, FatalExit)
    return Loop(
        *_breakers(contract, passage),
        key=contract.key,
        store=store,
        name=Path(contract.command[0]).name,
        delay=_delay(contract),
        transient=TransientExit,
        fatal=(*fatal, OutcomeUnknown, EffectFailed) if once else fatal,
        sinks=sinks,
    )


@contextlib.contextmanager
def store_of(contract: Contract) -> Generator[Store | None]:
    """Opens the store of a contract for a block, and makes it if there is none.

    Of the default one, the directory is made too.

    Raises:
        Refused: if that cannot be made.
        StoreError: if it cannot be used.
    """
    if contract.file is None:
        yield None
        return
    from haltable.stores import SQLiteStore

    file = Path(contract.file)
    if contract.own_store is None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"{file.parent} cannot be made: {error.strerror}") from error
    with SQLiteStore(file) as store:
        yield store


def _breakers(contract: Contract, passage: Passage) -> list[Breaker]:
    breakers: list[Breaker] = []
    if contract.max is not None:
        breakers.append(IterationCap(contract.max, max_consecutive_failures=None))
    in_all, in_row = contract.max_failures, contract.max_consecutive_failures
    if in_all is not None or in_row is not None:
        breakers.append(FailureCap(in_all=in_all, in_row=in_row))
    if contract.total_timeout is not None or contract.iteration_timeout is not None:
        from haltable import Deadline

        breakers.append(
            Deadline(total=contract.total_timeout, iteration=contract.iteration_timeout)
        )
    if contract.idle_timeout is not None:
        from haltable.cli.idle_timeout import IdleTimeout

        breakers.append(IdleTimeout(contract.idle_timeout, passage.heard_at))
    if contract.stall is not None:
        from haltable import StallDetector

        breakers.append(StallDetector(after=contract.stall, evidence=_evidence(contract.evidence)))
    if contract.until or contract.give_up_if or contract.once_key:
        breakers.append(_exit_condition(contract))
    name = contract.once_key
    if name is not None:
        from haltable import IdempotencyGuard

        breakers.append(IdempotencyGuard(key=lambda _: name, final=FatalExit, on_held="wait"))
    return breakers


def _exit_condition(contract: Contract) -> Breaker:
    from haltable import ExitCondition
    from haltable.cli.shell import ShellCondition
    from haltable.conditions import returned

    success: Condition | None = None
    give_up: Condition | None = None
    if contract.until is not None:
        success = ShellCondition("until", contract.until, contract.until_timeout)
    elif contract.once_key is not None:
        success = returned
    if contract.give_up_if is not None:
        give_up = ShellCondition("give-up-if", contract.give_up_if, contract.give_up_timeout)
    return ExitCondition(success=success, give_up=give_up)


def _evidence(words: tuple[str, ...]) -> Evidence:
    pieces = [_piece(word) for word in dict.fromkeys(words)]
    return functools.reduce(lambda one, other: one | other, pieces)


def _piece(word: str) -> Evidence:
    from haltable.evidence import Files, GitTree, Output

    if word == "git":
        return GitTree()
    if word.startswith("cmd:"):
        return Output(["sh", "-c", word.removeprefix("cmd:")], name=word)
    return Files(word)


def _delay(contract: Contract) -> float | Backoff:
    if contract.backoff is None:
        return contract.every or 0
    shortest, longest = contract.backoff
    return Backoff(initial=shortest, maximum=longest)
