# SPDX-License-Identifier: MIT
"""``haltable run``: carries out a contract, and says how it ended.

It opens what the contract names, runs the loop, and writes the receipt to the
standard error; the standard output is the command's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from haltable import Report, Run, StoreError
from haltable.cli import receipts
from haltable.cli.body import CommandBody
from haltable.cli.building import body_of, check_command, loop_of, store_of
from haltable.cli.contract import Contract
from haltable.cli.exits import BUSY, Refused, code_of
from haltable.cli.passage import Passage
from haltable.cli.signals import Killed, Signals
from haltable.errors import ConfigurationError, LoopBusy
from haltable.events import Event, StartRefused
from haltable.sink import Sink

__all__ = ["run"]


class _Refusals:
    """A sink that notes whether the key had ended before this run."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, event: Event) -> None:
        self.seen = self.seen or isinstance(event, StartRefused)


def run(contract: Contract, words: Sequence[str]) -> int:
    """Runs a command within its bounds and returns the exit code.

    Args:
        contract: what bounds it.
        words: what followed ``haltable run``, for the receipt.

    Raises:
        Refused: if it cannot be run as asked; nothing was started then.
    """
    check_command(contract)
    passage, refusals = Passage(), _Refusals()
    with _quiet_log(), _log(contract.log) as lines:
        _check_report(contract.report)
        try:
            body = body_of(contract, passage)
            with store_of(contract) as store:
                handle = loop_of(contract, passage, store, (refusals, *lines)).start()
                code = _carried(handle, body, passage, refusals)
        except LoopBusy as busy:
            raise Refused(f"{busy}; next: {_show(contract)}", BUSY) from busy
        except (ConfigurationError, StoreError) as error:
            raise Refused(" ".join(str(error).split())) from error
    report = handle.report
    _tell(report, contract, words)
    if contract.report is not None:
        _write_report(contract, report, code)
    return code


def _carried(handle: Run, body: CommandBody, passage: Passage, refusals: _Refusals) -> int:
    def stop(why: str) -> None:
        handle.stop(why)

    passage.on_broken = lambda: stop("nobody reads our output any more")
    with Signals(stop) as signals, _line(handle, passage):
        # What is killed is told by the report, like every other end.
        with contextlib.suppress(Killed):
            handle.run(body)
            signals.over = True
        signals.over = True
        report = handle.report
        number = signals.first or (signal.SIGPIPE if passage.broken else None)
    return code_of(report, refused=refusals.seen, signal=number)


def _line(handle: Run, passage: Passage) -> contextlib.AbstractContextManager[None]:
    """Shows how the run stands, if there is a terminal to show it on."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from haltable.cli.live import live_line

    return live_line(handle, passage)


def _tell(report: Report[Any], contract: Contract, words: Sequence[str]) -> None:
    lines = ["already done, nothing ran"] if report.ok and not report.ran else []
    lines.append(receipts.told(report, words, store=contract.own_store))
    with contextlib.suppress(OSError):  # Whoever does not read it has the exit code.
        sys.stderr.write("\n".join(lines) + "\n")


def _show(contract: Contract) -> str:
    return receipts.command("show", contract.key or "", store=contract.own_store)


@contextlib.contextmanager
def _quiet_log() -> Generator[None]:
    """Has the log say only what no receipt says, for a block."""
    import logging

    logger = logging.getLogger("haltable")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _log(path: str | None) -> Generator[tuple[Sink, ...]]:
    if path is None:
        yield ()
        return
    from haltable.cli.sinks import JSONLines

    with contextlib.closing(JSONLines(path)) as lines:
        yield (lines,)


def _check_report(path: str | None) -> None:
    """Refuses a report that could not be written in the end."""
    if path is None:
        return
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise Refused(f"--report {path}: it cannot be written there")


def _write_report(contract: Contract, report: Report[Any], code: int) -> None:
    import json

    path = Path(str(contract.report))
    content = {**report.to_dict(), "command": contract.command, "exit_code": code}
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(content, default=str, indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise Refused(f"--report {path}: it cannot be written: {error.strerror}") from error
