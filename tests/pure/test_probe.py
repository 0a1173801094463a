# SPDX-License-Identifier: MIT
"""Conditions and evidence: when they are asked, of what, and what two of them make."""

from __future__ import annotations

import functools
import itertools

import pytest

from haltable import ConfigurationError
from haltable.probe import Answer, Condition, Due, Evidence, Predicate, Question, as_condition

MOMENTS = [Due.START, Due.RETURN, Due.FAILURE]


class Fixed(Condition):
    """Holds or not, at its own moments, and notes that it was asked."""

    def __init__(self, answer, due=Due.ALWAYS):
        self.answer = answer
        self.due = due
        self.asked = []

    def holds(self, subject):
        self.asked.append(subject)
        return self.answer


class Later(Fixed):
    """The same, as a promise."""

    async def holds(self, subject):
        self.asked.append(subject)
        return self.answer


class Leaf(Evidence):
    """A piece of evidence with a name."""

    def __init__(self, name):
        self.name = name

    def fingerprint(self):
        return b""

    def __str__(self):
        return self.name


def at(condition, moment, subject=None):
    """Asks as a loop does: only at its own moments, by the question made for it."""
    return bool(condition.question_at(moment)(subject)) if moment in condition.due else False


def test_ends_are_returns_and_failures():
    """The moments compose as sets."""
    assert Due.END == Due.RETURN | Due.FAILURE
    assert Due.ALWAYS == Due.START | Due.END
    assert [moment in Due.END for moment in MOMENTS] == [False, True, True]


def test_a_question_is_asked_at_ends_unless_said():
    """The plainest question is asked after each iteration that ended by itself."""
    question = Question("full", lambda _: False)

    assert (question.due, question.timed, question.quiet) == (Due.END, False, False)
    assert question.verdict is None
    assert (Answer().value, Answer().fault) == (None, None)


# Functions as conditions -------------------------------------------------------------------------


class Callable:
    def __call__(self, result):
        return result

    def method(self):
        return True

    def takes(self, result):
        return result


@pytest.mark.parametrize(
    "function",
    [
        lambda: True,
        lambda x=3: x,
        lambda *, x=3: x,
        lambda **kwargs: True,
        Callable().method,
        functools.partial(lambda x: x, 3),
        [].__len__,
    ],
)
def test_a_function_without_a_parameter_looks_at_the_world(function):
    """It is asked at every moment; parameters with defaults are the user's own."""
    condition = as_condition(function, "success")

    assert condition.due == Due.ALWAYS
    for moment in MOMENTS:
        condition.question_at(moment)("ignored")
    condition.holds("ignored")


@pytest.mark.parametrize(
    "function",
    [
        lambda result: result,
        lambda result, /: result,
        lambda result, limit=3: result,
        lambda *args: args[0],
        Callable(),
        Callable().takes,
        functools.partial(lambda x, result: result, 3),
        bool,
        len,
        str.isdigit,
        {"7": True}.get,
    ],
)
def test_a_function_with_a_parameter_looks_at_the_result(function):
    """It is asked only after iterations that returned, with what they returned."""
    condition = as_condition(function, "success")

    assert condition.due == Due.RETURN
    assert condition.question_at(Due.RETURN)("7")
    assert condition.holds("7")


def test_a_function_without_a_signature_looks_at_the_result():
    """Where nothing says what it takes, it is given the result."""

    class Hidden:
        __signature__ = "hidden"

        def __call__(self, result):
            return result

    condition = as_condition(Hidden(), "success")

    assert condition.due == Due.RETURN
    assert condition.holds("7") == "7"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "success=True: give a function"),
        ("done", "success='done': give a function"),
        (None, "success=None: give a function"),
        (ValueError, "give a function of no argument or of the result"),
        (Fixed, "or a condition of haltable.conditions"),
        (lambda a, b: a, "takes nothing or the result, this one needs 2 arguments"),
        (lambda a, *, b: a, "this one needs 2 arguments"),
        (lambda *, b: b, "this one needs 1 arguments"),
    ],
)
def test_what_is_no_predicate_is_refused(value, words):
    """The error names the argument, its value, and what would be right."""
    with pytest.raises(ConfigurationError, match=words):
        as_condition(value, "success")


def test_a_condition_is_itself():
    """What is a condition already is taken as it is."""
    condition = Fixed(answer=True)

    assert as_condition(condition, "success") is condition


def test_a_predicate_reads_as_its_function():
    """Receipts call a predicate by its function's name."""

    def quota_exhausted():
        return False

    assert str(as_condition(quota_exhausted, "give_up")) == "quota_exhausted"
    assert str(as_condition(lambda: True, "give_up")) == "the given predicate"
    assert str(as_condition(Callable(), "give_up")) == "Callable"
    assert str(Fixed(answer=True)) == "Fixed"


# Two conditions as one ---------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [*itertools.product([True, False], repeat=2)])
@pytest.mark.parametrize("moment", MOMENTS)
def test_conditions_compose_as_words_do(one, other, moment):
    """``|`` holds when either does, ``&`` when both do."""
    assert at(Fixed(one) | Fixed(other), moment) is (one or other)
    assert at(Fixed(one) & Fixed(other), moment) is (one and other)


@pytest.mark.parametrize(("one", "other"), [*itertools.product([True, False], repeat=2)])
def test_functions_compose_with_conditions(one, other):
    """A bare function may stand on either side of a condition."""
    assert at((lambda: one) | Fixed(other), Due.START) is (one or other)
    assert at(Fixed(one) | (lambda: other), Due.START) is (one or other)
    assert at((lambda: one) & Fixed(other), Due.START) is (one and other)
    assert at(Fixed(one) & (lambda: other), Due.START) is (one and other)


def test_what_is_no_condition_does_not_compose():
    """The error names the sign and the value."""
    with pytest.raises(ConfigurationError, match=r"\|=3: give a function"):
        Fixed(answer=True) | 3
    with pytest.raises(ConfigurationError, match="&=3: give a function"):
        3 & Fixed(answer=True)


def test_a_settled_answer_asks_nobody_else():
    """What cannot change the whole any more is not asked: it may be a slow look at the world."""
    asked = Fixed(answer=True)
    spared = Fixed(answer=True)

    at(asked | spared, Due.START)
    at(Fixed(answer=False) & spared, Due.START)

    assert (len(asked.asked), spared.asked) == (1, [])


def test_either_is_asked_at_the_moments_of_both():
    """``|`` is due when either is, and each part is asked at its own moments only."""
    returned, raised = Fixed("yes", Due.RETURN), Fixed("yes", Due.FAILURE)
    either = returned | raised

    assert either.due == Due.END
    assert [at(either, moment, moment.name) for moment in MOMENTS] == [False, True, True]
    assert (returned.asked, raised.asked) == (["RETURN"], ["FAILURE"])


def test_both_are_asked_at_the_moments_they_share():
    """``&`` is due when both are: at other moments it cannot hold."""
    both = Fixed("yes", Due.RETURN) & Fixed("yes", Due.ALWAYS)

    assert both.due == Due.RETURN
    assert [at(both, moment) for moment in MOMENTS] == [False, True, False]
    assert (Fixed("yes", Due.RETURN) & Fixed("yes", Due.FAILURE)).due == Due(0)


@pytest.mark.parametrize("answers", [*itertools.product([True, False], repeat=3)])
@pytest.mark.parametrize("moment", MOMENTS)
def test_composites_compose(answers, moment):
    """Deeper compositions hold as the words read, brackets included."""
    a, b, c = (Fixed(answer) for answer in answers)
    x, y, z = answers

    assert at((a | b) & c, moment) is ((x or y) and z)
    assert at(a | (b & c), moment) is (x or (y and z))
    assert bool(((a & b) | c).holds(None)) is ((x and y) or z)


def test_a_composite_reads_as_its_words():
    """Brackets stand where reading would go wrong without them, and nowhere else."""
    a, b, c = Leaf("a"), Leaf("b"), Leaf("c")
    x, y, z = (Predicate(function, takes_result=True) for function in (len, bool, print))

    assert str((a | b) & c) == "(a or b) and c"
    assert str(a & b & c) == "a and b and c"
    assert str(a | (b & c)) == "a or (b and c)"
    assert str((x | y) & z) == "(len or bool) and print"
    assert str(x | y | z) == "len or bool or print"


async def settled(answer):
    """Waits for an answer if it is a promise, as the async drivers do."""
    return await answer if hasattr(answer, "__await__") else answer


@pytest.mark.parametrize("answers", [*itertools.product([True, False], repeat=3)])
@pytest.mark.parametrize("kinds", [*itertools.product([Fixed, Later], repeat=3)])
async def test_promises_compose_with_values(answers, kinds):
    """Whether a part answers at once or later changes nothing about the whole."""
    a, b, c = (kind(answer) for kind, answer in zip(kinds, answers, strict=True))
    x, y, z = answers

    for whole, expected in [
        ((a | b) & c, (x or y) and z),
        (a & (b | c), x and (y or z)),
        (a | b | c, x or y or z),
        (a & b & c, x and y and z),
    ]:
        assert await settled(whole.question_at(Due.RETURN)(None)) is expected
        assert await settled(whole.holds(None)) is expected


async def test_a_settled_promise_asks_nobody_else():
    """A promise that settles the whole spares the rest, too."""
    spared = Fixed(answer=True)

    assert await settled((Later(answer=True) | spared).holds(None)) is True
    assert spared.asked == []


def test_who_may_block_is_known():
    """A composite of something slow is slow, so that an async driver asks it elsewhere."""
    slow = Fixed(answer=True)
    slow.blocks = True

    assert (Fixed(answer=True) | slow).question_at(Due.START).blocks
    assert ((slow & Fixed(answer=True)) | Fixed(answer=True)).question_at(Due.END).blocks
    assert not (Fixed(answer=True) & Fixed(answer=True)).question_at(Due.START).blocks


# Evidence ----------------------------------------------------------------------------------------


def test_one_piece_is_its_own_leaf():
    """What is not composed is judged by its own time."""
    leaf = Leaf("rows")

    assert leaf.leaves() == (leaf,)
    assert leaf.newest((7.0,)) == 7.0


def test_evidence_without_a_name_reads_as_its_class():
    """Receipts never show an object's address."""

    class Rows(Evidence):
        def fingerprint(self):
            return None

    assert str(Rows()) == "Rows"


@pytest.mark.parametrize("times", [*itertools.permutations([1.0, 2.0, 3.0])])
def test_composed_evidence_folds_its_times(times):
    """``|`` is as new as its newest piece, ``&`` as old as its oldest."""
    a, b, c = Leaf("a"), Leaf("b"), Leaf("c")
    x, y, z = times

    assert (a | b | c).newest(times) == 3.0
    assert (a & b & c).newest(times) == 1.0
    assert ((a | b) & c).newest(times) == min(max(x, y), z)
    assert (a & (b | c)).newest(times) == min(x, max(y, z))
    assert ((a & b) | c).leaves() == (a, b, c)


def test_composed_evidence_has_no_fingerprint():
    """It is asked leaf by leaf; one digest of all would make every change new."""
    with pytest.raises(TypeError, match="asked leaf by leaf"):
        (Leaf("a") | Leaf("b")).fingerprint()


@pytest.mark.parametrize("value", [lambda: 3, "out/*.md", None])
def test_what_is_no_evidence_does_not_compose(value):
    """The error names the value and where evidence comes from."""
    with pytest.raises(ConfigurationError, match=r"is no evidence.*haltable\.evidence"):
        Leaf("a") | value
    with pytest.raises(ConfigurationError, match="is no evidence"):
        Leaf("a") & value
