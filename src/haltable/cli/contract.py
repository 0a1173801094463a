# SPDX-License-Identifier: MIT
"""What bounds a command, as a frozen value: everything that options and files can say.

It is checked as a whole when it is made.  It starts nothing, and opens no file.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from haltable.cli.exits import Refused
from haltable.cli.options import OPTIONS

__all__ = ["Contract", "default_store"]


def default_store() -> str:
    """Returns the file in which keys are kept if nobody names one."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(home) / "haltable" / "loops.db")


@attrs.frozen(kw_only=True)
class Contract:
    """What bounds a command; each field is the option of that name.

    Raises:
        Refused: if nothing bounds it, or two options cannot stand together.
    """

    command: tuple[str, ...] = ()
    max: int | None = None
    max_failures: int | None = None
    max_consecutive_failures: int | None = 3
    iteration_timeout: float | None = None
    total_timeout: float | None = None
    idle_timeout: float | None = None
    until: str | None = None
    until_timeout: float = 600.0
    give_up_if: str | None = None
    give_up_timeout: float = 60.0
    evidence: tuple[str, ...] = ()
    stall: float | None = None
    backoff: tuple[float, float] | None = None
    every: float | None = None
    key: str | None = None
    store: str | None = None
    once_key: str | None = None
    fatal_exit: tuple[int, ...] = ()
    transient_exit: tuple[int, ...] = ()
    confine: tuple[str, ...] = ()
    log: str | None = None
    report: str | None = None

    def __attrs_post_init__(self) -> None:
        if not self.command or not self.command[0]:
            raise Refused("no command: put it after the options, as in haltable run --max 5 -- CMD")
        if self.max is None and self.total_timeout is None:
            raise Refused("nothing bounds this loop: give --max N or --total-timeout DURATION")
        if self.evidence and self.stall is None:
            raise Refused("--evidence needs --stall DURATION: how long nothing new may appear")
        if self.stall is not None and not self.evidence:
            raise Refused("--stall needs --evidence: what counts as progress")
        if self.every is not None and self.backoff is not None:
            raise Refused("--every and --backoff both say how long to wait: give one of them")
        both = {*self.fatal_exit} & {*self.transient_exit}
        if both:
            raise Refused(f"exit status {min(both)} cannot be both fatal and transient")

    @property
    def file(self) -> str | None:
        """The store's file; None if nothing is kept."""
        if self.key is None and self.once_key is None:
            return None
        return self.store or default_store()

    @property
    def own_store(self) -> str | None:
        """The store's file if it is not the default one."""
        return None if self.file == default_store() else self.file

    def __str__(self) -> str:
        """The effective contract, as a ``haltable.toml`` could say it."""
        lines = [f"command = {_written([*self.command])}"]
        for option in OPTIONS:
            value = self.file if option.name == "store" else getattr(self, option.field)
            if option.name == "max-consecutive-failures" and value is None:
                value = "none"
            if option.name in ("until-timeout", "give-up-timeout"):
                asked = self.until if option.name == "until-timeout" else self.give_up_if
                value = None if asked is None else value
            if value is None or value == ():
                continue
            if option.name == "backoff":
                value = "..".join(f"{_number(float(seconds))}s" for seconds in value)
            lines.append(f"{option.name} = {_written(value)}")
        return "\n".join(lines)


def _written(value: object) -> str:
    # What JSON writes of texts, numbers and lists of them is TOML, too.
    import json

    if isinstance(value, float):
        return _number(value)
    return json.dumps(value)


def _number(value: float) -> str:
    # Without an exponent, which no duration is read with.
    return f"{value:.6f}".rstrip("0").rstrip(".")
