# SPDX-License-Identifier: MIT
"""The three ways in which a command is run, and a tether to see that nothing outlives it."""

from __future__ import annotations

import anyio
import pytest

from haltable.bodies import _keeper_process, isolated
from haltable.bodies._task import Task
from haltable.testing import iteration
from tests.bodies import measuring
from tests.bodies.tether import Tether


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """Has the processes of bodies measured too, if somebody measures."""
    if measuring.names():
        told = Task.told
        monkeypatch.setattr(_keeper_process, "LAUNCH", measuring.LAUNCH)
        monkeypatch.setattr(isolated, "_KEPT", (*isolated._KEPT, *measuring.names()))
        monkeypatch.setattr(Task, "told", lambda task: measuring.with_folder_told(told(task)))


def _by_a_thread(command, **numbers):
    return command(iteration(**numbers))


def _by_asyncio(command, **numbers):
    return anyio.run(command.acall, iteration(**numbers), backend="asyncio")


def _by_trio(command, **numbers):
    return anyio.run(command.acall, iteration(**numbers), backend="trio")


@pytest.fixture(params=[_by_a_thread, _by_asyncio, _by_trio])
def run(request):
    """Runs a command once, for an iteration with the given numbers."""
    return request.param


@pytest.fixture
def tether(tmp_path):
    """A named pipe for scripts to hold, in their environment as ``$TETHER``."""
    with Tether(tmp_path / "tether") as tether:
        yield tether
