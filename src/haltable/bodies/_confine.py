# SPDX-License-Identifier: MIT
"""What shuts a process in, on Linux, without root: namespaces, read-only mounts, Landlock.

A program of its own, for a small interpreter that knows nothing of haltable: it
needs four modules of the standard library, and one thread.  It knows the kernel
and an order (plain JSON); who gave the order, and what is protected by it, it
does not know.

The order has ``writable`` and ``hidden``, lists of absolute paths without links
(strings that hold one byte a character), and ``network``, a bool.  What is done
about it, from the outside inwards:

- a waiter stays outside and ends as the body ended; killed, it takes all along;
- process 1 of a PID namespace reaps; when the body has ended and it with it, the
  kernel kills whatever the body left, in another session or not;
- the body, process 2, sees a file system that is read-only but for the writable
  paths.  That covers owners, modes and times, which Landlock leaves out; Landlock
  covers what mounts let through, and others' memory and signals.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

TYPE_CHECKING = False  # Importing `typing` would be a good part of the start.
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NotConfined", "confine", "restrictions"]

#: What a run of this file ends with when the program was not started.
REFUSED = 125
#: Landlock before it (Linux 6.2) lets a file be truncated.
OLDEST = 3
#: Written to by programs that mean no harm; they keep nothing.
SINKS = (b"/dev/null", b"/dev/zero", b"/dev/full")

# linux/landlock.h: what can be done to files, by the version that first knew of it.
_WRITE_FILE, _TRUNCATE, _IOCTL = 1 << 1, 1 << 14, 1 << 15
_FILE_RIGHTS = _WRITE_FILE | _TRUNCATE | _IOCTL
_RIGHTS = {
    1: _WRITE_FILE | sum(1 << bit for bit in range(4, 13)),  # Remove, and make of any kind.
    2: 1 << 13,  # Link and rename across directories.
    3: _TRUNCATE,
    5: _IOCTL,
}
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TCP, _TCP_SINCE = 1 << 0 | 1 << 1, 4  # Bind and connect.
_SCOPES, _SCOPES_SINCE = 1 << 0 | 1 << 1, 6  # Abstract sockets and signals.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _TOO_OLD = 1, 95  # EOPNOTSUPP: not what the kernel said, but what it comes to.
# linux/sched.h
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 1 << 17, 1 << 27, 1 << 28, 1 << 29, 1 << 30
# linux/mount.h
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 1 << 12, 1 << 14, 1 << 18
_DETACH, _MOUNT_SETATTR, _HERE, _RECURSIVE, _READ_ONLY = 2, 442, -100, 0x8000, 1
# linux/prctl.h, linux/capability.h, linux/close_range.h
_PDEATHSIG, _DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 4, 23, 24, 38
_SYS_ADMIN, _CAPABILITY_VERSION = 1 << 21, 0x20080522
_CLOSE_RANGE, _LAST_DESCRIPTOR = 436, 1 << 31

_libc = ctypes.CDLL(None, use_errno=True)


class NotConfined(OSError):
    """The kernel refused; the text says what, and what would be right."""


def confine(order: dict[str, Any]) -> None:
    """Shuts the calling process in; returns in the process that is to become the body.

    That is a grandchild: the caller itself waits for it and never returns.  The
    caller has one thread, and has been forked for this.  Whatever raises does so in
    the process it happened to, before the body could begin.

    Raises:
        NotConfined: if the kernel cannot, or may not.
        OSError: if a path is not there.
    """
    writable, hidden = (
        [path.encode("latin-1") for path in order[name]] for name in ("writable", "hidden")
    )
    rules = restrictions(_landlock_version(), network=order["network"])
    _unshare(network=order["network"])
    _close_the_file_system(writable, hidden)
    # Only the body is to hear what is sent to the group; what comes too early waits for it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    report = _become_first()
    _show_own_processes_only()
    _drop_privileges()
    _become_second(report)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _restrict(rules, writable)


def restrictions(version: int, *, network: bool) -> tuple[int, int, int]:
    """Returns what a Landlock of this version is to forbid: files, network, scopes."""
    files = sum(rights for since, rights in _RIGHTS.items() if since <= version)
    tcp = 0 if network or version < _TCP_SINCE else _TCP
    return files, tcp, _SCOPES if version >= _SCOPES_SINCE else 0


def _landlock_version() -> int:
    ctypes.set_errno(_TOO_OLD)
    version = _system_call(_CREATE_RULESET, None, 0, 1)
    return _done(
        version if version >= OLDEST else -1,
        f"this kernel has no Landlock of version {OLDEST} or later: it takes Linux 6.2, "
        "CONFIG_SECURITY_LANDLOCK, and `landlock` in the boot parameter `lsm=`",
    )


def _unshare(*, network: bool) -> None:
    wanted = _NEWNS | _NEWPID | _NEWIPC | (0 if network else _NEWNET)
    user, group = os.geteuid(), os.getegid()
    if _may_administrate():
        _done(
            _libc.unshare(wanted),
            "this kernel gives no namespaces: they take CONFIG_PID_NS, CONFIG_IPC_NS and "
            "CONFIG_NET_NS, and a container whose seccomp profile lets unshare(2) through",
        )
        return
    allow = (
        f"user {user} gets no user namespace, which without CAP_SYS_ADMIN is needed: allow it by "
        "the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
        "kernel.apparmor_restrict_unprivileged_userns, and by a container's seccomp profile"
    )
    _done(_libc.unshare(wanted | _NEWUSER), allow)
    # In this order: whoever has not given up groups may not map any.
    lines = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, line in lines.items():
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(line)
        except OSError as error:
            raise NotConfined(error.errno, f"{allow} ({error})") from error


def _close_the_file_system(writable: list[bytes], hidden: list[bytes]) -> None:
    _mount(b"none", b"/", None, _REC | _PRIVATE)
    for path in writable:
        _mount(path, path, None, _BIND | _REC)
    _set_read_only(b"/", on=True)
    for path in writable:
        _set_read_only(path, on=False)
    if hidden:
        _hide(hidden)
    # Where we are may lie below what was mounted since.
    os.chdir(os.getcwd())


def _hide(paths: list[bytes]) -> None:
    """Covers files and directories with empty ones that nobody may open."""
    # What covers them comes from a file system of its own, which needs a place for a moment.
    _mount(b"tmpfs", b"/proc", b"tmpfs", _NOSUID | _NODEV | _NOEXEC)
    os.mkdir("/proc/directory", 0)
    os.close(os.open("/proc/file", os.O_CREAT, 0))
    _set_read_only(b"/proc", on=True)
    for path in paths:
        if os.path.isdir(path):
            _mount(b"/proc/directory", path, None, _BIND)
        elif os.path.exists(path):
            _mount(b"/proc/file", path, None, _BIND)
    _done(_libc.umount2(b"/proc", _DETACH), "what hides files cannot be put away")


def _become_first() -> int:
    """Returns in process 1 of the PID namespace; what the body ends with is written to the pipe."""
    heard, report = os.pipe()
    alive, lifeline = os.pipe()
    first = os.fork()
    if first:
        _keep_only(heard, lifeline)
        written, (_, own) = os.read(heard, 4), os.waitpid(first, 0)
        _end_like(int.from_bytes(written, sys.byteorder) if len(written) == 4 else own)
    os.close(heard)
    os.close(lifeline)
    _libc.prctl(_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    os.set_blocking(alive, False)
    try:
        os.read(alive, 1)
    except BlockingIOError:
        os.close(alive)
        return report
    os._exit(REFUSED)  # The waiter had died before its death could be a signal to us.


def _become_second(report: int) -> None:
    """Returns in the body; process 1 reaps until the body has ended, and then ends them all."""
    body = os.fork()
    if not body:
        os.close(report)
        return
    _keep_only(report)
    ended, status = os.wait()
    while ended != body:
        ended, status = os.wait()
    os.write(report, status.to_bytes(4, sys.byteorder))
    os._exit(0)


def _keep_only(*kept: int) -> None:
    """Closes every other descriptor, so that whoever waits for an end of file sees the body's."""
    low = 0
    for descriptor in (*sorted(kept), _LAST_DESCRIPTOR):
        if low < descriptor:
            _system_call(_CLOSE_RANGE, low, descriptor - 1, 0)
        low = descriptor + 1


def _end_like(status: int) -> None:
    """Ends this process as another has ended."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _libc.prctl(_DUMPABLE, ctypes.c_ulong(0))  # The core, if any, is the other's.
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os._exit(code)


def _show_own_processes_only() -> None:
    # A container that masks parts of /proc lets nobody mount a whole one.  The old one
    # then shows who else is there; Landlock keeps the body from reading and writing in them.
    _libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(_NOSUID | _NODEV | _NOEXEC), None)


def _may_administrate() -> bool:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # Effective, permitted, inheritable; then their upper halves.
    return _libc.capget(header, sets) == 0 and bool(sets[0] & _SYS_ADMIN)


def _drop_privileges() -> None:
    capability = 0
    while _libc.prctl(_CAPBSET_READ, ctypes.c_ulong(capability)) >= 0:
        _libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(capability))
        capability += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _done(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capabilities cannot be dropped")
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    _done(_libc.prctl(_NO_NEW_PRIVS, one, zero, zero, zero), "new ones cannot be ruled out")


def _restrict(rules: tuple[int, int, int], writable: list[bytes]) -> None:
    attributes = (ctypes.c_uint64 * 3)(*rules)
    size = ctypes.sizeof(attributes)
    ruleset = _done(_system_call(_CREATE_RULESET, attributes, size, 0), "Landlock takes no rules")
    for path in writable:
        rights = rules[0] & ~_MAKE_DEVICES
        _allow(ruleset, path, rights if os.path.isdir(path) else rights & _FILE_RIGHTS)
    for path in filter(os.path.exists, SINKS):
        _allow(ruleset, path, rules[0] & _FILE_RIGHTS)
    _done(_system_call(_RESTRICT_SELF, ruleset, 0), "Landlock does not take effect")
    os.close(ruleset)


def _allow(ruleset: int, path: bytes, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = rights.to_bytes(8, sys.byteorder) + descriptor.to_bytes(4, sys.byteorder)
    added = _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    _done(added, f"Landlock takes no rule for {os.fsdecode(path)}")
    os.close(descriptor)


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int) -> None:
    _done(
        _libc.mount(source, target, kind, ctypes.c_ulong(flags), None),
        f"nothing can be mounted on {os.fsdecode(target)}: the container, or a security module, "
        "has to let a process mount in a namespace of its own",
    )


def _set_read_only(path: bytes, *, on: bool) -> None:
    # What to set, what to clear, and two fields that stay as they are.
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY * on, _READ_ONLY * (not on), 0, 0)
    size = ctypes.sizeof(attributes)
    _done(
        _system_call(_MOUNT_SETATTR, _HERE, path, _RECURSIVE, attributes, size),
        f"{os.fsdecode(path)} cannot be made {'read-only' if on else 'writable'}: it may be "
        "mounted read-only, or a security module forbids it",
    )


def _system_call(number: int, *arguments: Any) -> int:
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *wide))


def _done(result: int, otherwise: str) -> int:
    """Returns what a call of the kernel's returned, unless it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise NotConfined(number, f"{otherwise} ({os.strerror(number)})")
    return result


def main(order: str, *program: str) -> None:
    """Confines this process and has it become a program; without one it was a trial."""
    try:
        confine(json.loads(order))
        if not program:
            os._exit(0)
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"{error.strerror}\n".encode())
        os._exit(REFUSED)


if __name__ == "__main__":
    main(*sys.argv[1:])
