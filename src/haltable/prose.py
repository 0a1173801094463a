# SPDX-License-Identifier: MIT
"""Lines for a terminal: wrapped, cut where somebody else's text has no end.

What is told in them is their caller's; this room knows columns and words only.
"""

from __future__ import annotations

__all__ = ["filled", "in_seconds", "joined", "prose", "resolving_call", "visible"]

#: The columns of the terminal that somebody has at three in the morning.
_WIDTH = 80
#: The lines after a label's begin at most so far in.
_DEEPEST = 8
#: Of a text that somebody else wrote, so many characters are shown.
_LONGEST = 400


def prose(label: str, text: str) -> list[str]:
    """Returns a text after its label, in lines that are broken between words.

    A word that is longer than a line is broken too; calls that are to be copied go
    into `filled`.
    """
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    room = _WIDTH - len(_indent(label))
    pieces = [
        word[at : at + room]
        for word in map(visible, text.split())
        for at in range(0, len(word), room)
    ]
    return filled(label, pieces, " ")


def filled(label: str, pieces: list[str], joint: str) -> list[str]:
    """Returns the pieces after their label, in lines that fit a terminal.

    A piece is never broken, so that a call can be copied.
    """
    lines: list[str] = []
    indent = _indent(label)
    line = label
    for piece in pieces:
        begun = line not in {label, indent}
        more = joint + piece if begun else piece
        if len(line) + len(more) > _WIDTH and len(line) > len(indent):
            lines.append(line.rstrip())
            line, more = indent, piece
        line += more
    return [*lines, line.rstrip()]


def _indent(label: str) -> str:
    return " " * min(len(label), _DEEPEST)


def visible(text: str) -> str:
    r"""Returns a text that a terminal shows and does not obey: ``\x1b`` for an escape.

    Whoever stops a loop says why, in words that another one's terminal shows.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def joined(lines: list[str]) -> str:
    """Returns the lines as one text, whatever words of others are in them."""
    return "\n".join(map(visible, lines))


def in_seconds(seconds: float) -> str:
    """Returns a duration in words."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


def resolving_call(key: str, namespace: str = "") -> str:
    """Returns the operator's call that ends an unknown effect, to be copied.

    Args:
        key: the effect's.
        namespace: the guard's.
    """
    where = f", namespace={namespace!r}" if namespace else ""
    return f"ops.resolve({key!r}, 'done' | 'failed' | 'free', by=..., why=...{where})"
