# SPDX-License-Identifier: MIT
"""Which store the operator's acts work on, and who acts.

It finds the file as a run in this directory would, and never makes one.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from haltable import Operator, SQLiteStore
from haltable.cli.contract import default_store
from haltable.cli.exits import Refused
from haltable.cli.files import written
from haltable.cli.options import text

__all__ = ["login", "operator_at", "store_file"]


def store_file(given: str | None) -> tuple[str, str | None]:
    """Returns the store's file, and the same if a command must name it.

    Args:
        given: what ``--store`` said; by default the one of the contract in this
            directory, else the default one.

    Raises:
        Refused: if the file in this directory is wrong.
    """
    if given is not None:
        return given, given
    found = written(None)
    if "store" in found.values:
        try:
            return text(found.values["store"]), None
        except ValueError as error:
            said = found.values["store"]
            raise Refused(f"{found.where}: store = {said!r}: {error}") from error
    return default_store(), None


def operator_at(file: str) -> Operator:
    """Returns the operator of a store that is there.

    Raises:
        Refused: if it is not.
        StoreError: if it cannot be used.
    """
    if not Path(file).exists():
        raise Refused(f"there is no store at {file}: name it with --store FILE")
    return Operator(SQLiteStore(file, create=False))


def login() -> str:
    """Returns who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # A user without a name, as in many a container.
        return f"user {os.getuid()}"
