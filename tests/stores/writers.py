# SPDX-License-Identifier: MIT
"""Threads that write one SQLite file at once, brought into one group without a race.

It knows how a store lets writers wait for one another, and asserts nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time

__all__ = ["PATIENCE", "Writers", "until"]

#: Seconds after which what was expected is taken never to happen.
PATIENCE = 30.0


def until(holds):
    """Waits until a question is answered with yes."""
    limit, pause = time.monotonic() + PATIENCE, threading.Event()
    while not holds():
        assert time.monotonic() < limit, "it never came to that"
        pause.wait(0.001)


class Writers:
    """Threads, each of which makes one call, and what each of them got.

    Args:
        store: the store that they use.
    """

    def __init__(self, store):
        self.store = store
        #: What each call returned or raised, by its place.
        self.answers = {}
        #: Set as soon as any is answered.
        self.answered = threading.Event()
        self.threads = []

    def start(self, call):
        """Starts a thread that makes a call, and keeps its answer."""
        place = len(self.threads)

        def work():
            try:
                self.answers[place] = call()
            except BaseException as error:
                self.answers[place] = error
            finally:
                self.answered.set()

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    @contextlib.contextmanager
    def grouped(self, *calls):
        """Has calls wait for the file as one group, led by the first; lets them go at the end."""
        queue = self.store._queue
        with self.store._file.lock:
            queue.busy = "somebody"
            for number, call in enumerate(calls, 1):
                self.start(call)
                until(lambda number=number: queue.open and len(queue.open.writes) == number)
            yield
        self.join()

    def join(self):
        """Waits for all, and returns what they got, in order."""
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread waits for ever"
        return [self.answers[place] for place in range(len(self.threads))]

    def do(self, *calls):
        """Makes calls as one group, and returns what they got, in order."""
        with self.grouped(*calls):
            pass
        return self.join()

    def do_all(self, calls):
        """Makes more calls than one group holds, all at once, and returns what they got."""
        with self.store._file.lock:
            self.store._queue.busy = "somebody"
            for number, call in enumerate(calls, 1):
                self.start(call)
                until(lambda number=number: len(self.store._queue._inside) == number)
        return self.join()
