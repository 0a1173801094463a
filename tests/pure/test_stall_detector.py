# SPDX-License-Identifier: MIT
"""The stall detector: only what is new counts, only live seconds count, blindness is named."""

from __future__ import annotations

import math

import pytest

from haltable import (
    ConfigurationError,
    Deadline,
    IterationCap,
    Loop,
    MemoryStore,
    StallDetector,
    Trip,
)
from haltable.breakers.stall_detector import STATES_KEPT
from haltable.evidence import Evidence, Probe
from haltable.probe import Answer
from haltable.testing import FakeClock, iteration

BLIND = object()


class World:
    """States that probes look at, and a clock that bodies move."""

    def __init__(self, **states):
        self.states = states
        self.clock = FakeClock()
        self.looks = []

    def probe(self, name="a"):
        """Returns evidence of one state; it is blind where the state is `BLIND`."""

        def look():
            self.looks.append(self.clock.now())
            state = self.states[name]
            if isinstance(state, Exception):
                raise state
            return None if state is BLIND else state

        return Probe(look, name=name)

    def loop(self, *breakers, **options):
        """Returns a loop in this world that only the breakers under test end early."""
        cap = IterationCap(1000, max_consecutive_failures=None)
        return Loop(*breakers, cap, clock=self.clock, **options)

    def body(self, steps):
        """Returns a body that takes, step by step, so many seconds and makes so many changes."""
        left = iter(steps)

        def body(iteration):
            try:
                seconds, changes = next(left)
            except StopIteration:
                iteration.give_up("all steps are done")
                return
            self.clock.advance(seconds)
            self.states.update(changes)

        return body

    def run(self, *breakers, steps, **options):
        """Runs the steps, and returns the report."""
        return self.loop(*breakers, **options).run(self.body(steps))


def stalled(report):
    """Returns when a loop stalled, None if it did not."""
    return report.elapsed if report.breaker == "StallDetector" else None


def every_second(*states):
    """Returns steps of a second each, with the state after each."""
    return [(1, {"a": state}) for state in states]


# Novelty -----------------------------------------------------------------------------------------


def test_it_opens_when_nothing_is_new():
    """After a whole window in which the evidence stood still, the loop ends, and says so."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()), steps=every_second(*[0] * 9)
    )

    assert (report.status, report.starts, report.elapsed) == ("tripped", 5, 5)
    assert (report.breaker, report.reason) == ("StallDetector", "nothing new in a for 5 s")


def test_it_does_not_open_while_there_is_news():
    """A loop that produces something in every window goes on."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=3, every=1, evidence=world.probe()),
        steps=every_second(1, 1, 2, 2, 3, 3, 4, 4, 5, 5),
    )

    assert report.status == "gave_up"


def test_the_window_begins_at_the_last_news():
    """Each new state gives a whole window, no more."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=4, every=1, evidence=world.probe()),
        steps=every_second(0, 0, 1, 1, 1, 1, 1, 1),
    )

    assert stalled(report) == 3 + 4


def test_what_is_there_before_is_no_progress():
    """The first look is before the first iteration: the state it finds is known."""
    world = World(a=7)
    report = world.run(
        StallDetector(after=3, evidence=world.probe()), steps=every_second(7, 7, 7, 7)
    )

    assert world.looks[0] == 0
    assert stalled(report) == 3
    assert report.evidence is None


@pytest.mark.parametrize("after", [5, 600])
def test_the_first_look_is_at_once(after):
    """However long the window, what was produced first is told from what was there."""
    world = World(a=0)
    detector = StallDetector(after=after, evidence=world.probe())
    report = world.run(detector, steps=[(after * 0.9, {"a": 1}), (after * 0.9, {"a": 1})])

    assert report.status == "gave_up"
    assert report.evidence == "a, iteration 1"


@pytest.mark.parametrize("states", [[0, 1] * 9, [1, 1, 0, 0] * 4, [0, 1, 2, 0, 1, 2] * 3])
def test_going_back_and_forth_is_not_new(states):
    """A state that was seen before is no progress, however often it changes."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()), steps=every_second(*states)
    )

    assert stalled(report) == states.index(max(states)) + 1 + 5


def test_a_state_is_known_for_thousands_of_others():
    """Only a state that thousands of others have followed may count again."""
    world = World(a=0)
    detector = StallDetector(after=3, every=1, evidence=world.probe()).fresh()
    (question,) = detector.asks()
    for number in range(STATES_KEPT + 1):
        now = iteration(number=number + 1, elapsed=number, result=1)
        detector.heard(question, Answer(b"%d" % number), now)
    at = detector.new

    detector.heard(question, Answer(b"1"), iteration(number=9000, elapsed=9000, result=1))
    known = detector.new == at
    detector.heard(question, Answer(b"0"), iteration(number=9001, elapsed=9001, result=1))

    assert known
    assert detector.new == (9001,)
    assert [len(states) for states in detector.seen.values()] == [STATES_KEPT]


def test_the_newest_evidence_is_told():
    """The receipt says what was new last, and at which iteration."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(0, 1, 2, 2, 2, 2, 2, 2, 2),
    )

    assert report.evidence == "a, iteration 3"
    assert StallDetector(after=5, evidence=world.probe()).newest_evidence() is None


# Looks -------------------------------------------------------------------------------------------


def test_looks_are_spaced():
    """A look costs: at least a tenth of the window lies between two, unless said otherwise."""
    world = World(a=0)
    world.run(StallDetector(after=20, evidence=world.probe()), steps=every_second(*range(1, 9)))

    assert world.looks == [0, 2, 4, 6, 8]


def test_looks_may_be_rare():
    """With a wide spacing there are few looks, and still one at the end of the window."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=10, every=7, evidence=world.probe()),
        steps=every_second(*[0] * 20),
    )

    assert world.looks == [0, 7, 10]
    assert stalled(report) == 10


def test_iterations_without_a_look_are_quiet():
    """Between two looks nothing is asked, also where iterations are many."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=100, evidence=world.probe()),
        steps=[(0.25, {})] * 500,
    )

    assert (len(world.looks), stalled(report)) == (11, 100)


def test_failures_are_looked_at_too():
    """A loop that fails may produce all the same, or not: both are seen."""
    world = World(a=0)

    def fails():
        world.clock.advance(1)
        raise OSError

    report = world.loop(StallDetector(after=5, every=1, evidence=world.probe())).run(fails)

    assert (stalled(report), report.failures) == (5, 5)


def test_pauses_are_alive():
    """Waiting between iterations is part of the window."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=60, evidence=world.probe()), steps=[(1, {})] * 99, delay=19
    )

    assert (stalled(report), report.starts) == (61, 4)


# Blindness ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (BLIND, "a: it answered None"),
        (OSError("gone"), "a: OSError: gone"),
        ({1, 2}, "a: TypeError: a returned set, of which there is no fingerprint"),
    ],
)
def test_a_whole_window_of_blindness_is_a_reason_of_its_own(state, why):
    """A probe that cannot see is not "nothing new": it is named, with what it said last."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(1, *[state] * 20),
    )

    assert (stalled(report), report.status) == (6, "tripped")
    assert report.reason.startswith(f"blind: could not see a for 5 s ({why}")


def test_a_probe_of_the_wrong_kind_is_blind():
    """Evidence whose fingerprint is no bytes says nothing, and is named."""

    class Wrong(Evidence):
        def fingerprint(self):
            return "text"

    world = World()
    report = world.run(
        StallDetector(after=2, every=1, evidence=Wrong()), steps=[(1, {}), (1, {}), (1, {})]
    )

    assert report.reason == (
        "blind: could not see Wrong for 2 s (Wrong: a fingerprint is bytes or None, this was str)"
    )


def test_blindness_that_passes_is_forgiven():
    """A probe that sees again within the window is no reason to end."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(1, BLIND, BLIND, BLIND, 2, BLIND, BLIND, BLIND, BLIND, 3, 4),
    )

    assert report.status == "gave_up"


def test_while_it_cannot_see_nothing_is_called_stale():
    """The window may end in blindness: then the verdict waits for a look that sees."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(0, 0, 0, 0, BLIND, BLIND, 0),
    )

    assert (stalled(report), report.reason) == (7, "nothing new in a for 7 s")


def test_news_that_blindness_hid_count():
    """What is found to be new after a blindness is progress, though the window had ended."""
    world = World(a=0)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(0, 0, 0, 0, BLIND, BLIND, 1, 1),
    )

    assert report.status == "gave_up"


def test_blind_from_the_start():
    """A probe that never saw anything ends the loop after one window."""
    world = World(a=BLIND)
    report = world.run(
        StallDetector(after=5, every=1, evidence=world.probe()),
        steps=every_second(*[BLIND] * 9),
    )

    assert stalled(report) == 5


# Composed evidence -------------------------------------------------------------------------------


def composed(world, evidence, steps):
    """Runs steps of a second with a window of five."""
    return world.run(StallDetector(after=5, every=1, evidence=evidence), steps=steps)


def changing(*names, until=99, of=20):
    """Returns steps of a second in which the named states are new until a moment."""
    return [(1, {name: n for name in names if n <= until}) for n in range(1, of + 1)]


@pytest.mark.parametrize(
    ("names", "until", "either", "both"),
    [
        ("ab", 99, None, None),
        ("a", 99, None, 5),
        ("b", 99, None, 5),
        ("", 0, 5, 5),
        ("ab", 3, 8, 8),
        ("a", 3, 8, 5),
    ],
)
def test_composed_evidence_is_new_as_its_words_say(names, until, either, both):
    """``a | b`` is new when either is; ``a & b`` when both were within the window."""
    steps = changing(*names, until=until)
    one, other = World(a=0, b=0), World(a=0, b=0)
    a_or_b = composed(one, one.probe("a") | one.probe("b"), steps)
    a_and_b = composed(other, other.probe("a") & other.probe("b"), steps)

    assert (stalled(a_or_b), stalled(a_and_b)) == (either, both)


def test_composed_evidence_is_named_whole():
    """The reason says what was looked at, all of it."""
    world = World(a=0, b=0, c=0)
    evidence = (world.probe("a") | world.probe("b")) & world.probe("c")

    assert composed(world, evidence, changing(of=9)).reason == (
        "nothing new in (a or b) and c for 5 s"
    )


def test_one_blind_piece_of_two_is_enough_to_see():
    """Under ``|`` a loop that one probe sees moving goes on, though the other is blind."""
    world = World(a=0, b=BLIND)
    report = composed(world, world.probe("a") | world.probe("b"), changing("a"))

    assert report.status == "gave_up"


def test_one_blind_piece_of_two_is_too_many():
    """Under ``&`` a piece that was not seen for a window is the reason, by its name."""
    world = World(a=0, b=BLIND)
    report = composed(world, world.probe("a") & world.probe("b"), changing("a"))

    assert (stalled(report), report.reason) == (
        5,
        "blind: could not see a and b for 5 s (b: it answered None)",
    )


def test_a_piece_out_of_sight_may_hide_news():
    """Under ``|`` a stale piece convicts nobody while another has just gone out of sight."""
    world = World(a=0, b=0)
    hidden = [(1, {"b": n if n < 3 else BLIND}) for n in range(1, 7)]
    seen = [(1, {"b": 2})] * 3
    report = composed(world, world.probe("a") | world.probe("b"), hidden + seen)

    assert (stalled(report), report.reason) == (7, "nothing new in a or b for 5 s")


def test_a_piece_out_of_sight_for_a_window_hides_nothing_more():
    """A probe that stays blind cannot keep a stalled loop alive for ever."""
    world = World(a=0, b=0)
    steps = [(1, {"b": 1 if n < 3 else BLIND}) for n in range(1, 20)]
    report = composed(world, world.probe("a") | world.probe("b"), steps)

    assert (stalled(report), report.reason) == (7, "nothing new in a or b for 6 s")


# Work that there is, or is not -------------------------------------------------------------------


def test_seconds_without_work_do_not_count():
    """With ``when=`` an idle loop does not stall; once there is work the window goes on."""
    world = World(a=0, work=True)
    detector = StallDetector(
        after=5, every=1, evidence=world.probe(), when=lambda: world.states["work"]
    )
    steps = [(1, {})] * 3 + [(1, {"work": False})] * 50 + [(1, {"work": True})] * 9
    report = world.run(detector, steps=steps)

    assert (stalled(report), report.reason) == (55, "nothing new in a for 5 s")


def test_seconds_with_work_do_count():
    """Where there is always work, ``when=`` changes nothing."""
    world = World(a=0)
    detector = StallDetector(after=5, every=1, evidence=world.probe(), when=lambda: True)

    assert stalled(world.run(detector, steps=[(1, {})] * 9)) == 5


def test_blindness_without_work_does_not_count():
    """An idle loop may be blind for as long as it likes."""
    world = World(a=BLIND, work=False)
    detector = StallDetector(
        after=5, every=1, evidence=world.probe(), when=lambda: world.states["work"]
    )
    steps = [(1, {})] * 20 + [(1, {"work": True})] * 9

    assert stalled(world.run(detector, steps=steps)) == 25


def test_a_broken_question_for_work_ends_the_loop():
    """Not knowing whether there is work is a fault, and fails closed."""

    def when():
        raise LookupError("no queue")

    world = World(a=0)
    detector = StallDetector(after=5, evidence=world.probe(), when=when)
    report = world.run(detector, steps=[(1, {})] * 9)

    assert (report.status, report.starts) == ("tripped", 0)
    assert report.reason == "when raised LookupError: no queue"


async def test_probes_and_work_may_be_async():
    """An async loop awaits what must be awaited."""
    world = World(a=0)

    async def look():
        return world.states["a"]

    async def when():
        return True

    async def body():
        world.clock.advance(1)

    detector = StallDetector(after=5, every=1, evidence=Probe(look), when=when)
    report = await world.loop(detector).arun(body)

    assert (stalled(report), report.starts) == (5, 5)


# Runs of one key ---------------------------------------------------------------------------------


@pytest.fixture
def world():
    """A world with one state."""
    return World(a=0)


@pytest.fixture
def keyed(world):
    """Returns a loop on a key that stays the same."""
    store = MemoryStore()

    def keyed(evidence, *, after=5, every=1):
        detector = StallDetector(after=after, every=every, evidence=evidence)
        return world.loop(detector, key="k", store=store)

    return keyed


def until_stopped(loop, body, *, after):
    """Runs the body so often, then ends the run and leaves the key open."""
    run, count = loop.start(), iter(range(1, after + 1))

    def counted(iteration):
        if next(count) == after:
            run.stop()
        body(iteration)

    return run.run(counted)


def test_live_seconds_add_up_over_runs(world, keyed):
    """Two seconds before a restart and three after it make a window of five."""
    until_stopped(keyed(world.probe()), world.body([(1, {})] * 9), after=2)
    report = keyed(world.probe()).run(world.body([(1, {})] * 9))

    assert (report.starts, stalled(report)) == (5, 5)


def test_the_weekend_does_not_count(world, keyed):
    """Seconds in which nothing ran are not live seconds."""
    until_stopped(keyed(world.probe()), world.body([(1, {})] * 9), after=2)
    world.clock.advance(48 * 3600)
    report = keyed(world.probe()).run(world.body([(1, {})] * 9))

    assert stalled(report) == 5


def test_a_restart_makes_nothing_new(world, keyed):
    """States that an earlier run saw are known to a later one: a crash loop cannot reset them."""
    for state in (1, 2):
        until_stopped(keyed(world.probe()), world.body([(1, {"a": state})] * 9), after=1)
    report = keyed(world.probe()).run(world.body([(1, {"a": n % 3}) for n in range(9)]))

    assert stalled(report) == 2 + 5


def test_what_changed_while_nothing_ran_is_new(world, keyed):
    """Somebody else's work between two runs is progress of the key."""
    until_stopped(keyed(world.probe()), world.body([(1, {})] * 9), after=4)
    world.states["a"] = 1
    report = keyed(world.probe()).run(world.body([(1, {})] * 9))

    assert stalled(report) == 5 + 5


def test_evidence_that_was_never_looked_at_gets_a_whole_window(world, keyed):
    """A key that goes on with other evidence begins a window, whatever it remembers."""
    world.states["b"] = 0
    until_stopped(keyed(world.probe("a"), after=90), world.body([(1, {})] * 50), after=40)
    both = keyed(world.probe("a") & world.probe("b"))
    report = both.run(world.body([(1, {})] * 20))

    assert stalled(report) == 40 + 5


def test_blind_evidence_that_was_never_looked_at_gets_a_whole_window(world, keyed):
    """The same where the new evidence cannot be seen."""
    world.states["b"] = BLIND
    until_stopped(keyed(world.probe("a"), after=90), world.body([(1, {})] * 50), after=40)
    report = keyed(world.probe("b")).run(world.body([(1, {})] * 20))

    assert (stalled(report), report.reason) == (
        45,
        "blind: could not see b for 5 s (b: it answered None)",
    )


def test_its_memory_is_json(world):
    """Tuples come back as lists from a store, and are understood."""
    detector = StallDetector(after=5, evidence=world.probe()).fresh()
    (question,) = detector.asks()
    detector.heard(question, Answer(b"x"), iteration(elapsed=3, result=1))
    memory = {k: [*v] if isinstance(v, tuple) else v for k, v in detector.memory().items()}
    again = StallDetector(after=5, evidence=world.probe()).fresh()
    again.recall(memory)
    again.recall(detector.memory(apart=True))

    assert again.memory() == detector.memory()
    assert again.seen == detector.seen
    assert again.due_at(question) == 3.5


def test_a_detector_is_not_changed_by_its_runs(world):
    """The policy that was given has seen nothing, however often it ran."""
    detector = StallDetector(after=5, every=1, evidence=world.probe())
    world.run(detector, steps=every_second(1, 2, 3))

    assert (detector.seen, detector.asked) == ({}, (-1.0,))


# Putting it together -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "5", None])
def test_bad_windows_are_refused(world, value):
    """A window is a finite number of seconds above 0, and so is a spacing."""
    with pytest.raises(ConfigurationError) as window:
        StallDetector(after=value, evidence=world.probe(), every=1)
    with pytest.raises(ConfigurationError) as spacing:
        StallDetector(after=5, evidence=world.probe(), every=value)

    assert f"StallDetector(after={value!r}): give seconds, a finite" in str(window.value)
    assert f"StallDetector(every={value!r}): give seconds above 0" in str(spacing.value)


def test_a_spacing_longer_than_the_window_is_refused(world):
    """It would look only after it should have spoken."""
    with pytest.raises(ConfigurationError, match=r"every=6\).*at most after=5"):
        StallDetector(after=5, every=6, evidence=world.probe())
    StallDetector(after=5, every=5, evidence=world.probe())


@pytest.mark.parametrize("evidence", [None, "out/*.md", lambda: 3])
def test_evidence_is_evidence(evidence):
    """A bare function or a pattern is refused with what would be right."""
    with pytest.raises(ConfigurationError, match=r"evidence=.*a function goes into Probe"):
        StallDetector(after=5, evidence=evidence)


def test_a_question_for_work_is_a_function(world):
    """``when=True`` would be a promise that nobody keeps."""
    with pytest.raises(ConfigurationError, match=r"when=True\): give a function of no arguments"):
        StallDetector(after=5, evidence=world.probe(), when=True)


@pytest.mark.parametrize("names", ["aa", ["when"], ["when", "a"]])
def test_pieces_need_names_of_their_own(names):
    """Two pieces of one name would share what was seen."""
    world = World()
    evidence = [world.probe(name) for name in names]
    whole = evidence[0] if len(evidence) == 1 else evidence[0] | evidence[1]

    with pytest.raises(ConfigurationError, match="two pieces have one name"):
        StallDetector(after=5, evidence=whole)


def test_one_that_could_never_speak_is_refused(world):
    """A window that is not over before the loop is would never be looked at."""
    detector = StallDetector(after=600, evidence=world.probe())

    with pytest.raises(ConfigurationError, match="StallDetector could never speak: it needs 600 s"):
        Loop(detector, Deadline(total=600))
    Loop(detector, Deadline(total=601))


def test_its_looks_say_whether_they_block(world):
    """An async driver hands slow evidence to another thread."""

    class Slow(Evidence):
        blocks = True

        def fingerprint(self):
            return b""

    (fast,) = StallDetector(after=5, evidence=world.probe()).asks()
    (slow,) = StallDetector(after=5, evidence=Slow()).asks()

    assert (fast.ask.blocks, slow.ask.blocks) == (False, True)


def test_without_a_look_there_is_no_verdict(world):
    """It judges only what was read for this very moment."""
    detector = StallDetector(after=5, evidence=world.probe()).fresh()
    (question,) = detector.asks()
    detector.heard(question, Answer(b"x"), iteration(elapsed=0))

    assert detector.after(iteration(elapsed=600, result=1)) is None
    detector.heard(question, Answer(b"x"), iteration(elapsed=600, result=1))
    assert detector.after(iteration(elapsed=600, result=1)) == Trip("nothing new in a for 600 s")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.04"), (0.25, "0.25"), (0.996, "1"), (1.2, "1"), (1842.3, "1842")],
)
@pytest.mark.parametrize(
    ("state", "reason"),
    [(b"x", "nothing new in a for"), (None, "blind: could not see a for")],
    ids=["stale", "blind"],
)
def test_a_short_window_is_not_told_as_none(world, seconds, said, state, reason):
    """Whole seconds are enough, but nobody reads that a loop was ended after 0 of them."""
    detector = StallDetector(after=seconds, evidence=world.probe()).fresh()
    (question,) = detector.asks()
    detector.heard(question, Answer(b"x"), iteration(elapsed=0))
    detector.heard(question, Answer(state), iteration(elapsed=seconds, result=1))
    told = detector.after(iteration(elapsed=seconds, result=1))

    assert told is not None
    assert told.reason.startswith(f"{reason} {said} s")


def test_what_it_promises(world):
    """It bounds nothing by itself, and says its window in words."""
    detector = StallDetector(after=600, evidence=world.probe())

    assert (detector.bounds, detector.start_limit, detector.time_limit) == (False, None, None)
    assert detector.speaks_after == 600
    assert detector.limits() == (("stall", "600"),)
