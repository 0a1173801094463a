# SPDX-License-Identifier: MIT
"""The command line: which words mean what, and who carries them out.

It reads flags and files into a contract; what a contract means it does not know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from haltable.cli.contract import Contract
from haltable.cli.exits import SUCCESS, Refused
from haltable.cli.files import written
from haltable.cli.options import OPTIONS

__all__ = ["carry_out", "contract_of"]

_ACTS = "ls, show, stop, reset, extend, effects, resolve, purge, watch"
_USAGE = f"""\
usage: haltable run [options] -- COMMAND ...
         run a command again and again, within bounds
       haltable ACT [options]
         operate the loops of a store; an ACT is one of
         {_ACTS}
       haltable run --help, haltable ACT --help, haltable --version
"""


class _Help(argparse.HelpFormatter):
    """Help for 80 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=80)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, and no exit code of others."""

    def __init__(self, **words: Any) -> None:
        # With a width of its own, it does not ask for the terminal's at every option.
        super().__init__(formatter_class=_Help, **words)

    def error(self, message: str) -> NoReturn:
        """Refuses the words."""
        raise Refused(f"{message}; see {self.prog} --help")


def carry_out(words: Sequence[str]) -> int:
    """Carries out a command line and returns the exit code.

    Raises:
        Refused: if it cannot be done.
    """
    if not words:
        raise Refused("say what to do: run, " + _ACTS + "; see haltable --help")
    verb, *rest = words
    if verb in ("-h", "--help", "help"):
        sys.stdout.write(_USAGE)
        return SUCCESS
    if verb == "--version":
        from haltable import __version__

        sys.stdout.write(f"haltable {__version__}\n")
        return SUCCESS
    if verb == "run":
        return _run(rest)
    if verb in _ACTS.split(", "):
        from haltable.cli.operating import operate

        return operate(Parser, verb, rest)
    raise Refused(f"there is no act {verb!r}: say run, {_ACTS}")


def _run(words: list[str]) -> int:
    contract, dry = contract_of(words)
    if dry:
        sys.stdout.write(f"{contract}\n")
        return SUCCESS
    from haltable.cli.running import run

    return run(contract, words)


def contract_of(words: Sequence[str]) -> tuple[Contract, bool]:
    """Returns the contract that flags and file say, and whether it is only to be shown.

    Args:
        words: what follows ``haltable run``.
    """
    ours, command = _split(words)
    given: dict[str, Any] = vars(_run_parser().parse_args(ours))
    if command and given["rest"]:
        raise Refused(f"{given['rest'][0]!r} stands before --: the command goes after it")
    values = written(given["config"]).read()
    for option in OPTIONS:
        raw = given[option.field]
        if raw is None:
            continue
        try:
            values[option.field] = option.read(raw)
        except ValueError as error:
            said = " ".join([raw] if isinstance(raw, str) else raw)
            raise Refused(f"--{option.name} {said}: {error}") from error
    command = command or given["rest"]
    if command:
        values["command"] = tuple(command)
    return Contract(**values), given["dry_run"]


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns our words and the command's."""
    if "--" not in words:
        return [*words], []
    at = words.index("--")
    return [*words[:at]], [*words[at + 1 :]]


def _run_parser() -> Parser:
    parser = Parser(
        prog="haltable run",
        usage="haltable run [options] -- COMMAND ...",
        description="Runs a command again and again until it has succeeded or a bound is reached.",
        epilog="A DURATION is 90s, 10m, 1h30m, 250ms, or a number of seconds.",
        allow_abbrev=False,
    )
    for option in OPTIONS:
        parser.add_argument(
            f"--{option.name}",
            dest=option.field,
            action="append" if option.many else "store",
            metavar=option.shown,
            help=option.help,
        )
    parser.add_argument("--config", metavar="FILE", help="read the contract from this file")
    parser.add_argument("--dry-run", action="store_true", help="show the effective contract")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command")
    return parser
