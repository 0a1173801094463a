# SPDX-License-Identifier: MIT
"""Breakers' memory as text: there and back, and encoded only when it may have changed."""

from __future__ import annotations

import json

import attrs
import pytest

from haltable import Breaker, Deadline, IterationCap, remembered
from haltable.errors import RecordError
from haltable.recollection import Recollection, Unstorable


@attrs.define
class Memory(Breaker):
    """A plain field, a list, and one kept apart."""

    spent: float = remembered(default=0.0)
    pair: tuple[float, ...] = remembered(default=())
    names: list[object] = remembered(factory=list)
    large: dict[str, int] = remembered(factory=dict, apart=True)


@attrs.define
class Plain(Breaker):
    """Nothing but what cannot change in place."""

    spent: float = remembered(default=0.0)
    pair: tuple[object, ...] = remembered(default=())


def kept(*breakers, apart=False):
    """Returns the memory of breakers."""
    return Recollection(breakers, apart=apart)


def test_nobody_has_memory():
    """Breakers without state need none, and nothing is encoded."""
    memory = kept(IterationCap(3), Deadline(total=9), Breaker())

    assert (memory.wanted, memory.refresh(), memory.text) == (False, False, "{}")


@pytest.mark.parametrize("apart", [True, False])
def test_memory_is_json_under_the_breakers_names(apart):
    """Those kept along and those kept apart are two texts, each by breaker and field."""
    one, other = Memory(name="one"), Memory(name='o"ther')
    one.spent, one.large = 2.5, {"a": 1}
    memory = kept(one, IterationCap(3), other, apart=apart)

    assert memory.wanted
    assert memory.refresh()
    along = {"spent": 0.0, "pair": [], "names": []}
    assert json.loads(memory.text) == (
        {"one": {"large": {"a": 1}}, 'o"ther': {"large": {}}}
        if apart
        else {"one": {**along, "spent": 2.5}, 'o"ther': along}
    )


def test_it_comes_back():
    """What one run wrote down, the next one has."""
    first, second = Memory(), Memory()
    first.spent, first.names, first.pair = 2.5, ["a", {"b": [1, None]}], (1.0, 2.0)
    written = kept(first)
    written.refresh()
    read = kept(second)
    read.recall(written.text)

    assert (second.spent, second.names, second.pair) == (2.5, ["a", {"b": [1, None]}], [1.0, 2.0])
    assert read.text == written.text


def test_memory_of_breakers_that_are_gone_is_left_out():
    """A loop may be given other breakers; those that stay find what is theirs."""
    one = Plain(name="one")
    kept(one, Plain(name="new")).recall('{"one":{"spent":3.0},"gone":{"spent":9.0}}')

    assert one.spent == 3.0


def test_unchanged_memory_is_not_encoded_again(monkeypatch):
    """What cannot change in place costs no encoding while it is equal."""
    breaker = Plain()
    breaker.pair = (1.0, None, "a")
    memory = kept(breaker)
    first = memory.refresh()
    monkeypatch.setattr(json, "dumps", lambda *_, **__: pytest.fail("encoded again"))

    assert (first, memory.refresh(), memory.refresh()) == (True, False, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda breaker: setattr(breaker, "spent", 1.0),
        lambda breaker: breaker.names.append(1),
        lambda breaker: setattr(breaker, "pair", (1.0,)),
    ],
)
def test_changes_are_seen(change):
    """A new value is seen, and so is one that changed in place."""
    breaker = Memory()
    memory = kept(breaker)
    memory.refresh()
    before = memory.text
    change(breaker)

    assert memory.refresh()
    assert memory.text != before
    assert not memory.refresh()


@pytest.mark.parametrize("change", [lambda inner: inner.append(2), lambda inner: None])
def test_what_a_tuple_holds_may_change_in_place(change):
    """Only a tuple of plain values is trusted to be the same."""
    breaker, inner = Plain(), [1]
    breaker.pair = (inner,)
    memory = kept(breaker)
    memory.refresh()
    before = memory.text
    change(inner)

    assert memory.refresh() == (len(inner) == 2)
    assert (memory.text != before) == (len(inner) == 2)


def test_after_recalling_it_is_looked_at_again():
    """What a breaker makes of its memory may differ from what was stored."""
    breaker = Plain()
    memory = kept(breaker)
    memory.recall('{"Plain":{"spent":3.0,"pair":[],"gone":1}}')

    assert memory.refresh()
    assert json.loads(memory.text) == {"Plain": {"spent": 3.0, "pair": []}}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), float("inf"), {(1,): 2}])
def test_what_json_cannot_say_is_named(value):
    """The breaker is named, so that it can be opened under its own name."""
    breaker = Memory(name="hourly")
    breaker.names = [value]

    with pytest.raises(Unstorable, match="its memory is not JSON") as refused:
        kept(Memory(), breaker).refresh()
    assert refused.value.breaker == "hourly"


@pytest.mark.parametrize("text", ["[1]", "3", "", "{", "null"])
def test_a_text_that_is_no_memory_is_refused(text):
    """It is never taken for "nothing remembered"."""
    with pytest.raises(RecordError, match="the stored memory of the breakers is"):
        kept(Memory()).recall(text)


def test_memory_that_a_breaker_cannot_take_back_is_refused():
    """The breaker is named; a run does not go on as if it had never run."""

    @attrs.define
    class Picky(Memory):
        def recall(self, memory):
            self.spent = float(memory["spent"])

    for text in ('{"Picky":3}', '{"Picky":{"spent":"much"}}', "{}"):
        with pytest.raises(RecordError, match="Picky cannot take back what it remembered: "):
            kept(Picky()).recall(text)
