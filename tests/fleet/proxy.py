# SPDX-License-Identifier: MIT
"""A small TCP proxy before a server, which counts requests and spoils one of them on demand.

It hands on one request of a connection at a time, whole, and its reply, whole:
so it can lose, cut, delay and repeat exactly what a fault says.  It knows where
messages end from a `Wire`, and no store.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

import attrs

from tests.fleet.wires import Wire

__all__ = ["DOWN", "FAULTS", "MUTE", "Fault", "Proxy"]

#: Closes a connection at once and impolitely.
_RESET = struct.pack("ii", 1, 0)
#: Seconds that a slow server takes: several times what a call needs, less than any patience.
SLOW = 0.01


@attrs.frozen
class Fault:
    """What goes wrong with a request.

    Args:
        name: for the test's own words.
        request: how much of the request reaches the server, "all", "half" or
            "nothing"; "late" is all of it, after the client has sent it again.
        reply: how much of the reply reaches the client.
        cuts: whether the connection is cut then.
        waits: seconds that pass before the reply; None waits for the client to go.
        lasting: whether every request after it fares alike, until it is mended.
    """

    name: str
    request: str = "all"
    reply: str = "nothing"
    cuts: bool = True
    waits: float | None = 0.0
    lasting: bool = False

    def __str__(self) -> str:
        return self.name


#: One request fares badly, the next is as good as ever.
FAULTS = (
    Fault("loses the request", request="nothing"),
    Fault("loses the reply"),
    Fault("cuts the request", request="half"),
    Fault("cuts the reply", reply="half"),
    Fault("delivers late", request="late"),
    Fault("is slow", reply="all", cuts=False, waits=SLOW),
)
#: The same, for clients with a limit to their patience.
MUTE = Fault("is mute", cuts=False, waits=None)
#: From one request on all fare badly.
DOWN = (
    Fault("is down", request="nothing", lasting=True),
    Fault("answers no more", lasting=True),
)


class Proxy:
    """A port of this host behind which a server answers.

    Args:
        connect: opens a connection to the server.
        wire: how the server speaks.
    """

    def __init__(self, connect: Callable[[], socket.socket], wire: Wire) -> None:
        self._connect, self._wire = connect, wire
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._late: list[tuple[socket.socket, bytes]] = []
        self._fault: Fault | None = None
        self._at = self._seen = 0
        #: How many requests came that were more than the opening of a connection.
        self.requests = 0
        #: How many requests fared badly.
        self.struck = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def break_at(self, fault: Fault, at: int) -> None:
        """Has the fault befall the ``at``-th request from now on, openings counted too."""
        with self._lock:
            self._fault, self._at = fault, at
            self._seen = self.struck = 0

    def mend(self) -> None:
        """Ends the fault; what was late arrives now."""
        with self._lock:
            self._fault = None
        self._deliver()

    def close(self) -> None:
        """Cuts all connections, and waits for the threads."""
        self.mend()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for held in self._sockets:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # It is closed.
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        server = self._connect()
        ends = {client, server}
        with self._lock:
            self._sockets |= ends
        try:
            with contextlib.suppress(OSError):
                self._serve(client, server)
        finally:
            with self._lock:
                self._sockets -= ends
                kept = {late for late, _ in self._late}
            for end in ends - kept:
                end.close()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        asked, answered, first = bytearray(), bytearray(), True
        while True:
            opening = first
            request = _receive(
                client, asked, lambda data, first=opening: self._length(data, first=first)
            )
            if not request:
                return
            if not self._wire.is_answered(request, first=opening):
                server.sendall(request)  # It only goes, or asks to leave another one alone.
                server.recv(1)
                return
            fault = self._strike(is_work=self._wire.is_work(request, first=opening))
            first = False
            if fault is None:
                server.sendall(request)
                reply = _receive(server, answered, self._wire.reply_length)
                self._deliver(request)
                client.sendall(reply)
                if not reply:
                    return
            elif not self._spoil(fault, client, server, request):
                return

    def _length(self, data: bytes, *, first: bool) -> int:
        return self._wire.request_length(data, first=first)

    def _strike(self, *, is_work: bool) -> Fault | None:
        with self._lock:
            self._seen += 1
            self.requests += is_work
            fault = self._fault
            if fault is None or self._seen < self._at:
                return None
            if self._seen > self._at and not fault.lasting:
                return None
            self.struck += 1
            return fault

    def _spoil(
        self, fault: Fault, client: socket.socket, server: socket.socket, request: bytes
    ) -> bool:
        """Lets a request fare badly; returns whether its connection goes on."""
        reply = b""
        if fault.request == "late":
            with self._lock:
                self._late.append((server, request))
        elif fault.request != "nothing":
            whole = fault.request == "all"
            server.sendall(request if whole else request[: len(request) // 2])
            if whole:
                reply = _receive(server, bytearray(), self._wire.reply_length)
        if fault.waits is None:
            client.recv(1)
        elif fault.waits:
            threading.Event().wait(fault.waits)
        if fault.reply != "nothing":
            client.sendall(reply if fault.reply == "all" else reply[: len(reply) // 2])
        elif fault.cuts:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return not fault.cuts and fault.waits is not None

    def _deliver(self, request: bytes | None = None) -> None:
        """Delivers what is late, if it is this request or if none is named."""
        with self._lock:
            due = [late for late in self._late if request in {None, late[1]}]
            self._late = [late for late in self._late if late not in due]
        for server, late in due:
            with server:
                server.sendall(late)
                _receive(server, bytearray(), self._wire.reply_length)


def _receive(source: socket.socket, data: bytearray, length_of: Callable[[bytes], int]) -> bytes:
    """Takes a whole message off the data, and off the socket while something is missing.

    What came of it is returned, and nothing if nothing did, where the other side has gone.
    """
    while not (length := length_of(bytes(data))):
        piece = source.recv(1 << 16)
        if not piece:
            length = len(data)
            break
        data += piece
    message = bytes(data[:length])
    del data[:length]
    return message
