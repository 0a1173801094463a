# SPDX-License-Identifier: MIT
"""P1, P2, P4, P7 over real wires: whichever request of a run fares badly, nothing goes uncounted.

A proxy before a real server spoils the Nth request, for every N until a run has
none left to spoil: a charge, an effect's claim, an opening of a connection.
"""

from __future__ import annotations

import contextlib
import itertools
import uuid

import attrs
import pytest

from tests.fleet.lives import CAP, WAYS, Life, spoiled
from tests.fleet.proxy import DOWN, FAULTS, MUTE


@pytest.fixture
def place(place):
    """Each server in turn, with records of this test only: an operator looks through all."""
    with apart(place) as own:
        yield own


@contextlib.contextmanager
def apart(place):
    """A place of its own on a server, for the time of the block."""
    own = attrs.evolve(place, space=f"haltable_{uuid.uuid4().hex}")
    own.prepare()
    yield own
    own.clear()


@pytest.fixture
def proxy(place):
    """A proxy before the server."""
    with place.proxy() as proxy:
        yield proxy


@pytest.fixture
def truth(place):
    """A store on the server itself."""
    with place.open() as store:
        yield store


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("way", [*WAYS, "run with effects", "arun with effects"])
def test_one_request_fares_badly(place, proxy, truth, way, fault):
    """Exactly one state change: the run goes on or says why not; no body is uncounted."""
    way, effects, _ = way.partition(" with effects")
    for at in itertools.count(1):
        life = Life(way, place.behind(proxy), truth, effects=bool(effects))
        first = spoiled(proxy, fault, at, life)
        if first is None:
            break
        life.check_first(first)
        life.check_end(first)
        # What certainly was not done, or was asked again, costs nothing.
        assert life.bodies == CAP, f"request {at}"

    assert at > CAP


@pytest.mark.parametrize("way", ["run", "arun"])
def test_one_request_is_never_answered(way, redis_place):
    """A client that gave up waiting asks again; the answer that was late is nobody else's."""
    with apart(redis_place) as own, own.proxy() as proxy, own.open() as truth:
        for at in itertools.count(1):
            life = Life(way, own.impatient().behind(proxy), truth, effects=True)
            first = spoiled(proxy, MUTE, at, life)
            if first is None:
                break
            life.check_first(first)
            life.check_end(first)
            assert life.bodies == CAP, f"request {at}"

    assert at > CAP


@pytest.mark.parametrize("fault", DOWN, ids=str)
@pytest.mark.parametrize("way", ["run", "arun"])
def test_all_requests_fare_badly_for_a_while(place, proxy, truth, way, fault):
    """P7: a server that is gone ends the run and not the key, which is usable once it is back."""
    for at in itertools.count(1):
        life = Life(way, place.behind(proxy), truth)
        first = spoiled(proxy, fault, at, life)
        if first is None:
            break
        assert first.status == "open", f"request {at}"
        life.check_first(first)
        life.check_end(first)

    assert at > CAP


def test_the_clean_run_is_clean(place, proxy, truth):
    """A proxy that spoils nothing is not noticed: its runs say what direct ones say."""
    seen = []
    for where in (place, place.behind(proxy)):
        life = Life("run", where, truth, effects=True)
        report = life.run()
        seen.append((report.status, report.starts, report.failures, life.bodies, life.ran.total()))

    assert seen == [("tripped", CAP, 2, CAP, CAP)] * 2
    assert proxy.requests > 0
