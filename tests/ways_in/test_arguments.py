# SPDX-License-Identifier: MIT
"""What a body is called with: the caller's arguments, and the iteration where it has a place."""

from __future__ import annotations

import functools
import inspect

import pytest

from haltable import ConfigurationError, IterationCap, Loop, current
from haltable.bodies import Command

LOOP = Loop(IterationCap(2))


class Bodies:
    """What is called; each says what it got."""

    @staticmethod
    def nothing():
        return ()

    @staticmethod
    def first(iteration, *rest, **named):
        return iteration.number, *rest, *named.items()

    @staticmethod
    def first_positional_only(iteration, /, order, retries=0):
        return iteration.number, order, retries

    @staticmethod
    def second(order, iteration):
        return order, iteration.number

    @staticmethod
    def between(order, iteration, retries):
        return order, iteration.number, retries

    @staticmethod
    def last_by_name(order, *, iteration):
        return order, iteration.number

    @staticmethod
    def optional(order, iteration=None):
        return order, iteration.number

    @staticmethod
    def variadic(*iteration):
        return iteration

    @staticmethod
    def named_variadic(**iteration):
        return tuple(iteration.items())

    @staticmethod
    def without(order, *, retries=0):
        return order, retries


CALLS = [
    (Bodies.nothing, (), {}, ()),
    (Bodies.first, (), {}, (2,)),
    (Bodies.first, ("o",), {}, (2, "o")),
    (Bodies.first, ("o", "p"), {"retries": 1}, (2, "o", "p", ("retries", 1))),
    (Bodies.first, (), {"retries": 1}, (2, ("retries", 1))),
    (Bodies.first_positional_only, ("o",), {"retries": 1}, (2, "o", 1)),
    (Bodies.first_positional_only, (), {"order": "o"}, (2, "o", 0)),
    (Bodies.second, ("o",), {}, ("o", 2)),
    (Bodies.second, (), {"order": "o"}, ("o", 2)),
    (Bodies.between, ("o", 1), {}, ("o", 2, 1)),
    (Bodies.between, ("o",), {"retries": 1}, ("o", 2, 1)),
    (Bodies.last_by_name, ("o",), {}, ("o", 2)),
    (Bodies.optional, ("o",), {}, ("o", 2)),
    (Bodies.variadic, (), {}, ()),
    (Bodies.variadic, ("o",), {}, ("o",)),
    (Bodies.named_variadic, (), {"order": "o"}, (("order", "o"),)),
    (Bodies.without, ("o",), {"retries": 1}, ("o", 1)),
    (functools.partial(Bodies.first, order="o"), ("p",), {}, (2, "p", ("order", "o"))),
]
IDS = [f"{getattr(body, '__name__', 'partial')}-{args}-{kwargs}" for body, args, kwargs, _ in CALLS]


class Worker:
    """Bodies that are methods, and an object that is a body."""

    def work(self, iteration, order):
        return iteration.number, order

    def __call__(self, iteration, order):
        return iteration.number, order


@pytest.mark.parametrize(("body", "args", "kwargs", "seen"), CALLS, ids=IDS)
def test_a_sync_body_gets_its_arguments(body, args, kwargs, seen):
    """`run` hands over the caller's arguments, and the iteration to a parameter of that name."""
    report = LOOP.run(body, *args, **kwargs)

    assert (report.result, report.failures) == (seen, 0)


@pytest.mark.parametrize(("body", "args", "kwargs", "seen"), CALLS, ids=IDS)
async def test_an_async_body_gets_its_arguments(body, args, kwargs, seen):
    """`arun` hands over the same as `run`."""
    if isinstance(body, functools.partial):
        abody = functools.partial(awaited(body.func), *body.args, **body.keywords)
    else:
        abody = awaited(body)

    report = await LOOP.arun(abody, *args, **kwargs)

    assert (report.result, report.failures) == (seen, 0)


@pytest.mark.parametrize("body", [Worker().work, Worker()], ids=["method", "object"])
def test_a_method_gets_its_arguments(body):
    """A bound method and a callable object are bodies like any other."""
    assert LOOP.run(body, "o").result == (2, "o")


def test_a_body_without_a_signature_gets_the_arguments():
    """Builtins that cannot say what they take are called with what was given, and nothing else."""
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(max)

    assert LOOP.run(max, 3, 7).result == 7


@pytest.mark.parametrize(("args", "kwargs"), [(("order",), {}), ((), {"order": 7})])
def test_a_command_takes_no_arguments(args, kwargs):
    """What is run is said where it is made; arguments beside it would be lost, and are refused."""
    with pytest.raises(ConfigurationError, match="it takes no arguments of its own"):
        LOOP.run(Command(["true"]), *args, **kwargs)


def test_the_iteration_is_the_loop_s_to_give():
    """A caller that passes `iteration` itself is told so, and nothing runs."""
    with pytest.raises(ConfigurationError, match="iteration=7: the loop itself hands"):
        LOOP.run(Bodies.second, "o", iteration=7)


def test_a_slash_after_a_later_iteration_is_refused():
    """A positional-only `iteration` that is not the first cannot be handed over."""

    def body(order, iteration, /):
        raise AssertionError

    with pytest.raises(ConfigurationError, match="drop the slash"):
        LOOP.run(body, "o")


def test_arguments_are_not_changed():
    """What the caller passed is as it was, though every iteration got it."""
    given = {"retries": [1]}
    seen = []

    def body(**named):
        named["more"] = 1
        seen.append(current().number)

    LOOP.run(body, **given)

    assert (given, seen) == ({"retries": [1]}, [1, 2])


def test_run_refuses_what_is_no_plain_function():
    """A coroutine function, a generator or a non-callable is refused with the way to go."""

    async def coroutine():
        raise AssertionError

    def generator():
        yield

    async def async_generator():
        yield

    class Awaited:
        async def __call__(self):
            raise AssertionError

    for body, advice in [
        (coroutine, r"await loop\.arun"),
        (functools.partial(coroutine), r"await loop\.arun"),
        (Awaited(), r"await loop\.arun"),
        (generator, "decorate it with @bounded_loop"),
        (async_generator, "decorate it with @bounded_loop"),
        (7, "give a callable"),
    ]:
        with pytest.raises(ConfigurationError, match=advice):
            LOOP.run(body)


async def test_arun_refuses_what_is_not_async():
    """A plain function would block the event loop, and is refused with the way to go."""

    def plain():
        raise AssertionError

    for body, advice in [
        (plain, "async def"),
        (functools.partial(plain), "async def"),
        (Worker().work, "async def"),
        (lambda: None, "async def"),
        (7, "give a callable"),
    ]:
        with pytest.raises(ConfigurationError, match=advice):
            await LOOP.arun(body)


def awaited(body):
    """Returns the function as a coroutine function of the same signature."""

    @functools.wraps(body)
    async def coroutine(*args, **kwargs):
        return body(*args, **kwargs)

    return coroutine
