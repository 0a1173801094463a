# SPDX-License-Identifier: MIT
"""The isolation page keeps its word: each attack is run again, and comes to what the page says."""

from __future__ import annotations

import pytest

from tests.attacks import page
from tests.attacks.arena import fight, fights
from tests.attacks.attacks import ATTACKS, OUTSIDE, RUN
from tests.bodies import shut

TOLD = page.PAGE.read_text()
#: What a function does to its own process depends on the interpreter: the page only informs of it.
GOLDEN = ("child", "confined")


@pytest.mark.parametrize("number", RUN)
def test_the_page_says_what_holds(number):
    """Run again, an attack on a process body ends as the page says, whoever tries it."""
    fought = fights(number, GOLDEN)

    for level in GOLDEN:
        for user, each in fought[level].items():
            assert each.held == page.held(TOLD, number, level), (level, user, each.damage)


def test_confined_all_hold():
    """No attack that can be run gets through a confinement."""
    assert [number for number in RUN if not page.held(TOLD, number, "confined")] == []


@pytest.mark.parametrize("number", OUTSIDE)
def test_unconfined_the_damage_is_done(number):
    """What a confinement holds against does its damage without one: it is no empty threat."""
    assert not page.held(TOLD, number, "child")


@pytest.mark.parametrize("number", [1, 2, 12, 20])
def test_a_function_is_attacked_too(number):
    """In its own process a body is tried as well, and the page says what came of it."""
    fought = fight(ATTACKS[number], "iteration", shut.USERS[0])

    assert fought.held == page.held(TOLD, number, "iteration"), fought.damage


@pytest.mark.parametrize("level", page.LEVELS)
@pytest.mark.parametrize("user", shut.USERS)
def test_a_well_behaved_body_succeeds(level, user):
    """At every level a body that harms nobody works, as often as the cap lets it."""
    fought = fight("well_behaved", level, user)

    assert fought.held, fought.damage
    assert [(said["status"], said["failures"], said["ran"]) for said in fought.said] == [
        ("tripped", 0, True),
        ("tripped", 0, False),
    ]


def test_the_page_is_complete():
    """The page's tables have all attacks, in the words of this room, and nothing else."""
    assert [*page.rows(TOLD)] == RUN
    assert page.rewritten(TOLD, page.rows(TOLD)) == TOLD
