# SPDX-License-Identifier: MIT
"""Places of every kind, with a server that runs as long as somebody needs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.places import KINDS, Place
from tests.servers.redis import running_valkey
from tests.stores.servers import running_postgres

__all__ = ["address_of", "home", "place"]

_SERVERS = {"redis": "valkey_socket", "postgres": "postgres_url"}


@pytest.fixture(scope="module", params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where places are, once of each kind."""
    # Of a wider scope than a test, so that a server is not what a test leaves behind.
    server = _SERVERS.get(request.param)
    if server is None:
        return Place(request.param, str(tmp_path_factory.mktemp("places")))
    return Place(request.param, request.getfixturevalue(server))


@pytest.fixture
def place(home: Place) -> Iterator[Place]:
    """A place for the records of one test."""
    own = Place(home.kind, home.address)
    own.make()
    yield own
    own.clear()


@contextlib.contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """Runs the server of a kind of place; yields its address, or else the folder's."""
    if kind == "sqlite":
        yield str(folder)
        return
    with running_valkey() if kind == "redis" else running_postgres() as address:
        yield address
