# SPDX-License-Identifier: MIT
"""The servers that tests of this folder may ask for, as places that stores are opened at."""

from __future__ import annotations

import pytest

from tests.fleet.places import PostgresPlace, RedisPlace


@pytest.fixture(scope="session")
def redis_place(redis_url):
    """A Redis server that is up."""
    return RedisPlace(redis_url)


@pytest.fixture(scope="session")
def postgres_place(postgres_url):
    """A PostgreSQL server that is up, with its table."""
    place = PostgresPlace(postgres_url)
    place.prepare()
    return place


@pytest.fixture(params=["Redis", "PostgreSQL"])
def place(request, redis_place, postgres_place):
    """Each server in turn."""
    return {"Redis": redis_place, "PostgreSQL": postgres_place}[request.param]
