# SPDX-License-Identifier: MIT
"""Who runs a key, and whether that one is known to be dead.

It looks at this host's processes and at nothing else.  "Known dead" is never
guessed: where the host cannot tell (another host, another PID namespace, a
platform without its own /proc), the answer is no, and the lease decides.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Container
from pathlib import Path

from haltable.records import Owner

__all__ = ["is_dead", "new_owner"]

_DEAD_STATES = ("Z", "X", "x")


def new_owner() -> Owner:
    """Returns an owner for one run of this process, with a token of its own."""
    boot, space, pid, born = _process(os.getpid())
    return Owner(boot, space, pid, born, os.urandom(16).hex())


def is_dead(owner: Owner, alive: Container[str]) -> bool:
    """Says whether the owner is known to be dead.

    Args:
        owner: who holds a key.
        alive: the tokens of this process's runs that have not ended; an owner
            of this very process that is not among them has ended.
    """
    boot, space, pid, born = _process(os.getpid())
    if not owner.boot or owner.boot != boot or owner.space != space:
        return False
    if owner.pid == pid and owner.born == born:
        return owner.token not in alive
    found = _state_and_birth(owner.pid)
    if found is None:
        return False
    state, other_born = found
    return state in _DEAD_STATES or other_born != owner.born


# These never change for a process; the argument makes a fork ask again.
@functools.lru_cache(maxsize=1)
def _process(pid: int) -> tuple[str, str, int, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Resolved by the kernel for this very process, so it is ours.
        space = str(Path("/proc/self/ns/pid").readlink())
        number = str(Path("/proc/self").readlink())
    except OSError:
        return "", "", pid, ""
    if number != str(pid):  # This /proc is that of another namespace: it lists others.
        return "", "", pid, ""
    found = _state_and_birth(pid)
    if found is None or not found[1]:
        return "", "", pid, ""
    return boot, space, pid, found[1]


def _state_and_birth(pid: int) -> tuple[str, str] | None:
    """Returns a process's state and start time; ("X", "") if there is none, None if unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if _exists(pid) else ("X", "")
    except OSError:
        return None
    # The name, in brackets, may hold anything; what follows the last one is fixed.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(pid: int) -> bool:
    # Where /proc hides other users' processes (hidepid=), their absence there says nothing.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
