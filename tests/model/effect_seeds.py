# SPDX-License-Identifier: MIT
"""Wrong designs of effects, and the worlds in which they are looked for."""

from __future__ import annotations

from collections.abc import Callable

from haltable import _effects_async, _operator_effects, effect_ledger
from haltable._effect_call import EffectCall
from tests.model.effect_calls import Manner
from tests.model.effect_world import EffectModel
from tests.model.seeds import Seed
from tests.model.world import KeyModel
from tests.model.worlds import Limits


def world(
    manner: Manner | None = None, *bodies: str, **limits: object
) -> Callable[[], EffectModel]:
    """Returns what makes a small world, in which workers keep their names."""
    given = Limits(name="seed", ordered=True, **limits)
    return lambda: EffectModel(given, manner or Manner(), bodies)


RECONCILING = Manner(reconciling=True)
FORGETTING = Manner(retention=1)

SEEDS = (
    Seed(
        "an effect runs before it is claimed",
        _effects_async,
        "attempt",
        "if not await claim(call, call.claiming(answer.record), ledger.released):",
        "value = await run(call)\n"
        "    if await claim(call, call.claiming(answer.record), ledger.released):\n"
        "        return True, value\n"
        "    else:",
        world(),
        ("P2",),
    ),
    Seed(
        "a write reads the version first and compares nothing",
        _effects_async,
        "send",
        "try:\n",
        "seen = await ports.read(call)\n"
        "    expected = 0 if seen is None else seen.version\n"
        "    try:\n",
        world(),
        ("I3", "I4", "P4"),
    ),
    Seed(
        "an end is written without a look at the claim",
        _effects_async,
        "ended",
        "of=_OWN",
        "of=tuple(Tenure)",
        world(crashes=1, spawns=3, acts=("failed",), times=1),
        ("I4",),
    ),
    Seed(
        "a lease is judged by the client's clock",
        _effects_async,
        "look",
        "0.0 if entry is None else entry.age",
        "0.0 if entry is None else call.clock.now()",
        world(),
        ("I3",),
    ),
    Seed(
        "a refused write is put on the newest version as it is",
        EffectCall,
        "compare",
        "self.see(entry)",
        "self.version = 0 if entry is None else entry.version",
        world(crashes=1, spawns=2, acts=("failed", "done"), times=1),
        ("I4",),
    ),
    Seed(
        "what had not happened runs again beside its owner",
        _effects_async,
        "in_doubt",
        "if isinstance(verdict, NotHappened) and dead:",
        "if isinstance(verdict, NotHappened):",
        world(RECONCILING),
        ("rule 7", "P4"),
    ),
    Seed(
        "a claim is purged",
        effect_ledger,
        "is_purgeable",
        "_is_over(record, age) and age >= older_than",
        "age >= older_than",
        world(FORGETTING, acts=("purge",), times=1),
        ("I7",),
    ),
    Seed(
        "a lapsed claim is taken for one that did nothing",
        effect_ledger,
        "_look_at_attempt",
        "if request.permits_another(record.attempts):",
        "if True:",
        world(crashes=1),
        ("I12", "rule 7", "P4"),
    ),
    Seed(
        "a reconciler forgets whom it asks about",
        effect_ledger,
        "questioned",
        "suspect=record.owner",
        "suspect=None",
        world(RECONCILING, crashes=1),
        ("I12",),
    ),
    Seed(
        "an operator frees what its owner may be at still",
        _operator_effects,
        "_refuse_if_alive",
        "if owner is None or told or",
        "if owner is not None or told or",
        world(acts=("free",), times=1),
        ("P4",),
    ),
    Seed(
        "a finished effect is claimed again",
        effect_ledger,
        "look",
        "if record.state.finished:\n        return Finished(record)",
        "if record.state.finished:\n        return Open(record)",
        world(),
        ("I4",),
    ),
    Seed(
        "another payload is not looked at",
        effect_ledger,
        "look",
        "known is not None and asked is not None and known != asked",
        "False",
        world(Manner(callers=("same", "other")), "does nothing"),
        ("I6",),
    ),
    Seed(
        "an unknown write is given up for refused",
        EffectCall,
        "compare",
        "return own is draft",
        "return False",
        world(faults=1),
        ("I8",),
    ),
    Seed(
        "a claim that was given up is renewed for somebody else",
        _effects_async,
        "renew",
        "of=_CLAIM",
        "of=tuple(Tenure)",
        world(RECONCILING, looks=1),
        ("I3", "I4"),
    ),
    Seed(
        "an interrupted effect counts as one that did nothing",
        _effects_async,
        "note_end",
        "await note(call, error, call.doubting(why), of=_CLAIM)",
        "await note(call, error, ledger.released, of=_CLAIM)",
        world(None, "raises"),
        ("P4",),
    ),
    Seed(
        "the store numbers a key anew after a delete",
        KeyModel,
        "_next_version",
        "max(versions_in(world)) + 1",
        "1 if world.entry is None else world.entry.version + 1",
        world(FORGETTING, acts=("purge",), times=1, faults=1, numbered=True),
        ("I3", "I4", "P4"),
    ),
)
