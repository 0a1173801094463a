# SPDX-License-Identifier: MIT
"""A loop that is put together wrongly says so at once: what, its value, and what is right."""

from __future__ import annotations

import dataclasses
import math

import attrs
import pytest

from haltable import (
    Backoff,
    Breaker,
    ConfigurationError,
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    StallDetector,
    UnboundedLoopError,
    bounded_loop,
    remembered,
)
from haltable.conditions import never
from haltable.evidence import Probe
from haltable.model import NO_BREAKERS
from haltable.testing import FakeClock

CAP = IterationCap(3)
EVIDENCE = Probe(lambda: 1)
NO_NUMBERS = [0, -1, math.nan, math.inf, -math.inf, True, False, "3", None]
NO_COUNTS = [*NO_NUMBERS, 1.5]


def stall(**arguments):
    """Returns a stall detector, right but for the arguments."""
    return StallDetector(**{"after": 60, "evidence": EVIDENCE, **arguments})


def rows(make, name, values, right="finite|whole number"):
    """Returns one row for each wrong value of an argument."""
    return [
        pytest.param(make, name, value, right, id=f"{make.__name__}-{name}-{value!r}")
        for value in values
    ]


def cap(**arguments):
    """Returns a cap, right but for the arguments."""
    return IterationCap(**{"limit": 3, **arguments})


def loop(**arguments):
    """Returns a loop, right but for the arguments."""
    return Loop(CAP, **arguments)


def decorated(**arguments):
    """Returns a decorator, right but for the arguments."""
    return bounded_loop(CAP, **arguments)


def keyed(**arguments):
    """Returns a loop with a store, right but for the arguments."""
    return Loop(CAP, store=MemoryStore(), **arguments)


class Quiet(Breaker):
    """A breaker that bounds nothing."""


WRONG = [
    *rows(cap, "limit", NO_COUNTS),
    *rows(cap, "max_failures", [n for n in NO_COUNTS if n is not None]),
    *rows(cap, "max_consecutive_failures", [n for n in NO_COUNTS if n is not None]),
    *rows(Deadline, "total", [n for n in NO_NUMBERS if n is not None]),
    *rows(Deadline, "iteration", [n for n in NO_NUMBERS if n is not None]),
    *rows(Deadline, "last_start", [n for n in NO_NUMBERS if n is not None]),
    *rows(stall, "after", NO_NUMBERS),
    *rows(stall, "every", [*NO_NUMBERS, 61], r"above 0, at most after=60"),
    *rows(stall, "evidence", [lambda: 1, None, "out/*.md"], "haltable.evidence"),
    *rows(stall, "when", [7, "always"], "function of no arguments"),
    *rows(Backoff, "initial", NO_NUMBERS),
    *rows(Backoff, "factor", [0.5, *NO_NUMBERS[:-3]], "at least 1"),
    *rows(Backoff, "maximum", NO_NUMBERS),
    *rows(Backoff, "maximum", [0.5], "at least initial=1"),
    *rows(loop, "delay", [-1, math.nan, math.inf, True, "1", None], "seconds"),
    *rows(loop, "lease", NO_NUMBERS),
    *rows(loop, "grace", NO_NUMBERS),
    *rows(loop, "max_hold", [n for n in NO_NUMBERS if n is not None]),
    *rows(loop, "name", ["", 7, b"name"], "non-empty string"),
    *rows(loop, "transient", [None, "OSError", 7, BaseException, OSError("no")], "Exception"),
    *rows(loop, "fatal", [None, KeyboardInterrupt, OSError("no")], "Exception"),
    *rows(loop, "store", [7, "loops.db", MemoryStore], "a store has durability, read, write"),
    *rows(loop, "sinks", [None, print, 7], "list or tuple"),
    *rows(loop, "sinks", ["p", [7]], "takes an event"),
    *rows(loop, "clock", [7, FakeClock, math], "now.*wait.*virtual"),
    *rows(loop, "key", ["name"], "needs a store="),
    *rows(keyed, "key", ["", 7, b"name"], "non-empty string, or a function"),
    *rows(keyed, "key", ["a\nb", "\ud800", "x" * 513], "at most 512 printable"),
    *rows(keyed().with_, "key", ["", 7, None, "x" * 513], "give"),
    *rows(decorated, "lease", [0], "above 0"),
    *rows(Quiet, "name", ["", 7, None], "non-empty string"),
    *rows(ExitCondition, "success", [7, "done", True, int], "function|condition"),
    *rows(ExitCondition, "give_up", [lambda one, two: True, lambda *, one: True], "takes nothing"),
]


def shown(value):
    """Returns how a message shows a value, long ones shortened."""
    return repr(value[0] if isinstance(value, list) else value)[:40]


@pytest.mark.parametrize(("make", "name", "value", "right"), WRONG)
def test_a_wrong_argument_is_named_with_its_value_and_what_is_right(make, name, value, right):
    """0, negative, NaN and bool are errors, never "unlimited", and so is whatever is no value."""
    with pytest.raises(ConfigurationError, match=right) as error:
        make(**{name: value})

    assert isinstance(error.value, ValueError)
    assert name in str(error.value)
    assert shown(value) in str(error.value) or right == "needs a store="
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "breakers",
    [
        (),
        (ExitCondition(success=never),),
        (stall(),),
        (Quiet(),),
        (CAP & stall(),),
        (CAP & Quiet(),),
        (stall() | Quiet(),),
    ],
)
def test_a_loop_that_nothing_bounds_is_refused(breakers):
    """Only IterationCap and Deadline(total=) bound a loop; the error says what to add."""
    with pytest.raises(UnboundedLoopError, match=r"IterationCap\(n\) or Deadline\(total=seconds\)"):
        Loop(*breakers)


@pytest.mark.parametrize(
    "breakers",
    [
        (CAP,),
        (Deadline(total=60),),
        (stall(), CAP),
        (CAP | stall(),),
        (CAP & Deadline(total=60),),
        (CAP & (Deadline(total=60) | Quiet()),),
    ],
)
def test_a_loop_that_something_bounds_is_made(breakers):
    """`a | b` bounds if either does, `a & b` if both do."""
    assert "Loop" in repr(Loop(*breakers))


@pytest.mark.parametrize(
    ("breakers", "says"),
    [
        ((IterationCap,), "IterationCap: give an instance, not the class"),
        ((Quiet, CAP), "Quiet: give an instance, not the class"),
        ((7, CAP), "7 is no breaker: give IterationCap"),
        ((None, CAP), "None is no breaker"),
        (([CAP],), "is no breaker"),
        ((lambda: None, CAP), "is no breaker"),
        ((CAP, IterationCap(5)), "two breakers are named 'IterationCap': give one a name="),
        ((CAP, Quiet(name="IterationCap")), "two breakers are named 'IterationCap'"),
        *(
            ((CAP, Quiet(name=word)), f"name='{word}': receipts use this word")
            for word in sorted(NO_BREAKERS)
        ),
        ((CAP | IterationCap(5),), "share a name: give one a name="),
        ((stall(after=60), Deadline(total=60)), "StallDetector could never speak: it needs 60 s"),
        ((stall(after=61), CAP, Deadline(total=60)), "StallDetector could never speak"),
    ],
)
def test_breakers_that_make_no_loop_are_refused(breakers, says):
    """A class, a thing that is no breaker, two of one name, one that could never speak."""
    with pytest.raises(ConfigurationError, match=says):
        Loop(*breakers)


def test_breakers_of_one_kind_need_names():
    """With names of their own, two of a kind stand side by side."""
    assert Loop(CAP, IterationCap(5, name="second")).run(lambda: None).starts == 3


def test_a_stall_detector_that_can_speak_is_taken():
    """Its window ends before the loop's time does, if only just."""
    assert "StallDetector" in repr(Loop(stall(after=59), Deadline(total=60)))


def test_an_exit_condition_that_could_never_speak_is_refused():
    """One without success and without give_up has nothing to say."""
    with pytest.raises(ConfigurationError, match="at least one of success= and give_up="):
        ExitCondition()


def test_memory_needs_the_decorator():
    """A breaker with remembered fields but without @attrs.define is refused with that sentence."""

    class Forgetful(Breaker):
        spent: float = remembered(default=0.0)

    with pytest.raises(ConfigurationError, match=r"Forgetful has no @attrs\.define"):
        Loop(CAP, Forgetful())


def test_memory_with_the_decorator_is_taken():
    """The same with the decorator makes a loop."""

    @attrs.define
    class Mindful(Breaker):
        spent: float = remembered(default=0.0)

    assert Loop(CAP, Mindful()).run(lambda: None).starts == 3


def test_a_breaker_with_an_init_of_its_own_is_refused_in_words():
    """One that attrs has not made lacks what every breaker has: the sentence says what to do."""

    class Handmade(Breaker):
        def __init__(self, limit):
            self.limit = limit

    @dataclasses.dataclass
    class Otherwise(Breaker):
        limit: int

    for breaker in (Handmade(5), Otherwise(5)):
        with pytest.raises(ConfigurationError, match=r"put @attrs\.define above the class"):
            Loop(CAP, breaker)


def test_a_function_that_makes_keys_needs_a_store():
    """A key of the body's arguments is a key."""
    with pytest.raises(ConfigurationError, match="key= needs a store="):
        Loop(CAP, key=lambda order: order)


@pytest.mark.parametrize("key", [None, 7, "", b"name", str])
def test_a_function_that_makes_no_key_is_refused_before_the_body(key):
    """A key that came out wrong never means a loop without one."""
    made = Loop(CAP, key=lambda: key, store=MemoryStore())
    with pytest.raises(ConfigurationError, match="non-empty string"):
        made.run(lambda: pytest.fail("it ran"))


def test_a_step_needs_a_key_and_a_success_condition():
    """Without them nobody knows what a step belongs to, or when to stop."""
    with pytest.raises(ConfigurationError, match=r"step\(\): .* give key= and store="):
        loop().step(lambda: None)
    with pytest.raises(ConfigurationError, match=r"step\(\): .*success=returned"):
        keyed(key="name").step(lambda: None)


async def test_an_async_step_needs_the_same():
    """The same sentence from the async twin."""

    async def body():
        raise AssertionError

    with pytest.raises(ConfigurationError, match="give key= and store="):
        await loop().astep(body)
    with pytest.raises(ConfigurationError, match="success=returned"):
        await keyed(key="name").astep(body)


def test_a_key_of_arguments_needs_a_body_that_has_some():
    """start(), `for` and over() hand no arguments to anybody."""
    made = keyed(key=lambda order: order)
    for start in (made.start, lambda: iter(made), lambda: aiter(made), lambda: made.over("abc")):
        with pytest.raises(ConfigurationError, match=r"use with_\(key=\.\.\.\) first"):
            start()


@pytest.mark.parametrize("items", [7, None, len])
def test_over_needs_something_to_iterate(items):
    """What is no iterable is refused before anything starts."""
    with pytest.raises(ConfigurationError, match=r"over\(items=.*give an iterable"):
        loop().over(items)


@pytest.mark.parametrize("tool", [7, None, "tool"])
def test_wrap_needs_something_to_call(tool):
    """What is no function is refused when it is wrapped."""
    with pytest.raises(ConfigurationError, match=r"wrap\(.*give a function"):
        loop().start().wrap(tool)


def test_wrap_refuses_generators():
    """A generator's call does nothing yet, so it is no iteration."""

    def tool():
        yield

    with pytest.raises(ConfigurationError, match="give a function, sync or async"):
        loop().start().wrap(tool)


def test_a_loop_is_frozen():
    """A loop is policy: nothing of it can be set, so it may be shared."""
    made = loop()
    for name in ("_key", "_settings", "key"):
        with pytest.raises(AttributeError, match="a Loop is frozen"):
            setattr(made, name, None)


def test_with_gives_a_copy_and_leaves_the_loop():
    """with_(key=) changes the key of a copy, and nothing of the loop."""
    made = keyed(key="one")
    other = made.with_(key="two")

    assert other.run(lambda: None).key == "two"
    assert made.run(lambda: None).key == "one"
    assert made.with_(key=lambda name: f"{name}!").run(len, "three").key == "three!"
