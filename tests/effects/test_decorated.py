# SPDX-License-Identifier: MIT
"""``@guard.effect``: each call of a function is an effect, and the function stays what it was."""

from __future__ import annotations

import inspect

import anyio
import attrs
import pytest

from haltable import ConfigurationError, EffectHeld, IdempotencyGuard, PayloadMismatch
from haltable.effects import claim
from haltable.stores import MemoryStore


@pytest.fixture
def guard():
    """A guard over a store of its own."""
    return IdempotencyGuard(store=MemoryStore())


def test_a_function(guard):
    """Each order is charged once; defaults and names count as what they stand for."""
    charged = []

    @guard.effect(key="charge:{order}:{currency}")
    def charge(order: int, amount: float = 1.5, *, currency: str = "EUR") -> str:
        """Charges an order."""
        charged.append(claim().key)
        return f"{amount} {currency}"

    found = [charge(7), charge(order=7), charge(7, 1.5, currency="EUR"), charge(7, currency="USD")]

    assert found == ["1.5 EUR", "1.5 EUR", "1.5 EUR", "1.5 USD"]
    assert charged == ["charge:7:EUR", "charge:7:USD"]
    assert (charge.__name__, charge.__doc__) == ("charge", "Charges an order.")
    assert list(inspect.signature(charge).parameters) == ["order", "amount", "currency"]


async def test_an_async_function(guard):
    """The same, awaited; it is still a coroutine function."""
    charged = []

    @guard.effect(key="charge:{order}")
    async def charge(order):
        await anyio.lowlevel.checkpoint()
        charged.append(order)
        return f"receipt {order}"

    found = [await charge(7), await charge(7), await charge(8)]

    assert found == ["receipt 7", "receipt 7", "receipt 8"]
    assert charged == [7, 8]
    assert inspect.iscoroutinefunction(charge)


@attrs.frozen
class Order:
    """Something with a name of its own."""

    number: int
    lines: dict[str, str]


async def test_methods(guard):
    """Methods, class methods and static methods, of which the first may be awaited."""
    charged = []

    class Shop:
        name = "north"

        @guard.effect(key="charge:{self.name}:{order.number}")
        def charge(self, order):
            charged.append(order.number)
            return self.name

        @guard.effect(key="refund:{order.lines[first]}")
        async def refund(self, order):
            charged.append(-order.number)
            return self.name

        @classmethod
        @guard.effect(key="open:{cls.name}")
        def open(cls):
            charged.append("open")
            return cls.name

        @staticmethod
        @guard.effect(key="ping:{host!r:>10}")
        def ping(host):
            charged.append(host)
            return claim().key

    shop, order = Shop(), Order(7, {"first": "a book"})
    found = [
        *(shop.charge(order) for _ in range(2)),
        *[await shop.refund(order) for _ in range(2)],
        *(Shop.open() for _ in range(2)),
        *(shop.ping("host") for _ in range(2)),
    ]

    assert found == ["north"] * 6 + ["ping:    'host'"] * 2
    assert charged == [7, -7, "open", "host"]


def test_parameters_of_any_name(guard):
    """What a guard's own verbs call their arguments is free for the function's."""

    @guard.effect(key="charge:{key}")
    def charge(*rest, key, fn=1, payload=2, self=3):
        return [*rest, key, fn, payload, self]

    found = [charge(0, key="a", payload=5) for _ in range(2)]

    assert found == [[0, "a", 1, 5, 3]] * 2


def test_a_function_names_the_key(guard):
    """Where a format string is not enough, a function of the same arguments names the effect."""
    charged = []

    @guard.effect(key=lambda order, **_: f"charge:{order.number}")
    def charge(order, *, amount=1):
        charged.append(amount)
        return amount

    found = [charge(Order(7, {})), charge(Order(7, {}), amount=1)]

    assert found == [1, 1]
    assert charged == [1]


def test_other_arguments_under_the_same_key(guard):
    """A key that leaves out what matters is found out by the payload."""

    @guard.effect(key="charge:{order}")
    def charge(order, amount):
        return amount

    charge(7, 10)

    with pytest.raises(PayloadMismatch, match="other arguments"):
        charge(7, 20)


def test_a_recursive_effect_with_the_same_key(guard):
    """It calls itself and would wait for ever."""

    @guard.effect(key="charge")
    def charge():
        return charge()

    with pytest.raises(EffectHeld):
        charge()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "non-empty string"),
        (None, "a format string or a function"),
        (7, "a format string or a function"),
        (b"charge", "a format string or a function"),
        ("\ud800", "no valid text"),
        ("charge:{number}", r"over the parameters \(order\); '.*' is none of them"),
        ("charge:{}", r"over the parameters \(order\); '.*' is none of them"),
        ("charge:{0}", r"over the parameters \(order\); '.*' is none of them"),
        ("charge:{order:{width}}", r"over the parameters \(order\); '.*' is none of them"),
        ("charge:{order", "charge:{order"),
        ("charge:}", "charge:}"),
    ],
)
def test_a_key_that_cannot_be_right(guard, key, why):
    """It is refused where it stands, not at the first call."""
    with pytest.raises(ConfigurationError, match=why) as raised:

        @guard.effect(key=key)
        def charge(order):
            """Charges."""

    assert str(raised.value).startswith(f"effect(key={key!r}): ")


@pytest.mark.parametrize("made", ["", None, 7, "\ud800"])
def test_a_function_that_names_no_key(guard, made):
    """What it returned is named, and the effect does not run."""
    charged = []

    @guard.effect(key=lambda order: made)
    def charge(order):
        charged.append(order)

    with pytest.raises(ConfigurationError) as raised:
        charge(7)

    assert str(raised.value).startswith(f"effect(key={made!r}): ")
    assert charged == []


def test_a_generator_function_is_refused(guard):
    """Its body would only begin when it is iterated, outside the claim."""
    with pytest.raises(ConfigurationError, match="give a function that does the effect"):

        @guard.effect(key="charge")
        def charge():
            yield


def test_a_call_with_wrong_arguments(guard):
    """It is the function's own TypeError, and claims nothing."""

    @guard.effect(key="charge:{order}")
    def charge(order):
        """Charges."""

    with pytest.raises(TypeError, match="order"):
        charge()
