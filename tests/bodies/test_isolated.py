# SPDX-License-Identifier: MIT
"""A function in a process of its own: what it is given, what it may ask, how it is ended."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from haltable import IdempotencyGuard, IterationCap, Loop, MemoryStore, Operator, Status
from haltable.bodies import Body, Isolated, IsolatedFailed, _talk_async, _talk_sync
from haltable.bodies._fence import Fence
from haltable.bodies._numbers import numbers_of, with_numbers
from haltable.errors import ConfigurationError, LoopInterrupt
from haltable.testing import iteration
from tests.bodies import isolated_bodies as bodies


def _by_run(loop, body):
    return loop.run(body)


def _by_arun(loop, body, backend):
    async def main():
        return await loop.arun(body)

    return anyio.run(main, backend=backend)


@pytest.fixture(
    params=[
        _by_run,
        functools.partial(_by_arun, backend="asyncio"),
        functools.partial(_by_arun, backend="trio"),
    ],
    ids=["run", "asyncio", "trio"],
)
def drive(request):
    """Runs a loop over a body to its report."""
    return request.param


def test_it_is_given_its_arguments_and_returns_json(run):
    """What the function returns comes back, out of another process."""
    result = run(Isolated(bodies.add, arguments={"first": 40, "second": 2}))

    assert result["sum"] == 42
    assert result["pid"] != os.getpid()


def test_no_grace_is_no_haste(run):
    """A function that ends by itself needs no grace."""
    assert run(Isolated(bodies.add, arguments={"first": 1}, grace=0))["sum"] == 1


def test_it_sees_the_numbers_of_its_iteration(run):
    """Number, starts, key and the rest are those of the iteration here."""
    result = run(Isolated(bodies.numbers), number=2, starts=7, key="report-42", limit=9)

    assert result == {
        "number": 2,
        "starts": 7,
        "remaining": 2,
        "key": "report-42",
        "fence": iteration().fence,
        "failures": 0,
        "failures_in_row": 0,
        "elapsed": True,
    }


def test_current_works_over_there(run):
    """A function that takes no iteration finds it, and may run loops of its own."""
    assert run(Isolated(bodies.inside), number=3) == [3, 2]


def test_its_environment_is_clean(run, monkeypatch):
    """It finds no variable of ours but four, what was given, and our path of modules."""
    monkeypatch.setenv("DATABASE_URL", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    found = run(Isolated(bodies.world, env={"COLOUR": "mine"}))
    allowed = {"PATH", "HOME", "LANG", "TMPDIR", "COLOUR"}

    strangers = {name for name in found["environ"] if not name.startswith("COVERAGE")} - allowed

    assert strangers <= {"LC_CTYPE"}  # Which Python itself sets.
    assert found["environ"]["COLOUR"] == "mine"
    assert found["environ"]["LANG"] == "C.UTF-8"
    assert found["stdin"] == ""
    assert found["path"] == [str(Path(entry).absolute()) for entry in sys.path]


def test_what_it_prints_can_be_heard(run):
    """Output is handed on line by line, and is no part of the answer."""
    heard = []
    result = run(Isolated(bodies.talks, on_output=heard.append))

    assert result is None
    assert sorted(heard) == ["one", "two"]


def test_it_may_claim_that_all_is_done(drive):
    """done() reaches the run, which takes it as any body's claim."""
    body = Isolated(bodies.done, arguments={"value": {"all": 1}})
    report = drive(Loop(IterationCap(5)), body)

    assert (report.status, report.result, report.starts) == (Status.SUCCEEDED, {"all": 1}, 1)


def test_it_may_give_up(drive):
    """give_up() reaches the run with its reason."""
    report = drive(Loop(IterationCap(5)), Isolated(bodies.gives_up))

    assert (report.status, report.reason) == (Status.GAVE_UP, "no more")


def test_it_may_check(drive):
    """check() is answered while the loop goes on."""
    assert drive(Loop(IterationCap(1)), Isolated(bodies.checks)).result == "went on"


@pytest.mark.parametrize("function", [bodies.checks, bodies.swallows])
def test_a_verb_after_the_end_raises_over_there(function):
    """Once the run was stopped, each verb raises over there, and the run is over."""
    run = Loop(IterationCap(5)).start()
    run_body = Isolated(function)

    class Stopping(Body):
        def __call__(self, iteration):
            run.stop("enough")
            return run_body(iteration)

        async def acall(self, iteration):
            return self(iteration)

    report = run.run(Stopping())

    assert (report.status, report.starts) == (Status.STOPPED, 1)


class Late(Body):
    """Runs another body for an iteration that is over."""

    def __init__(self, body):
        self.body = body

    def __call__(self, iteration):
        return self.body(self.over(iteration))

    async def acall(self, iteration):
        return await self.body.acall(self.over(iteration))

    def over(self, iteration):
        return with_numbers(numbers_of(iteration), Fence(lambda: True, iteration))


def test_the_interrupt_of_a_verb_comes_back(run):
    """A function that an interrupt of ours has ended is interrupted here, and has not failed."""
    with pytest.raises(LoopInterrupt):
        run(Late(Isolated(bodies.checks)))

    assert run(Late(Isolated(bodies.swallows))) == "went on"


def _guarded(store, **options):
    return Loop(IterationCap(3), IdempotencyGuard(**options), key="task", store=store)


def test_its_effects_are_claimed_here_and_run_there(drive, tmp_path):
    """once() runs in its process, once, and is replayed from the record here."""
    store, path = MemoryStore(), tmp_path / "charges"
    report = drive(_guarded(store), Isolated(bodies.charges, arguments={"path": str(path)}))
    lines = path.read_text().splitlines()

    assert (report.starts, report.result) == (3, {"charged": 5})
    assert len(lines) == 1
    assert lines[0].split()[1] != str(os.getpid())


def test_its_payloads_are_checked(drive, tmp_path):
    """Another payload under the same key is refused, by arguments and by payload=."""
    store = MemoryStore()
    given = {"path": str(tmp_path / "charges")}
    drive(_guarded(store).with_(key="one"), Isolated(bodies.charges, arguments=given))
    body = Isolated(bodies.charges, arguments=given | {"payload": {"other": 1}})
    report = drive(_guarded(store).with_(key="two"), body)

    assert report.error.kind == "haltable.errors.PayloadMismatch"


def test_effects_may_be_nested_and_take_anything(drive):
    """An effect within an effect works, and so do arguments that are no JSON."""
    store = MemoryStore()

    assert drive(_guarded(store).with_(key="1"), Isolated(bodies.charges_within)).result == "both"
    assert (
        drive(_guarded(store).with_(key="2"), Isolated(bodies.charges_objects)).result
        == "<class 'object'>"
    )


def test_a_failed_effect_raises_its_own_exception_over_there(drive):
    """The function sees what its effect raised, and the effect is unknown here."""
    store = MemoryStore()
    report = drive(_guarded(store).with_(key="x"), Isolated(bodies.charge_fails))

    assert report.unknown_effects == ("charge",)


def test_an_effect_that_did_nothing_is_free_again(drive):
    """NothingHappened is understood across the pipe."""
    store = MemoryStore()
    report = drive(_guarded(store), Isolated(bodies.charge_does_nothing))

    assert report.unknown_effects == ()
    assert report.error.kind == "haltable.effects.NothingHappened"
    assert [effect.key for effect in Operator(store).effects("unknown")] == []


def test_an_effect_whose_process_dies_is_unknown(drive):
    """Whoever dies in the midst of an effect leaves it unknown, and failed."""
    store = MemoryStore()
    report = drive(_guarded(store), Isolated(bodies.charge_dies))
    after = drive(_guarded(store).with_(key="after"), Isolated(bodies.charge_is_unknown))

    assert "charge" in report.unknown_effects
    assert after.result == ["OutcomeUnknown", "charge"]


def test_an_effect_that_is_never_ended_is_a_fault(drive):
    """An answer in the midst of an effect is no effect's end."""
    store = MemoryStore()
    report = drive(_guarded(store), Isolated(bodies.answers_within_an_effect, grace=0.2))

    assert "ended its answer in the midst of an effect" in str(report.error)
    assert report.unknown_effects == ("charge",)


def test_errors_of_verbs_are_raised_over_there(drive):
    """What a verb raises here, it raises there, by its name and text."""
    result = drive(Loop(IterationCap(1)), Isolated(bodies.charge_without_guard)).result

    assert result[0] == "ConfigurationError"
    assert "IdempotencyGuard()" in result[1]


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (bodies.raises, "tests.bodies.isolated_bodies.Odd", "what was wrong"),
        (bodies.exits, "SystemExit", "0"),
        (bodies.returns_no_json, "haltable.errors.ConfigurationError", "not set"),
        (bodies.returns_nan, "haltable.errors.ConfigurationError", "not float"),
        (
            bodies.raises_unreadable,
            "tests.bodies.isolated_bodies.Unreadable",
            "its text cannot be read (ValueError)",
        ),
        (bodies.blocks, "haltable.errors.ConfigurationError", "belongs into"),
        (bodies.awaits, "haltable.errors.ConfigurationError", "uses once()"),
    ],
)
def test_its_exceptions_come_back_as_words(run, function, kind, message):
    """Type, text and traceback of what it raised are known here, and nothing is unpickled."""
    with pytest.raises(IsolatedFailed) as caught:
        run(Isolated(function))

    assert caught.value.kind == kind
    assert message in caught.value.message
    assert function.__name__ in caught.value.traceback or "_checked" in caught.value.traceback
    assert kind in str(caught.value)


RETURNED = '{"returned": 1}\n'


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (bodies.dies_quietly, {}, "ended with status 0 without an answer"),
        (bodies.dies_of_a_signal, {}, "was killed by SIGKILL"),
        (bodies.closes_the_line, {}, "closed the line without an answer"),
        (bodies.returns_much, {"size": 5000}, "more than 1000 bytes"),
        (bodies.floods, {}, "more than 1000 bytes"),
        (bodies.says, {"text": "garbage\n"}, "what is no message: b'garbage'"),
        (bodies.says, {"text": "[" * 900 + "\n"}, "what is no message"),
        (bodies.says, {"text": "{}\n"}, "what is no message"),
        (bodies.says, {"text": '{"returned": NaN}\n'}, "what is no message"),
        (bodies.says, {"text": '{"returned": 1, "raised": {}}\n'}, "what is no message"),
        (bodies.says, {"text": '{"raised": 7}\n', "then": "exit"}, "without saying how"),
        (bodies.says, {"text": '{"interrupted": true}\n', "then": "exit"}, "nobody asked"),
        (bodies.says, {"text": '{"ran": 1}\n', "then": "exit"}, "nobody asked"),
        (bodies.says, {"text": '{"returned": 1', "then": "exit"}, "status 0 without an answer"),
        (bodies.says, {"text": RETURNED, "then": "return"}, "went on after its answer"),
        (bodies.says, {"text": RETURNED}, "went on after its answer"),
        (bodies.answers_and_stays, {}, "went on after its answer"),
    ],
)
def test_whoever_does_not_answer_as_it_should_has_failed(
    run, monkeypatch, function, arguments, words
):
    """Garbage, floods, silence, two answers and no answer are failures with a clear name."""
    if function in {bodies.closes_the_line, bodies.answers_and_stays} or arguments == {
        "text": RETURNED
    }:
        for twin in (_talk_sync, _talk_async):
            monkeypatch.setattr(twin, "_PARTING", 0.2)
    body = Isolated(function, arguments=arguments, grace=0.2, message_limit=1000)
    with pytest.raises(IsolatedFailed, match=words) as caught:
        run(body)

    assert caught.value.kind is None


@pytest.mark.parametrize("verb", ['"verb": "fly"', '"verb": 7', '"verb": "once"', '"verb": "done"'])
def test_a_verb_that_there_is_not_is_refused(run, verb):
    """What it asks for is checked here, and refused over there."""
    body = Isolated(bodies.says, arguments={"text": "{" + verb + "}\n", "then": "exit"}, grace=0.2)
    with pytest.raises(IsolatedFailed, match="ended with status 0 without an answer"):
        run(body)


def test_a_hung_function_is_ended_with_all_it_started(tether, run):
    """A function that ignores TERM, and its escapee, are gone when Ctrl-C has passed through."""
    body = Isolated(bodies.hangs, arguments={"tether": tether.environment["TETHER"]}, grace=0.2)

    def press() -> None:
        tether.hear()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(body)
    thread.join()

    assert tether.hear_all() == b""


def test_whoever_asks_and_never_listens_is_ended(run):
    """Questions without end, and answers that nobody reads, do not keep us from ending it."""
    body = Isolated(bodies.asks_and_never_listens, grace=0.1)

    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(1.0, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(body, number=1)
    timer.join()


def test_a_block_that_nobody_entered_is_no_block(run):
    """To leave one changes nothing, and hides no exception."""
    assert run(Isolated(bodies.leaves_a_block)) is False


def test_threads_that_it_leaves_end_with_its_answer(tether, run):
    """A thread that is left behind does not keep the process."""
    body = Isolated(bodies.leaves_a_thread, arguments={"tether": tether.environment["TETHER"]})

    assert run(body) == "returned"
    assert tether.hear_all() == b"left\n"


def test_methods_that_a_name_leads_to_work(run):
    """Static methods and class methods have names that lead to them."""
    assert run(Isolated(bodies.Group.static, arguments={"first": 1})) == 1
    assert run(Isolated(bodies.Group.of_class)) == "Group"


def _nested():
    def inner():
        """Only its maker knows it."""

    return inner


@pytest.mark.parametrize(
    ("fn", "options", "words"),
    [
        (lambda: 1, {}, "a lambda has no name"),
        (_nested(), {}, "inside another function"),
        (functools.partial(bodies.add, 1), {}, "not what its own name leads to"),
        (bodies.Group().method, {}, "not what its own name leads to"),
        (bodies.asynchronous, {}, "neither async nor a generator"),
        (7, {}, "fn=7"),
        (bodies.add, {}, "nobody would give it first"),
        (bodies.add, {"arguments": {"first": {1}}}, "JSON"),
        (bodies.add, {"arguments": {"first": float("nan")}}, "JSON"),
        (bodies.add, {"arguments": [1]}, "by name"),
        (bodies.add, {"arguments": {"first": 1, "iteration": 1}}, "by name"),
        (bodies.inside, {"grace": -1}, "grace=-1"),
        (bodies.inside, {"message_limit": 0}, "message_limit=0"),
        (bodies.inside, {"env": {"A": 1}}, "env="),
        (bodies.inside, {"on_output": 1}, "on_output=1"),
    ],
)
def test_bad_input_is_refused(fn, options, words):
    """A body that could not be run as it was meant is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words):
        Isolated(fn, **options)


def test_what_is_defined_in_the_script_is_refused():
    """A fresh interpreter cannot import a script, which is said at once."""
    code = "from haltable.bodies import Isolated\ndef f(): ...\nIsolated(f)"
    host = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)

    assert b"defined in the script itself" in host.stderr


def test_it_is_a_body_with_a_name_and_no_secret():
    """It is called by its function's name; its failure pickles."""
    body = Isolated(bodies.inside, env={"TOKEN": "secret"})
    failed = pickle.loads(pickle.dumps(IsolatedFailed("f", "ValueError", "broken", "Traceback")))

    assert isinstance(body, Body)
    assert str(body) == "tests.bodies.isolated_bodies.inside"
    assert "secret" not in repr(body)
    assert (str(failed), failed.traceback) == ("f raised ValueError: broken", "Traceback")
