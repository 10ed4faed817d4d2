"""Why a call would be reused or would run, told before it does, and how a reason is shown."""

import itertools
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist import State, flow, task
from cellist.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
)
from cellist.exceptions import (
    ObjectNotFound,
    ParameterBindError,
    UnfinishedRun,
    UpstreamTaskError,
)
from cellist.futures import PrefectFuture
from cellist.model.reasons import Change, Reason
from cellist.model.states import COMPLETED
from cellist.session import CellistWarning
from cellist.settings import temporary_settings
from tests.sessions import Recorder, recorded_session
from tests.sources import module_at

HOSTILE = "<script>alert(1)</script>\"'&\x00"
numbers = itertools.count()


def module(directory: Path, code: str) -> Any:
    """Return a new module with this code, as a kernel has it after the cells were run anew."""
    path = directory / f"cells_{next(numbers)}.py"
    path.write_text(f"from cellist import task\n{code}", encoding="utf-8")
    return module_at(path)


BEFORE = """
def clean(text):
    # spaces do not count
    return text.strip()

@task
def count(text):
    return len(clean(text))
"""
AFTER = BEFORE.replace("text.strip()", "text.strip().lower()")


@pytest.fixture
def edited(tmp_path: Path, recorder: Recorder) -> Any:
    """A task that ran once, and whose helper was edited then."""
    assert recorder.runs == []
    module(tmp_path, BEFORE).count(" a ")
    return module(tmp_path, AFTER).count


def add(x: int, y: int = 2) -> int:
    return x + y


def say(x: Any) -> None:
    del x


def values(x: int) -> Iterator[int]:
    yield x


def broken_key(context: Any, parameters: dict[str, Any]) -> str:
    del context, parameters
    raise KeyError("no such thing")


class Own(CachePolicy):
    def compute_key(self, *args: Any, **kwargs: Any) -> str | None:
        del kwargs
        return f"own {args[1]['x']}"


NEVER = "would run: never run before"
FORETOLD = {  # options of the task, argument, sentence before its first run
    "never run": ({}, 1, NEVER),
    "no cache": (
        {"cache_policy": NO_CACHE},
        1,
        "would run: caching is off (cache_policy=NO_CACHE)",
    ),
    "own policy": ({"cache_policy": Own()}, 1, NEVER),
    "key function": ({"cache_key_fn": lambda c, p: f"k{p['x']}"}, 1, NEVER),
    "storage key": ({"result_storage_key": "sum {parameters[x]}"}, 1, NEVER),
    "no key": (
        {"cache_key_fn": lambda c, p: None},
        1,
        "would run: the cache policy gave no key for this call",
    ),
    "broken key": (
        {"cache_policy": CacheKeyFnPolicy(cache_key_fn=broken_key)},
        1,
        "would run: computing the cache key failed (KeyError: 'no such thing')",
    ),
    "outside a flow": (
        {"cache_policy": FLOW_PARAMETERS},
        1,
        "would run: the cache policy gave no key for this call",
    ),
    "refresh": ({"refresh_cache": True}, 1, "would run: a refresh was asked for"),
    "not persisted": (
        {"persist_result": False},
        1,
        "would run: caching is off (persist_result=False)",
    ),
}


@pytest.mark.parametrize("case", FORETOLD)
def test_what_is_said_before_a_first_run(case: str, recorder: Recorder) -> None:
    options, argument, sentence = FORETOLD[case]
    reason = task(add, **options).why(argument)
    assert reason.sentence == sentence
    assert reason.outcome in {"miss", "off"}
    assert recorder.events == []


@pytest.mark.filterwarnings("ignore:Task `add` is not cached:cellist.session.CellistWarning")
@pytest.mark.parametrize("case", FORETOLD)
def test_what_is_foretold_comes_true(case: str, recorder: Recorder) -> None:
    options, argument, _ = FORETOLD[case]
    one = task(add, **options)
    told = [one.why(argument)]
    one(argument)
    told.append(one.why(argument))
    one(argument)
    said = [run.why for run in recorder.of("add")]
    assert [reason.outcome for reason in told] == [reason.outcome for reason in said]
    assert [reason.code for reason in told] == [reason.code for reason in said]
    pasts = [
        reason.sentence.replace("would run: ", "ran: ")
        .replace("would be reused", "reused")
        .replace("saves", "saved")
        for reason in told
    ]
    assert pasts == [reason.sentence for reason in said]


def test_a_hit_says_from_when_and_what_it_saves(recorder: Recorder) -> None:
    one = task(add)
    one(1)
    reason = one.why(1, y=2)  # bound as a call is: the default was given
    assert re.fullmatch(r"would be reused from \d\d:\d\d, saves (under 1|\d+) ms", reason.sentence)
    assert (reason.outcome, reason.code) == ("hit", "reused")
    assert reason.saved == recorder.session.store.headers("add")[0].get("seconds")
    assert one.why(x=3).sentence == "would run: argument `x`: 1 → 3"
    assert one.explain(1, 5).sentence == "would run: argument `y`: 2 → 5"


def test_nothing_runs_and_nothing_is_left_behind(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task(add)
    one(1)
    one.why(1)
    monkeypatch.delattr("cellist.sentinel.watch")  # which is for runs
    entries = recorder.session.store.entries()
    before = recorder.session.store.stats(), len(recorder.events), list(recorder.session.warned)
    for argument in (1, 2, socket.socket):
        one.why(argument)
    with socket.socket() as unstable:
        one.why(unstable)
    after = recorder.session.store.stats(), len(recorder.events), list(recorder.session.warned)
    assert after == before
    assert recorder.session.store.entries() == entries
    assert recorder.session.cache.flights.up == {}
    assert recorder.session.live == {}


BASES = """
class Deep:
    rate = 2
class Mixin:
    pass
class Both(Mixin, Deep):
    pass

@task
def scaled(x):
    return x * Both.rate
"""


def test_what_comes_from_a_base_is_told_by_the_name_of_the_base(
    tmp_path: Path, recorder: Recorder
) -> None:
    module(tmp_path, BASES).scaled(1)
    reason = module(tmp_path, BASES.replace("rate = 2", "rate = 3")).scaled.why(1)
    assert recorder.session.warned == {}
    assert reason.sentence == "would run: global `Deep.rate`: 2 → 3"


def test_an_argument_without_a_digest_is_named_with_the_remedy(recorder: Recorder) -> None:
    with socket.socket() as unstable:
        reason = task(add).why({"conn": unstable})
    assert recorder.session.warned == {}
    assert reason.sentence == "would run: `x['conn']` has no stable digest"
    assert 'INPUTS - "x"' in reason.notes[0]


def test_a_damaged_result_is_foretold_as_a_miss(recorder: Recorder) -> None:
    one = task(add).with_options(cache_result_in_memory=False)
    one(1)
    store = recorder.session.store
    store.flush()
    key = recorder.one("add").cache_key
    (path,) = store.directory.glob("*.db")
    recorder.session.stores.close()
    damage(path, str(key))
    reason = one.why(1)
    assert reason.code in {"unreadable", "foreign"}
    assert reason.sentence.startswith("would run: ")
    assert store.stats()["warnings"] == []


def damage(path: Path, key: str) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        changed = connection.execute(
            "UPDATE Cache SET value = zeroblob(length(value)) WHERE key = ?", [key]
        )
        assert changed.rowcount == 1
    connection.close()


@pytest.mark.parametrize("inside", [False, True])
def test_an_expired_result_is_foretold_as_a_miss(inside: bool, recorder: Recorder) -> None:
    one = task(add, cache_expiration=0, cache_result_in_memory=inside)
    one(1)
    recorder.session.store.flush()
    assert re.fullmatch(r"would run: its result expired \d+ ms ago", one.why(1).sentence)


def test_results_linked_by_records_elsewhere_are_found(tmp_path: Path, recorder: Recorder) -> None:
    one = task(add, cache_policy=DEFAULT.configure(key_storage=tmp_path / "records"))
    assert one.why(1).code == "first_run"
    one(1)
    assert one.why(1).outcome == "hit"
    assert recorder.session.cache.stores.of(None, None) is recorder.session.store


def test_none_is_not_kept_by_default(recorder: Recorder) -> None:
    one = task(say)
    sentence = "would run: it returns None, which is not kept by default"
    assert one.why(1).sentence == sentence
    one(1)
    assert one.why(1).sentence == sentence
    kept = task(say, cache_policy=INPUTS)
    assert kept.why(1).sentence == "would run: no earlier result is kept"
    kept(1)
    assert kept.why(1).outcome == "hit"
    assert len(recorder.of("say")) == 2


def test_generators_are_not_cached() -> None:
    one = task(values)
    assert one.why(1).sentence == "would run: it is a generator, which is not cached"


def test_inside_a_flow_what_it_says_counts(recorder: Recorder) -> None:
    one = task(add)

    @flow(persist_result=False, name="quiet")
    def quiet() -> str:
        return one.why(1).sentence

    assert quiet() == "would run: caching is off (persist_result=False of flow `quiet`)"
    assert [run.kind for run in recorder.runs] == ["flow"]


def test_the_parameters_of_the_flow_count(recorder: Recorder) -> None:
    one = task(add, cache_policy=FLOW_PARAMETERS)

    @flow
    def outer(n: int) -> tuple[str, str]:
        del n
        before = one.why(1).code
        one(1)
        return before, one.why(1).code

    assert outer(1) == ("first_run", "reused")
    assert outer(2) == ("changed", "reused")
    assert len(recorder.of("add")) == 2


def test_a_key_function_gets_the_task_and_may_ask_for_its_run() -> None:
    seen: list[Any] = []

    def key(context: Any, parameters: dict[str, Any]) -> str:
        seen.append((context.task.name, context.task_run.name, parameters))
        return "k"

    assert task(add, cache_key_fn=key).why(1).code == "first_run"
    assert seen == [("add", "add", {"x": 1, "y": 2})]


def test_settings_count(recorder: Recorder) -> None:
    one = task(add)
    one(1)
    with temporary_settings(tasks_disable_caching=True):
        assert "CELLIST_TASKS_DISABLE_CACHING" in one.why(1).sentence
    with temporary_settings(tasks_refresh_cache=True):
        assert one.why(1).code == "refreshed"
    assert one.why(1).outcome == "hit"
    assert len(recorder.of("add")) == 1


def test_futures_among_the_arguments_are_their_values_once_they_have_one() -> None:
    one = task(add)
    first = one.submit(1)
    first.wait()
    assert one.why(first).sentence == "would run: argument `x`: 1 → 3"
    state = one(1, return_state=True)
    assert one.why(state).sentence == "would run: argument `x`: 1 → 3"


def test_what_is_not_there_yet_is_not_waited_for(recorder: Recorder) -> None:
    one = task(add)
    one(1)
    pending = PrefectFuture(recorder.one("add"))
    reason = one.why(pending)
    assert reason.sentence == (
        "would run: its input `add` is not there yet, so its key is not known"
    )


def test_a_failed_input_keeps_a_call_from_running(recorder: Recorder) -> None:
    def fail(x: int) -> None:
        raise ValueError(x)

    failed = task(fail).submit(1)
    failed.wait()
    reason = task(add).why(failed)
    assert reason.sentence == "would not run: its input `fail` failed"
    assert not failed.observed
    assert recorder.of("add") == []


def test_a_run_without_its_input_says_which(recorder: Recorder) -> None:
    def fail(x: int) -> int:
        raise ValueError(x)

    @flow
    def chain() -> None:
        failed = task(fail).submit(1)
        second = task(add).submit(failed)
        task(add).submit(second)
        task(add).submit(1, wait_for=[failed])
        failed.wait()
        task(add).submit(failed.state)

    chain(return_state=True)
    failed, second = recorder.one("fail").name, recorder.of("add")[0].name
    told = [str(run.why) for run in recorder.of("add")]
    assert told == [
        f"did not run: its input `{failed}` failed",
        f"did not run: its input `{second}` did not run, since `{failed}` failed",
        f"did not run: `{failed}`, which it waits for, failed",
        "did not run: one of its inputs is the state of a run that failed",
    ]


@pytest.mark.parametrize("way", ["returned", "asked for"])
def test_the_error_of_an_unrun_task_names_the_run_that_failed(way: str, recorder: Recorder) -> None:
    def fail(x: int) -> float:
        return x / 0

    @flow
    def chain() -> Any:
        future = task(add).submit(task(add).submit(task(fail).submit(1)))
        return future if way == "returned" else future.result()

    with pytest.raises(UnfinishedRun) as raised:
        chain()
    failed = recorder.one("fail").name
    middle, unrun = (run.name for run in recorder.of("add"))
    who = "A task" if way == "returned" else unrun
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert str(raised.value).startswith(
        f"{who} did not run: its input `{middle}` did not run, since `{failed}` failed. "
    )


def test_a_direct_call_without_its_input_names_the_run_that_failed(recorder: Recorder) -> None:
    def fail(x: int) -> float:
        return x / 0

    @flow
    def chain() -> None:
        first = task(fail).submit(1)
        task(add)(task(add).submit(first))

    with pytest.raises(UpstreamTaskError) as raised:
        chain()
    failed, (middle, unrun) = recorder.one("fail").name, recorder.of("add")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert str(raised.value) == (
        f"{unrun.name} did not run: its input `{middle.name}` did not run, since `{failed}` failed."
        f" Upstream task run '{middle.id}' did not reach a 'COMPLETED' state."
    )


def test_never_run_is_not_said_of_what_has_run(recorder: Recorder) -> None:
    fails = [True]

    def shaky(x: int) -> int:
        if fails.pop():
            raise ValueError(x)
        return x

    one = task(shaky, cache_policy=INPUTS)
    assert str(one.why(1)) == NEVER
    one(1, return_state=True)
    assert str(one.why(2)) == "would run: never completed before, its last run failed"
    fails.append(False)
    one(1)
    assert [str(run.why) for run in recorder.of("shaky")] == [
        "ran: never run before",
        "ran: never completed before, its last run failed",
    ]
    cellist.cache.clear()
    assert str(one.why(1)) == "would run: no earlier result is kept"


@pytest.mark.parametrize("how", ["failed", "completed", "another task"])
def test_a_later_session_knows_how_the_last_run_ended(how: str, tmp_path: Path) -> None:
    fails = [how != "completed"]

    @task(cache_policy=INPUTS)
    def shaky(x: int) -> int:
        if fails[-1]:
            raise ValueError(x)
        return x

    @task(name="shaky", cache_policy=INPUTS)
    def other(x: int) -> int:
        return x

    with recorded_session(tmp_path / "s") as before:
        assert shaky(1, return_state=True).is_failed() == fails[-1]
        before.session.store.clear()
    fails.append(False)
    with recorded_session(tmp_path / "s") as after:
        one = other if how == "another task" else shaky
        for x in range(2):
            one(x)
        said = [str(run.why) for run in after.of("shaky")]
        assert after.session.history.flush(60)
        assert cellist.run(after.of("shaky")[0].id).why.sentence == said[0]
    expected = {
        "failed": r"ran: ran before, but failed \(\d\d:\d\d\)",
        "completed": "ran: no earlier result is kept",
        "another task": "ran: never run before",
    }
    assert re.fullmatch(expected[how], said[0]), said


def test_methods_have_their_instance() -> None:
    class Scale:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @task
        def times(self, x: int) -> int:
            return self.factor * x

    Scale(2).times(3)
    assert Scale(2).times.why(3).outcome == "hit"
    assert Scale(3).times.why(3).outcome == "miss"
    assert cellist.why(Scale(2).times, 3).outcome == "hit"


def test_arguments_that_do_not_fit_name_the_task() -> None:
    with pytest.raises(ParameterBindError, match=r"of task 'sum up': missing .* 'x'"):
        task(add, name="sum up").why()
    call: Any = add
    with pytest.raises(ParameterBindError, match=r"of flow 'outer': .*unexpected.*'z'"):
        flow(call, name="outer")(1, z=2)


class TestTheFunction:
    def test_of_what_ran(self, recorder: Recorder) -> None:
        one = task(add)
        state = one(1, return_state=True)
        future = one.submit(1)
        future.wait()
        run = recorder.of("add")[0]
        assert cellist.why(state) is state.why is run.why is cellist.why(run)
        assert cellist.why(future) is future.why is future.state.why
        assert future.why.outcome == "hit"
        assert isinstance(future.why, Reason)
        named = cellist.why("add")
        assert named.as_dict() == future.why.as_dict() == cellist.why(one).as_dict()
        assert cellist.why(str(run.id)).as_dict() == run.why.as_dict()
        assert cellist.why(run.id).as_dict() == run.why.as_dict()

    def test_of_what_looked_nothing_up(self) -> None:
        state = State(COMPLETED, data=1)
        assert cellist.why(state) is None

        @flow
        def empty() -> int:
            return 1

        assert cellist.why(empty(return_state=True)) is None

    def test_of_what_may_run(self) -> None:
        one = task(add)
        assert cellist.why(one, 1).sentence == NEVER
        assert cellist.why(one, x=1).sentence == NEVER
        one(1)
        assert cellist.why(one, 1).sentence.startswith("would be reused from")

    def test_a_task_alone_is_a_call_if_it_can_be_called_so(self) -> None:
        def needless(x: int = 1) -> int:
            return x

        one = task(needless)
        assert cellist.why(one).sentence == NEVER
        one()
        assert cellist.why(one).sentence.startswith("would be reused")
        assert cellist.why("needless").sentence == "ran: never run before"
        with pytest.raises(ObjectNotFound):
            cellist.why(task(add))

    def test_arguments_belong_to_tasks(self) -> None:
        with pytest.raises(TypeError, match=r"only after a task.*cellist\.plan"):
            cellist.why(flow(add), 1)
        with pytest.raises(TypeError, match="only after a task"):
            cellist.why("add", 1)


def test_what_was_decided_over_the_cache_counts(edited: Any, recorder: Recorder) -> None:
    assert edited.why(" a ").code == "changed"
    cellist.accept(edited, because="only case")
    before = recorder.session.store.stats()
    told = edited.why(" a ")
    assert told.code == "accepted"
    assert told.sentence.startswith("would be reused from ")
    assert told.sentence.endswith("accepted because: only case")
    cellist.refresh(edited)
    assert edited.why(" a ").sentence == "would run: a refresh was asked for"
    assert recorder.session.store.stats() == before
    edited(" a ")
    assert recorder.of("count")[-1].why.code == "refreshed"
    assert edited.why(" a ").code == "reused"


def test_what_may_only_be_read_is_looked_up(recorder: Recorder) -> None:
    one = task(add)
    one(1)
    with temporary_settings(cache="readonly"):
        assert one.why(1).outcome == "hit"
        plan = cellist.plan(flow(lambda: (one(2), one(2)), name="twice"))
    assert [call.verdict for call in plan.calls] == ["runs", "runs"]
    assert len(recorder.of("add")) == 1


GOLDEN = """\
would run: helper `clean` changed (line 3: `return text.strip().lower()`)
      --- before
      +++ after
      @@ -1,3 +1,3 @@
       def clean(text):
           # spaces do not count
      -    return text.strip()
      +    return text.strip().lower()"""


def test_why_a_result_is_not_kept_is_said_once(recorder: Recorder) -> None:
    def opened(n: int) -> socket.socket:
        del n
        return socket.socket()

    with pytest.warns(CellistWarning, match=r"task `opened` is not kept: it is of the type"):
        task(opened)(1).close()
    assert recorder.one("opened").why.sentence == (
        "ran: never run before; its result is not kept: it is of the type `socket.socket`, which "
        "cannot be stored (cannot pickle 'socket' object)"
    )


def test_a_changed_helper_is_shown_as_a_diff(edited: Any) -> None:
    assert edited.why(" a ").text == GOLDEN
    edited(" a ")
    ran = GOLDEN.replace("would run: ", "ran: ", 1)
    assert cellist.why("count").text == ran
    bundle = cellist.why("count")._repr_mimebundle_()
    assert bundle["text/plain"] == ran
    html = bundle["text/html"]
    assert re.findall(r">([+-] [^<]*)</span>", html) == [
        "-    return text.strip()",
        "+    return text.strip().lower()",
    ]
    assert "helper <code>clean</code> changed" in html
    assert html.count("changed (line") == 1, "said once"
    assert "var(--jp-success-color0,var(--vscode-" in html
    assert "<pre" in cellist.run("count")._repr_html_()


MANY = Reason(
    "miss",
    "changed",
    "ran: its own source changed; argument `n`: 10 → 20",
    (
        Change("source", "f", "a = 1\nb = 2", "a = 1\nb = 3", "its own source changed"),
        Change("argument", "n", "10", "20", "argument `n`: 10 → 20"),
    ),
    notes=("not tracked: `conn`",),
)


def test_several_changes_are_listed() -> None:
    assert MANY.text == (
        "ran: its own source changed; argument `n`: 10 → 20\n"
        "  - its own source changed\n"
        "      --- before\n"
        "      +++ after\n"
        "      @@ -1,2 +1,2 @@\n"
        "       a = 1\n"
        "      -b = 2\n"
        "      +b = 3\n"
        "  - argument `n`: 10 → 20\n"
        "  note: not tracked: `conn`"
    )


def test_a_reason_survives_as_data() -> None:
    told = MANY.as_dict()
    assert Reason.from_dict(told) == MANY
    assert MANY["sentence"] == str(MANY) == MANY.sentence
    assert told["changes"][0]["diff"] == MANY.changes[0].diff
    assert told["changes"][1]["diff"] == ""


def test_hostile_text_stays_text() -> None:
    change = Change("function", HOSTILE, HOSTILE, f"{HOSTILE}2", HOSTILE)
    reason = Reason("miss", "changed", HOSTILE, (change, change), notes=(HOSTILE,))
    html = reason._repr_html_()
    assert html.count("&lt;script&gt;") == 8  # sentence, note, twice a summary and two lines
    assert "<script" not in html
    assert "\x00" not in html
    assert "alert(1)" in reason.text


def test_a_huge_diff_is_cut() -> None:
    after = "\n".join(map(str, range(5000)))
    reason = Reason("miss", "changed", "ran", (Change("source", "f", "", after, "changed"),))
    assert reason.text.endswith("more lines")
    assert len(reason.text.splitlines()) < 410
    assert len(reason.changes[0].diff.splitlines()) > 5000


def test_policies_without_arguments_have_a_say() -> None:
    assert task(lambda: 1, cache_policy=INPUTS).why().code == "no_key"
    assert task(lambda: 1, cache_policy=TASK_SOURCE).why().code == "first_run"


@pytest.mark.parametrize("how", ["called", "submitted", "mapped", "in a list"])
def test_an_argument_that_another_task_gave_is_told_by_that_task(
    recorder: Recorder, how: str
) -> None:
    @task
    def load(n: int) -> list[int]:
        return [n]

    @task
    def clean(rows: Any) -> Any:
        return rows

    @flow
    def weather(n: int) -> None:
        if how == "called":
            clean(load(n))
        elif how == "submitted":
            clean.submit(load.submit(n)).result()
        elif how == "mapped":
            clean.map(load.map([n])).result()
        else:
            clean([load.submit(n).result()])

    weather(1)
    weather(2)
    assert [str(run.why) for run in recorder.of("load")][1] == "ran: argument `n`: 1 → 2"
    told = str(recorder.of("clean")[1].why)
    assert told.startswith("ran: `load` gave another `rows`"), told
    assert recorder.of("clean")[1].why.gist == "ran: `load` gave another `rows`"


def test_runs_side_by_side_all_know_of_the_runs_before_them(recorder: Recorder) -> None:
    seen: dict[int, int] = {}
    together = threading.Barrier(3)

    @task
    def ask(n: int) -> int:
        seen[n] = seen.get(n, 0) + 1  # so that nothing is kept
        together.wait(60)
        return n

    @flow
    def quiz() -> None:
        ask.map([1, 2, 3]).result()

    quiz()
    quiz()
    told = [str(run.why).partition(";")[0] for run in recorder.of("ask")]
    assert told == ["ran: never run before"] * 3 + ["ran: no earlier result is kept"] * 3
