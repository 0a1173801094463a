# SPDX-License-Identifier: MIT
"""A command that is shown is what a shell reads back, whatever its words are."""

from __future__ import annotations

import os
import subprocess

import pytest

from haltable.cli.receipts import command


@pytest.mark.parametrize(
    "word",
    [
        "plain",
        "it's \\ two words",
        "first line\nsecond line\ttab",
        "\x1b[31mred\x1b[0m isn't \\n",
        "\x7f12",
        "\u2028\U000e0001\xe9",
        "no UTF-8: \udcff\udc80",
        "",
    ],
)
def test_a_shell_reads_what_was_meant(word):
    """In one line that a terminal only shows, and back again byte for byte."""
    shown = command("show", word, store=None)
    script = f"haltable() {{ printf '%s' \"$2\"; }}; {shown}"
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    words = ["/bin/bash", "-c", os.fsencode(script)]
    said = subprocess.run(words, env=environment, capture_output=True, check=True).stdout

    assert shown.isprintable()
    assert said == os.fsencode(word)
