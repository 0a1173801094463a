# SPDX-License-Identifier: MIT
"""Every synchronous way in under one signature: a policy and a body in, the end out.

A body takes nothing and reaches its iteration with `current`, as it can under
every one of them.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

from haltable import Loop, LoopHalted, Status
from tests.ways_in.policy import End, Policy, carried, ended

Body = Callable[[], Any]
Way = Callable[[Policy, Body], End]

WAYS: dict[str, Way] = {}
#: More rounds than any loop here allows: whoever gets there has lost count.
ROUNDS = 1000


def way(function: Way) -> Way:
    """Enters a way into the table."""
    WAYS[function.__name__] = function
    return function


def call_for_ever(tool: Body) -> None:
    """Does what an agent does: calls a tool whatever becomes of it."""
    for _ in range(ROUNDS):
        with contextlib.suppress(OSError):
            tool()
    raise AssertionError("nothing stops it")


@way
def run(policy: Policy, body: Body) -> End:
    """`loop.run(body)`."""
    return ended(policy.loop.run(body))


@way
def start_run(policy: Policy, body: Body) -> End:
    """`loop.start().run(body)`."""
    return ended(policy.loop.start().run(body))


@way
def step(policy: Policy, body: Body) -> End:
    """`loop.step(body)`, again and again, as a daemon does."""
    for _ in range(ROUNDS):
        report = policy.loop.step(body)
        if report.status is not Status.OPEN:
            return ended(report)
    raise AssertionError("nothing stops it")


def iterate(iterable: Any, body: Body, *, blocks: bool) -> None:
    """Is the `for` of a host."""
    for iteration in iterable:
        with iteration if blocks else contextlib.nullcontext():
            body()


@way
def for_(policy: Policy, body: Body) -> End:
    """`for iteration in loop`."""
    return carried(lambda: iterate(policy.loop, body, blocks=False))


@way
def for_with(policy: Policy, body: Body) -> End:
    """`for iteration in loop: with iteration`."""
    return carried(lambda: iterate(policy.loop, body, blocks=True))


@way
def start_for(policy: Policy, body: Body) -> End:
    """`for iteration in loop.start(): with iteration`."""
    run = policy.loop.start()
    carried(lambda: iterate(run, body, blocks=True))
    return ended(run.report)


@way
def with_for(policy: Policy, body: Body) -> End:
    """`with loop.start() as run: for iteration in run: with iteration`."""

    def go() -> None:
        with policy.loop.start() as run:
            iterate(run, body, blocks=True)

    return carried(go)


def pass_over(loop: Loop, body: Body, *, blocks: bool) -> None:
    """Is the `for` of a host around its own items."""
    for iteration, item in loop.over(itertools.repeat("item")):
        assert item == "item"
        with iteration if blocks else contextlib.nullcontext():
            body()


@way
def over(policy: Policy, body: Body) -> End:
    """`for iteration, item in loop.over(items)`."""
    return carried(lambda: pass_over(policy.loop, body, blocks=False))


@way
def over_with(policy: Policy, body: Body) -> End:
    """`for iteration, item in loop.over(items): with iteration`."""
    return carried(lambda: pass_over(policy.loop, body, blocks=True))


@way
def tick(policy: Policy, body: Body) -> End:
    """`with loop.start() as run`, and `run.tick()` in somebody else's loop."""

    def go() -> None:
        with policy.loop.start() as run:
            for _ in range(ROUNDS):
                run.tick()
                body()
        if not run.report.ok:
            raise AssertionError("nothing stops it")

    return carried(go)


@way
def wrap(policy: Policy, body: Body) -> End:
    """`run.wrap(tool)` within a block."""
    run = policy.loop.start()
    with contextlib.suppress(LoopHalted), run:
        call_for_ever(run.wrap(body))
    return ended(run.report)


@way
def bare_wrap(policy: Policy, body: Body) -> End:
    """`run.wrap(tool)` without a block."""
    run = policy.loop.start()
    with contextlib.suppress(LoopHalted):
        call_for_ever(run.wrap(body))
    return ended(run.report)


@way
def wrap_in_threads(policy: Policy, body: Body) -> End:
    """`run.wrap(tool)`, two tools called by four threads at once."""
    run = policy.loop.start()
    halts: list[LoopHalted] = []

    def go(tool: Body) -> None:
        try:
            call_for_ever(tool)
        except LoopHalted as halted:
            halts.append(halted)

    tools = [run.wrap(body), run.wrap(body)]
    threads = [threading.Thread(target=go, args=(tool,)) for tool in tools * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(halts) == len(threads)
    return ended(run.report)


@way
def function(policy: Policy, body: Body) -> End:
    """A function under `@bounded_loop`, called."""
    return carried(policy.decorate(body))


@way
def function_report(policy: Policy, body: Body) -> End:
    """A function under `@bounded_loop`, asked for its report."""
    return ended(policy.decorate(body).report())


@way
def method(policy: Policy, body: Body) -> End:
    """A method under `@bounded_loop`."""

    class Worker:
        @policy.decorate
        def work(self) -> Any:
            return body()

    return ended(Worker().work.report())


@way
def class_method(policy: Policy, body: Body) -> End:
    """A class method, decorated inside."""

    class Worker:
        @classmethod
        @policy.decorate
        def work(cls) -> Any:
            return body()

    return carried(Worker.work)


@way
def decorated_class_method(policy: Policy, body: Body) -> End:
    """A class method, decorated outside."""

    class Worker:
        @policy.decorate
        @classmethod
        def work(cls) -> Any:
            return body()

    return carried(Worker().work)


@way
def static_method(policy: Policy, body: Body) -> End:
    """A static method, decorated inside."""

    class Worker:
        @staticmethod
        @policy.decorate
        def work() -> Any:
            return body()

    return ended(Worker.work.report())


@way
def decorated_static_method(policy: Policy, body: Body) -> End:
    """A static method, decorated outside."""

    class Worker:
        @policy.decorate
        @staticmethod
        def work() -> Any:
            return body()

    return ended(Worker().work.report())


@way
def generator(policy: Policy, body: Body) -> End:
    """A generator under `@bounded_loop`."""

    @policy.decorate
    def work() -> Any:
        while True:
            yield body()

    return carried(lambda: list(work())[-1])


@way
def generator_method(policy: Policy, body: Body) -> End:
    """A generator method under `@bounded_loop`, driven by `next`."""

    class Worker:
        @policy.decorate
        def work(self) -> Any:
            while True:
                yield body()

    def go() -> Any:
        values, last = Worker().work(), None
        with contextlib.suppress(StopIteration):
            while True:
                last = next(values)
        return last

    return carried(go)
