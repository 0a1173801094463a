# SPDX-License-Identifier: MIT
"""P7: what a body, a predicate or a breaker hands over, however odd, ends in a report."""

from __future__ import annotations

import attrs
import pytest

from haltable import Breaker, ExitCondition, IterationCap, Loop, MemoryStore, Status, Trip


class Undecided:
    """What raises when it is asked whether it is true, as an array does."""

    def __bool__(self):
        """Raises."""
        raise ValueError("ambiguous")

    @classmethod
    def asked(cls):
        """Answers with one."""
        return cls()


class Unreadable(Exception):
    """An exception without a text."""

    def __str__(self):
        """Raises."""
        raise RuntimeError("no text")


@attrs.define
class GivesNoWords(Breaker):
    """Opens with an exception where a text belongs."""

    def after(self, iteration):
        """Says so."""
        return Trip(iteration.error or ValueError("x"))


@pytest.fixture(params=[False, True], ids=["no key", "key"])
def keyed(request):
    """The arguments of a loop without and with a key."""
    return {"key": "k", "store": MemoryStore()} if request.param else {}


def test_an_answer_that_is_neither_true_nor_false_opens_its_breaker(keyed):
    """P7: a fault in asking an answer for its truth is one of the predicate."""
    loop = Loop(IterationCap(3), ExitCondition(success=Undecided.asked), **keyed)

    report = loop.run(lambda: 1)

    assert (report.status, report.breaker) == (Status.TRIPPED, "ExitCondition")
    assert "ambiguous" in report.reason


def test_an_exception_without_a_text_is_a_failure_like_any_other(keyed):
    """P5: an exception whose own words cannot be had does not cost the report."""

    def body():
        raise Unreadable

    report = Loop(IterationCap(3), **keyed).run(body)

    assert (report.status, report.failures) == (Status.TRIPPED, 3)
    assert "Unreadable" in str(report)


def test_a_verdict_without_words_opens_its_breaker(keyed):
    """P7: a reason that is no text is a fault of the breaker that gave it."""
    report = Loop(IterationCap(3), GivesNoWords(), **keyed).run(lambda: 1)

    assert (report.status, report.breaker) == (Status.TRIPPED, "GivesNoWords")
    assert "say why in a string" in str(report).replace("\n        ", " ")


def test_a_result_too_deep_for_json_is_not_stored():
    """P5: a result that cannot be written down does not cost the verdict."""
    result = []
    for _ in range(100_000):
        result = [result]
    loop = Loop(
        IterationCap(3), ExitCondition(success=lambda _: True), key="k", store=MemoryStore()
    )

    report = loop.run(lambda: result)

    assert (report.status, report.durable) == (Status.SUCCEEDED, True)


def test_a_ruling_stays_although_the_body_swallowed_it():
    """P8: a stop that the body was told of is not painted over by a success."""
    run = Loop(IterationCap(5), ExitCondition(success=lambda result: result)).start()

    def body(iteration):
        run.stop()
        with pytest.raises(BaseException, match="stop"):
            iteration.check()
        return True

    report = run.run(body)

    assert report.status is Status.STOPPED
