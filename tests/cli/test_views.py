# SPDX-License-Identifier: MIT
"""Keys and effects as the command shows them: states that no process of a test gets into."""

from __future__ import annotations

import math
import shlex

import attrs
import pytest

from haltable import IdempotencyGuard, IterationCap, Loop, Operator, SQLiteStore, cli
from haltable.cli.views import effect_in_words, effect_rows, key_in_words, key_rows
from haltable.effect_records import EffectRecord
from haltable.effect_view import effect_view
from haltable.effects import EffectState
from haltable.key_state import key_state
from haltable.records import new_record

UNKNOWN = effect_view(EffectRecord("", "charge:7", EffectState.UNKNOWN), age=5.0)


@pytest.mark.parametrize("namespace", ["", "my shop"])
def test_an_unknown_effect_ends_with_what_resolves_it(tmp_path, namespace):
    """The command under an unknown effect, typed as it stands, resolves that very effect."""
    path = str(tmp_path / "my effects.db")

    def charge():
        raise OSError("the line is dead")

    with SQLiteStore(path) as store:
        with pytest.raises(OSError, match="dead"):
            IdempotencyGuard(store=store, namespace=namespace).once("charge:7", charge)
        (unknown,) = Operator(store).effects("unknown")
    program, *words = shlex.split(effect_in_words(unknown, store=path).partition("\n  next: ")[2])
    code = cli.main(words)
    with SQLiteStore(path) as store:
        (resolved,) = Operator(store).effects()

    assert (program, code) == ("haltable", 0)
    assert (resolved.namespace, resolved.key) == (namespace, "charge:7")
    assert resolved.state is EffectState.DONE


@pytest.mark.parametrize("namespace", ["", "my shop"])
def test_a_key_ends_with_what_resolves_its_unknown_effect(tmp_path, namespace, capsys):
    """The command under a key, typed as it stands, resolves the very effect that ran in it."""
    path = str(tmp_path / "loops.db")
    with SQLiteStore(path) as store:
        guard = IdempotencyGuard(namespace=namespace)
        loop = Loop(IterationCap(1), guard, key="shop", store=store)
        loop.run(lambda iteration: iteration.once("charge:7", lambda: 1 / 0))
        IdempotencyGuard(store=store, namespace="other").once("charge:7", int)
    cli.main(["show", "shop", "--store", path])
    shown = capsys.readouterr().out
    code = cli.main(shlex.split(shown.rpartition("  next: haltable ")[2]))
    with SQLiteStore(path) as store:
        states = {view.namespace: view.state for view in Operator(store).effects()}

    assert f"  unknown effect {'my shop/' if namespace else ''}charge:7\n" in shown
    assert code == 0
    assert states[namespace] is EffectState.DONE


def test_the_words_of_others_are_shown_and_not_obeyed():
    """A key that would clear the terminal is written out, above the command and in it."""
    state = key_state(new_record("\x1b[2J"), age=0.0)
    shown = key_in_words(state, [attrs.evolve(UNKNOWN, key="\x1b]0;pay\x07")], store=None)

    assert shown.replace("\n", "").isprintable()
    assert "  unknown effect \\x1b]0;pay\\x07\n" in shown
    assert shown.endswith(
        "  next: haltable resolve $'\\x1b]0;pay\\x07' done --why 'it has happened'"
    )


def test_what_cannot_be_read_is_not_resolved():
    """Under an unreadable effect stands no command that would end it unseen."""
    words = effect_in_words(attrs.evolve(UNKNOWN, readable=False), store=None)

    assert words.endswith("\n  next: haltable effects --state unknown")


@pytest.mark.parametrize(
    ("age", "written"),
    [
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "120 min"),
        (7200.0, "2 h"),
        (172799.0, "48 h"),
        (172800.0, "2 d"),
        (math.inf, "before boot"),
    ],
)
def test_an_age_is_told_in_the_unit_that_says_most(age, written):
    """Rows of keys and of effects say in two words when they were written."""
    _, key = key_rows([key_state(new_record("report"), age=age)])
    _, effect = effect_rows([attrs.evolve(UNKNOWN, age=age)])

    assert (key[5], effect[3]) == (written, written)
