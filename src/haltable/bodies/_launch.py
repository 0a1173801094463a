# SPDX-License-Identifier: MIT
"""How the keeper's children come to be: fast where nothing stands against it, or by a fork.

It knows a program, its directory, its streams and its signals.  Whose child it
is, and what is to become of it, it does not know.  The keeper loads it, so that
it loads little.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the keeper's start.
if TYPE_CHECKING:
    import signal
    from typing import Any
else:  # The same without the names of numbers, which take longer than all the rest.
    import _signal as signal

__all__ = ["Launch", "confine", "prctl"]

#: Of Linux' prctl(2).
_SET_PDEATHSIG = 1
#: What Python ignores, and a program expects to find as it is by default.
_IGNORED_BY_PYTHON = tuple(
    int(getattr(signal, name)) for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ") if hasattr(signal, name)
)


class Launch:
    """One start of a program.

    Args:
        task: its arguments, directory (None for where we are), environment,
            grace, and how it is confined (None for not at all), all in bytes.
        numbers: what else is in its environment.
        here: a descriptor of the directory where we are.
        streams: descriptors for what it prints to its output and its errors.
        ignored: the signals that it is to ignore.
        mask: those that are blocked for it.
    """

    def __init__(
        self,
        task: tuple[Any, ...],
        numbers: dict[bytes, bytes],
        here: int,
        streams: tuple[int, int],
        *,
        ignored: list[Any],
        mask: set[Any],
    ) -> None:
        self.argv, self.directory, given, _, self.confined = task
        self.environment: dict[bytes, bytes] = {**given, **numbers}
        self.here, self.streams = here, streams
        self.ignored, self.mask = ignored, mask

    def spawned(self) -> int | None:
        """Returns the number of the program's process; None if it must be tried by a fork.

        That can do more between the process and the program, and takes half as
        long again.
        """
        if self.confined is not None or self.ignored:
            return None
        try:
            _go(self.here, self.directory)
            return os.posix_spawn(
                _found(self.argv[0], self.environment),
                self.argv,
                self.environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, self.streams[0], 1),
                    (os.POSIX_SPAWN_DUP2, self.streams[1], 2),
                ],
                setsid=True,
                setsigmask=self.mask,
                setsigdef=_IGNORED_BY_PYTHON,
            )
        except (OSError, ValueError, NotImplementedError):
            return None  # What is wrong is found, and said, by the other way.
        finally:
            os.chdir("/")  # The keeper itself keeps no directory from being unmounted.

    def become(self, fault: int, keeper: int, *, follows: bool) -> None:
        """Turns this process, a fork, into the program; it never returns.

        Args:
            fault: where it says what is wrong.
            keeper: the number of the process that forked.
            follows: whether the program dies when that does.
        """
        what = "program"
        try:
            os.setsid()
            if follows:
                # The keeper has one thread, so that this is the end of the keeper.
                prctl(_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != keeper:
                    os._exit(127)
            for number in self.ignored:
                signal.signal(number, signal.SIG_IGN)
            for number in _IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for number, stream in enumerate((nothing, *self.streams)):
                os.dup2(stream, number)
            what = "directory"
            _go(self.here, self.directory)
            what = "confinement"
            confine(self.confined)
            what = "program"
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
            os.execvpe(self.argv[0], self.argv, self.environment)
        except OSError as error:
            os.write(fault, f"{error.errno} {what} {error.strerror}".encode())
        except ValueError:
            os.write(fault, f"{errno.EINVAL} {what}".encode())
        finally:
            os._exit(127)


def _go(here: int, directory: bytes | None) -> None:
    """Goes where whoever gives the orders is, and from there to the directory."""
    os.fchdir(here)
    if directory is not None:
        os.chdir(directory)


def _found(program: bytes, environment: dict[bytes, bytes]) -> bytes:
    """Returns the first place on the path that has the program, as `os.execvpe` tries them.

    Raises:
        FileNotFoundError: if none has it: a bare name would be taken from where we are.
    """
    if b"/" in program:
        return program
    for folder in environment.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
        place = os.path.join(folder, program)
        if os.path.exists(place):
            return place
    raise FileNotFoundError


def confine(instructions: dict[str, Any] | None) -> None:
    """Confines this process, single-threaded and about to become the program.

    It may return in another, which then is to become the program.

    Args:
        instructions: what the confinement said of itself; None for no confinement.

    Raises:
        OSError: if the kernel refuses; the program is then not started.
    """
    if instructions is not None:
        if TYPE_CHECKING or __package__:
            from haltable.bodies import _confine
        else:  # It runs beside the package, as the keeper does.
            import _confine
        _confine.confine(instructions)


def prctl(option: int, value: int) -> bool:
    """Asks Linux for something about this process; returns whether it was given."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False
