# SPDX-License-Identifier: MIT
"""What listens to a run: a file with a line of JSON for each event.

It writes events as they are, and knows no run.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

import attrs

from haltable.cli.exits import Refused
from haltable.events import Event

__all__ = ["JSONLines"]


class JSONLines:
    """Writes each event as a line of JSON, at the end of a file.

    Args:
        path: the file.

    Raises:
        Refused: if it cannot be written.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise Refused(f"--log {path}: it cannot be written: {error.strerror}") from error

    def __call__(self, event: Event) -> None:
        """Writes an event."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = attrs.asdict(event)
        line = {"at": now, "event": type(event).__name__, **fields}
        os.write(self._file, (json.dumps(line, default=str) + "\n").encode())

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)
