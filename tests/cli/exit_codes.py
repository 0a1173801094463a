# SPDX-License-Identifier: MIT
"""The exit codes: what each means, as the documentation has it, and a way to each.

A way is what is typed before, and what is typed last.
"""

from __future__ import annotations

import signal

#: What the table in ``docs/reference/command.md`` says.
TABLE = {
    "0": "success: the condition of `--until` held, now or in an earlier run",
    "90": "cap: the command started `--max` times, and there is no success",
    "91": "stall: no new evidence for `--stall`, or nothing could be seen",
    "92": "failures: too many, in all or in a row",
    "93": "gave up: `--give-up-if` held, a `--fatal-exit`, or an effect whose outcome is unknown",
    "94": "stopped: by an operator",
    "95": "finished: the key ended without success in an earlier run; nothing ran",
    "96": "busy: another run holds the key; nothing ran",
    "124": "time: `--total-timeout`, `--iteration-timeout` or `--idle-timeout`",
    "125": "our own error: a wrong option or file, a store, a check that cannot be made",
    "126": "the command is there, but cannot be run",
    "127": "there is no such command",
    "128+n": (
        "signal n asked us to stop: 130 for INT, 143 for TERM, 129 for HUP; "
        "141 if nobody reads our output any more"
    ),
}

_KEPT = ("run", "--key", "k", "--store", "s.db", "--max", 1)

#: The code, what is typed before, what is typed last.
WAYS = [
    (0, (), ("run", "--max", 3, "--until", "test -e done", "--", "touch", "done")),
    (0, (), ("run", "--max", 3, "--until", "true", "--", "touch", "ran")),
    (90, (), ("run", "--max", 2, "--", "true")),
    (90, (), ("run", "--max", 2, "--until", "test -e done", "--", "true")),
    (91, (), ("run", "--max", 99, "--evidence", "*.out", "--stall", "0.3s", "--", "sleep", "5")),
    (92, (), ("run", "--max", 9, "--", "false")),
    (92, (), ("run", "--max", 9, "--max-failures", 2, "--", "false")),
    (93, (), ("run", "--max", 9, "--give-up-if", "true", "--", "true")),
    (93, (), ("run", "--max", 9, "--fatal-exit", "3", "--", "sh", "-c", "exit 3")),
    (
        93,
        (),
        ("run", "--max", 9, "--once-key", "pay", "--store", "s.db", "--", "sh", "-c", "exit 3"),
    ),
    (95, ((*_KEPT, "--", "true"),), (*_KEPT, "--", "true")),
    (124, (), ("run", "--total-timeout", "0.3s", "--", "sleep", "5")),
    (124, (), ("run", "--max", 2, "--iteration-timeout", "0.3s", "--", "sleep", "5")),
    (124, (), ("run", "--max", 2, "--idle-timeout", "0.3s", "--", "sleep", "5")),
    (125, (), ("run", "--", "true")),
    (125, (), ("run", "--max", 2, "--until", "no-such-program", "--", "true")),
    (125, (), ("run", "--max", 2, "--until", "sleep 9", "--until-timeout", 0.2, "--", "true")),
    (126, (), ("run", "--max", 2, "--", "/etc/passwd")),
    (127, (), ("run", "--max", 2, "--", "no-such-program")),
]

#: Those that take more than one process; each has a test of its own.
OTHERS = {94, 96, *(128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))}
