# SPDX-License-Identifier: MIT
"""Functions for processes of their own: good ones, and some that misbehave.

A fresh interpreter imports them by their names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from haltable import IterationCap, Loop, LoopInterrupt, current
from haltable.effects import NothingHappened


class Odd(Exception):
    """Nobody else knows it."""


def add(first, second=0):
    return {"sum": first + second, "pid": os.getpid()}


def numbers(iteration):
    names = ["number", "starts", "remaining", "key", "fence", "failures", "failures_in_row"]
    return {name: getattr(iteration, name) for name in names} | {"elapsed": iteration.elapsed >= 0}


def inside():
    nested = Loop(IterationCap(2)).run(lambda: current().number)
    return [current().number, nested.result]


def world():
    return {"environ": dict(os.environ), "stdin": sys.stdin.read(), "path": sys.path}


def talks():
    print("one")
    print("two", file=sys.stderr, flush=True)


def done(iteration, value):
    iteration.done(value)
    return "returned"


def gives_up(iteration):
    iteration.give_up("no more")


def checks(iteration):
    iteration.check()
    return "went on"


def swallows(iteration):
    for _ in range(3):
        try:
            iteration.check()
        except BaseException:
            continue
    return "went on"


def charges(iteration, path, payload=None):
    def charge(amount):
        with Path(path).open("a") as file:
            file.write(f"{amount} {os.getpid()}\n")
        return {"charged": amount}

    if payload is not None:
        return iteration.once("charge", charge, 5, payload=payload)
    return iteration.once("charge", charge, 5)


def charges_objects(iteration):
    return iteration.once("objects", lambda thing: repr(type(thing)), object())


def charges_within(iteration):
    return iteration.once("outer", lambda: iteration.once("inner", lambda: "both"))


def charge_fails(iteration):
    def charge():
        raise Odd("declined")

    try:
        iteration.once("charge", charge)
    except Odd as error:
        return f"caught {error}"


def charge_does_nothing(iteration):
    def charge():
        raise NothingHappened("no connection")

    iteration.once("charge", charge)


def charge_dies(iteration):
    iteration.once("charge", os._exit, 0)


def charge_without_guard(iteration):
    try:
        iteration.once("charge", print)
    except Exception as error:
        return [type(error).__name__, str(error)]


def charge_is_unknown(iteration):
    try:
        iteration.once("charge", print, 0)
    except Exception as error:
        return [type(error).__name__, error.key]


def blocks(iteration):
    with iteration:
        pass


def awaits(iteration):
    iteration.aonce("charge", print).send(None)


def leaves_a_block(iteration):
    return iteration.__exit__(None, None, None)


def raises():
    raise Odd("what was wrong")


class Unreadable(Exception):
    def __str__(self):
        raise ValueError


def raises_unreadable():
    raise Unreadable


def exits():
    sys.exit(0)


def dies_quietly():
    os._exit(0)


def dies_of_a_signal():
    os.kill(os.getpid(), signal.SIGKILL)


def returns_no_json():
    return {1, 2}


def returns_nan():
    return float("nan")


def returns_much(size):
    return "x" * size


def _line():
    """Returns the descriptor of the line, which nobody has told us."""
    for path in Path("/proc/self/fd").iterdir():
        if path.is_symlink() and str(path.readlink()).startswith("socket:"):
            return int(path.name)
    raise AssertionError("there is no line")


def closes_the_line():
    os.close(_line())
    signal.pause()


def says(text, then="pause"):
    os.write(_line(), text.encode())
    if then == "pause":
        signal.pause()
    if then == "exit":
        os._exit(0)
    return "returned"


def floods():
    line = _line()
    while True:
        os.write(line, b"x" * 65536)


def answers_and_stays():
    os.write(_line(), json.dumps({"returned": 1}).encode() + b"\n")
    signal.pause()


def asks_and_never_listens():
    line = _line()
    while True:
        os.write(line, b'{"verb": "check"}\n')


def hangs(tether):
    held = os.open(tether, os.O_WRONLY)
    subprocess.Popen(
        ["setsid", "sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"], pass_fds=[held]
    )
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(held, b"hanging\n")
    while True:
        signal.pause()


def leaves_a_thread(tether):
    held = os.open(tether, os.O_WRONLY)
    threading.Thread(target=threading.Event().wait).start()
    os.write(held, b"left\n")
    return "returned"


class Group:
    @staticmethod
    def static(first):
        return first

    @classmethod
    def of_class(cls):
        return cls.__name__

    def method(self):
        return 1


async def asynchronous(): ...


def raises_interrupt():
    raise LoopInterrupt("nobody has sent it")


def answers_within_an_effect(iteration):
    def effect():
        os.write(_line(), b'{"returned": 1}\n')
        signal.pause()

    iteration.once("charge", effect)
