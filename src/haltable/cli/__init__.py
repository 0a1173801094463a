# SPDX-License-Identifier: MIT
"""The command ``haltable``: loops around any command, and the operator's acts.

It is thin: it reads options and files, and shows what the library says.  What a
breaker, a store or a run is, it does not know better than any other user.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main", "script"]


def script() -> NoReturn:
    """Runs the command as a process, and ends that with the exit code."""
    _open_streams()
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 128 + signal.SIGPIPE
    # All is closed and written: taking an interpreter apart would be a fifth of
    # what a short run costs.
    os._exit(code)


def _open_streams() -> None:
    """Has each standard stream lead somewhere.

    Of one that was closed, the number would be the next file's, a store's
    perhaps; and what a command prints is written to that number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest number that is free, which is this one.
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "w" if number else "r"))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; see ``docs/reference/command.md``.

    Args:
        argv: its arguments; those of this process by default.
    """
    # The light door: what `run` needs is not loaded for `ls`, and the other way round.
    from haltable.cli import parser
    from haltable.cli.exits import ERROR, Refused

    words = sys.argv[1:] if argv is None else [*argv]
    try:
        return parser.carry_out(words)
    except Refused as refused:
        sys.stderr.write(f"haltable: {refused}\n")
        return refused.code
    except BrokenPipeError:
        # Whoever read our words is gone; the interpreter must not try them again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:
        import traceback

        # A fault of ours: neither 1 nor 2, which are the command's own words.
        traceback.print_exc()
        return ERROR
