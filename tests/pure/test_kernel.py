# SPDX-License-Identifier: MIT
"""The kernel: what comes next, who said so, and what passes in silence."""

from __future__ import annotations

import itertools
from collections import UserList

import attrs
import pytest

from haltable import (
    Backoff,
    Breaker,
    Deadline,
    Done,
    ExitCondition,
    GiveUp,
    IterationCap,
    StallDetector,
    Status,
    Trip,
    Warn,
    remembered,
)
from haltable.evidence import Probe
from haltable.hearing import WARNINGS_KEPT
from haltable.hooks import Horizon
from haltable.kernel import GO, HALT, PAUSE
from haltable.model import Outcome, Ruling
from haltable.probe import Due, Question
from haltable.records import Owner, Running, new_record
from tests.pure.driven import Driven

STOPPED = Ruling(Status.STOPPED, "operator", "stopped by ana: runaway")
LEFT_OPEN = Ruling(Status.OPEN, "run", "run.stop() was called")
CAP = IterationCap(100, max_consecutive_failures=None)


@attrs.define
class Says(Breaker):
    """Says a word at a hook, once its time has come."""

    at: str = "after"
    word: object = None
    start: int = 1

    def before(self, iteration):
        return self._say("before", iteration)

    def after(self, iteration):
        return self._say("after", iteration)

    def _say(self, hook, iteration):
        if hook != self.at or iteration.starts < self.start:
            return None
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


@attrs.define
class Sees(Breaker):
    """Notes every iteration that its hooks get, in a list that its copies share."""

    seen: UserList[tuple[object, ...]] = attrs.field(factory=UserList)

    def before(self, iteration):
        self.seen.append(("before", iteration.starts, iteration.outcome, iteration.elapsed))

    def after(self, iteration):
        self.seen.append(
            ("after", iteration.starts, str(iteration.outcome), iteration.result or iteration.error)
        )


# Turns -------------------------------------------------------------------------------------------


def test_a_run_is_a_string_of_turns():
    """Each turn ends the open iteration and says what comes next, until the verdict."""
    driven = Driven(IterationCap(2))

    assert [driven.start(), driven.end(1), driven.end(2)] == [True, True, False]
    assert driven.ruling == ("tripped", "IterationCap", "all 2 starts are used")
    assert (driven.bodies, driven.kernel.starts, driven.kernel.result) == (2, 2, 2)


def test_hooks_see_what_happened():
    """``before`` sees the start to come, ``after`` how it ended; moments are live seconds."""
    sees, error = Sees(), OSError("gone")
    Driven(sees, CAP, now=50.0).run("page", error, seconds=2.0)

    assert sees.seen == [
        ("before", 1, None, 0.0),
        ("after", 1, "returned", "page"),
        ("before", 2, None, 2.0),
        ("after", 2, "failed", error),
        ("before", 3, None, 4.0),
    ]


@pytest.mark.parametrize("further", ["turn", "resume"])
def test_a_verdict_is_sticky(further):
    """After it every further turn halts with the same ruling, whatever happens."""
    driven = Driven(IterationCap(1)).run(1)
    first = driven.kernel.ruling
    driven.kernel.say("late", Done("too late"))
    driven.kernel.stop = STOPPED

    step = {"turn": driven.turn, "resume": lambda: driven.kernel.resume(9.0, None) is not HALT}
    assert step[further]() is False
    assert driven.kernel.ruling is first


def test_nobody_has_asked_for_another_yet():
    """With ``last`` it is not decided whether another may start, only how this one ended."""
    driven = Driven(IterationCap(1))
    driven.start()
    driven.kernel.returned(1)

    assert driven.turn(last=True) is True
    assert driven.kernel.ruling is None
    assert driven.kernel.resume(driven.now, None) is HALT


def test_what_ended_is_told_apart():
    """Interrupted and killed iterations are asked nothing, and count as neither."""
    asked = []
    condition = ExitCondition(give_up=lambda: asked.append(1))
    driven = Driven(condition, CAP)
    driven.start()
    driven.end(interrupted=True)
    driven.end(killed=True)

    assert asked == [1]
    assert (driven.kernel.counts.failures, driven.kernel.counts.row) == (0, 0)
    assert driven.bodies == 3


def test_the_subject_is_what_the_moment_is_about():
    """Nothing before the first, then a result or an exception."""
    driven, error = Driven(Sees(), CAP), OSError("gone")
    subjects = [driven.kernel.subject()]
    driven.start()
    driven.kernel.returned("page")
    subjects.append(driven.kernel.subject())
    driven.kernel.failed(error)
    subjects.append(driven.kernel.subject())

    assert subjects == [None, "page", error]


# Verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["before", "after"])
@pytest.mark.parametrize(
    ("word", "status"), [(Done("d"), "succeeded"), (GiveUp("g"), "gave_up"), (Trip("t"), "tripped")]
)
def test_a_hook_ends_the_run(at, word, status):
    """A verdict of any kind ends it, at either hook, with the breaker's name and reason."""
    driven = Driven(Says(at=at, word=word, start=2, name="mine"), CAP).run(1, 2, 3, 4)

    assert driven.ruling == (status, "mine", word.reason)
    assert driven.bodies == (1 if at == "before" else 2)


WORDS = [Done("d"), GiveUp("g"), STOPPED, Trip("t"), LEFT_OPEN]


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.permutations(WORDS, 2) if {*pair} != {STOPPED, LEFT_OPEN}],
)
def test_precedence(first, second):
    """Done, then GiveUp, then an operator's stop, then Trip, then a stop that ends no key."""
    words = [first, second]
    says = [Says(word=word, name=word.reason) for word in words if not isinstance(word, Ruling)]
    driven = Driven(*says, CAP)
    driven.start()
    driven.kernel.stop = next((word for word in words if isinstance(word, Ruling)), None)
    driven.end(1)

    assert driven.ruling[2] == min(words, key=WORDS.index).reason


def test_of_equal_verdicts_the_first_is_told():
    """Breakers speak in the order in which they were given."""
    driven = Driven(Says(word=Trip("one"), name="a"), Says(word=Trip("two"), name="b"), CAP).run(1)

    assert driven.ruling == ("tripped", "a", "one")


def test_all_are_asked():
    """A verdict does not keep later breakers from seeing the iteration."""
    sees = Sees()
    Driven(Says(word=Done("enough")), sees, CAP).run(1)

    assert [hook for hook, *_ in sees.seen] == ["before", "after"]


@pytest.mark.parametrize("at", ["before", "after"])
def test_a_hook_that_raises_opens_its_breaker(at):
    """A fault fails closed: tripped, under the breaker's name, with hook and error."""
    driven = Driven(Says(at=at, word=LookupError("no table")), CAP).run(1, 2)

    assert driven.ruling == ("tripped", "Says", f"{at}() raised LookupError: no table")


@pytest.mark.parametrize("nonsense", [True, "stop", 0, Trip])
def test_a_hook_that_returns_nonsense_opens_its_breaker(nonsense):
    """What is no verdict is no permission to go on, not even something false."""
    driven = Driven(Says(word=nonsense), CAP).run(1, 2)

    assert driven.ruling == (
        "tripped",
        "Says",
        f"a hook returned {nonsense!r}, which is no verdict and not None",
    )


def test_hearing_that_raises_opens_its_breaker():
    """The same for a breaker that cannot take an answer."""

    @attrs.define
    class Deaf(Breaker):
        def asks(self):
            return (Question("q", bool, Due.RETURN),)

        def heard(self, question, answer, iteration):
            raise LookupError("no table")

    assert Driven(Deaf(), CAP).run(1).ruling == (
        "tripped",
        "Deaf",
        "heard() raised LookupError: no table",
    )


# Warnings ----------------------------------------------------------------------------------------


def test_warnings_are_kept_and_shown():
    """A warning ends nothing; later iterations and the report show it."""
    driven = Driven(Says(word=Warn("half is spent"), name="cost"), CAP).run(1, 2)

    assert driven.ruling is None
    assert driven.kernel.warnings == ("cost: half is spent",)
    assert driven.kernel.current(None).warnings == driven.kernel.warnings
    assert driven.kernel.untold == (("cost", "half is spent"),)


def test_warnings_are_different_and_few():
    """A breaker that warns for ever does not fill the memory."""

    @attrs.define
    class Warns(Breaker):
        def after(self, iteration):
            return Warn(f"number {iteration.starts // 2}")

    driven = Driven(Warns(), CAP).run(*range(90))

    assert len(driven.kernel.warnings) == WARNINGS_KEPT
    assert driven.kernel.warnings[-1] == "Warns: number 45"


@pytest.mark.parametrize("quiet", [True, False])
def test_a_question_may_mean_a_warning(quiet):
    """A true answer whose verdict is a warning warns, and ends nothing."""

    @attrs.define
    class Asks(Breaker):
        def asks(self):
            return (Question("big", bool, Due.RETURN, quiet=quiet, verdict=Warn("big")),)

        def horizon(self, extension):
            return Horizon()

    driven = Driven(Asks(), CAP).run(0, 1, 2)

    assert (driven.ruling, driven.kernel.warnings) == (None, ("Asks: big",))


# Claims ------------------------------------------------------------------------------------------


def claims(driven, *words):
    """Makes the body of the open iteration say something of itself."""
    for word, value in words:
        driven.kernel.accept(driven.kernel.current(None), word, value)


DONE = Done("the body says it is done")


@pytest.mark.parametrize(("value", "result"), [(99, 99), (0, 0), (None, "own")])
def test_a_claim_decides_where_nobody_judges(value, result):
    """``done(value)`` ends the run with that result, with the body's own without one."""
    driven = Driven(CAP)
    driven.start()
    claims(driven, (DONE, value))
    driven.end("own")

    assert driven.ruling == ("succeeded", "body", "the body says it is done")
    assert driven.kernel.result == result


def test_a_claim_needs_the_condition_where_there_is_one():
    """It is a warning as long as success does not hold, and gives the result once it does."""
    driven = Driven(ExitCondition(success=lambda result: result == "good"), CAP)
    driven.start()
    claims(driven, (DONE, 1))
    driven.end("bad")
    before = driven.ruling, driven.kernel.warnings
    claims(driven, (DONE, 2))
    driven.end("good")

    assert before == (
        None,
        ("body: it says it is done, but the success condition does not hold",),
    )
    assert (driven.ruling[0], driven.kernel.result) == ("succeeded", 2)


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("outcome", [1, OSError()])
def test_giving_up_always_ends(judged, outcome):
    """Whoever judges success, and however the iteration ends."""
    judge = [ExitCondition(success=lambda result: False)] if judged else []
    driven = Driven(*judge, CAP)
    driven.start()
    claims(driven, (GiveUp("no such page"), None))
    driven.end(outcome)

    assert driven.ruling == ("gave_up", "body", "no such page")


def test_the_last_word_counts():
    """A body may think again while it runs."""
    driven = Driven(CAP)
    driven.start()
    claims(driven, (DONE, 1), (GiveUp("after all not"), None))
    driven.end(2)

    assert driven.ruling == ("gave_up", "body", "after all not")


def test_a_claim_is_about_its_own_iteration():
    """One that did not count is forgotten with it."""
    driven = Driven(ExitCondition(success=lambda result: result == "good"), CAP)
    driven.start()
    claims(driven, (DONE, 1))
    driven.end("bad")
    driven.end("good")

    assert (driven.ruling[0], driven.kernel.result) == ("succeeded", "good")


# Failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transient", [True, False])
def test_a_fatal_exception_gives_up_at_once(transient):
    """It needs no second failure, and being transient does not save it."""
    driven = Driven(CAP, fatal=(OSError,), transient=(OSError,) if transient else ())
    driven.run(PermissionError("account closed"))

    assert driven.ruling == ("gave_up", "fatal", "PermissionError: account closed")


@pytest.mark.parametrize(
    ("error", "outcome", "failures"),
    [(OSError(), Outcome.FAILED, 1), (TimeoutError(), Outcome.TRANSIENT, 0)],
)
def test_transients_are_no_failures(error, outcome, failures):
    """A declared type feeds the back-off and counts as nothing else."""
    driven = Driven(CAP, transient=(TimeoutError,))
    driven.start()
    driven.kernel.failed(error)
    seen = driven.kernel.outcome
    driven.turn()

    assert seen is outcome
    assert (driven.kernel.counts.failures, driven.kernel.counts.slips) == (failures, 1)


# Pauses ------------------------------------------------------------------------------------------


def test_a_delay_waits_after_every_iteration():
    """Good or bad; never before the first, and never before a start that is refused."""
    driven = Driven(IterationCap(3), delay=5).run(1, OSError(), 1)

    assert driven.pauses == [5, 5]
    assert driven.ruling[0] == "tripped"


def test_a_backoff_waits_after_slips_only():
    """It grows with failures and transients, and a good iteration ends it."""
    driven = Driven(CAP, delay=Backoff(), transient=(TimeoutError,))
    driven.run(1, OSError(), TimeoutError(), OSError(), 1, OSError(), 1)

    assert driven.pauses == [1, 2, 4, 1]


def test_a_pause_is_clipped_to_the_deadline():
    """A loop does not wait for a start that will be refused."""
    driven = Driven(Deadline(total=10), CAP, delay=60).run(1)

    assert driven.pauses == [9.0]
    assert driven.ruling == ("tripped", "Deadline", "alive for 10 s (limit 10 s)")


def test_a_pause_is_clipped_to_the_deadline_around():
    """The deadline of the run around it holds for a nested one, too."""
    driven = Driven(CAP, delay=60)
    driven.kernel.outer_end = 4.0
    driven.run(1)

    assert driven.pauses == [3.0]
    assert driven.ruling == ("tripped", "outer", "the deadline of the run around it has passed")


def test_no_chance_no_pause():
    """A jitter that draws nothing does not pause for nothing."""
    driven = Driven(CAP, delay=Backoff(), chance=0.0).run(OSError(), 1)

    assert (driven.pauses, driven.bodies) == ([], 3)


def test_a_stop_in_a_pause_is_obeyed_after_it():
    """What came while it waited ends the run before the next body."""
    driven = Driven(CAP, delay=5)
    driven.start()
    driven.kernel.returned(1)
    step = driven.kernel.decide(1.0, None, lambda: 1.0)
    driven.kernel.stop = STOPPED

    assert (step, driven.kernel.resume(6.0, None)) == (PAUSE, HALT)
    assert driven.kernel.ruling is STOPPED


# Silence -----------------------------------------------------------------------------------------


def test_iterations_that_nobody_asked_for_pass_quietly():
    """Below every horizon an iteration that returned takes no full turn."""
    driven = Driven(IterationCap(1000), Deadline(last_start=600), ExitCondition(success=bool))
    driven.run(*[0] * 500)

    assert (driven.bodies, driven.full_turns, driven.kernel.starts) == (501, 0, 501)


@pytest.mark.parametrize(
    ("breakers", "outcomes", "bodies"),
    [
        ([IterationCap(50)], [0] * 99, 50),
        ([Deadline(total=7), CAP], [0] * 99, 7),
        ([ExitCondition(success=lambda r: r == 5), CAP], range(99), 6),
        ([ExitCondition(give_up=lambda r: r == 5), CAP], range(99), 6),
        ([IterationCap(50)], [0, OSError(), 0, OSError(), OSError(), OSError(), 0], 6),
    ],
)
@pytest.mark.parametrize("loud", [True, False])
def test_silence_changes_nothing(breakers, outcomes, bodies, loud):
    """A run that looks at every iteration in full ends at the same place for the same reason."""
    driven = Driven(*breakers, loud=loud).run(*outcomes)

    assert driven.ruling is not None
    assert driven.bodies == driven.kernel.starts == bodies


def test_a_loud_run_is_never_silent():
    """Where a sink or a record wants every iteration, each takes a full turn."""
    driven = Driven(IterationCap(50), loud=True).run(*[0] * 9)

    assert driven.full_turns == 10
    assert not driven.kernel.begin_quietly(0.0)


def test_a_failure_makes_the_next_iteration_loud():
    """A row of failures is ended by a full turn, which then is the last."""
    driven = Driven(CAP).run(0, 0, OSError(), 0, 0, 0)

    assert (driven.full_turns, driven.kernel.counts.row) == (2, 0)


def test_a_stop_from_another_thread_is_not_painted_over():
    """However it falls between a body's end and the next begin, the next end is a full turn."""
    driven = Driven(CAP)
    driven.start()
    driven.kernel.stop = STOPPED
    driven.kernel.interrupt_quiet()
    driven.end(1)
    late = Driven(CAP)
    late.kernel.stop = STOPPED

    assert driven.kernel.ruling is STOPPED
    assert late.start() is False
    assert (driven.bodies, late.bodies) == (1, 0)


def test_a_start_that_comes_with_a_stop_is_followed_by_a_full_turn():
    """A stop that was asked for while the next iteration began is seen at its end."""
    driven = Driven(CAP)
    driven.start()
    driven.end(OSError())
    driven.kernel.stop = STOPPED
    driven.kernel.begin(driven.now)
    driven.end(1)

    assert driven.kernel.ruling is STOPPED


def test_a_breath_ends_the_silence():
    """An async run lets others have the loop after so many seconds, whatever is silent."""
    driven = Driven(CAP)
    driven.kernel.breath = 3.0
    driven.run(*[0] * 9)

    assert driven.full_turns == 3


def test_an_outer_deadline_ends_the_silence():
    """A nested run looks up when the time of the run around it is over."""
    driven = Driven(IterationCap(90))
    driven.kernel.outer_end = 5.0
    driven.run(*[0] * 9)
    late = Driven(IterationCap(90))
    late.kernel.outer_end = 0.0

    assert (driven.bodies, driven.ruling[1]) == (5, "outer")
    assert late.start() is False


def test_a_keyed_iteration_is_begun_in_silence():
    """Where the record is all that wants it, nobody is asked whether it may end."""
    driven = Driven(IterationCap(9), ExitCondition(success=bool))
    driven.start()
    kernel = driven.kernel
    answers = [kernel.silent(0.0, each_asked=True)]
    kernel.returned(0)
    answers += [kernel.silent(0.0, each_asked=each) for each in (True, False)]
    kernel.failed(OSError())
    answers.append(kernel.silent(0.0, each_asked=True))

    assert answers == [False, True, False, False]


def test_a_success_that_nobody_can_add_to_ends_quietly():
    """A single yes is the verdict, without a full turn."""
    driven = Driven(ExitCondition(success=lambda r: r == 2), IterationCap(9)).run(0, 1, 2)

    assert driven.ruling == ("succeeded", "ExitCondition", "the given predicate holds")
    assert (driven.full_turns, driven.kernel.result) == (0, 2)


@pytest.mark.parametrize(
    ("breakers", "outcomes", "full_turns"),
    [
        ([ExitCondition(give_up=lambda r: r == 2), CAP], (0, 1, 2), 1),
        ([ExitCondition(success=bool, give_up=bool), CAP], (0, 1), 1),
        ([ExitCondition(success=lambda r: r == 2), IterationCap(3)], (0, 1, 2), 1),
        ([ExitCondition(success=lambda r: r == 2), CAP], (0, OSError(), 2), 2),
    ],
)
def test_an_end_that_others_have_a_word_on_is_a_full_turn(breakers, outcomes, full_turns):
    """Giving up, two answers, the last start, a row of failures: each is looked at in full."""
    driven = Driven(*breakers).run(*outcomes)

    assert driven.ruling is not None
    assert driven.full_turns == full_turns


def test_a_claim_ends_the_silence():
    """A success with a claim has a result of its own to find."""
    driven = Driven(ExitCondition(success=bool), CAP)
    driven.start()
    claims(driven, (DONE, 99))
    driven.end(1)

    assert (driven.full_turns, driven.kernel.result) == (1, 99)


def test_horizons_move_with_an_extension():
    """An operator's starts keep a run silent for longer, and are counted on top."""
    driven = Driven(IterationCap(3))
    driven.kernel.counts = attrs.evolve(driven.kernel.counts, extension=2)
    driven.run(*[0] * 9)

    assert (driven.bodies, driven.ruling[2]) == (5, "all 5 starts are used")


def test_timed_questions_are_asked_when_they_are_due():
    """Between two looks of a stall detector everything passes quietly."""
    looks = []
    detector = StallDetector(after=50, every=10, evidence=Probe(lambda: looks.append(1) or 1))
    driven = Driven(detector, CAP).run(*[0] * 40)

    assert (len(looks), driven.bodies) == (5, 41)
    assert driven.full_turns == 5


@pytest.mark.parametrize("outcome", [1, OSError()])
def test_timed_questions_know_their_moments(outcome):
    """A timed question is asked at its own moments only."""
    asked = []

    @attrs.define
    class Asks(Breaker):
        def asks(self):
            return (Question("q", asked.append, Due.FAILURE, timed=True),)

    Driven(Asks(), CAP).run(outcome)

    assert len(asked) == isinstance(outcome, Exception)


def test_quiet_questions_are_asked_in_full_turns_too():
    """Where the driver has not put them, the turn does, before all others."""
    asked = []
    driven = Driven(ExitCondition(success=asked.append, give_up=bool), CAP)
    driven.turn()
    driven.kernel.returned(0)
    names = [one.question.name for one in driven.kernel.due(1.0, each_asked=False)]

    assert names == ["success", "give_up"]
    assert driven.kernel.due(1.0, each_asked=True) == ()


def test_a_loop_without_refusals_starts():
    """Breakers that have no word before a start are not asked for one."""
    driven = Driven(ExitCondition(give_up=bool), Says(at="after"), loud=True)
    driven.kernel.plan = attrs.evolve(driven.kernel.plan, befores=())

    assert driven.run(0, 0).bodies == 3


def test_an_outer_deadline_leaves_a_key_open():
    """Whose time is up is the run around it: a nested key may go on in another."""
    driven = Driven(IterationCap(9), key="k", loud=True)
    driven.kernel.outer_end = 2.0
    driven.run(0, 0, 0)

    assert driven.ruling == ("open", "outer", "the deadline of the run around it has passed")
    assert driven.bodies == 2


# Numbers -----------------------------------------------------------------------------------------


def stored(**changes):
    """Returns the record of a key that ran before."""
    record = attrs.evolve(new_record("k"), starts=4, failures=1, elapsed=30.0)
    return attrs.evolve(record, **changes)


def test_a_run_goes_on_from_its_record():
    """Starts and live seconds are the key's, numbers are the run's own."""
    driven = Driven(IterationCap(9), key="k", loud=True, now=100.0)
    kernel = driven.kernel
    kernel.carry_on(stored(), 100.0)
    before = kernel.run_number, kernel.elapsed(105.0)
    driven.turn()
    owner = Owner("b", "s", 1, "2", "t")
    kernel.adopt(stored(starts=5, extension=3, running=Running(owner, 60, 5)), 107.0, fence=12)
    iteration = kernel.current(None)

    assert before == (0, 35.0)
    assert (iteration.number, iteration.starts, iteration.remaining) == (1, 5, 7)
    assert (iteration.key, iteration.fence, iteration.failures) == ("k", 12, 1)
    assert iteration.elapsed == 37.0
    assert kernel.run_number == 1


def test_a_run_of_a_key_meets_the_limits_of_the_key():
    """A cap that was used up before refuses the first start of a new run."""
    driven = Driven(IterationCap(4), key="k", loud=True)
    driven.kernel.carry_on(stored(), 0.0)

    assert driven.turn() is False
    assert driven.ruling == ("tripped", "IterationCap", "all 4 starts are used")


def test_the_open_iteration_is_one_object():
    """Body, ``current()`` and hooks see the same one; the next one is another."""
    driven = Driven(CAP, Breaker())
    driven.start()
    kernel = driven.kernel
    given = kernel.fresh(None, 0.0)
    same = kernel.current(None)
    driven.end(1)

    assert given is same
    assert (given.outcome, kernel.current(None).number) == ("returned", 2)


def test_an_iteration_may_be_given_in_silence():
    """A body that takes it gets a new one each time, though no turn was taken."""
    driven = Driven(IterationCap(9))
    driven.start()
    numbers = []
    for _ in range(3):
        numbers.append(driven.kernel.fresh(None, driven.now).number)
        driven.end(0)

    assert numbers == [1, 2, 3]
    assert driven.kernel.current(None).number == 4


def test_the_newest_evidence_of_all_breakers_is_told():
    """A receipt shows what was new last, whoever saw it."""

    @attrs.define
    class Saw(Breaker):
        at: int = 0

        def newest_evidence(self):
            return (self.name, self.at) if self.at else None

    assert Driven(CAP, Saw(3, name="x"), Saw(7, name="y")).kernel.newest_evidence() == ("y", 7)
    assert Driven(CAP).kernel.newest_evidence() is None


# A turn decided once more ------------------------------------------------------------------------


@attrs.define
class Counts(Breaker):
    """Remembers how many iterations it was shown, and may open at one."""

    opens: int = 99
    count: int = remembered(default=0)

    def after(self, iteration):
        self.count += 1
        return Trip(f"shown {self.count}") if self.count >= self.opens else None


def tripped(*breakers, outcome=0, **options):
    """Returns a run of a key whose cap of one has just tripped."""
    driven = Driven(*breakers, IterationCap(1, max_consecutive_failures=1), loud=True, **options)
    driven.start()
    driven.end(outcome)
    assert driven.ruling is not None
    return driven


def again(driven):
    """Decides the turn once more, over a record that an operator has extended by five."""
    record = attrs.evolve(new_record("k"), starts=1, extension=5)
    return driven.kernel.reconsider(record, driven.now, None, lambda: 1.0)


@pytest.mark.parametrize("outcome", [0, OSError()])
def test_an_extension_in_time_is_obeyed(outcome):
    """A trip of the cap that has not been written yet gives way to more starts."""
    driven = tripped(outcome=outcome)
    row = isinstance(outcome, Exception)

    assert again(driven) is (HALT if row else GO)
    assert driven.kernel.counts.extension == 5
    assert driven.kernel.counts.row == row


def test_a_breaker_that_remembers_sees_each_iteration_once():
    """Deciding again is no reason to count again."""
    driven = tripped(Counts())
    again(driven)

    (breaker, _) = driven.kernel.plan.breakers
    assert breaker.count == 1
    assert driven.kernel.ruling is None


def test_the_word_of_a_breaker_that_remembers_stands():
    """What it said is not undone by starts that an operator adds."""
    driven = tripped(Counts(opens=1))

    assert again(driven) is HALT
    assert driven.ruling == ("tripped", "Counts", "shown 1")


def test_deciding_again_keeps_the_pace():
    """The pause that lies between two iterations is not lost."""
    driven = tripped(delay=5)

    assert again(driven) is PAUSE
    assert driven.kernel.pause == 5


def test_what_came_from_outside_stays():
    """A body that gave up has given up, whatever an operator adds."""
    driven = Driven(IterationCap(1), loud=True)
    driven.start()
    claims(driven, (GiveUp("no such page"), None))
    driven.end(0)

    assert again(driven) is HALT
    assert driven.ruling == ("gave_up", "body", "no such page")
