# SPDX-License-Identifier: MIT
"""Wrong designs of loops, and the worlds in which they are looked for."""

from __future__ import annotations

from collections.abc import Callable

from haltable import _book, _claim_async, _drive_async, _sending_async, interventions
from haltable._book import Book
from haltable._recording import Recording
from tests.model.loop_runs import Manner
from tests.model.loop_world import LoopModel
from tests.model.seeds import Seed
from tests.model.worlds import Limits


def world(manner: Manner | None = None, *bodies: str, **limits: object) -> Callable[[], LoopModel]:
    """Returns what makes a small world, in which workers keep their names."""
    given = Limits(name="seed", ordered=True, **limits)
    return lambda: LoopModel(given, manner or Manner(), bodies or ("returns",))


SEEDS = (
    Seed(
        "a body runs before its start is charged",
        _drive_async,
        "charge",
        "if await put(run, run.charging(moment)) is MINE:",
        "book.accepted(book.draft(run.charging(moment), settles=True), book.version, moment)\n"
        "        if book.claimed:",
        world(),
        ("P2",),
    ),
    Seed(
        "a loop's write reads the version first and compares nothing",
        _sending_async,
        "send",
        "try:\n",
        "seen = await ports.read(run, run.store_key)\n"
        "    newest = 0 if seen is None else seen.version\n"
        "    return await ports.write(run, run.store_key, draft.value, newest)\n"
        "    try:\n",
        world(),
        ("rule 1", "starts come one by one", "a body that was left"),
    ),
    Seed(
        "a loop's refused write is put on the newest version as it is",
        Book,
        "compare",
        "if record is not None:\n        self.record = record\n",
        "self.standing = Standing.MINE\n",
        world(acts=("stop", "reset"), times=1),
        ("P", "rule", "only an operator", "epochs", "starts"),
    ),
    Seed(
        "a reset clears who is running",
        interventions,
        "reset",
        "kept.running, past",
        "None, past",
        world(acts=("reset",), times=1),
        ("rule 3",),
    ),
    Seed(
        "an operator's write refreshes a dead lease",
        interventions,
        "_kept",
        "max(0.0, running.lease - age)",
        "running.lease",
        world(acts=("reset",), times=1, crashes=1),
        ("rule 3",),
    ),
    Seed(
        "a run that takes over counts no crash",
        _claim_async,
        "admit",
        "settled(record, Outcome.CRASHED, elapsed=record.elapsed)",
        "record",
        world(crashes=1),
        ("a body that was left has crashed",),
    ),
    Seed(
        "a lease is no hindrance",
        _claim_async,
        "admit",
        "if running is not None and not dead and age < running.lease:",
        "if False:",
        world(),
        ("rule 1", "a body that was left"),
    ),
    Seed(
        "an owner does not see that it is asked to stop",
        _book,
        "standing",
        "return Standing.MINE if record.past.stop is None else Standing.STOP_ASKED",
        "return Standing.MINE",
        world(acts=("stop",), times=1),
        ("rule 3",),
    ),
    Seed(
        "a terminal key is charged again",
        _claim_async,
        "admit",
        "if ruling is not None:",
        "if False:",
        world(),
        ("P",),
    ),
    Seed(
        "a lost reply is taken for a refusal and charged once more",
        Book,
        "compare",
        "return written is not None and written is draft",
        "return False",
        world(faults=1),
        ("P1", "starts come"),
    ),
    Seed(
        "a verdict is written into the epoch that a reset began",
        Recording,
        "judging",
        "if record.epoch > seen.epoch:",
        "if False:",
        world(acts=("reset",), times=1, crashes=1),
        ("P1",),
    ),
    Seed(
        "a verdict does not look whether more starts were given",
        Recording,
        "judging",
        "withdrawn = record.extension > seen.extension and _is_withdrawn(ruling, record)",
        "withdrawn = False",
        world(acts=("extend",), times=1, crashes=1),
        ("P1",),
    ),
)
