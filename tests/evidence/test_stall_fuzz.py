# SPDX-License-Identifier: MIT
"""Ten thousand made-up lives: the stall detector trips exactly when a tiny oracle says so.

A life is drawn from a seed: how long each iteration and each restart takes, what
a probe would see, and whether there is work.  The oracle is the definition over
the list of looks, and shares nothing with the detector.  The suite draws some of
the lives; this draws all of them, in about half a minute::

    python -m tests.evidence.test_stall_fuzz
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

if not __package__:  # Run as a file: what it imports lies two folders up.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import attrs
import pytest

from haltable import IterationCap, Loop, MemoryStore, StallDetector
from haltable.breakers import stall_detector
from haltable.evidence import Probe
from haltable.testing import FakeClock
from tests.benchmarks.subjects import quiet

SEEDS, DRAWN_BY_THE_SUITE = 10_000, 2_000
#: How many of them make one test, which is to end in time also where it is measured.
A_TEST = 250


@attrs.frozen
class Step:
    """One iteration: the seconds it takes, and what there is at its end.

    Args:
        seconds: in quarters, so that sums are exact.
        state: what the probe sees.
        works: what ``when`` says.
        asleep: seconds until the process is started again; None if it goes on.
    """

    seconds: float
    state: int
    works: bool
    asleep: float | None


@attrs.frozen
class Life:
    """One drawn life of a key."""

    after: float
    every: float
    steps: tuple[Step, ...]


def drawn(seed):
    """Draws a life."""
    chance = random.Random(seed)
    after = chance.choice([1.0, 3.0, 8.0, 20.0])
    every = chance.choice([0.25, after / 4, after])
    fresh, restless = chance.choice([0.05, 0.2]), chance.choice([0.2, 0.7])
    lazy, mortal = chance.choice([0.0, 0.3, 0.8]), chance.choice([0.0, 0.15])
    state, newest, steps = 0, 0, []
    for _ in range(chance.randint(1, 30)):
        if chance.random() < fresh:
            state = newest = newest + 1
        elif chance.random() < restless:
            state = chance.randint(0, newest)
        seconds = chance.choice([0.0, 0.25, 0.5, 1.0, 2.5])
        asleep = 1000.0 if chance.random() < mortal else None
        steps.append(Step(seconds, state, chance.random() >= lazy, asleep))
    return Life(after, every, tuple(steps))


def oracle(life):
    """Says at which live second nothing had been new for the window of work; None if never."""
    seen, now, looked, silent = {0}, 0.0, 0.0, 0.0
    for step in life.steps:
        now += step.seconds
        if now < looked + min(life.every, life.after - silent):
            continue
        silent = 0.0 if step.state not in seen else silent + (now - looked) * step.works
        looked = now
        seen.add(step.state)
        if silent >= life.after:
            return now
    return None


def lived(life):
    """Says at which live second a real loop was tripped; None if never."""
    clock, now = FakeClock(), Step(0.0, 0, works=True, asleep=None)
    stall = StallDetector(
        after=life.after,
        every=life.every,
        evidence=Probe(lambda: now.state, name="state"),
        when=lambda: now.works,
    )
    cap = IterationCap(len(life.steps), max_consecutive_failures=None)
    loop = Loop(stall, cap, key="life", store=MemoryStore(), clock=clock)
    left = iter(life.steps)
    run = loop.start()

    def body():
        nonlocal now
        now = next(left)
        clock.advance(now.seconds)
        if now.asleep is not None:
            run.stop("the process ends")

    report = run.run(body)
    while not report.status.terminal:
        clock.advance(now.asleep or 0.0)
        run = loop.start()
        report = run.run(body)
    return report.elapsed if report.breaker == "StallDetector" else None


def disagreements(seeds):
    """Returns the seeds of lives that loop and oracle judge differently."""
    return [seed for seed in seeds if lived(drawn(seed)) != oracle(drawn(seed))]


@pytest.mark.parametrize("first", range(0, DRAWN_BY_THE_SUITE, A_TEST))
def test_no_false_trip_and_no_missed_one(first):
    """In every life that is drawn, the detector trips at the oracle's second, or never."""
    with quiet():
        found = disagreements(range(first, first + A_TEST))

    assert found == []


def counts_idle_time(monkeypatch):
    """Plants: seconds without work count."""
    monkeypatch.setattr(
        StallDetector,
        "_pass_idle_time",
        lambda self, now, *, has_work: setattr(self, "worked", now),
    )


def forgets_after_one_state(monkeypatch):
    """Plants: only the last state is known, so that going back is new."""
    monkeypatch.setattr(stall_detector, "STATES_KEPT", 1)
    heard = StallDetector.heard

    def only_the_last(self, question, answer, iteration):
        verdict = heard(self, question, answer, iteration)
        self.seen = {name: states[-1:] for name, states in self.seen.items()}
        return verdict

    monkeypatch.setattr(StallDetector, "heard", only_the_last)


def counts_the_time_asleep(monkeypatch):
    """Plants: what passes between two runs counts."""
    before = StallDetector.recall

    def later(self, memory):
        before(self, memory)
        self.new = tuple(at - 2.0 for at in self.new)

    monkeypatch.setattr(StallDetector, "recall", later)


@pytest.mark.one_python
@pytest.mark.parametrize(
    "plant", [counts_idle_time, forgets_after_one_state, counts_the_time_asleep]
)
def test_the_oracle_finds_a_planted_bug(plant, monkeypatch):
    """A detector that is wrong in one point is found within a few hundred lives."""
    plant(monkeypatch)

    assert disagreements(range(300)) != []


def test_the_lives_are_worth_living():
    """Lives that trip and lives that do not are both drawn often, early ends and late ones."""
    ends = [oracle(drawn(seed)) for seed in range(DRAWN_BY_THE_SUITE)]
    trips = [end for end in ends if end is not None]

    assert DRAWN_BY_THE_SUITE / 5 < len(trips) < DRAWN_BY_THE_SUITE * 4 / 5
    assert min(trips) == 1.0
    assert max(trips) > 25


def main():
    """Draws all lives; names the seeds of those that are judged differently."""
    with quiet():
        wrong = disagreements(range(SEEDS))
    sys.stdout.write(f"{SEEDS} lives, {len(wrong)} judged differently {wrong[:20] or ''}\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
