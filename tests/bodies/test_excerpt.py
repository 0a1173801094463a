# SPDX-License-Identifier: MIT
"""The head and the tail of a long text: nothing too much, nothing lost before its time."""

from __future__ import annotations

import re

from hypothesis import given, strategies as st

from haltable.bodies._excerpt import Excerpt


@given(st.integers(1, 40), st.lists(st.binary(max_size=30), max_size=20))
def test_it_is_the_head_and_the_tail(limit, chunks):
    """In whatever chunks a text comes, its first and last bytes are kept, and counted."""
    excerpt, whole = Excerpt(limit), b"".join(chunks)
    for chunk in chunks:
        excerpt.add(chunk)

        assert len(excerpt._head) + len(excerpt._tail) <= 1.5 * limit + 1

    found = bytes(excerpt)
    if len(whole) <= limit:
        assert (found, excerpt.left_out) == (whole, 0)
    else:
        head, tail = limit - limit // 2, limit // 2
        note = b"\n[%d bytes left out]\n" % (len(whole) - limit)
        assert found == whole[:head] + note + whole[len(whole) - tail :]
        assert excerpt.left_out == len(whole) - limit


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_looking_changes_nothing(chunks):
    """It can be read at any time, and goes on as if it had not been."""
    looked, unlooked = Excerpt(16), Excerpt(16)
    for chunk in chunks:
        looked.add(chunk)
        unlooked.add(chunk)
        bytes(looked)

    assert bytes(looked) == bytes(unlooked)
    assert not re.search(rb"left out.*left out", bytes(looked), re.DOTALL)
