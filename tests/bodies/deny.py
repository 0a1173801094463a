# SPDX-License-Identifier: MIT
"""A program that becomes another whose kernel lacks a call: a seccomp filter answers for it.

python deny.py CALL ERRNO [THIRD] -- PROGRAM ...

THIRD limits it to calls whose fourth argument has that value.  It needs nothing
but the standard library, so that its text can be handed to any interpreter.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

#: The numbers of the calls, by machine where they differ.
CALLS = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "mount_setattr": 442,
    "unshare": {"x86_64": 272, "aarch64": 97}.get(platform.machine()),
    "mount": {"x86_64": 165, "aarch64": 40}.get(platform.machine()),
    "umount2": {"x86_64": 166, "aarch64": 39}.get(platform.machine()),
    "capget": {"x86_64": 125, "aarch64": 90}.get(platform.machine()),
    "capset": {"x86_64": 126, "aarch64": 91}.get(platform.machine()),
}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2


def instructions(number, error, fourth):
    """The filter: the call's number, then its fourth argument, then the answer."""
    yield LOAD, 0, 0, 0
    yield EQUAL, 0, 3 if fourth is not None else 1, number
    if fourth is not None:
        yield LOAD, 0, 0, 16 + 3 * 8
        yield EQUAL, 0, 1, fourth
    yield RETURN, 0, 0, ERROR | error
    yield RETURN, 0, 0, ALLOW


def deny(number, error, fourth=None):
    """Has the kernel answer each such call of this process with the error."""
    lines = [struct.pack("HBBI", *line) for line in instructions(number, error, fourth)]
    text = ctypes.create_string_buffer(b"".join(lines))
    program = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if (
        libc.prctl(NO_NEW_PRIVS, one, zero, zero, zero) < 0
        or libc.prctl(SECCOMP, ctypes.c_ulong(FILTER), program, zero, zero) < 0
    ):
        raise OSError(ctypes.get_errno(), "no filter")


if __name__ == "__main__":
    split = sys.argv.index("--")
    call, *numbers = sys.argv[1:split]
    deny(CALLS[call], *map(int, numbers))
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
