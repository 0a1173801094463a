# SPDX-License-Identifier: MIT
"""Has SIGINT and SIGTERM stop something gently, and a second one do what it did before.

It knows signals and a function; nothing is installed unless somebody asks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from haltable.errors import ConfigurationError

__all__ = ["stopping_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals(stop: Callable[[str], None]) -> Generator[None]:
    """Calls ``stop`` on the first of the signals; the host's handlers come back afterwards.

    Args:
        stop: called once, in a thread of its own, with the reason in words.

    Raises:
        ConfigurationError: outside the main thread, where no handler can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError("handle_signals=True: only the main thread can handle signals")
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    stopping: list[threading.Thread] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if stopping:
            restore()
            signal.raise_signal(number)
            return
        # What wakes a waiter takes locks, which the very frame that was interrupted may hold.
        name = signal.Signals(number).name
        stopping.append(threading.Thread(target=stop, args=(f"{name} was received",)))
        stopping[0].start()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in _SIGNALS:
        signal.signal(each, handle)
    try:
        yield
    finally:
        restore()
        for thread in stopping:
            thread.join()
