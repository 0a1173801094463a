# SPDX-License-Identifier: MIT
"""What a process body may write to, and whether it may use the network.

It is a value, and says whether it can be kept: whether this kernel can shut a
process in, and whether what must be out of reach is.  It does not start a
body, and does not know which store its loop has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from haltable._process_group import check_statuses
from haltable.bodies._reach import (
    code_of_this_process,
    files_of,
    linked_within,
    outermost,
    within_reach,
)
from haltable.errors import ConfigurationError

__all__ = ["Confinement"]

#: The program that carries it out, run by an interpreter that knows no package.
APPLIER = Path(__file__).with_name("_confine.py")
#: Seconds that a trial may take on a machine that is busy with other things.
_PATIENCE = 30.0


def _paths(writable: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    try:
        given = None if isinstance(writable, str) else [os.fspath(path) for path in writable]
        if given is not None and all(path and "\0" not in path for path in given):
            return tuple(str(Path(path).absolute()) for path in given)
    except TypeError:
        pass  # No sequence, or not of strings.
    raise ConfigurationError(
        f"Confinement(writable={writable!r}): give a list of directories that the body may "
        'write to, as ["out"]; an empty one if it may write nowhere'
    )


def _flag(instance: Confinement, attribute: attrs.Attribute[bool], value: Any) -> None:
    del instance
    if not isinstance(value, bool):
        raise ConfigurationError(f"Confinement({attribute.name}={value!r}): give True or False")


@attrs.frozen
class Confinement:
    """Shuts a process body in: it writes where it may, and reaches nobody outside.

    The body reads what its user may read.  It changes nothing but what lies
    under the writable paths, neither contents nor owners, modes and times; it
    sees no process but its own, and whatever it starts ends with it.  It has no
    privileges, as root neither, and gains none (``sudo`` does not work).  Its
    loop's store it cannot even read.

    It needs Linux 6.2 or later with Landlock, and user namespaces unless we are
    root.  Where the kernel cannot do all of it, nothing is done by halves:
    making one raises.

    To know when you write the body:

    - ``/dev/null``, ``/dev/zero`` and ``/dev/full`` can be written to;
      ``/dev/tty`` cannot, and there are no new pseudo-terminals.
    - What needs scratch space looks for it at ``TMPDIR``: name a directory
      under a writable path in the body's environment.
    - What needs POSIX semaphores or shared memory (`multiprocessing`) needs
      ``/dev/shm`` among the writable paths.
    - A writable path that is a file can be written, but not replaced: programs
      that save by renaming want the directory.
    - As root, it owns what root owns, and may do what any owner may: writing
      into another user's directory is not among that.

    Args:
        writable: directories (or files) that the body may write to, with all
            below them; they exist when it starts.  A relative path counts from
            the present directory, once.
        network: whether it may use the network; if not, it finds not even a
            loopback.  Sockets that have a path in the file system stay within
            reach, whoever listens there.

    Raises:
        ConfigurationError: if an argument is not as described above, or if this
            kernel cannot keep it; the message says what is missing.

    Example:
        >>> from haltable.bodies import Confinement
        >>> Confinement(writable=["/tmp"], network=False)
        Confinement(writable=('/tmp',), network=False)
    """

    writable: tuple[str, ...] = attrs.field(converter=_paths, kw_only=True)
    network: bool = attrs.field(default=True, kw_only=True, validator=_flag)

    def __attrs_post_init__(self) -> None:
        if sys.platform != "linux":
            raise ConfigurationError(
                f"Confinement: there is none on {sys.platform}; it takes Linux 6.2 or later"
            )
        check_statuses()
        trial = subprocess.run(
            [sys.executable, "-I", "-S", APPLIER, json.dumps(_order((), (), network=self.network))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
        if trial.returncode != 0:
            said = trial.stderr.decode(errors="replace").strip()
            raise ConfigurationError(f"Confinement: {said or f'status {trial.returncode}'}")

    def check(self, protected: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Raises if a writable path is missing, or would let the body at what holds it.

        That is what is given, with what lies beside it under a name that begins with
        its name (a database's journals), and every file of code that this process
        has loaded: the program's, haltable's, and Python's own.

        Args:
            protected: files or directories, as those of the loop's store.

        Raises:
            ConfigurationError: and names both paths.
        """
        for path in self.writable:
            if not Path(path).exists():
                raise ConfigurationError(
                    f"Confinement(writable=[{path!r}]): there is nothing; make it first"
                )
        kept = [*files_of(protected)]
        within = (
            within_reach(self.writable, [*kept, *code_of_this_process(self.writable)])
            # Code has other names for good reasons: installers link it from their caches.
            or linked_within(self.writable, kept)
        )
        if within is not None:
            raise ConfigurationError(
                f"Confinement(writable=[{within.writable!r}]): the body could change "
                f"{within.protected}; name a directory that holds nothing but its work"
            )

    def instructions(self, protected: Iterable[str | os.PathLike[str]] = ()) -> dict[str, Any]:
        """Returns the order for the program that carries it out, after a `check`.

        Args:
            protected: as for `check`; what is there of it is hidden from the body.

        Returns:
            JSON-able values: real paths, and whether there is a network.

        Raises:
            ConfigurationError: as by `check`.
        """
        given = [*protected]
        self.check(given)
        hidden = {os.path.realpath(path) for path in files_of(given)}
        return _order(outermost(self.writable), sorted(hidden), network=self.network)


def _order(writable: Sequence[str], hidden: Sequence[str], *, network: bool) -> dict[str, Any]:
    return {"writable": _by_bytes(writable), "hidden": _by_bytes(hidden), "network": network}


def _by_bytes(paths: Sequence[str]) -> list[str]:
    # Who carries it out may have another opinion of how names are encoded.
    return [os.fsencode(path).decode("latin-1") for path in paths]
