# SPDX-License-Identifier: MIT
"""The operator's acts: see, stop, reset, extend, resolve and purge, from a terminal.

Each is one call of `haltable.Operator`, with who and why.  It shows what that
returned, and what to type next.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from haltable import Operator
from haltable.cli.exits import SUCCESS, Refused
from haltable.cli.options import count, duration
from haltable.cli.store import login, operator_at, store_file
from haltable.cli.tables import table
from haltable.cli.views import as_json, effect_in_words, effect_rows, key_in_words, key_rows
from haltable.effect_view import EffectView
from haltable.effects import EffectState
from haltable.errors import HaltableError
from haltable.key_state import KeyState
from haltable.model import Status

__all__ = ["ACTS", "operate"]

#: What an act shows, and whether as a list even if it is one thing.
Shown: TypeAlias = Sequence[KeyState | EffectView]
Act: TypeAlias = Callable[[Operator, Any], Shown]

_LISTS = ("ls", "effects", "purge", "watch")
_CLEAR = "\x1b[H\x1b[2J"


def _list(ops: Operator, given: Any) -> Shown:
    return ops.list(status=given.status)


def _show(ops: Operator, given: Any) -> Shown:
    state = ops.show(given.key)
    if not state.unknown_effects:
        return [state]
    unknown = ops.effects("unknown")
    return [state, *(view for view in unknown if view.loop == given.key)]


def _stop(ops: Operator, given: Any) -> Shown:
    return [ops.stop(given.key, by=given.by, why=given.why)]


def _reset(ops: Operator, given: Any) -> Shown:
    return [ops.reset(given.key, by=given.by, why=given.why)]


def _extend(ops: Operator, given: Any) -> Shown:
    return [ops.extend(given.key, starts=given.starts, by=given.by, why=given.why)]


def _effects(ops: Operator, given: Any) -> Shown:
    return ops.effects(given.state, namespace=given.namespace)


def _resolve(ops: Operator, given: Any) -> Shown:
    view = ops.resolve(
        given.key,
        given.outcome,
        by=given.by,
        why=given.why,
        namespace=given.namespace or "",
        result=given.result,
        message=given.message,
        owner_is_gone=given.owner_is_gone,
    )
    return [view]


def _purge(ops: Operator, given: Any) -> Shown:
    return ops.purge(older_than=given.older_than)


#: What each act does, and the line that its help opens with.
ACTS: dict[str, tuple[Act, str]] = {
    "ls": (_list, "Shows how all keys stand."),
    "show": (_show, "Shows how one key stands, in full."),
    "stop": (_stop, "Ends a key: at once, or by asking the run that holds it."),
    "reset": (_reset, "Begins a key anew: counts, memory and time at zero."),
    "extend": (_extend, "Lets a key that has ended go on, with more starts."),
    "effects": (_effects, "Shows how effects stand."),
    "resolve": (_resolve, "Ends an unknown effect, for somebody who has looked outside."),
    "purge": (_purge, "Forgets finished effects that are past their retention."),
    "watch": (_list, "Shows how all keys stand, again and again; Ctrl-C ends it."),
}


def operate(parser: type[argparse.ArgumentParser], verb: str, words: Sequence[str]) -> int:
    """Carries out an act and returns the exit code.

    Args:
        parser: what reads the words.
        verb: the act.
        words: what follows it.

    Raises:
        Refused: if it cannot be done.
    """
    act, description = ACTS[verb]
    made = parser(prog=f"haltable {verb}", description=description, allow_abbrev=False)
    _add(made, verb)
    given = made.parse_args(words)
    file, named = store_file(given.store)
    try:
        ops = operator_at(file)
        if verb == "watch" and sys.stdout.isatty() and not given.json:
            return _watch(ops, given)
        _write(verb, act(ops, given), as_array=given.json, store=named)
    except KeyError as error:
        raise Refused(f"{error.args[0]}, in {file}") from error
    except HaltableError as error:
        raise Refused(" ".join(str(error).split())) from error
    return SUCCESS


def _watch(ops: Operator, given: Any) -> int:
    try:
        while True:
            rows = key_rows(ops.list(status=given.status))
            columns, lines = os.get_terminal_size(1)
            shown = table(rows, columns=columns or 80).splitlines()[: max(2, (lines or 24) - 1)]
            sys.stdout.write(_CLEAR + "\n".join(shown) + "\n")
            sys.stdout.flush()
            time.sleep(given.every)
    except KeyboardInterrupt:
        return SUCCESS


def _write(verb: str, shown: Shown, *, as_array: bool, store: str | None) -> None:
    keys = [each for each in shown if isinstance(each, KeyState)]
    effects = [each for each in shown if isinstance(each, EffectView)]
    if as_array:
        text = as_json(keys) if keys else as_json(effects)
    elif verb in _LISTS:
        rows = effect_rows(effects) if verb in ("effects", "purge") else key_rows(keys)
        columns = os.get_terminal_size(1).columns or 80 if sys.stdout.isatty() else None
        text = table(rows, columns=columns)
    else:
        # Effects beside a key are its own.
        pieces = [key_in_words(each, effects, store=store) for each in keys]
        pieces = pieces or [effect_in_words(each, store=store) for each in effects]
        text = "\n".join(pieces)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# Words ----------------------------------------------------------------------------------


def _add(parser: argparse.ArgumentParser, verb: str) -> None:
    if verb in ("show", "stop", "reset", "extend", "resolve"):
        parser.add_argument("key", metavar="KEY")
    if verb == "resolve":
        parser.add_argument("outcome", choices=["done", "failed", "free"])
        parser.add_argument("--result", type=_json, help="with done: what it returned, as JSON")
        parser.add_argument("--message", default="", help="with failed: how it failed")
        parser.add_argument(
            "--owner-is-gone", action="store_true", help="with free: whoever was at it is gone"
        )
    if verb == "extend":
        parser.add_argument("--starts", required=True, type=_reader(count), help="how many more")
    if verb in ("ls", "watch"):
        parser.add_argument("--status", choices=[status.value for status in Status])
    if verb == "watch":
        parser.add_argument("--every", default=1.0, type=_reader(duration), metavar="DURATION")
    if verb == "effects":
        parser.add_argument("--state", choices=[state.value for state in EffectState])
    if verb in ("effects", "resolve"):
        parser.add_argument("--namespace", help="the guard's")
    if verb == "purge":
        parser.add_argument(
            "--older-than", required=True, type=_reader(duration), metavar="DURATION"
        )
    if verb in ("stop", "reset", "extend", "resolve"):
        parser.add_argument("--why", required=True, help="for the history, and for the receipt")
        parser.add_argument("--by", default=login(), help="who you are (your login name)")
    parser.add_argument("--store", metavar="FILE", help="where counts are kept")
    parser.add_argument("--json", action="store_true", help="write one array of JSON")


def _reader(read: Callable[[object], Any]) -> Callable[[str], Any]:
    def reader(word: str) -> Any:
        try:
            return read(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r}: {error}") from error

    return reader


def _json(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r}: give JSON") from error
