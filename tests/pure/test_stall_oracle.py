# SPDX-License-Identifier: MIT
"""The stall detector against an oracle of a few lines, over hundreds of made-up lives.

The lives are drawn from seeds: pieces of evidence that change, go back, or hide,
bodies that are short or long, and restarts.  Moments are quarters of a second,
so that both sides add them up to the same number.
"""

from __future__ import annotations

import random

import attrs
import pytest

from haltable import IterationCap, Loop, MemoryStore, StallDetector
from haltable.breakers import stall_detector
from haltable.evidence import Probe
from haltable.probe import Answer
from haltable.testing import FakeClock

SEEDS = 500
HIDDEN = None
#: How pieces are composed, once as evidence and once as the fold of their times.
SHAPES = [
    ("a", lambda a: a, lambda a: a),
    ("ab", lambda a, b: a | b, max),
    ("ab", lambda a, b: a & b, min),
    ("abc", lambda a, b, c: (a | b) & c, lambda a, b, c: min(max(a, b), c)),
    ("abc", lambda a, b, c: a | (b & c), lambda a, b, c: max(a, min(b, c))),
]


@attrs.frozen
class Life:
    """One drawn life of a key.

    Args:
        names: of the pieces of evidence.
        compose: makes evidence of the pieces.
        fold: makes one moment of theirs.
        after: the window.
        every: the spacing.
        first: the states at the beginning.
        steps: for each iteration the seconds it takes, the states at its end, and
            whether the process is restarted after it.
    """

    names: str
    compose: object
    fold: object
    after: float
    every: float
    first: tuple[object, ...]
    steps: tuple[tuple[float, tuple[object, ...], bool], ...]


def drawn(seed):
    """Draws a life."""
    chance = random.Random(seed)
    names, compose, fold = chance.choice(SHAPES)
    after = chance.choice([2.0, 5.0, 12.0, 40.0])
    states = [*range(chance.choice([1, 2, 4, 40])), *[HIDDEN] * chance.choice([0, 1, 3])]

    def look():
        return tuple(chance.choice(states) for _ in names)

    steps, now, restless = [], look(), chance.choice([0.05, 0.2, 0.5])
    for _ in range(60):
        both = zip(look(), now, strict=True)
        now = tuple(new if chance.random() < restless else old for new, old in both)
        seconds = chance.choice([0.0, 0.25, 0.5, 1.0, 1.0, 4.0])
        steps.append((seconds, now, chance.random() < 0.1))
    every = chance.choice([0.25, 1.0, after / 2, after])
    return Life(names, compose, fold, after, every, look(), tuple(steps))


def oracle(life):
    """Says when the loop ends, and whether blind, by the definition and nothing else."""
    now, last, pieces = 0.0, -1.0, range(len(life.names))
    seen, new, sighted = [set() for _ in pieces], [0.0] * len(pieces), [0.0] * len(pieces)
    for seconds, states, _ in [(0.0, life.first, False), *life.steps]:
        now += seconds
        end = life.fold(*new) + life.after
        if last >= 0 and now < (min(last + life.every, end) if end > last else last + life.every):
            continue
        last = now
        for piece in pieces:
            if states[piece] is not HIDDEN:
                new[piece] = new[piece] if states[piece] in seen[piece] else now
                sighted[piece] = now
                seen[piece].add(states[piece])
        if now - life.fold(*sighted) >= life.after:
            return now, "blind"
        hiding = any(0 < now - at < life.after for at in sighted)
        if now - life.fold(*new) >= life.after and not hiding:
            return now, "nothing"
    return None


def lived(life, *, keyed):
    """Says when a real loop ends, and whether blind."""
    clock, states = FakeClock(), dict(zip(life.names, life.first, strict=True))
    pieces = [Probe(lambda name=name: states[name], name=name) for name in life.names]
    loop = Loop(
        StallDetector(after=life.after, every=life.every, evidence=life.compose(*pieces)),
        IterationCap(len(life.steps), max_consecutive_failures=None),
        clock=clock,
        key="life" if keyed else None,
        store=MemoryStore() if keyed else None,
    )
    left = iter(life.steps)
    run = loop.start()

    def body():
        seconds, now, restarts = next(left)
        clock.advance(seconds)
        states.update(zip(life.names, now, strict=True))
        if restarts and keyed:
            run.stop("the process is restarted")
        if now[0] == 1:
            raise OSError("failures are looked at like anything else")

    report = run.run(body)
    while not report.status.terminal:
        clock.advance(1000.0)  # Seconds in which nothing runs, and nothing changes.
        run = loop.start()
        report = run.run(body)
    if report.breaker != "StallDetector":
        return None
    return report.elapsed, report.reason.split()[0].rstrip(":")


def disagreements(seeds, *, keyed):
    """Returns what loop and oracle said, by seed, where they did not say the same."""
    found = {seed: (lived(drawn(seed), keyed=keyed), oracle(drawn(seed))) for seed in seeds}
    return {seed: both for seed, both in found.items() if both[0] != both[1]}


@pytest.mark.parametrize("keyed", [False, True])
def test_the_detector_agrees_with_the_oracle(keyed):
    """It ends every life when the definition says, for the reason the definition says."""
    assert disagreements(range(SEEDS), keyed=keyed) == {}


def forgets_early(monkeypatch):
    """Plants: only the last two states are known."""
    monkeypatch.setattr(stall_detector, "STATES_KEPT", 2)


def forgets_over_restarts(monkeypatch):
    """Plants: what was seen does not come back."""
    recall = StallDetector.recall

    def without_seen(self, memory):
        recall(self, {name: value for name, value in memory.items() if name != "seen"})

    monkeypatch.setattr(StallDetector, "recall", without_seen)


def looks_late(monkeypatch):
    """Plants: the first look is not at once."""
    look = StallDetector._next_look

    def late(self):
        return look(self) if min(self.asked) >= 0 else self.every

    monkeypatch.setattr(StallDetector, "_next_look", late)


def blind_is_stale(monkeypatch):
    """Plants: a piece that cannot be seen counts as seen."""
    heard = StallDetector.heard

    def sees_something(self, question, answer, iteration):
        return heard(self, question, answer if answer.value else Answer(b""), iteration)

    monkeypatch.setattr(StallDetector, "heard", sees_something)


def every_change_is_new(monkeypatch):
    """Plants: going back to an earlier state counts as news."""
    heard = StallDetector.heard

    def only_the_last(self, question, answer, iteration):
        verdict = heard(self, question, answer, iteration)
        self.seen = {name: states[-1:] for name, states in self.seen.items()}
        return verdict

    monkeypatch.setattr(StallDetector, "heard", only_the_last)


@pytest.mark.one_python
@pytest.mark.parametrize(
    "plant",
    [forgets_early, forgets_over_restarts, looks_late, blind_is_stale, every_change_is_new],
)
def test_the_oracle_finds_a_planted_bug(plant, monkeypatch):
    """A detector that is wrong in one point disagrees within a few dozen lives."""
    plant(monkeypatch)

    assert disagreements(range(60), keyed=True) != {}


def test_the_lives_are_worth_living():
    """Lives that stall, that go blind, and that do neither are all drawn often."""
    ends = [oracle(drawn(seed)) for seed in range(SEEDS)]
    reasons = [end and end[1] for end in ends]

    assert min(reasons.count(reason) for reason in (None, "blind", "nothing")) > SEEDS / 10
