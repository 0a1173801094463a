# SPDX-License-Identifier: MIT
"""The attacks by number: what each does, and what is said of those that are not run."""

from __future__ import annotations

import attrs

__all__ = ["ATTACKS", "OUTSIDE", "RUN", "Attack"]


@attrs.frozen
class Attack:
    """One way to get more starts, or to do harm after the last.

    Args:
        number: by which it is known, in the page and in the bodies.
        what: what the body does.
        cure: for one that is not run, what alone cures it.
    """

    number: int
    what: str
    cure: str = ""

    @property
    def body(self) -> str:
        """The name of its body."""
        return f"attack_{self.number}"


ATTACKS = {
    attack.number: attack
    for attack in (
        Attack(1, "set `iteration.starts`, `iteration.remaining` and all the others"),
        Attack(2, "the same by `object.__setattr__`"),
        Attack(3, "find the loop with `gc.get_objects`, and give it a higher cap"),
        Attack(4, "write to the local variables up the stack"),
        Attack(5, "set range iterators back"),
        Attack(6, "replace `write` of the store's class"),
        Attack(7, "swap the code of the cap's hook"),
        Attack(8, "write to the cells of the library's closures"),
        Attack(9, "overwrite the number of the limit in memory, with `ctypes`"),
        Attack(10, "jump back in the driver with `sys.settrace` and `f_lineno`"),
        Attack(11, "raise a `BaseException` of its own"),
        Attack(12, "`except BaseException: continue`, for ever"),
        Attack(13, "`while True` inside one iteration"),
        Attack(14, "hang in a call into C"),
        Attack(15, "ignore TERM, INT, HUP and ALRM, and go on"),
        Attack(16, "run the same loop under another key"),
        Attack(17, "`os.fork()`, and return twice"),
        Attack(18, "start a thread that works on after the loop"),
        Attack(19, "leave somebody behind who works on (`setsid`, double fork)"),
        Attack(20, "`UPDATE` the store's rows"),
        Attack(21, "remove the store's files"),
        Attack(22, "put back an old copy of the store, and SIGKILL the program"),
        Attack(23, "hold the store's write lock"),
        Attack(24, "overwrite the store with garbage"),
        Attack(25, "SIGKILL the program that runs the loop"),
        Attack(26, "SIGSTOP it"),
        Attack(27, "write to its memory by `/proc/PID/mem`"),
        Attack(28, "print what looks like a report, on every descriptor"),
        Attack(29, "return something that runs code when it is unpickled"),
        Attack(30, "return 300 MB"),
        Attack(31, "`os._exit(0)`, to look like a success"),
        Attack(32, "set the limits in the environment"),
        Attack(33, "edit a file of the library"),
        Attack(34, "leave work to `atexit`"),
        Attack(35, "replace `time.monotonic` and `time.sleep`"),
        Attack(36, "copy the run, the loop and the cap, and run the copies"),
        Attack(
            37,
            "use a server that holds the store (`FLUSHALL`, `UPDATE`)",
            "a password that the body does not get: not in its environment, not in a file that "
            "it may read; another user of the server, with fewer rights",
        ),
        Attack(
            38,
            "have somebody else do it: `cron`, `at`, `systemd-run`, a container's socket",
            "another user of the system, who may use none of these",
        ),
        Attack(39, "edit the script that starts the program"),
        Attack(40, "plant a `sitecustomize.py` for the next run"),
        Attack(
            41,
            "make files that look like progress",
            "evidence that the body cannot make: a check that runs outside, or a place where it "
            "may not write. Touching, rewriting and toggling are no progress at any level",
        ),
        Attack(
            42,
            'write the mark that says "done"',
            "an exit condition that tests the work, and not a mark beside it",
        ),
        Attack(
            43,
            "set the system's clock",
            "no privileges: confined, root has none either. haltable's limits do not read that "
            "clock at any level",
        ),
        Attack(
            44,
            "ask for a fresh key",
            "a key that comes from your configuration, not from what a body says",
        ),
        Attack(45, "take the modes of the store's files away (`chmod 000`)"),
        Attack(46, "hold a lock on the store that takes reading only"),
    )
}

#: Those that have a body.
RUN = [attack.number for attack in ATTACKS.values() if not attack.cure]
#: Those on what lies outside the body's process, which nothing but a confinement holds against.
OUTSIDE = [*range(20, 28), 33, 39, 40, 45, 46]
