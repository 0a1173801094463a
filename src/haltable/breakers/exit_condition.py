# SPDX-License-Identifier: MIT
"""The exit that is not "until it works": an explicit success, an explicit give-up.

It weighs the answers to its own conditions and looks at nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from haltable.breaker import Breaker
from haltable.errors import ConfigurationError
from haltable.hooks import Horizon
from haltable.model import Done, GiveUp, Verdict
from haltable.probe import Condition, Due, Question, as_condition

__all__ = ["ExitCondition"]


def _as_success(value: Condition | Callable[..., object] | None) -> Condition | None:
    return None if value is None else as_condition(value, "success")


def _as_give_up(value: Condition | Callable[..., object] | None) -> Condition | None:
    return None if value is None else as_condition(value, "give_up")


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class ExitCondition(Breaker):
    """Says when a loop has succeeded and when it cannot any more.

    A function with a parameter is asked after iterations that returned, with
    the result; one without is also asked before the first iteration (what is
    already done runs nothing) and after failures.  `haltable.conditions` has
    ready-made ones.

    Args:
        success: holds when the loop has succeeded.  With it, a body's own
            ``iteration.done()`` is only a claim.
        give_up: holds when it cannot succeed any more.
        name: how receipts call it.

    Raises:
        ConfigurationError: if neither is given, or one is no condition.

    Example:
        >>> from haltable import ExitCondition, IterationCap, Loop
        >>> numbers = iter([3, 7, 12])
        >>> loop = Loop(IterationCap(9), ExitCondition(success=lambda number: number > 10))
        >>> loop.run(lambda: next(numbers)).unwrap()
        12
    """

    success: Condition | None = attrs.field(default=None, kw_only=True, converter=_as_success)
    give_up: Condition | None = attrs.field(default=None, kw_only=True, converter=_as_give_up)

    def __attrs_post_init__(self) -> None:
        if self.success is None and self.give_up is None:
            raise ConfigurationError(
                "ExitCondition(): name at least one of success= and give_up=, "
                "else it could never speak"
            )

    @property
    def stateful(self) -> bool:
        """It remembers nothing."""
        return False

    @property
    def judges_success(self) -> bool:
        """With a success condition, it has the last word."""
        return self.success is not None

    def asks(self) -> tuple[Question, ...]:
        """Returns one question for each condition and moment."""
        questions: list[Question] = []
        verdicts: dict[str, Verdict] = {
            "success": Done(f"{self.success} holds"),
            "give_up": GiveUp(f"{self.give_up} holds"),
        }
        for name, condition in (("success", self.success), ("give_up", self.give_up)):
            if condition is None:
                continue
            for moment in (Due.START, Due.RETURN, Due.FAILURE):
                if moment in condition.due:
                    ask = condition.question_at(moment)
                    questions.append(
                        Question(name, ask, moment, quiet=True, verdict=verdicts[name])
                    )
        return tuple(questions)

    def horizon(self, extension: int) -> Horizon | None:
        """Says that its hooks never speak: only answers make it."""
        del extension
        return Horizon()
