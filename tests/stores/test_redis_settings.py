# SPDX-License-Identifier: MIT
"""What a store on Redis says of its server, what it refuses, and what it warns of."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys

import pytest
import redis
import redis.asyncio

from haltable import ConfigurationError, StoreError
from haltable.stores import AsyncRedisStore, AsyncStore, Durability, RedisStore, Store
from haltable.stores._redis_pool import words_to_connect
from haltable.stores._redis_server import durability_of
from tests.servers.redis import redis_server
from tests.stores.redis_hands import OPENERS

#: Asks for a store where a module is not installed.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "{absent}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import haltable.stores
try:
    haltable.stores.{name}
except ImportError as error:
    print(error)
"""
#: What nobody shall read in a text.
ANY = "secret"


@pytest.fixture
def server():
    """A server of this test alone, which keeps nothing."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=OPENERS)
def store_on(request):
    """Opens a store over a client as a host has it: one that is called, or one that is awaited."""
    return request.param


class Told(logging.Handler):
    """What the log says while a block runs."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.words = []

    def emit(self, record):
        self.words.append(record.getMessage())

    def __enter__(self):
        logging.getLogger("haltable").addHandler(self)
        return self.words

    def __exit__(self, *error):
        logging.getLogger("haltable").removeHandler(self)


def told(store):
    """Returns what a check of a store returned, and the warnings that it logged."""
    with Told() as words:
        found = store.check()
    return found, words


@pytest.mark.parametrize(
    ("settings", "durability"),
    [
        ({"appendfsync": "no"}, Durability.PROCESS),
        ({"appendfsync": "always"}, Durability.MACHINE),
        ({"appendfsync": "always", "no_appendfsync_on_rewrite": "yes"}, Durability.PROCESS),
    ],
)
def test_the_durability_is_the_servers(store_on, settings, durability):
    """A store states what its server's settings say that a write survives."""
    with redis_server(appendonly="yes", **settings) as server, store_on(server.url) as store:
        before = store.durability
        found, warned = told(store)

        assert (before, found, store.durability) == (Durability.NOTHING, durability, durability)
        assert warned == []


@pytest.mark.parametrize("protocol", [2, 3])
def test_settings_are_read_in_each_protocol(store_on, server, protocol):
    """A server's settings come as a list or as a map, and mean the same."""
    server.ask("CONFIG", "SET", "appendfsync", "always")
    server.ask("CONFIG", "SET", "appendonly", "yes")
    with store_on(server.url, {"protocol": protocol}) as store:
        assert told(store) == (Durability.MACHINE, [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "has appendonly 'no': when it restarts, .* set appendonly to 'yes'"),
        (
            {"appendonly": "yes", "appendfsync": "everysec"},
            "has appendfsync 'everysec': when it is killed, .* set appendfsync to 'always'",
        ),
    ],
)
def test_a_server_that_forgets_is_warned_of_once(store_on, settings, said):
    """The first call warns, names the setting and its value, and says what helps."""
    with redis_server(**settings) as server, store_on(server.url) as store:
        with Told() as words:
            store.read("key")
        again = told(store)

    assert len(words) == 1
    assert re.match(f"Redis '.*' {said}", words[0])
    assert again == (Durability.NOTHING, [])


def test_what_is_stated_is_believed(store_on, server):
    """A host that knows its server better is believed, and is not warned."""
    with store_on(server.url, durability=Durability.REPLICATED) as store:
        assert store.durability is Durability.REPLICATED
        assert told(store) == (Durability.REPLICATED, [])


def test_a_server_that_tells_nobody_its_settings(store_on, server):
    """Where CONFIG is forbidden, an append-only file counts as one that may lag behind."""
    server.ask("CONFIG", "SET", "appendonly", "yes")
    server.ask("CONFIG", "SET", "appendfsync", "always")
    server.ask("ACL", "SETUSER", "host", "on", "nopass", "~*", "+@all", "-config")
    client = {"username": "host", "password": ANY}
    with store_on(server.url, client) as store:
        found, (warned,) = told(store)
    with store_on(server.url, client, durability=Durability.MACHINE) as store:
        stated = told(store)

    assert found is Durability.NOTHING
    assert "does not tell its appendfsync: when it is killed" in warned
    assert stated == (Durability.MACHINE, [])


def test_a_server_that_hangs_when_it_is_asked_for_its_settings(store_on, server, monkeypatch):
    """A server that may not tell is believed to forget; one that does not answer is a fault."""
    with store_on(server.url, {"socket_timeout": 0.1}) as store:
        store.check()
        ask = store._route.ask

        def hang(node, *words):
            if words[0] == "CONFIG":
                server.send(signal.SIGSTOP)
            return ask(node, *words)

        with monkeypatch.context() as patch:
            patch.setattr(store._route, "ask", hang)
            with pytest.raises(StoreError, match="did not answer in time"):
                store.check()
        server.send(signal.SIGCONT)

        assert store.check() is Durability.NOTHING


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_evicts_is_refused(store_on, server, policy):
    """A policy that forgets records is refused at each call, by name, until it is changed."""
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    with store_on(server.url, durability=Durability.NOTHING) as store:
        for act in (store.check, lambda: store.write("key", b"", expected=0)):
            with pytest.raises(StoreError, match=f"maxmemory-policy '{policy}'.*noevic") as caught:
                act()
            assert caught.value.outcome == "refused"
        with pytest.raises(StoreError, match=policy):
            next(store.scan(""))
        server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")

        assert store.write("key", b"", expected=0).version > 0


def test_a_policy_that_forgets_only_what_expires(store_on, server):
    """Records never expire, so that a policy for what does is no danger."""
    server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    with store_on(server.url, durability=Durability.NOTHING) as store:
        store.write("key", b"", expected=0)

        assert server.ask("TTL", "haltable:key") == -1


def test_a_client_needs_no_server_to_make_a_store():
    """Making a store asks nothing; the first call says what is the matter."""
    with RedisStore(redis.Redis(host="127.0.0.1", port=1)) as store:
        assert repr(store) == "<RedisStore: at 127.0.0.1:1, 'haltable:'>"
        with pytest.raises(
            StoreError, match=r"Redis at 127\.0\.0\.1:1 cannot be reached"
        ) as caught:
            store.read("key")
    assert caught.value.outcome == "refused"


def test_what_the_stores_say_of_themselves():
    """Each states its contract, whether it waits, and who it is, without any secret."""
    sync = RedisStore(redis.Redis(unix_socket_path="/run/redis", password=ANY))
    awaiting = AsyncRedisStore(redis.asyncio.Redis(password=ANY), prefix="loops/")

    assert isinstance(sync, Store)
    assert isinstance(awaiting, AsyncStore)
    assert (sync.blocks, awaiting.event_loop) == (True, "asyncio")
    assert ANY not in repr(sync) + repr(awaiting)
    assert repr(sync) == "<RedisStore: '/run/redis', 'haltable:'>"
    assert repr(awaiting) == "<AsyncRedisStore: at localhost:6379, 'loops/'>"


@pytest.mark.parametrize("kind", [RedisStore, AsyncRedisStore])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prefix": ""}, "prefix=''"),
        ({"prefix": b"haltable:"}, "prefix=b'haltable:'"),
        ({"durability": 2}, "durability=2"),
        ({"durability": "machine"}, "durability='machine'"),
    ],
)
def test_arguments_that_cannot_be_right(kind, given, said):
    """An argument that cannot be right is one clear error, before anything is asked."""
    client = redis.Redis() if kind is RedisStore else redis.asyncio.Redis()
    with pytest.raises(ConfigurationError, match=f"^{said}: it must be"):
        kind(client, **given)


@pytest.mark.parametrize(
    ("kind", "client", "said"),
    [
        (RedisStore, redis.asyncio.Redis(), "a redis.Redis or .* there is AsyncRedisStore"),
        (RedisStore, "redis://localhost", "a redis.Redis or a redis.RedisCluster"),
        (AsyncRedisStore, redis.Redis(), "a redis.asyncio.Redis or .* there is RedisStore"),
        (AsyncRedisStore, None, "a redis.asyncio.Redis or a redis.asyncio.RedisCluster"),
    ],
)
def test_a_client_of_another_kind(kind, client, said):
    """A client that cannot serve is refused with the name of what can."""
    with pytest.raises(ConfigurationError, match=f"^client=.*: it must be {said}"):
        kind(client)


def test_a_cluster_that_would_wait_for_ever(redis_cluster_port):
    """A cluster's client is used itself, so it must bound how long it waits."""
    given = {"host": "127.0.0.1", "port": redis_cluster_port, "socket_timeout": None}
    with redis.RedisCluster(**given) as cluster, pytest.raises(ConfigurationError) as sync:
        RedisStore(cluster)
    with pytest.raises(ConfigurationError) as awaiting:
        AsyncRedisStore(redis.asyncio.RedisCluster(**given))

    for caught in (sync, awaiting):
        assert str(caught.value).startswith("socket_timeout=None: ")


@pytest.mark.parametrize("name", ["RedisStore", "AsyncRedisStore"])
def test_without_the_driver(name):
    """Without redis-py the face still opens, and only the store's name says what to install."""
    assert without("redis", name) == (
        "stores on Redis and Valkey need redis-py: pip install 'haltable[redis]'\n"
    )


def test_with_a_broken_driver():
    """What redis-py itself misses is named as it is: to install redis-py would not help."""
    assert without("redis.exceptions", "RedisStore") == "No module named 'redis.exceptions'\n"


def without(absent, name):
    """Returns what asking for a store says where a module is absent."""
    command = [sys.executable, "-c", WITHOUT.format(absent=absent, name=name)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_two_prefixes_are_two_stores(redis_url):
    """Stores of different prefixes on one database do not see each other."""
    client = redis.Redis.from_url(redis_url)
    stores = [
        RedisStore(client, prefix=prefix, durability=Durability.NOTHING)
        for prefix in ("*[ab]?\\:", "axx:")
    ]
    for store in stores:
        store.write("key", store._prefix.encode(), expected=0)
    found = [[entry.value for _, entry in store.scan("")] for store in stores]
    for store in stores:
        store.delete("key", expected=store.read("key").version)
        store.close()

    assert found == [[b"*[ab]?\\:"], [b"axx:"]]


def test_what_else_begins_with_the_prefix(store_on, server):
    """A scan passes over what is no record; a write there is refused, and changes nothing."""
    server.ask("SET", "haltable:other", "text")
    server.ask("HSET", "haltable:hash", "field", "1")
    with store_on(server.url, durability=Durability.NOTHING) as store:
        with pytest.raises(StoreError, match="holds something else") as caught:
            store.write("other", b"", expected=0)

        assert caught.value.outcome == "refused"
        assert list(store.scan("")) == []
        assert server.ask("GET", "haltable:other") == b"text"


def test_a_server_says_nothing_of_its_log():
    """A server that does not tell of an append-only file is taken to have none."""
    assert durability_of({}, {"appendfsync": "always"}) is Durability.NOTHING


def test_how_connections_are_asked_for():
    """Redis-py before 5.3 wants a command's name, and later ones warn of it."""

    def old(command_name, *keys, **options): ...
    def new(command_name=None, *keys, **options): ...
    def newest(): ...

    assert [words_to_connect(way) for way in (old, new, newest)] == [("EVALSHA",), (), ()]
