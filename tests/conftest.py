# SPDX-License-Identifier: MIT
"""What holds for every test: nothing leaks, and no coroutine runs on one event loop only.

There is no way to opt out.  What lives longer than a test belongs to a fixture
of a wider scope, and is then counted as having been there before.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from tests.house import leaks
from tests.servers.redis import redis_cluster_port, redis_url, valkey_socket
from tests.stores.servers import postgres_url

#: The servers that any test may ask for; each is started once.
__all__ = ["postgres_url", "redis_cluster_port", "redis_url", "valkey_socket"]

WATCH = pytest.StashKey[leaks.Watch | None]()

# Shared machines stall for longer than any deadline for one example.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


def pytest_configure():
    """Lets the suite be interrupted, and its children killed, however it was started.

    A shell that starts it in the background has it, and all its children,
    ignore Ctrl-C and SIGQUIT; what is tested with these would then wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request):
    """The event loops that every coroutine test runs on."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_leaks(pytestconfig: pytest.Config) -> Iterator[None]:
    """P10: after a test, the process holds what it held before."""
    watch = leaks.Watch()
    pytestconfig.stash[WATCH] = watch
    yield
    pytestconfig.stash[WATCH] = None
    leaked = watch.leaked()
    if leaked:
        pytest.fail(leaks.report(leaked), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Counts what a fixture of a wider scope starts in mid-test as its own."""
    watch = request.config.stash.get(WATCH, None)
    if watch is None or fixturedef.scope == "function":
        return (yield)
    with watch.forgiving():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Looks at tasks and context where they can be seen: inside the event loop."""
    given = getattr(pyfuncitem.obj, "hypothesis", None)
    if given is not None:
        if inspect.iscoroutinefunction(given.inner_test):
            given.inner_test = leaks.watched(given.inner_test)
    elif inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = leaks.watched(pyfuncitem.obj)
    return (yield)
