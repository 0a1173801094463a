# SPDX-License-Identifier: MIT
"""What can befall a Redis server: a named error, the right outcome, and usable again afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import ClassVar

import anyio
import pytest
import redis
import redis.asyncio

from haltable import ExitCondition, IterationCap, Loop, Operator, Status, StoreError
from haltable.conditions import never
from haltable.stores import AsyncRedisStore, Conflict, Durability, RedisStore
from haltable.stores._redis_faults import store_error
from tests.servers.redis import free_port, redis_cluster, redis_server
from tests.stores.redis_hands import OPENERS, awaited, called

#: What the servers of these tests ask nobody for.
ANY = "any"
#: Seconds that the clients of these tests wait for an answer.
PATIENCE = 0.3
#: What a shared machine may add to a wait before it is too long.
SLACK = 5.0


@pytest.fixture
def server():
    """A server of this test alone, with an append-only file that is forced at each write."""
    with redis_server(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def store(request, server):
    """A store that was written to, over a client that retries, as redis-py's own do."""
    opened = getattr(request, "param", called)
    kind = redis.retry.Retry if opened is called else redis.asyncio.retry.Retry
    retry = kind(redis.backoff.NoBackoff(), 5)
    client = {"socket_timeout": PATIENCE, "retry": retry, "retry_on_timeout": True}
    with opened(server.url, client) as store:
        store.write("key", b"first", expected=0)
        yield store


#: For what befalls the twins in the same way.
on_both = pytest.mark.parametrize("store", OPENERS, indirect=True)


def refused(act, said):
    """Has an act fail before it did anything, in these words."""
    with pytest.raises(StoreError, match=said) as caught:
        act()
    assert caught.value.outcome == "refused"


def until(holds):
    """Waits until something holds."""
    pause, end = threading.Event(), time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        pause.wait(0.01)


def replace(store, value):
    """Writes a value over what is there."""
    return store.write("key", value, expected=store.read("key").version)


def test_a_killed_server_has_what_it_acknowledged(server, store):
    """After SIGKILL the calls are refused by name; after a restart all that was said is there."""
    versions = [replace(store, b"%d" % number).version for number in range(20)]
    server.end(signal.SIGKILL)
    refused(lambda: store.write("key", b"lost", expected=versions[-1]), "cannot be reached")
    refused(lambda: store.read("key"), "cannot be reached")
    server.start()
    there = store.read("key")

    assert (there.value, there.version) == (b"19", versions[-1])
    assert replace(store, b"after").version > versions[-1]


@pytest.mark.parametrize("forced", ["always", "no"])
def test_kills_under_load_lose_nothing(forced):
    """Whatever was acknowledged is there after SIGKILL; what was not is there or not, as told."""
    kills, done = 10, threading.Event()

    def kill():
        pause = threading.Event()
        for number in range(kills):
            pause.wait(0.01 + 0.003 * number)
            server.end(signal.SIGKILL)
            server.start()
        done.set()

    with (
        redis_server(appendonly="yes", appendfsync=forced) as server,
        RedisStore(redis.Redis.from_url(server.url)) as store,
    ):
        held = store.write("key", b"0", expected=0)
        killer = threading.Thread(target=kill)
        killer.start()
        while not done.is_set():
            value = b"%d" % (int(held.value) + 1)
            there, outcome = None, None
            try:
                held = store.write("key", value, expected=held.version)
                continue
            except StoreError as error:
                outcome = error.outcome
            while there is None:
                with contextlib.suppress(StoreError):
                    there = store.read("key")
            if there.version != held.version:
                assert (outcome, there.value) == ("unknown", value)
            held = there
        killer.join()
        last = store.read("key")

    assert (last.value, last.version) == (held.value, held.version)
    assert int(last.value) > 0


def test_a_restart_without_persistence_repeats_no_version():
    """A server that forgot all gives out later versions than it ever did before."""
    with redis_server() as server:
        client = redis.Redis.from_url(server.url)
        with RedisStore(client, durability=Durability.NOTHING) as store:
            first = store.write("key", b"", expected=0)
            last = store.write("key", b"", expected=first.version)
            server.end()
            server.start()
            gone = store.read("key")
            stale = store.write("key", b"", expected=last.version)
            again = store.write("key", b"", expected=0)

    assert gone is None
    assert stale == Conflict(None)
    assert again.version > last.version


def test_a_loop_names_what_its_server_forgot():
    """Under a run whose record is gone the loop ends closed, by name; nothing counts as zero."""
    with redis_server() as server:
        client = redis.Redis.from_url(server.url)
        with RedisStore(client, durability=Durability.NOTHING) as store:

            def body(iteration):
                if iteration.starts == 2:
                    server.end()
                    server.start()

            loop = Loop(IterationCap(9), ExitCondition(success=never), key="job", store=store)
            report = loop.run(body)

    assert (report.status, report.starts, report.breaker) == (Status.TRIPPED, 2, "store")
    assert "lost state" in report.reason


def test_a_server_that_hangs_is_waited_for_once(server, store):
    """A write that is not answered is unknown after the client's patience, and was sent once."""
    before, version = server.calls("evalsha"), store.read("key").version
    begin = time.monotonic()
    with server.frozen(), pytest.raises(StoreError, match="did not answer in time") as caught:
        store.write("key", b"second", expected=version)
    waited = time.monotonic() - begin
    there = store.read("key")

    assert caught.value.outcome == "unknown"
    assert PATIENCE <= waited < PATIENCE + SLACK
    assert there.value == b"second"
    # The two reads, the write, and the look at the server after the fault.
    assert server.calls("evalsha") - before == 4


def test_a_loop_asks_what_became_of_a_write(server, store):
    """A reply that is lost in mid-run costs no start and counts none twice."""
    tries, lost = [], threading.Event()

    def thaw():
        until(lambda: not store._asked)
        lost.set()
        server.send(signal.SIGCONT)

    def body(iteration):
        tries.append(iteration.starts)
        if iteration.starts == 2:
            server.send(signal.SIGSTOP)
            threads.append(threading.Thread(target=thaw))
            threads[0].start()

    threads = []
    loop = Loop(IterationCap(4), ExitCondition(success=never), key="job", store=store)
    report = loop.run(body)
    threads[0].join()

    assert lost.is_set()
    assert (tries, report.starts, report.durable) == ([1, 2, 3, 4], 4, True)
    assert Operator(store).show("job").starts == 4


def test_a_server_that_dies_over_a_write(server, store):
    """A connection that is cut before the answer came leaves the write unknown."""
    version = store.read("key").version
    found = []

    def write():
        try:
            store.write("key", b"second", expected=version)
        except StoreError as error:
            found.append((error.outcome, "Redis" in str(error)))

    with server.frozen():
        writer = threading.Thread(target=write)
        writer.start()
        writer.join(PATIENCE / 3)
        server.end(signal.SIGKILL)
        writer.join()
        server.start()

    assert found == [("unknown", True)]
    assert store.read("key").value in {b"first", b"second"}


@on_both
def test_a_cut_connection_costs_nothing(server, store):
    """A connection that was cut while it was idle is noticed before anything is sent on it."""
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    written = replace(store, b"second")

    assert store.read("key").version == written.version


@on_both
def test_a_server_out_of_memory(server, store):
    """A write that finds no room is refused by name; to delete makes room, also then."""
    server.ask("CONFIG", "SET", "maxmemory", "1")
    version = store.read("key").version
    refused(lambda: store.write("key", b"second", expected=version), "out of memory.*maxmemory")
    refused(lambda: store.write("new", b"", expected=0), "out of memory")

    assert store.read("key").value == b"first"
    assert store.delete("key", expected=version)
    server.ask("CONFIG", "SET", "maxmemory", "0")
    assert store.write("key", b"third", expected=0).version > version


@on_both
def test_a_server_that_became_a_replica(server, store):
    """A server that is demoted takes no write, and is not read from once that was noticed."""
    version = store.read("key").version
    server.ask("REPLICAOF", "127.0.0.1", "1")
    refused(lambda: store.write("key", b"second", expected=version), "read-only replica")
    refused(lambda: store.read("key"), "is a replica: .* name its master")
    refused(store.check, "is a replica")
    server.ask("REPLICAOF", "NO", "ONE")

    assert replace(store, b"second").version > version


def test_a_server_that_cannot_save(server, store):
    """A server whose snapshots fail takes no writes; the error says so."""
    (server.data / "dump.rdb").mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    server.ask("BGSAVE")
    until(lambda: server.ask("INFO", "persistence")["rdb_last_bgsave_status"] != "ok")
    refused(lambda: replace(store, b"second"), "cannot save them to its disk")
    server.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")

    assert replace(store, b"second").version > 0


def test_too_few_replicas(server, store):
    """A server that must not be alone takes no writes while it is."""
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    refused(lambda: replace(store, b"second"), "too few replicas")


@on_both
def test_a_refusal_keeps_the_connection(server, store):
    """A server that says no has answered: nothing else is still to come on the connection."""
    version = store.read("key").version
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    before = server.ask("INFO", "stats")["total_connections_received"]
    refused(lambda: store.write("key", b"second", expected=version), "too few replicas")
    store.read("key")
    after = server.ask("INFO", "stats")["total_connections_received"]

    assert after - before == 1  # That of who asked.


def test_a_user_who_may_not(server):
    """What the server does not permit is refused in words."""
    server.ask("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@all", "-hset")
    client = redis.Redis.from_url(server.url, username="reader", password=ANY)
    with RedisStore(client) as store:
        refused(lambda: store.write("key", b"", expected=0), "does not permit")
    wrong = redis.Redis.from_url(server.url, username="nobody", password=ANY)
    with RedisStore(wrong) as store:
        refused(lambda: store.read("key"), "did not accept the client's credentials")


@on_both
def test_scripts_that_the_server_forgot(server, store):
    """A server that does not know the script is sent all of it, and remembers it again."""
    server.ask("SCRIPT", "FLUSH")
    before = server.calls("eval")
    replace(store, b"second")
    replace(store, b"third")

    assert store.read("key").value == b"third"
    assert server.calls("eval") - before == 1


def test_versions_follow_the_servers_time(server, store):
    """Who restores an old copy, or loses the last writes, gives out no version again."""
    old = store.read("key").version
    copy = server.ask("DUMP", "haltable:key")
    lost = [replace(store, b"lost").version for _ in range(3)]
    server.ask("RESTORE", "haltable:key", 0, copy, "REPLACE")
    restored = store.read("key").version
    again = replace(store, b"again").version

    assert restored == old
    assert again > lost[-1]


def test_versions_grow_where_the_clock_goes_back(server, store):
    """A version that is ahead of the server's time still grows by one at each write."""
    ahead = 4_000_000_000_000_000
    server.ask("HSET", "haltable:key", "version", ahead)
    versions = [replace(store, b"").version for _ in range(3)]
    assert store.delete("key", expected=versions[-1])

    assert versions == [ahead + 1, ahead + 2, ahead + 3]
    assert store.write("key", b"", expected=0).version == ahead + 4


def test_the_hosts_client_stays_as_it_was(server):
    """The store shares no connection with the client, and changes none of its settings."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        given, number = dict(client.connection_pool.connection_kwargs), client.client_id()
        with RedisStore(client) as store:
            store.write("key", b"", expected=0)
            apart = client.client_id()

        assert client.client_id() == apart == number
        assert client.connection_pool.connection_kwargs == given
        assert client.hget("haltable:key", "value") == ""


class Interrupted:
    """Has a connection be interrupted once, when the command is sent and the answer not read."""

    #: Who was interrupted; emptied for one to be.
    links: ClassVar[list[object]]

    def interrupt(self):
        if not self.links:
            self.links.append(self)
            raise KeyboardInterrupt


class Link(Interrupted, redis.UnixDomainSocketConnection):
    links: ClassVar[list[object]] = [None]

    def read_response(self, *arguments, **named):
        self.interrupt()
        return super().read_response(*arguments, **named)


class AsyncLink(Interrupted, redis.asyncio.UnixDomainSocketConnection):
    links: ClassVar[list[object]] = [None]

    async def read_response(self, *arguments, **named):
        self.interrupt()
        return await super().read_response(*arguments, **named)


def test_an_answer_that_nobody_read(server):
    """A connection on which an answer is still to come is not used for the next question."""
    path = server.url.removeprefix("unix://")
    pool = redis.ConnectionPool(connection_class=Link, path=path)
    with RedisStore(redis.Redis(connection_pool=pool)) as store:
        store.check()
        Link.links.clear()
        with pytest.raises(KeyboardInterrupt):
            store.read("key")

        assert [link._sock for link in Link.links] == [None]
        assert store.read("key") is None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_answer_that_no_task_read(server, anyio_backend):
    """The twin gives such a connection up too."""
    path = server.url.removeprefix("unix://")
    pool = redis.asyncio.ConnectionPool(connection_class=AsyncLink, path=path)
    async with AsyncRedisStore(redis.asyncio.Redis(connection_pool=pool)) as store:
        await store.check()
        AsyncLink.links.clear()
        with pytest.raises(KeyboardInterrupt):
            await store.read("key")

        assert [link.is_connected for link in AsyncLink.links] == [False]
        assert await store.read("key") is None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_free_connection_wakes_no_task_of_the_host(server, anyio_backend):
    """A task that waits for the store's only connection gets it, whoever waits for the client's."""
    path = server.url.removeprefix("unix://")
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=redis.asyncio.UnixDomainSocketConnection,
        path=path,
        max_connections=1,
        timeout=3,
    )
    client = redis.asyncio.Redis(connection_pool=pool)
    async with AsyncRedisStore(client) as store:
        await store.read("key")
        taken = await pool.get_connection(*store._route._words)
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(client.get, "key")
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as calls:
                calls.start_soon(store.read, "key")
                calls.start_soon(store.read, "other")
            await pool.release(taken)
    await pool.aclose()


def test_a_closed_store(server, store):
    """After close every call is refused; the client stays open, and is not the store's."""
    client = store._route._client
    store.close()
    store.close()
    refused(lambda: store.read("key"), "<RedisStore: .* is closed")
    refused(store.check, "is closed")

    assert client.ping()
    client.close()


def test_a_forked_process_uses_connections_of_its_own(server, store):
    """A store goes on in a forked child, and answers to one are not read by the other."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.write("child", b"yes", expected=0)
            status = 0
        finally:
            os._exit(status)
    for _ in range(50):
        replace(store, b"parent")
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert (store.read("key").value, store.read("child").value) == (b"parent", b"yes")


@pytest.mark.parametrize(
    ("opened", "kind"),
    [(called, redis.retry.Retry), (awaited, redis.asyncio.retry.Retry)],
)
def test_a_server_that_is_not_there_is_asked_once(opened, kind):
    """How long a client goes on trying is its own matter: the store fails at once."""
    retry = kind(redis.backoff.ConstantBackoff(SLACK), 3)
    begin = time.monotonic()
    with opened(f"redis://127.0.0.1:{free_port()}", {"retry": retry}) as store:
        refused(lambda: store.read("key"), "cannot be reached")

    assert time.monotonic() - begin < SLACK


def test_a_cluster_repeats_nothing():
    """A server of a cluster that hangs has a write once; whether it was done is unknown."""
    with redis_cluster() as servers:
        # The client asks again by itself, as redis-py's own do, unless it is told whom.
        port = servers[0].port
        with redis.RedisCluster("127.0.0.1", port, socket_timeout=PATIENCE) as client:
            store = RedisStore(client, durability=Durability.NOTHING)
            first = store.write("key", b"first", expected=0)
            ports = [server.port for server in servers]
            home = servers[ports.index(client.get_node_from_key(b"haltable:key").port)]
            before = home.calls("evalsha")
            with home.frozen(), pytest.raises(StoreError, match="Redis cluster") as caught:
                store.write("key", b"second", expected=first.version)
            calls = home.calls("evalsha") - before
            there = store.read("key")

    assert (caught.value.outcome, calls) == ("unknown", 1)
    assert (there.value, there.version > first.version) == (b"second", True)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cluster_repeats_nothing_for_tasks_either(anyio_backend):
    """The twin's client, told whom to send to, sends a write once too."""
    with redis_cluster() as servers:
        port = servers[0].port
        async with redis.asyncio.RedisCluster("127.0.0.1", port, socket_timeout=PATIENCE) as client:
            store = AsyncRedisStore(client, durability=Durability.NOTHING)
            first = await store.write("key", b"first", expected=0)
            ports = [server.port for server in servers]
            home = servers[ports.index(client.get_node_from_key(b"haltable:key").port)]
            before = home.calls("evalsha")
            with home.frozen(), pytest.raises(StoreError, match="Redis cluster") as caught:
                await store.write("key", b"second", expected=first.version)
            calls = home.calls("evalsha") - before
            there = await store.read("key")

    assert (caught.value.outcome, calls) == ("unknown", 1)
    assert (there.value, there.version > first.version) == (b"second", True)


def test_a_cluster_that_is_not_there():
    """An awaited client looks for its servers at the first call, which then says so."""
    url = f"redis://127.0.0.1:{free_port()}"
    with awaited(url, {"cluster": True, "socket_timeout": SLACK}) as store:
        refused(lambda: store.read("key"), "Redis cluster cannot be reached")


@pytest.mark.parametrize("opened", OPENERS)
def test_a_record_that_no_server_of_a_cluster_holds(opened):
    """A record whose slot is nobody's is refused by that name, and no server is asked for it."""
    client = {"cluster": True, "socket_timeout": SLACK, "require_full_coverage": False}
    with redis_server(port=free_port(), cluster_enabled="yes") as server:
        server.ask("CLUSTER", "ADDSLOTS", server.ask("CLUSTER", "KEYSLOT", "haltable:held"))
        with opened(server.url, client, durability=Durability.NOTHING) as store:
            store.check()
            before = server.calls("evalsha")
            refused(lambda: store.write("lost", b"", expected=0), "has no server for the record")

            assert server.calls("evalsha") == before
            refused(lambda: store.write("held", b"", expected=0), "a cluster that is down")


@pytest.mark.parametrize("opened", OPENERS)
def test_a_record_on_its_way_to_another_server(opened, redis_cluster_port):
    """No scan leaves out what a cluster is moving: until it has moved, it is refused by name."""
    url, options = f"redis://127.0.0.1:{redis_cluster_port}", {"socket_timeout": SLACK}
    kept = {"prefix": "moving:", "durability": Durability.NOTHING}
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            redis.RedisCluster("127.0.0.1", redis_cluster_port, **options)
        )
        store = stack.enter_context(opened(url, {"cluster": True, **options}, **kept))
        held = store.write("key", b"", expected=0)
        home = cluster.get_node_from_key(b"moving:key")
        other = next(node for node in cluster.get_primaries() if node.port != home.port)
        here, there = (
            stack.enter_context(redis.Redis("127.0.0.1", node.port, single_connection_client=True))
            for node in (home, other)
        )
        slot, number = cluster.keyslot("moving:key"), here.execute_command("CLUSTER MYID")
        there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", number)
        try:
            here.execute_command("MIGRATE", "127.0.0.1", other.port, "moving:key", 0, 5000, "COPY")
            refused(lambda: list(store.scan("")), "is moving records .* ask again")
        finally:
            there.execute_command("ASKING")
            there.execute_command("DEL", "moving:key")
            there.execute_command("CLUSTER SETSLOT", slot, "STABLE")
        found = [(key, entry.version) for key, entry in store.scan("")]
        store.delete("key", expected=held.version)

    assert found == [("key", held.version)]


def test_a_server_that_a_sentinel_names():
    """A client of a Sentinel serves as well; its store says whose word it follows."""
    with (
        redis_server(port=free_port()) as master,
        redis_server(port=free_port(), watched=master.port) as sentinel,
    ):
        known = redis.sentinel.Sentinel([("127.0.0.1", sentinel.port)], socket_timeout=SLACK)
        client = known.master_for("main")
        with known.sentinels[0], RedisStore(client, durability=Durability.NOTHING) as store:
            del client
            first = store.write("key", b"first", expected=0)
            there = store.read("key")
            master.end()
            refused(lambda: store.read("key"), "'main' .whom a Sentinel names. cannot be reached")

    assert repr(store) == "<RedisStore: 'main' (whom a Sentinel names), 'haltable:'>"
    assert there.version == first.version


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_run_waits_for_its_grace_only(server, anyio_backend):
    """A server that hangs keeps a cancelled run for its grace; the key is usable afterwards."""
    grace = 0.2
    client = redis.asyncio.Redis.from_url(server.url, socket_timeout=60)
    async with AsyncRedisStore(client) as store:
        settings = {"key": "job", "store": store, "grace": grace}
        loop = Loop(IterationCap(3), ExitCondition(success=never), **settings)

        async def body(): ...

        with anyio.CancelScope() as scope:
            with server.frozen():

                async def main():
                    await loop.arun(body)

                async with anyio.create_task_group() as group:
                    group.start_soon(main)
                    await anyio.sleep(0.05)
                    begin = time.monotonic()
                    group.cancel_scope.cancel()
                waited = time.monotonic() - begin
            report = await loop.arun(body)

        assert not scope.cancelled_caught
        assert waited < grace + SLACK
        assert (report.status, report.starts) == (Status.TRIPPED, 3)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_asynchronous_store_meets_the_same_faults(server, anyio_backend):
    """The twin names what befalls its server, in the same words, and goes on afterwards."""
    client = redis.asyncio.Redis.from_url(server.url, socket_timeout=PATIENCE)
    async with AsyncRedisStore(client) as store:
        first = await store.write("key", b"first", expected=0)
        before = server.calls("evalsha")
        with server.frozen(), pytest.raises(StoreError, match="did not answer") as hung:
            await store.write("key", b"second", expected=first.version)
        sent = await store.read("key")
        calls = server.calls("evalsha") - before
        server.end()
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.read("key")
        server.start()
        there = await store.read("key")
    with pytest.raises(StoreError, match="is closed") as closed:
        await store.read("key")

    outcomes = [caught.value.outcome for caught in (hung, closed)]
    assert outcomes == ["unknown", "refused"]
    assert (sent.value, calls) == (b"second", 3)
    assert there.version == sent.version > first.version


def test_every_error_has_a_name(server):
    """What redis-py has no type for keeps the server's own words."""
    error = store_error("at home", redis.ResponseError("ODD it is"), sent=True)

    assert str(error) == "Redis at home failed (ResponseError: ODD it is)"
    assert error.outcome == "refused"


def test_a_keyed_loop_after_a_restart(server, store):
    """A cap holds over a server that was killed between two runs."""

    def body():
        raise OSError("the printer is out of paper")

    loop = Loop(IterationCap(9), ExitCondition(success=never), key="job", store=store)
    for _ in range(3):
        loop.step(body)
        server.end(signal.SIGKILL)
        server.start()
    refused = loop.step(body)
    state = Operator(store).show("job")

    assert (refused.ran, refused.status) == (False, Status.TRIPPED)
    assert (state.starts, state.status) == (3, Status.TRIPPED)
