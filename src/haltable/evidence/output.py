# SPDX-License-Identifier: MIT
"""What a command prints, as evidence.

It runs the command and digests its words; what they mean it does not know.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence

from haltable._process_group import checked
from haltable.errors import ConfigurationError
from haltable.evidence._program import listen
from haltable.probe import Evidence
from haltable.quantity import check_seconds

__all__ = ["Output"]


class Output(Evidence):
    """What a command prints to its standard output: other words are another state.

    It runs without input, in a process group of its own, and what it leaves
    running is killed.  One that cannot be started, exits with another status
    than 0, or takes too long and is killed, could not see: the evidence is
    blind, and the receipt has the end of what it printed to its standard error.

    Choose one that prints what was produced and nothing that changes by itself:
    no time of day, no uptime, no process number.

    Args:
        argv: the program and its arguments; never a line for a shell.
        timeout: how long it may take, in seconds, above 0.
        name: how receipts call it, unique within a stall detector; by default
            the command.

    Raises:
        ConfigurationError: if an argument is not as described above.

    Example:
        >>> from haltable.evidence import Output
        >>> said = Output(["echo", "42 invoices"])
        >>> said.fingerprint() == Output(["echo", "43 invoices"]).fingerprint()
        False
        >>> print(said)
        Output(echo '42 invoices')
    """

    #: It waits for a child: async drivers ask it in a worker thread.
    blocks = True

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        timeout: float = 60,
        name: str | None = None,
    ) -> None:
        self._argv = checked(argv, "Output")
        check_seconds("timeout", timeout, of="Output")
        if name is not None and not (isinstance(name, str) and name):
            raise ConfigurationError(f"Output(name={name!r}): give a non-empty string, or None")
        self._timeout = timeout
        self._name = name or f"Output({shlex.join(self._argv)})"

    def fingerprint(self) -> bytes:
        """Returns a digest of what the command prints.

        Raises:
            OSError: if it cannot be started.
            TimeoutError: if it took too long.
            HaltableError: if it ended with another status than 0.
        """
        digest = hashlib.blake2b(digest_size=16)
        listen(self._argv, digest.update, name=str(self), timeout=self._timeout)
        return digest.digest()

    def __str__(self) -> str:
        return self._name
