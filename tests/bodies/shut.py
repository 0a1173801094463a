# SPDX-License-Identifier: MIT
"""Bodies that are shut in, and the user they run as: us, and where we are root nobody too."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

from haltable.bodies import confinement
from tests.bodies import measuring

#: An ordinary user of every Linux.
NOBODY = "nobody"
#: What is tested as whom: an ordinary user can only be herself.
USERS = ("root", NOBODY) if os.geteuid() == 0 else (pwd.getpwuid(os.geteuid()).pw_name,)


@attrs.frozen
class Place:
    """A directory that its user owns: ``out`` is for the body, ``kept`` is not."""

    user: str
    root: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def kept(self) -> Path:
        return self.root / "kept"

    @property
    def interpreter(self) -> str:
        """A Python that the user may run; one below another's home is none."""
        for candidate in (sys.executable, "/usr/bin/python3"):
            if self.user != NOBODY or is_open(Path(candidate).resolve()):
                return candidate
        raise AssertionError("no Python here can be run by an ordinary user")

    def order(self, **changed: object) -> dict[str, object]:
        """What the program that confines is told."""
        return {"writable": [str(self.out)], "hidden": [], "network": True} | changed

    def shut(self, *argv: str, **changed: object) -> list[str]:
        """The command that shuts another one in."""
        applier = self.root / "applier.py"
        if not applier.exists():
            shutil.copyfile(confinement.APPLIER, applier)
        order = self.order(**changed)
        if measuring.names() and self.user == USERS[0]:
            order = json.dumps(measuring.with_folder(order))
            return [sys.executable, *measuring.CONFINE, order, *argv]
        return [self.interpreter, "-I", "-S", str(applier), json.dumps(order), *argv]

    def start(self, *argv: str, **named: object) -> subprocess.Popen[str]:
        """Starts a command as the user, with all that it says on one pipe."""
        return subprocess.Popen(
            argv,
            **{
                "cwd": self.root,
                "user": self.user,
                "group": pwd.getpwnam(self.user).pw_gid,
                "extra_groups": [] if os.geteuid() == 0 else None,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT,
                "text": True,
            }
            | named,
        )

    def run(self, *argv: str, **named: object) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user, and hears all of it."""
        with self.start(*argv, **named) as process:
            said = process.communicate(timeout=60)[0]
        return subprocess.CompletedProcess(argv, process.returncode, said)


def made(user: str) -> Place:
    """Makes a place; not below pytest's own directory, which is closed to others."""
    place = Place(user, Path(tempfile.mkdtemp(prefix="haltable-")).resolve())
    place.root.chmod(0o755)
    place.out.mkdir()
    place.kept.write_text("kept\n")
    for path in (place.root, place.out, place.kept):
        shutil.chown(path, user)
    return place


def is_open(path: Path) -> bool:
    """Says whether everybody may come as far as that, and run it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))
