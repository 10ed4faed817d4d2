"""Overruling the cache: refresh once, accept what a former source gave, take it back."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from cellist.caching import acceptances, signing
from cellist.caching.acceptances import Acceptance, Acceptances
from cellist.caching.bundles import Bundles
from cellist.exceptions import ObjectNotFound
from cellist.results import ResultStore
from cellist.session import CellistWarning, get_session
from tests.sessions import Recorder
from tests.sources import FIRST, FURTHER, RENAMED, Calls, define, state_of, why

pytestmark = pytest.mark.usefixtures("recorder")

# -- refresh --


@pytest.mark.parametrize("give", ["task", "name", "key"])
def test_each_call_computes_anew_once(give: str) -> None:
    calls = Calls()
    t = define(FIRST, calls, name="first work")
    for x in (1, 2, 1):
        t(x)
    told = cellist.refresh({"task": t, "name": "first work", "key": t.identity}[give])
    assert "2 stored results will be computed anew" in str(told)
    assert told.results == 2
    assert [why(t, x).code for x in (1, 1, 2, 2, 3)] == [
        "refreshed", "reused", "refreshed", "reused", "changed",
    ]  # fmt: skip
    assert calls == [1, 2, 1, 2, 3]
    cellist.refresh(t)
    assert str(why(t, 1)) == "ran: a refresh was asked for"
    assert why(t, 1).outcome == "hit"


def test_a_refresh_of_one_task_leaves_others_alone() -> None:
    calls = Calls()
    t, other = define(FIRST, calls), task(lambda x: [x], name="other")
    t(1)
    other(1)
    cellist.refresh("other")
    assert why(t, 1).outcome == "hit"
    assert why(other, 1).code == "refreshed"


def test_a_result_that_does_not_say_when_its_run_began_serves_until_it_is_asked_anew() -> None:
    t = task(lambda x: [x], name="work", result_storage_key="one")
    ResultStore().write([7], "one")
    cellist.refresh("other")
    assert state_of(t, 1).result() == [7]


def test_refreshing_what_is_not_stored_says_so() -> None:
    t = define(FIRST, Calls(), name="embed")
    t(1)
    told = cellist.refresh("embd")
    assert told.results == 0
    assert str(told).startswith("Nothing of `embd` is stored here")
    assert "Near to it: embed" in str(told)
    assert cellist.decisions().empty  # a slip decides nothing
    assert why(t, 1).outcome == "hit"
    with pytest.raises(TypeError, match="Only what a task"):
        cellist.refresh(flow(lambda: 1))
    with pytest.raises(ValueError, match="must not be empty"):
        cellist.refresh(" ")


def test_a_refused_result_does_not_count_as_reused() -> None:
    t = define(FIRST, Calls())
    t(1)
    cellist.refresh(t)
    before = get_session().store.stats()["hits"]
    t(1)
    assert get_session().store.stats()["hits"] == before


def test_many_at_once_refresh_one_key_once() -> None:
    started, go = threading.Event(), threading.Event()
    calls = Calls()

    @task
    def work(x):
        calls.append(x)
        if len(calls) > 1:
            started.set()
            assert go.wait(60)
        return [x]

    work(1)
    cellist.refresh(work)

    @flow
    def many():
        futures = [work.submit(1) for _ in range(8)]
        assert started.wait(60)
        go.set()
        return [future.state.why.code for future in futures if future.wait() is None]

    codes = many()
    assert calls == [1, 1]
    assert sorted(codes) == ["refreshed"] + ["reused"] * 7


def test_a_run_that_began_before_the_refresh_does_not_serve_after_it() -> None:
    started, go = threading.Event(), threading.Event()
    calls = Calls()

    @task
    def work(x):
        calls.append(x)
        if len(calls) == 1:
            started.set()
            assert go.wait(60)
        return [x]

    thread = threading.Thread(target=work, args=(1,))
    thread.start()
    assert started.wait(60)
    cellist.refresh(work)
    go.set()
    thread.join(60)
    assert why(work, 1).code == "refreshed"
    assert why(work, 1).code == "reused"


# -- accept --


def test_old_results_serve_for_a_source_that_is_accepted() -> None:
    calls = Calls()
    old = define(FIRST, calls)
    old(1)
    old(2)
    new = define(RENAMED, calls)
    told = cellist.accept(new, because="only renamed a variable")
    assert told.results == 2
    assert "2 stored results of its former source" in str(told)
    assert "-    y = x + OFFSET" in str(told)
    assert "+    z = x + OFFSET" in str(told)
    state = state_of(new, 1)
    assert (state.name, state.result(), state.why.code) == ("Cached", [2], "accepted")
    assert str(state.why).startswith("reused from ")
    assert str(state.why).endswith(
        "; its source changed since, accepted because: only renamed a variable"
    )
    assert state.why.notes[0].startswith("accepted at ")
    assert why(new, 3).outcome == "miss"
    assert why(new, 3).code == "reused"
    assert why(old, 2).code == "reused"
    assert calls == [1, 2, 3]


def test_a_further_edit_is_not_covered_until_it_is_accepted_too() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    cellist.accept(define(RENAMED, calls), because="renamed")
    further = define(FURTHER, calls)
    assert why(further, 2).outcome == "miss"
    assert why(further, 1).outcome == "miss"
    again = define(RENAMED + "    pass\n", calls)
    told = cellist.accept(again, because="unreachable")
    assert "of its former source" in str(told)


def test_what_held_for_the_former_source_holds_on() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    second = define(RENAMED, calls)
    cellist.accept(second, because="renamed")
    second(2)
    third = define(RENAMED.replace("z", "zz"), calls)
    assert cellist.accept(third, because="renamed once more").results == 2
    assert [why(third, x).code for x in (1, 2)] == ["accepted", "accepted"]
    assert calls == [1, 2]


def test_a_helper_that_changed_is_accepted_like_the_source() -> None:
    calls = Calls()
    helper = "def helper(x):\n    return x{}\n"
    body = "def work(x):\n    CALLS.append(x)\n    return [helper(x)]\n"
    define(helper.format("") + body, calls)(1)
    new = define(helper.format(" + 0") + body, calls)
    told = cellist.accept(new, because="adds nothing")
    assert [change.kind for change in told.changes] == ["function"]
    assert why(new, 1).code == "accepted"


def test_other_parts_of_the_key_still_count() -> None:
    calls = Calls()
    define(FIRST, calls, version="1")(1)
    new = define(RENAMED, calls, version="2")
    cellist.accept(new, because="renamed")
    assert why(new, 1).outcome == "miss"
    assert why(define(RENAMED, calls, version="1"), 1).code == "accepted"


def test_expired_results_stay_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    old = define(FIRST, calls, cache_expiration=3600)
    old(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="renamed")
    assert why(new, 1).code == "accepted"
    now = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: now)
    told = cellist.accept(define(FURTHER, calls), because="holds")
    assert "There is nothing to accept" in str(told)
    reason = why(new, 1)
    assert (reason.code, str(reason)) == ("expired", "ran: its result expired 1 h 0 m ago")


def test_a_result_of_its_own_that_expired_is_computed_anew(monkeypatch) -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls, cache_expiration=60)
    new(1)
    assert cellist.accept(new, because="renamed").results == 1
    now = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: now)
    assert why(new, 1).code == "expired"


def test_accepting_needs_a_reason_and_a_task() -> None:
    t = define(FIRST, Calls())
    for because in (None, "", "  ", 3):
        with pytest.raises(ValueError, match="needs a reason"):
            cellist.accept(t, because=because)  # type: ignore[arg-type] - what a user may pass
    with pytest.raises(TypeError, match="Only what a task"):
        cellist.accept(len, because="x")
    with pytest.raises(ObjectNotFound, match="No task `nobody` is known"):
        cellist.accept("nobody", because="x")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "none is stored"),
        ({"cache_policy": NO_CACHE}, "it is not cached"),
        ({"cache_policy": INPUTS}, "its source is not in its cache key"),
        ({"result_storage_key": "k-{parameters[x]}"}, "its source is not in its cache key"),
    ],
)
def test_with_nothing_to_accept_it_says_why(options: dict[str, Any], said: str) -> None:
    t = define(FIRST, Calls(), **options)
    told = cellist.accept(t, because="holds")
    assert told.results == 0
    assert said in str(told)
    assert len(cellist.decisions()) == 0


def test_results_of_the_present_source_are_nothing_to_accept() -> None:
    t = define(FIRST, Calls())
    t(1)
    assert "all its stored results are of its present source" in str(
        cellist.accept(t, because="holds")
    )


def test_an_accepting_cell_that_runs_again_accepts_no_further_edit() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    second = define(RENAMED, calls)
    for _ in range(2):
        assert cellist.accept(second, because="renamed").results == 1
    assert len(cellist.decisions()) == 1
    further = define(FURTHER, calls)
    told = cellist.accept(further, because="renamed")
    assert "the same reason" in str(told)
    assert why(further, 1).outcome == "miss"


def test_an_acceptance_can_be_taken_back() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="renamed")
    assert why(new, 1).code == "accepted"
    assert "is taken back" in str(cellist.accept(new, undo=True))
    reason = why(new, 1)
    assert reason.outcome == "miss"
    assert "its own source changed" in str(reason)
    assert "Nothing is accepted" in str(cellist.accept(new, undo=True))


def test_refreshed_goes_before_accepted() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="renamed")
    cellist.refresh(new)
    assert [why(new, 1).code for _ in range(2)] == ["refreshed", "reused"]


@pytest.mark.parametrize("way", ["result_storage", "key_storage"])
def test_results_in_another_place_are_accepted_too(way: str, tmp_path: Path) -> None:
    calls = Calls()
    options: dict[str, Any] = {"result_storage": tmp_path / "results"}
    if way == "key_storage":
        options["cache_policy"] = (INPUTS + TASK_SOURCE).configure(key_storage=tmp_path / "keys")
    define(FIRST, calls, **options)(1)
    new = define(RENAMED, calls, **options)
    assert cellist.accept(new, because="renamed").results == 1
    assert why(new, 1).code == "accepted"
    assert [why(new, 1).code, cellist.refresh(new).kind, why(new, 1).code] == [
        "accepted", "refresh", "refreshed",
    ]  # fmt: skip


def test_a_task_is_found_by_name_in_the_notebook(monkeypatch) -> None:
    calls = Calls()
    define(FIRST, calls, name="load table")(1)
    new = define(RENAMED, calls, name="load table")
    monkeypatch.setattr(sys.modules["__main__"], "loading", new, raising=False)
    assert cellist.accept("loading", because="renamed").results == 1
    assert "is taken back" in str(cellist.accept("load table", undo=True))
    assert cellist.accept("load table", because="renamed").results == 1
    assert cellist.refresh("loading").results == 1
    assert why(new, 1).code == "refreshed"


def test_a_task_found_nowhere_else_is_known_from_its_last_miss() -> None:
    calls = Calls()
    define(FIRST, calls, name="hidden")(1)
    new = define(RENAMED, calls, name="hidden")
    new(2)
    assert cellist.accept("hidden", because="renamed").results == 1
    assert why(new, 1).code == "accepted"


def test_many_at_once_find_an_accepted_result() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="renamed")

    @flow
    def many():
        return [future.state.why.code for future in new.map([1] * 20) if future.wait() is None]

    assert many() == ["accepted"] * 20
    assert calls == [1]


def test_what_cannot_be_recorded_is_not_accepted(recorder: Recorder) -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    directory = recorder.session.cache.overruled.acceptances.directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.write_text("in the way")
    assert "cannot be recorded" in str(cellist.accept(new, because="renamed"))
    assert why(new, 1).outcome == "miss"


# -- nobody else can accept --


@pytest.fixture
def accepted(recorder: Recorder):
    """A task whose former results are accepted, and the file that says so."""
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="renamed")
    (path,) = recorder.session.cache.overruled.acceptances.directory.glob("*.accepted")
    return new, path


def forget(recorder: Recorder) -> None:
    recorder.session.cache.overruled.acceptances._forget()


def test_a_planted_acceptance_is_ignored(
    accepted, recorder: Recorder, tmp_path, monkeypatch
) -> None:
    new, path = accepted
    mine = recorder.session.cache.overruled.acceptances
    one = mine.of_task(new.identity)[0]
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "of somebody else"))
    Acceptances(path.parent, pytest.fail).add(one._replace(because="trust me"))
    forget(recorder)
    with pytest.warns(CellistWarning, match="was not used: it was written by another user"):
        assert why(new, 1).outcome == "miss"


@pytest.mark.parametrize("hurt", ["emptied", "cut", "flipped", "unsigned", "forged"])
def test_a_damaged_acceptance_is_ignored(hurt: str, accepted, recorder: Recorder) -> None:
    new, path = accepted
    blob = path.read_bytes()
    start = blob.index(b'["')
    changed = {
        "emptied": b"",
        "cut": blob[: len(blob) // 2],
        "flipped": blob[: start + 30] + bytes([blob[start + 30] ^ 1]) + blob[start + 31 :],
        "unsigned": json.dumps({"former": [], "because": "x"}).encode(),
        "forged": blob.replace(b"renamed", b"planted"),
    }[hurt]
    assert changed != blob
    path.write_bytes(changed)
    forget(recorder)
    with pytest.warns(CellistWarning, match="An acceptance for task"):
        assert why(new, 1).outcome == "miss"


def test_an_acceptance_of_another_task_or_source_is_ignored(accepted, recorder: Recorder) -> None:
    new, path = accepted
    mine = recorder.session.cache.overruled.acceptances
    further = define(FURTHER, Calls())
    further(5)
    _, closures = recorder.session.cache.overruled.missed[new.identity]
    path.rename(mine._path(new.identity, tuple(closures)))
    forget(recorder)
    with pytest.warns(CellistWarning, match="it belongs to something else"):
        assert why(further, 1).outcome == "miss"


def test_a_signed_result_is_no_acceptance(accepted, recorder: Recorder) -> None:
    new, path = accepted
    signer, _ = signing.user_signer()
    meta = recorder.session.cache.overruled.acceptances.of_task(new.identity)[0]._asdict()
    path.write_bytes(acceptances.seal(signer, "acceptance", {}, "pickle", meta, []))
    forget(recorder)
    with pytest.warns(CellistWarning, match="it belongs to something else"):
        assert why(new, 1).outcome == "miss"


# -- across processes --

PROGRAM = """
import sys, json
import cellist
from cellist import task

@task
def work(x):
    {name} = x + 1
    return [{name}]

for word in sys.argv[1:]:
    if word == "accept":
        print(cellist.accept(work, because="renamed").results)
    elif word == "undo":
        print(cellist.accept("work", undo=True).results)
    else:
        state = work(int(word), return_state=True)
        print(state.why.code)
"""


def process(tmp_path: Path, name: str, *words: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(name=name))
    command = [sys.executable, str(path), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def test_an_acceptance_serves_in_the_next_process(tmp_path: Path) -> None:
    assert process(tmp_path, "y", "1", "2") == ["first_run", "changed"]
    assert process(tmp_path, "z", "accept", "1") == ["2", "accepted"]
    assert process(tmp_path, "z", "2", "3", "3") == ["accepted", "changed", "reused"]
    assert process(tmp_path, "further", "2") == ["changed"]
    assert process(tmp_path, "z", "undo", "2") == ["2", "changed"]


def test_what_another_process_accepts_or_takes_back_is_seen_soon(recorder: Recorder) -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    assert why(new, 2).outcome == "miss"
    own = recorder.session.cache.overruled.acceptances
    now = tuple(recorder.session.cache.overruled.missed[new.identity][1])
    former = tuple(recorder.session.store.recorded(new.identity)[-1].get("sources", ()))
    other = Acceptances(own.directory, pytest.fail)
    other.add(Acceptance(new.identity, now, (former,), "renamed", 1.0))
    own._heed_at = 0.0  # half a second later
    assert why(new, 1).code == "accepted"
    other.withdraw(new.identity)
    own._heed_at = 0.0
    assert why(new, 1).outcome == "miss"


# -- the record --


def test_decisions_are_recorded(recorder: Recorder) -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.refresh(new)
    cellist.accept(new, because="only renamed a variable")
    cellist.refresh(new)
    state_of(new, 2)
    cellist.accept(new, undo=True)
    frame = cellist.decisions()
    assert list(frame.columns) == ["time", "kind", "task", "because", "results", "who"]
    assert list(frame["kind"]) == ["undo", "refresh", "accept", "refresh"]
    assert list(frame["because"])[2] == "only renamed a variable"
    assert list(frame["results"]) == [1, 1, 1, 1]
    assert set(frame["task"]) == {"work"}
    assert str(frame["time"].dt.tz) == "UTC"


def test_the_record_of_a_run_names_the_acceptance() -> None:
    calls = Calls()
    define(FIRST, calls)(1)
    new = define(RENAMED, calls)
    cellist.accept(new, because="only renamed a variable")
    new(1)
    reason = cellist.run("work").why
    assert reason["code"] == "accepted"
    assert reason["sentence"].endswith("accepted because: only renamed a variable")


def test_what_a_task_depends_on_is_no_part_of_the_source_that_is_accepted() -> None:
    calls = Calls()
    define(FIRST, calls, depends_on=[1])(1)
    new = define(RENAMED, calls, depends_on=[1])
    assert cellist.accept(new, because="renamed").results == 1
    assert why(new, 1).code == "accepted"
    assert why(define(RENAMED, calls, depends_on=[2]), 1).outcome == "miss"


def test_an_accepted_result_may_lie_in_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls = Calls()
    old, new = define(FIRST, calls), define(RENAMED, calls)
    old(1)
    cellist.bundle("a.cellist", [old])
    cellist.accept(new, because="renamed")
    session = get_session()
    session.store.clear()
    session.stores.bundles = Bundles(session.store.directory, lambda *_: None)
    assert why(new, 1).code == "accepted"
    assert calls == [1]
