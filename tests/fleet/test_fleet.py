# SPDX-License-Identifier: MIT
"""P1, P2 over a fleet: real processes, one server, which is also killed under them.

Here are sizes that end in seconds; `python -m tests.fleet.fleet_lane` has the
full ones: 32 processes, 64,000 starts, hundreds of kills.
"""

from __future__ import annotations

from functools import partial

import psycopg
import pytest
import redis

from haltable.stores import Durability, PostgresStore, RedisStore
from tests.fleet.lane import kill, race
from tests.fleet.servers import postgres, valkey

#: Kills in the suite; the command takes any number.
KILLS = 3
SERVERS = {"Redis": valkey, "PostgreSQL": postgres}


@pytest.mark.parametrize(
    ("processes", "keys", "rounds"), [(8, 1, 40), (8, 50, 3)], ids=["one key", "many keys"]
)
def test_processes_are_granted_exactly_one_to_n(place, tmp_path, processes, keys, rounds):
    """Whoever races, each number of each key is granted once, and none is missing."""
    grants = race(place, tmp_path, processes, keys, rounds)

    assert grants.grants == processes * keys * rounds


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_killed_keeps_what_it_acknowledged(name, tmp_path):
    """P1, P2: SIGKILL and SIGQUIT of the server under load lose nothing, and free no start."""
    with SERVERS[name](keeps=True) as server:
        losses = kill(server, tmp_path, KILLS, seed=1)

    assert (losses.lost, losses.named) == (0, 0)
    assert losses.grants > KILLS
    assert losses.keys > 0


def test_a_server_that_forgets_is_named(tmp_path, caplog):
    """P7: what a kill took is called lost, and was warned of; it never counts as zero."""
    with valkey(keeps=False) as server:
        client = redis.Redis.from_url(server.place.url)
        with RedisStore(client) as store:
            said = store.check()
        losses = kill(server, tmp_path, 1, seed=1)

    assert said is Durability.NOTHING
    assert "it forgets counts" in caplog.text
    assert losses.lost > 0


def test_a_server_that_acknowledges_too_early_is_named(tmp_path, caplog):
    """P7: PostgreSQL that does not wait for its log loses what it has confirmed, and says so."""
    with postgres(keeps=False) as server:
        connect = partial(psycopg.connect, server.place.url, autocommit=True)
        with PostgresStore(connect) as store:
            store.write("key", b"value", expected=0)
            said = store.durability
        losses = kill(server, tmp_path, 1, seed=1)

    assert said is Durability.NOTHING
    assert "a write does not survive a kill of the server" in caplog.text
    assert losses.lost > 0
