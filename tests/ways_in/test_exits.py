# SPDX-License-Identifier: MIT
"""The exit that is not "until it works": when it is asked, and what a body's own word counts."""

from __future__ import annotations

import pytest

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopGaveUp,
    LoopHalted,
    LoopStopped,
    LoopTripped,
    MemoryStore,
    Operator,
    ResultNotStored,
    Status,
    bounded_loop,
)
from haltable.conditions import never, raised, returned

CAP = IterationCap(5)
#: The largest result that is stored, as JSON: 256 KiB.
RESULT_LIMIT = 262_144


class Results:
    """A body that gives one result or exception after another."""

    def __init__(self, *results):
        self.starts = 0
        self._results = results

    def __call__(self):
        result = self._results[min(self.starts, len(self._results) - 1)]
        self.starts += 1
        if isinstance(result, Exception):
            raise result
        return result


def report_of(body, *breakers, **options):
    """Runs a body under a cap of five and these breakers."""
    return Loop(CAP, *breakers, **options).run(body)


# When a predicate is asked ------------------------------------------------------


def test_a_predicate_with_a_parameter_is_asked_after_iterations_that_returned():
    """It gets the result, and is asked neither before the first nor after a failure."""
    asked = []
    body = Results(OSError("no"), "half", OSError("no"), "whole")
    report = report_of(
        body, ExitCondition(success=lambda result: asked.append(result) or result == "whole")
    )

    assert (asked, report.ok, report.starts) == (["half", "whole"], True, 4)


def test_a_predicate_without_a_parameter_is_asked_before_the_first_too():
    """What is already done runs nothing."""
    body = Results("unused")
    report = report_of(body, ExitCondition(success=lambda: True))

    assert (report.ok, report.ran, report.starts, report.result) == (True, False, 0, None)
    assert body.starts == 0


def test_a_predicate_without_a_parameter_is_asked_after_every_iteration():
    """Before the first, after those that returned and after those that failed."""
    asked = []
    body = Results("one", OSError("no"), "three")
    report_of(body, ExitCondition(success=lambda: asked.append(body.starts) or body.starts == 3))

    assert asked == [0, 1, 2, 3]


def test_a_keyed_loop_that_is_already_done_starts_nothing():
    """The key succeeds with no start charged, and stays so."""
    store, body = MemoryStore(), Results("unused")
    report = report_of(body, ExitCondition(success=lambda: True), key="key", store=store)

    assert (report.status, report.ran, report.starts) == (Status.SUCCEEDED, False, 0)
    assert Operator(store).show("key").status is Status.SUCCEEDED
    assert body.starts == 0


def test_a_condition_may_be_about_failures():
    """`raised` is asked after failures, and gives up on those it names."""
    body = Results("one", OSError("no"), PermissionError("closed"))
    report = report_of(body, ExitCondition(give_up=raised(PermissionError)))

    assert (report.status, report.starts) == (Status.GAVE_UP, 3)


def test_success_goes_before_giving_up_and_before_a_trip():
    """Done, GiveUp, Trip: of what is said at one moment, the first of these counts."""
    both = ExitCondition(success=lambda result: True, give_up=lambda result: True)

    assert Loop(IterationCap(1), both).run(lambda: None).status is Status.SUCCEEDED
    assert (
        Loop(IterationCap(1), ExitCondition(give_up=lambda result: True)).run(lambda: None).status
        is Status.GAVE_UP
    )


def test_success_at_the_last_failure_is_success():
    """A condition on the world is asked after the failure that would trip, and goes before it."""
    body = Results(OSError("no"))
    report = report_of(body, ExitCondition(success=lambda: body.starts == 3))

    assert (report.status, report.starts, report.failures) == (Status.SUCCEEDED, 3, 3)


async def test_predicates_may_be_async():
    """An async run awaits them, at the same moments."""
    asked = []

    async def whole(result):
        asked.append(result)
        return result == 2

    async def body(iteration):
        return iteration.number

    report = await Loop(CAP, ExitCondition(success=whole)).arun(body)

    assert (asked, report.ok) == ([1, 2], True)


# What a body says of itself ---------------------------------------------------------


def test_done_decides_where_no_condition_is_declared():
    """Without an ExitCondition the body's word is all there is."""
    report = report_of(lambda iteration: iteration.done("reply") or "ignored")

    assert (report.ok, report.starts, report.result, report.breaker) == (True, 1, "reply", "body")


def test_done_without_a_value_leaves_the_result():
    """The body's own result is the run's."""
    assert report_of(lambda iteration: iteration.done() or "result").result == "result"


def test_done_is_a_claim_where_one_is_declared():
    """It counts only if success holds; a claim that did not is a warning."""
    body = Results("half", "half", "whole")

    def claim(iteration):
        result = body()
        iteration.done(result.upper())
        return result

    report = report_of(claim, ExitCondition(success=lambda result: result == "whole"))

    assert (report.ok, report.starts, report.result) == (True, 3, "WHOLE")
    assert any("does not hold" in warning for warning in report.warnings)


def test_done_is_no_claim_where_only_give_up_is_declared():
    """An ExitCondition that says nothing of success does not judge it."""
    report = report_of(
        lambda iteration: iteration.done("reply"), ExitCondition(give_up=lambda: False)
    )

    assert (report.ok, report.result) == (True, "reply")


def test_give_up_always_ends():
    """Whatever is declared, and although the body returned."""
    report = report_of(lambda iteration: iteration.give_up("why"), ExitCondition(success=never))

    assert (report.status, report.starts, report.reason) == (Status.GAVE_UP, 1, "why")


def test_neither_interrupts_the_body():
    """What stands after done() and give_up() is done."""
    reached = []

    def body(iteration):
        iteration.done()
        reached.append("done")
        iteration.give_up("after all")
        reached.append("given up")

    report = report_of(body)

    assert reached == ["done", "given up"]
    assert report.status is Status.GAVE_UP


def test_giving_up_says_why():
    """An empty reason is refused, as a failure of the iteration that gave it."""
    report = Loop(IterationCap(1)).run(lambda iteration: iteration.give_up(""))

    assert (report.status, report.failures) == (Status.TRIPPED, 1)
    assert "non-empty string" in str(report.error)


def test_a_claim_of_an_iteration_that_failed_still_ends():
    """The body said so before it failed, and the failure is in the report."""

    def body(iteration):
        iteration.done("reply")
        raise OSError("on the way out")

    report = report_of(body)

    assert (report.status, report.failures) == (Status.SUCCEEDED, 1)
    assert isinstance(report.error, OSError)


# What the caller gets -------------------------------------------------------------


def test_run_returns_the_report_whatever_happened():
    """Only what hides the report raises: `unwrap` does."""
    for body, status, error in [
        (lambda: None, Status.TRIPPED, LoopTripped),
        (lambda iteration: iteration.give_up("why"), Status.GAVE_UP, LoopGaveUp),
    ]:
        report = report_of(body)
        assert report.status is status
        with pytest.raises(error) as halted:
            report.unwrap()
        assert halted.value.report is report
        assert isinstance(halted.value, LoopHalted)


def test_stop_returns_the_report_too():
    """A run that was stopped has one, and unwrap raises LoopStopped from it."""
    run = Loop(CAP).start()
    report = run.run(lambda: run.stop("enough"))

    assert (report.status, report.starts, report.reason) == (Status.STOPPED, 1, "enough")
    with pytest.raises(LoopStopped):
        report.unwrap()


def test_stop_waits_for_the_end_of_the_body():
    """run.stop() does not interrupt what is running, and its success still counts."""
    run = Loop(CAP, ExitCondition(success=returned)).start()
    report = run.run(lambda: run.stop("enough") or "result")

    assert (report.status, report.result) == (Status.SUCCEEDED, "result")


@pytest.mark.parametrize("keyed", [False, True])
def test_a_fatal_exception_ends_at_once(keyed):
    """GAVE_UP under its name, whatever the failure limits say."""
    options = {"key": "key", "store": MemoryStore()} if keyed else {}
    report = report_of(Results("one", PermissionError("closed")), fatal=PermissionError, **options)

    assert (report.status, report.breaker, report.starts) == (Status.GAVE_UP, "fatal", 2)
    assert report.reason == "PermissionError: closed"


def test_scattered_failures_do_not_end_a_long_loop():
    """Three in a row trip; a good iteration between two failures ends the row."""
    body = Results(OSError("no"), OSError("no"), "good", OSError("no"), OSError("no"))
    report = Loop(IterationCap(99)).run(body)

    assert (report.starts, report.failures, report.failures_in_row) == (6, 5, 3)


def test_transients_leave_the_row_as_it_is():
    """They neither lengthen it nor end it."""
    later = TimeoutError("later")
    body = Results(OSError("no"), later, OSError("no"), later, later, OSError("no"))
    report = Loop(IterationCap(99), transient=TimeoutError).run(body)

    assert (report.starts, report.failures, report.failures_in_row) == (6, 3, 3)


# A key that has ended ----------------------------------------------------------------


def finished(result, **options):
    """Finishes a key with a result, and runs it again."""
    loop = Loop(CAP, ExitCondition(success=returned), key="key", store=MemoryStore(), **options)
    loop.run(lambda: result)
    return loop.run(lambda: pytest.fail("it ran"))


@pytest.mark.parametrize("result", [None, 7, 0.5, "text", [1, [2]], {"a": [None, True]}])
def test_a_key_that_finished_earlier_gives_the_stored_result(result):
    """Nothing runs, and the result is equal to the first one."""
    report = finished(result)

    assert (report.status, report.ran, report.unwrap()) == (Status.SUCCEEDED, False, result)


@pytest.mark.parametrize("result", [{1, 2}, (1, 2), float("nan"), b"bytes", {1: 2}, object()])
def test_a_result_that_is_no_json_is_not_stored(result):
    """It succeeded, but a later run can only say that the result was not kept."""
    report = finished(result)

    assert report.ok
    with pytest.raises(ResultNotStored, match="not JSON"):
        report.unwrap()


def test_a_result_is_stored_up_to_256_kib():
    """One byte more, and the later run says how large it was."""
    assert finished("x" * (RESULT_LIMIT - 2)).unwrap() == "x" * (RESULT_LIMIT - 2)
    with pytest.raises(ResultNotStored, match="262,145 bytes, more than 262,144"):
        finished("x" * (RESULT_LIMIT - 1)).unwrap()


def test_a_large_result_reaches_the_run_that_made_it():
    """Only the stored one is limited."""
    loop = Loop(CAP, ExitCondition(success=returned), key="key", store=MemoryStore())

    assert loop.run(lambda: "x" * RESULT_LIMIT).unwrap() == "x" * RESULT_LIMIT


def test_every_way_in_says_that_the_key_has_ended():
    """Each returns or raises what is stored, and starts nothing."""
    store = MemoryStore()
    options = {"key": "key", "store": store}
    policy = (CAP, ExitCondition(success=returned))
    loop, body = Loop(*policy, **options), Results("reply")
    loop.run(body)
    run = loop.start()

    assert bounded_loop(*policy, **options)(body)() == "reply"
    assert loop.step(body).unwrap() == "reply"
    assert [list(loop), list(loop.over("abc"))] == [[], []]
    with run:
        run.tick()
        raise AssertionError
    assert run.report.result == "reply"
    assert body.starts == 1


def test_a_key_that_tripped_earlier_raises_where_the_report_is_hidden():
    """A tombstone looks like one from every way in."""
    options = {"key": "key", "store": MemoryStore()}
    policy = (IterationCap(1), ExitCondition(success=never))
    loop, body = Loop(*policy, **options), Results("reply")
    loop.run(body)

    for use in (
        lambda: list(loop),
        lambda: list(loop.over("abc")),
        bounded_loop(*policy, **options)(body),
        loop.start().wrap(body),
        lambda: loop.run(body).unwrap(),
    ):
        with pytest.raises(LoopTripped, match="all 1 starts are used"):
            use()
    assert body.starts == 1
