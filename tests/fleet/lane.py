# SPDX-License-Identifier: MIT
"""Worker processes that contend for keys of one server, which may be killed under them.

What they were granted is counted outside, and held against what is stored.  The
lane's command is ``fleet_lane``.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import attrs

from haltable import Operator
from tests.faults.children import all_ended, start
from tests.faults.gate import Gate
from tests.faults.tally import Tally
from tests.fleet import tenants
from tests.fleet.places import Place
from tests.fleet.servers import Server
from tests.fleet.tenants import CAP, Rounds

__all__ = ["Grants", "Losses", "kill", "race"]

#: Seconds that a race may take, at its full size on a small machine.
LIMIT = 900.0
#: How a server is killed, in turn.
KILLS = (signal.SIGKILL, signal.SIGQUIT)
#: Who works on it meanwhile.
GRANTERS, LOOPERS, KEYS = 3, 2, 5
#: Seconds within which a server dies once everybody has been served since its start.
LIFE = 0.2


@attrs.frozen
class Grants:
    """What a race came to.

    Args:
        processes: who raced.
        keys: what they raced for.
        grants: how many grants there were, over all keys.
        seconds: how long it took.
    """

    processes: int
    keys: int
    grants: int
    seconds: float


@attrs.frozen
class Losses:
    """What the kills of a server came to.

    Args:
        kills: how often it was killed.
        grants: writes that were acknowledged, and are there.
        unknown: writes that nobody knew of at first, and that were done.
        keys: keyed loops that came to their end.
        bodies: bodies of theirs.
        units: starts of theirs without a body: what the kills cost.
        lost: workers that found records gone, by their own word.
        named: loops that ended since their record was gone, by their own word.
    """

    kills: int
    grants: int
    unknown: int
    keys: int
    bodies: int
    units: int
    lost: int
    named: int


def race(place: Place, folder: Path, processes: int, keys: int, rounds: int) -> Grants:
    """Lets processes write keys at once, so many rounds each.

    Raises:
        AssertionError: if a key's grants are not exactly 1 to N.
    """
    names = tuple(f"{folder.name}/key {number:04}" for number in range(keys))
    outside = folder / "grants"
    outside.mkdir()
    gate = Gate(folder / "gate", processes)
    began = time.monotonic()
    with gate.closed():
        racing = [
            start(tenants.granting, Rounds(place, outside, f"w{number}", names, rounds), gate)
            for number in range(processes)
        ]
    codes = all_ended(racing, LIMIT)
    seconds = time.monotonic() - began
    if any(codes):
        raise AssertionError(f"workers ended with {codes}")
    granted = _granted(outside)
    with place.open() as store:
        for name in names:
            entry = store.read(name)
            stored = 0 if entry is None else int(entry.value.split()[0])
            expected = list(range(1, processes * rounds + 1))
            if sorted(granted[name]) != expected or stored != expected[-1]:
                raise AssertionError(f"{name}: {len(granted[name])} grants, {stored} stored")
    return Grants(processes, keys, sum(map(len, granted.values())), round(seconds, 1))


def kill(server: Server, folder: Path, kills: int, seed: int) -> Losses:
    """Kills a server so often under load, and counts what that cost.

    Raises:
        AssertionError: if what was acknowledged is not there, unless it is named.
    """
    chance, outside, over = random.Random(seed), folder / "outside", folder / "over"
    outside.mkdir()
    names = tuple(f"{folder.name}/key {number}" for number in range(KEYS))
    with _working(server.place, outside, over, names) as working:
        for number in range(kills):
            _all_are_served(outside, working)
            threading.Event().wait(chance.random() * LIFE)
            server.kill(KILLS[number % len(KILLS)])
            server.start()
        _all_are_served(outside, working)
    return _check(server.place, outside, names, kills)


@contextlib.contextmanager
def _working(
    place: Place, outside: Path, over: Path, names: tuple[str, ...]
) -> Iterator[list[ForkServerProcess]]:
    working = [
        start(tenants.granting_until, Rounds(place, outside, f"g{number}", names, 0), over)
        for number in range(GRANTERS)
    ]
    working += [
        start(tenants.looping_until, Rounds(place, outside, f"l{number}", (), 0), over)
        for number in range(LOOPERS)
    ]
    try:
        yield working
    finally:
        over.touch()
        codes = all_ended(working)
    if any(codes):
        raise AssertionError(f"workers ended with {codes}")


def _all_are_served(outside: Path, working: list[ForkServerProcess]) -> None:
    """Waits until each worker that still works has counted something more."""
    until, pause = time.monotonic() + 60, threading.Event()
    before = {path.name: path.stat().st_size for path in outside.iterdir()}
    while True:
        alive = [process.is_alive() for process in working]
        now = {path.name: path.stat().st_size for path in outside.iterdir()}
        more = sum(size > before.get(name, 0) for name, size in now.items())
        if more >= sum(alive):
            return
        if time.monotonic() > until:
            raise AssertionError(f"{more} of {sum(alive)} workers were served in 60 s")
        pause.wait(0.005)


def _granted(outside: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for path in outside.iterdir():
        for line in path.read_text().splitlines():
            name, _, number = line.rpartition(" ")
            found[name].append(int(number))
    return found


def _check(place: Place, outside: Path, names: tuple[str, ...], kills: int) -> Losses:
    words = [line for path in sorted(outside.iterdir()) for line in Tally(path).words()]
    lost = sum(word.endswith(" lost") for word in words)
    named = sum("lost" in word.partition(": ")[2] for word in words)
    grants = unknown = 0
    with place.open() as store:
        for name in names:
            mine = [word.removeprefix(f"{name} ") for word in words if word.startswith(f"{name} ")]
            granted = Counter(int(word) for word in mine if word.isdecimal())
            maybe = {int(word.split()[1]) for word in mine if word.startswith("maybe")}
            entry = store.read(name)
            stored = 0 if entry is None else int(entry.value.split()[0])
            missing = set(range(1, stored + 1)) - set(granted)
            problems = {
                "granted twice": [number for number, times in granted.items() if times > 1],
                "acknowledged and gone": [number for number in granted if number > stored],
                "there and nobody's": missing - maybe,
            }
            if any(problems.values()) and not lost:
                raise AssertionError(f"{name}, {stored} stored: {problems}")
            grants += granted.total()
            unknown += len(missing & maybe)
        ended, bodies, units = _check_loops(store, words, lost=bool(lost))
    return Losses(kills, grants, unknown, ended, bodies, units, lost, named)


def _check_loops(store: object, words: list[str], *, lost: bool) -> tuple[int, int, int]:
    bodies = Counter(word.removesuffix(" body") for word in words if word.endswith(" body"))
    ops, units = Operator(store), 0
    ended = {word.partition(" ")[0] for word in words if " tripped: " in word}
    for key in ended if not lost else ():
        state = ops.show(key)
        if not (bodies[key] <= state.starts == CAP and state.status == "tripped"):
            raise AssertionError(f"{key}: {bodies[key]} bodies, {state}")
        units += state.starts - bodies[key]
    return len(ended), bodies.total(), units
