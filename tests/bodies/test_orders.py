# SPDX-License-Identifier: MIT
"""The keeper's end of its line, over a real one: messages that come late, in pieces, or not."""

from __future__ import annotations

import array
import contextlib
import marshal
import os
import socket

import pytest

from haltable.bodies import _orders
from haltable.bodies._orders import Orders


class Line:
    """Both ends of a line: what a test says comes to the orders."""

    def __init__(self):
        self.far, near = socket.socketpair()
        self.orders = Orders(near.detach())

    def close(self):
        """Gives up both ends, and what has come over them."""
        self.far.close()
        if self.orders.order is not None:
            self.orders.order.close()
        self.orders._line.close()


@pytest.fixture
def line():
    """A line with somebody at its other end."""
    with contextlib.closing(Line()) as line:
        yield line


@pytest.fixture
def file(tmp_path):
    """The descriptor of a file to send."""
    with (tmp_path / "file").open("w") as file:
        yield file.fileno()


def message(what):
    """Returns a message as it is sent."""
    said = marshal.dumps(what)
    return len(said).to_bytes(4, "big") + said


def order(number=1):
    """Returns an order that comes with a directory and an output."""
    return message({"order": number, "names": ["here", "output"], "numbers": {}})


def send(line, said, *descriptors):
    """Sends something, with descriptors beside it."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    line.far.sendmsg([said], [rights] if descriptors else [])


def test_where_nothing_has_come_nothing_is_waited_for(line):
    """To hear what is not there returns at once, and is neither an order nor the end."""
    line.orders.hear()

    assert (line.orders.order, line.orders.ended) == (None, False)


def test_a_message_may_come_in_pieces(line, file):
    """An order is one when its last byte is there, and what came with its first is not lost."""
    said, begun = order(7), []
    send(line, said[:1], file, file)
    for byte in said[1:]:
        line.orders.hear()
        begun.append(line.orders.order)
        send(line, bytes([byte]))
    line.orders.hear()
    same = os.path.samestat(os.fstat(file), os.fstat(line.orders.order.here))

    assert begun == [None] * (len(said) - 1)
    assert line.orders.order.number == 7
    assert same


@pytest.mark.parametrize("flag", [True, False])
def test_no_program_inherits_what_comes_with_an_order(line, file, monkeypatch, flag):
    """Where the system cannot take descriptors in closed to programs, they are closed by hand."""
    if not flag:
        monkeypatch.delattr(_orders._socket, "MSG_CMSG_CLOEXEC")
    send(line, order(), file, file)
    line.orders.hear()
    came = line.orders.order.here, *line.orders.order.streams

    assert [os.get_inheritable(descriptor) for descriptor in came] == [False] * 3


@pytest.mark.parametrize("word", ["end", "at once"])
def test_a_word_that_crosses_the_end_is_about_nothing(line, file, word):
    """What asks for the end of an order that is over does not touch the next one."""
    send(line, message(word))
    send(line, order(), file, file)
    line.orders.hear()
    line.orders.hear()  # The two may have come apart.

    assert not line.orders.order.ending
    assert not line.orders.order.at_once


def test_at_once_is_not_taken_back(line, file):
    """An end that was asked for politely can be hurried, and is hurried from then on."""
    heard = []
    send(line, order(), file, file)
    line.orders.hear()
    for word in ("end", "at once", "end"):
        send(line, message(word))
        line.orders.hear()
        heard.append((line.orders.order.ending, line.orders.order.at_once))

    assert heard == [(True, False), (True, True), (True, True)]


@pytest.mark.parametrize("unread", [b"", b"status 0\n"], ids=["nothing unread", "words unread"])
def test_the_end_of_the_other_end_is_heard(line, unread):
    """Nobody gives orders any more, also where whoever did left in the midst of a word."""
    if unread:
        line.orders.say(unread)
    line.far.close()
    line.orders.hear()

    assert (line.orders.order, line.orders.ended) == (None, True)


def test_whoever_is_gone_is_told_nothing(line):
    """What nobody hears is no error: the end is heard of in another way."""
    line.orders.say(b"status 0\n")
    heard = line.far.recv(100)
    line.far.close()
    line.orders.say(b"over\n")
    line.orders.hear()

    assert heard == b"status 0\n"
    assert line.orders.ended
