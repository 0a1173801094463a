# SPDX-License-Identifier: MIT
"""Wrong designs, each of them the real code with a few words of it exchanged.

A checker that does not find them proves nothing.  The words must stand in the
code as they are named here, so that a seed cannot outlive what it spoils.
"""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any
from unittest import mock

import attrs


@attrs.frozen
class Seed:
    """One wrong design.

    Args:
        name: what it does wrong, in words.
        owner: the module or class that has the function.
        function: its name.
        right: words of its source.
        wrong: what stands there instead.
        world: the configuration in which it is looked for.
        breaks: what the promise that it breaks begins with.
    """

    name: str
    owner: Any
    function: str
    right: str
    wrong: str
    world: Any
    breaks: tuple[str, ...]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """Exchanges the function, while it lasts."""
        function = getattr(self.owner, self.function)
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.right) != 1:
            raise AssertionError(f"{self.name}: {self.function} does not say {self.right!r} once")
        code = source.replace(self.right, self.wrong)
        # Its own module's names, so that what is exchanged there is found there.
        names = function.__globals__
        made: dict[str, Any] = {}
        exec("from __future__ import annotations\n" + code, names, made)
        wrong = made[self.function]
        wrong.__qualname__ = function.__qualname__
        with mock.patch.object(self.owner, self.function, wrong):
            yield
