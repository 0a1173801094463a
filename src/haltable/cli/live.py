# SPDX-License-Identifier: MIT
"""The live line: how a running loop stands, on a terminal and nowhere else.

It looks at the run's report once a second, and steps aside for what the command
prints.  It changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator
from typing import Any

from haltable import Report, Run
from haltable.cli.passage import Passage

__all__ = ["line_of", "live_line"]

_EVERY = 1.0
_CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def live_line(run: Run, passage: Passage) -> Generator[None]:
    """Shows how a run stands while the block lasts; standard error is a terminal."""
    line = _Line(run)
    passage.around = line.aside
    thread = threading.Thread(target=line.go_on, name="haltable-live", daemon=True)
    thread.start()
    try:
        yield
    finally:
        line.end()
        thread.join()


class _Line:
    """One line at the bottom of a terminal."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._shown = False
        self._at_margin = True
        self._evidence: str | None = None
        self._evidence_at = time.monotonic()

    def go_on(self) -> None:
        while not self._over.wait(_EVERY):
            self._show()

    def end(self) -> None:
        self._over.set()
        with self._lock:
            self._clear()

    @contextlib.contextmanager
    def aside(self, stream: int, more: bytes) -> Generator[None]:
        if not os.isatty(stream):
            yield
            return
        with self._lock:
            self._clear()
            self._at_margin = more.endswith((b"\n", b"\r"))
            yield

    def _show(self) -> None:
        report = self._run.snapshot()
        if report.evidence != self._evidence:
            self._evidence, self._evidence_at = report.evidence, time.monotonic()
        age = None if self._evidence is None else time.monotonic() - self._evidence_at
        text = line_of(report, evidence_age=age, width=_width())
        with self._lock:
            # A line of the command's that has not ended is not written into.
            if self._at_margin and not self._over.is_set():
                self._write(_CLEAR + text)
                self._shown = True

    def _clear(self) -> None:
        if self._shown:
            self._write(_CLEAR)
            self._shown = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # The terminal is gone; the loop is not.
            os.write(2, text.encode())


def line_of(report: Report[Any], *, evidence_age: float | None, width: int) -> str:
    """Returns a run's standing in one line.

    Args:
        report: how it stands.
        evidence_age: seconds since the newest evidence was new; None without one.
        width: the columns that there are.
    """
    limits = dict(report.limits)
    cap = f" of {int(limits['starts']) + report.extension}" if limits.get("starts") else ""
    pieces = [f"{report.name}: iteration {report.starts}{cap}", _clock(report.elapsed)]
    if limits.get("stall"):
        age = "none yet" if evidence_age is None else f"{_clock(evidence_age)} old"
        pieces.append(f"newest evidence {age}")
    row = f", {report.failures_in_row} in a row" if report.failures_in_row else ""
    pieces.append(f"failures {report.failures}{row}")
    text = " · ".join(pieces)
    return text if len(text) < width else text[: max(0, width - 4)] + "..."


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _width() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80
