# SPDX-License-Identifier: MIT
"""The stall detector: has anything new been produced, seen from outside?

It is told fingerprints and live seconds and compares them with what it has
seen; it never looks at the world, and no word of the loop about itself reaches
it.

The theory.  Each piece of evidence is in one of three states at a sample: *new*
(a fingerprint not among the last thousands), *old*, or *blind* (None, or the
probe raised).  Two clocks run over the loop's live seconds: since the evidence
was last new, and since it was last seen at all.  The detector opens when

- nothing was new for the window, and no piece went out of sight within it, for
  what is out of sight may turn out to be new: a stall; or
- nothing could be seen for the whole window: blind, a reason of its own.

The first sample is the baseline: what is there before the loop began is known,
and no progress.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from haltable.breaker import Breaker
from haltable.errors import ConfigurationError, in_words
from haltable.hooks import Horizon
from haltable.iteration import Iteration
from haltable.memory import remembered
from haltable.model import Trip, Verdict
from haltable.probe import Answer, Due, Evidence, Question
from haltable.quantity import check_seconds, is_seconds, shown

__all__ = ["StallDetector"]

#: How many states of each piece of evidence are remembered.
STATES_KEPT = 4096
#: How many samples fit into a window unless ``every=`` says otherwise.
SAMPLES = 10
_WHEN = "when"
_WHENEVER = Due.ALWAYS | Due.DURING


def _part_of_the_window(stall: StallDetector) -> float:
    seconds: object = stall.after_seconds
    # Checked after this, so that a wrong one is named as what it is.
    return seconds / SAMPLES if is_seconds(seconds) else math.nan


def _check_after(stall: StallDetector, attribute: attrs.Attribute[float], value: object) -> None:
    del stall, attribute
    check_seconds("after", value, of="StallDetector")


def _check_every(stall: StallDetector, attribute: attrs.Attribute[float], value: object) -> None:
    del attribute
    if not is_seconds(value) or value > stall.after_seconds:
        raise ConfigurationError(
            f"StallDetector(every={shown(value)}): give seconds above 0, "
            f"at most after={stall.after_seconds!r}"
        )


def _check_evidence(
    stall: StallDetector, attribute: attrs.Attribute[Evidence], value: object
) -> None:
    del stall, attribute
    if not isinstance(value, Evidence):
        raise ConfigurationError(
            f"StallDetector(evidence={value!r}): give evidence from haltable.evidence; "
            "a function goes into Probe(...)"
        )


def _check_when(stall: StallDetector, attribute: attrs.Attribute[Any], value: object) -> None:
    del stall, attribute
    if value is not None and not callable(value):
        raise ConfigurationError(
            f"StallDetector(when={value!r}): give a function of no arguments, or None"
        )


@attrs.define(eq=False)
class StallDetector(Breaker):
    """Opens when no new outside evidence has appeared for so many seconds.

    New is a state that was not seen before: touching a file, or going back to
    an earlier content, is not.  Seconds count while the loop is alive, pauses
    included, summed over the runs of a keyed loop.

    Args:
        after: the window in seconds, above 0.
        evidence: what to look at: `haltable.evidence.Files`, `Probe` and the
            like, composed with ``|`` and ``&``.
        every: at least so many seconds lie between two looks; a tenth of the
            window by default.  The verdict comes late by at most this.
        when: a function of no arguments, true while there is work to do;
            seconds in which it is not do not count.  None: always.
        name: how receipts call it.

    Raises:
        ConfigurationError: if a number is out of its range, ``every`` is
            longer than the window, or ``evidence`` is none.

    Example:
        >>> from haltable import StallDetector
        >>> from haltable.evidence import Probe
        >>> StallDetector(after=600, evidence=Probe(lambda: 1)).every
        60.0
    """

    after_seconds: float = attrs.field(alias="after", kw_only=True, validator=_check_after)
    evidence: Evidence = attrs.field(kw_only=True, validator=_check_evidence)
    every: float = attrs.field(
        default=attrs.Factory(_part_of_the_window, takes_self=True),
        kw_only=True,
        validator=_check_every,
    )
    when: Callable[[], bool | Awaitable[bool]] | None = attrs.field(
        default=None, kw_only=True, validator=_check_when
    )

    _leaves: tuple[Evidence, ...] = attrs.field(init=False)
    _names: tuple[str, ...] = attrs.field(init=False)
    _last_fault: str | None = attrs.field(default=None, init=False)

    # Per leaf: its name; in live seconds, when it was asked, seen and new for the last time.
    watched: tuple[str, ...] = remembered(default=())
    asked: tuple[float, ...] = remembered(default=())
    sighted: tuple[float, ...] = remembered(default=())
    new: tuple[float, ...] = remembered(default=())
    new_start: int = remembered(default=0)
    worked: float = remembered(default=0.0)
    seen: dict[str, list[str]] = remembered(factory=dict[str, list[str]], apart=True)

    def __attrs_post_init__(self) -> None:
        self._leaves = self.evidence.leaves()
        self._names = tuple(str(leaf) for leaf in self._leaves)
        if len(set(self._names)) < len(self._names) or _WHEN in self._names:
            raise ConfigurationError(
                f"StallDetector(evidence={self.evidence}): two pieces have one name; "
                "give each a name of its own"
            )
        self._start_over()

    @property
    def patience(self) -> float:
        """The spacing of its looks: what is new shows while a body runs, too."""
        return self.every

    @property
    def speaks_after(self) -> float:
        """It cannot speak before a whole window has passed."""
        return self.after_seconds

    def asks(self) -> tuple[Question, ...]:
        """Returns one question for each piece of evidence, and ``when`` before them."""
        questions = [
            Question(name, _Look(leaf), _WHENEVER, timed=True)
            for name, leaf in zip(self._names, self._leaves, strict=True)
        ]
        if self.when is not None:
            ask = self.when
            questions.insert(0, Question(_WHEN, lambda _: ask(), _WHENEVER, timed=True))
        return tuple(questions)

    def due_at(self, question: Question) -> float:
        """Returns the next sample: when the window ends, or earlier by the spacing."""
        del question  # All are asked together, so that one moment is judged.
        return self._next_look()

    def _next_look(self) -> float:
        asked = min(self.asked)
        if asked < 0:
            return 0.0  # What there is before the loop begins is known, and no progress.
        end = self.evidence.newest(self.new) + self.after_seconds
        return min(asked + self.every, end) if end > asked else asked + self.every

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent until the next sample."""
        del extension
        return Horizon(elapsed=self._next_look())

    def heard(self, question: Question, answer: Answer, iteration: Iteration) -> Verdict | None:
        """Takes note of a sample; the ruling comes in `after`, when all are in."""
        now = iteration.elapsed
        if question.name == _WHEN:
            if answer.fault is not None:
                return super().heard(question, answer, iteration)
            self._pass_idle_time(now, has_work=bool(answer.value))
            return None
        index = self._names.index(question.name)
        baseline = self.asked[index] < 0
        if baseline:
            # The window begins here: for a key that ran without this evidence, too.
            self.sighted = _replaced(self.sighted, index, now)
            self.new = _replaced(self.new, index, now)
        self.asked = _replaced(self.asked, index, now)
        state, blind = _state_of(answer)
        if state is None:
            self._last_fault = f"{question.name}: {blind}"
            return None
        self.sighted = _replaced(self.sighted, index, now)
        known = self.seen.get(question.name, [])
        if state not in known:
            self.seen = {**self.seen, question.name: [*known[1 - STATES_KEPT :], state]}
            self.new = _replaced(self.new, index, now)
            self.new_start = self.new_start if baseline else iteration.starts
        return None

    def before(self, iteration: Iteration) -> Trip | None:
        """Rules before a start, which a key that was resumed may need."""
        return self._judge(iteration.elapsed)

    def during(self, iteration: Iteration) -> Trip | None:
        """Rules while the body runs, when the samples of this moment are in."""
        return self._judge(iteration.elapsed)

    def after(self, iteration: Iteration) -> Trip | None:
        """Rules when the samples of this moment are in."""
        return self._judge(iteration.elapsed)

    def newest_evidence(self) -> tuple[str, int] | None:
        """Returns the evidence and the start at whose end it was last new."""
        return (str(self.evidence), self.new_start) if self.new_start else None

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its window in words."""
        return (("stall", f"{self.after_seconds:g}"),)

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Puts its memory back; one that was made over other evidence is left out."""
        super().recall(memory)
        self.asked, self.sighted, self.new = tuple(self.asked), tuple(self.sighted), tuple(self.new)
        self.watched = tuple(self.watched)
        if self.watched != self._names:
            self._start_over()

    def _start_over(self) -> None:
        size = len(self._names)
        self.asked, self.sighted, self.new = (-1.0,) * size, (0.0,) * size, (0.0,) * size
        self.watched, self.new_start = self._names, 0

    def fresh(self) -> StallDetector:
        """Returns a copy for one run, which has seen nothing yet."""
        fresh = super().fresh()
        fresh.recall({})  # No memory is one over other evidence.
        return fresh

    def _pass_idle_time(self, now: float, *, has_work: bool) -> None:
        idle = 0.0 if has_work else now - self.worked
        self.new = tuple(min(now, at + idle) for at in self.new)
        self.sighted = tuple(min(now, at + idle) for at in self.sighted)
        self.worked = now

    def _judge(self, now: float) -> Trip | None:
        if min(self.asked) < now:
            return None  # Not every probe was read for this very moment.
        sighted = self.evidence.newest(self.sighted)
        if now - sighted >= self.after_seconds:
            why = "" if self._last_fault is None else f" ({self._last_fault})"
            return Trip(f"blind: could not see {self.evidence} for {_whole(now - sighted)} s{why}")
        silent = now - self.evidence.newest(self.new)
        hidden = any(0 < now - at < self.after_seconds for at in self.sighted)
        if hidden or silent < self.after_seconds:
            return None
        return Trip(f"nothing new in {self.evidence} for {_whole(silent)} s")


def _whole(seconds: float) -> str:
    """Returns whole seconds; of less than one, as much as says that there was a wait."""
    return f"{seconds:.0f}" if seconds >= 1 else f"{seconds:.2g}"


def _state_of(answer: Answer) -> tuple[str | None, str]:
    if answer.fault is not None:
        return None, in_words(answer.fault)
    if answer.value is None:
        return None, "it answered None"
    if not isinstance(answer.value, (bytes, bytearray)):
        return None, f"a fingerprint is bytes or None, this was {type(answer.value).__name__}"
    return hashlib.blake2b(answer.value, digest_size=8).hexdigest(), ""


@attrs.frozen
class _Look:
    """Asks one piece of evidence; says whether that may block."""

    leaf: Evidence

    @property
    def blocks(self) -> bool:
        return bool(getattr(self.leaf, "blocks", False))

    def __call__(self, subject: object) -> object:
        del subject
        return self.leaf.fingerprint()


def _replaced(times: tuple[float, ...], index: int, time: float) -> tuple[float, ...]:
    return (*times[:index], time, *times[index + 1 :])
