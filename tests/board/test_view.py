"""The view model: what is said of runs, and that a board of thousands stays small and cheap."""

import json
import time
from pathlib import Path

import pytest

from cellist.board import view as view_module
from cellist.board.listed import GROUP_LIMIT, NOTABLE_LIMIT
from cellist.board.palette import LOOKS
from cellist.board.view import GRAPH_AT_ONCE, View
from cellist.board.wording import ordered
from cellist.model.events import StateChanged
from cellist.model.facts import Arguments
from cellist.model.reasons import Reason
from cellist.model.runs import ErrorInfo
from cellist.model.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from tests.board.fakes import START, Story


@pytest.fixture
def view():
    return View("crawl")


@pytest.fixture
def story(view):
    return Story(view.apply)


def groups(view):
    """What the page is told of groups, and what follows from it, by the name of the group."""
    told = {group["id"]: group for group in view.snapshot()["groups"]}
    return {
        group.name: {
            **told[group.id],
            "total": group.total,
            "counts": ordered(group.counts),
            "detail": group.detail(),
            "look": group.look,
            "word": group.word,
            "more": group.more,
        }
        for group in view.groups
    }


def rows(view):
    return {row["name"]: row for row in view.snapshot()["rows"]}


def edges(view):
    wide = view.snapshot()["graph"]["wide"]
    names = {group.id: group.name for group in view.groups}
    return {(names[a], names[b], kind) for a, b, kind, _ in wide["edges"]}


def test_what_a_task_logs_at_once_does_not_bring_it_before_its_flow(view, story):
    flow = story.begin(story.flow(), 0)
    run = story.begin(story.task("fetch", flow), 1)
    run.log(20, "retrying")
    assert rows(view)[run.name]["logs"] == ["retrying"]
    assert [(group.name, group.parent and group.parent.name) for group in view.groups] == [
        ("crawl", None),
        ("fetch", "crawl"),
    ]
    assert [group.name for group in view.drawn()] == ["fetch"]


def test_mapped_runs_of_one_task_are_one_group_with_counts(view, story):
    flow = story.begin(story.flow(), 0)
    for i in range(5):
        story.complete(story.task("fetch", flow), 1 + i, 2 + i)
    story.fail(story.task("fetch", flow), 7, 8)
    story.begin(story.task("fetch", flow), 9)
    fetch = groups(view)["fetch"]
    assert fetch["total"] == 7
    assert fetch["counts"] == [("failed", 1), ("running", 1), ("completed", 5)]
    assert fetch["detail"] == "6 of 7 · 1 failed"
    assert fetch["look"] == "running"
    assert fetch["cells"] == "dddddfr"


def test_subflows_share_groups_and_recursion_folds(view, story):
    flow = story.begin(story.flow("outer"), 0)
    for _ in range(3):
        inner = story.begin(story.flow("inner", flow), 1)
        story.complete(story.task("step", inner), 2, 3)
        story.complete(story.flow("inner", inner), 2, 3)
    assert {name: group["total"] for name, group in groups(view).items()} == {
        "outer": 1,
        "inner": 6,
        "step": 3,
    }


def test_same_task_in_two_places_is_two_groups(view, story):
    flow = story.begin(story.flow(), 0)
    story.complete(story.task("step", flow), 1, 2)
    outer = story.begin(story.task("outer", flow), 1)
    story.complete(story.task("step", outer), 1, 2)
    assert [group["name"] for group in view.snapshot()["groups"]].count("step") == 2


def test_edges_come_from_upstream_calls_and_order(view, story):
    flow = story.begin(story.flow(), 0)
    first = story.complete(story.task("first", flow), 1, 2)
    story.complete(story.task("second", flow), 3, 4)
    third = story.begin(story.task("third", flow, upstream=[first]), 5)
    story.complete(story.task("inside", third), 6, 7)
    assert edges(view) == {
        ("first", "second", "order"),
        ("first", "third", "data"),
        ("third", "inside", "call"),
    }


def test_tasks_at_the_same_time_are_not_shown_as_a_sequence(view, story):
    flow = story.begin(story.flow(), 0)
    story.complete(story.task("one", flow), 1, 5)
    story.complete(story.task("two", flow), 2, 3)
    assert edges(view) == set()


def test_waiting_for_a_retry_says_which_attempt_when_and_why(view, story):
    flow = story.begin(story.flow(), 0)
    run = story.wait_for_retry(story.task("fetch", flow, retries=3), 1, 2, due=9)
    row = rows(view)[run.name]
    assert (row["look"], row["word"]) == ("waiting", "waiting to retry")
    assert row["attempt"] == "attempt 2 of 4"
    assert row["due"] == START // 1_000_000 + 9000
    assert row["error"] == "TimeoutError: the server is slow"
    assert row["can"] == ["retry_now", "give_up"]
    upcoming = view.header()["next"]
    assert upcoming["run"] == row["id"]
    assert upcoming["attempt"] == "attempt 2 of 4"


def test_waiting_for_a_slot_says_for_which_and_is_no_failure(view, story):
    flow = story.begin(story.flow(), 0)
    run = story.task("query", flow)
    text = "Waiting for a slot of limit 'tag:db' (1 of 1 in use)."
    story.enter(run, 1, PENDING)
    story.enter(run, 2, SCHEDULED, "AwaitingConcurrencySlot", text)
    row = rows(view)[run.name]
    assert (row["look"], row["word"]) == ("scheduled", "waiting for a free slot")
    assert row["why"] == text
    assert "error" not in row
    assert row["can"] == ["cancel"]
    story.enter(run, 3, RUNNING)
    assert "why" not in rows(view)[run.name]


def test_the_earliest_of_several_retries_is_next(view, story):
    flow = story.begin(story.flow(), 0)
    story.wait_for_retry(story.task("fetch", flow, retries=3), 1, 2, due=90)
    soon = story.wait_for_retry(story.task("fetch", flow, retries=3), 1, 2, due=5)
    view.read()
    assert view.header()["next"]["name"] == soon.name
    story.enter(soon, 5, RUNNING, "Retrying")
    view.read()
    assert view.header()["next"]["due"] == START // 1_000_000 + 90_000


def test_each_attempt_is_a_bar_and_each_wait_a_gap(view, story):
    run = story.wait_for_retry(story.task("fetch", retries=2), 1, 2, due=4)
    story.enter(run, 4, RUNNING, "Retrying")
    story.enter(run, 5, SCHEDULED, "AwaitingRetry")
    story.enter(run, 7, RUNNING, "Retrying")
    story.enter(run, 8, COMPLETED)
    bars = rows(view)[run.name]["bars"]
    zero = START // 1_000_000
    assert [(look, start - zero, end - zero) for look, start, end in bars] == [
        ("failed", 1001, 2000),
        ("waiting", 2000, 4000),
        ("failed", 4000, 5000),
        ("waiting", 5000, 7000),
        ("completed", 7000, 8000),
    ]
    assert rows(view)[run.name]["attempt"] == "after 3 attempts"


def test_reuse_is_counted_with_the_time_it_saved(view, story):
    flow = story.begin(story.flow(), 0)
    for seconds in (1.5, 2.5):
        run = story.task("load", flow)
        run.why = Reason("hit", "reused", "same inputs, same source", saved=seconds)
        story.complete(run, 1, 1.01, "Cached")
        view.read()
        assert groups(view)["load"]["why"] in (
            "same inputs, same source",
            "reused, saved 4.0 s (×2)",
        )
    group = groups(view)["load"]
    assert group["look"] == "cached"
    assert group["word"] == "reused"
    assert group["why"] == "reused, saved 4.0 s (×2)"
    assert view.header()["saved"] == "reuse saved 4.0 s"
    view.read()
    assert view.header()["saved"] == "reuse saved 4.0 s", "counted once however often it is read"


def test_reason_that_comes_late_is_shown(view, story):
    run = story.complete(story.task("load"), 1, 2)
    assert groups(view)["load"]["why"] == ""
    run.why = Reason("miss", "changed", "helper `clean` changed (line 4)")
    run.announce("why")
    assert groups(view)["load"]["why"] == "helper `clean` changed (line 4)"
    assert rows(view)[run.name]["why"] == "helper `clean` changed (line 4)"


def test_header_says_the_state_and_time_of_the_only_flow(view, story):
    flow = story.begin(story.flow(), 0)
    task = story.begin(story.task("step", flow), 1)
    header = view.snapshot()["header"]
    assert (header["look"], header["end"], header["took"]) == ("running", None, None)
    assert len(header["cancel"]) == 1
    story.enter(task, 2, FAILED)
    story.enter(flow, 3, COMPLETED)
    header = view.snapshot()["header"]
    assert (header["look"], header["took"], header["cancel"]) == ("completed", "3.0 s", [])
    assert header["sentence"] == "crawl: completed. 1 task run: 1 failed. It took 3.0 s."


def test_what_failed_is_told_with_its_arguments(view, story):
    flow = story.begin(story.flow(), 0)
    for page in (13, "x" * 100):
        run = story.fail(story.task("fetch", flow), 1, 2)
        run.call = Arguments((), {"page": page})
        failure = view.snapshot()["header"]["failure"]
        if page == 13:
            assert failure["text"] == f"{run.name} (page=13) failed"
    assert failure["text"].startswith(f"2 runs failed, last {run.name} (page='xxx")
    assert len(failure["text"]) < 100


def test_a_deferred_run_says_what_it_waits_for(view, story):
    run = story.task("later")
    story.enter(run, 0, SCHEDULED)
    assert rows(view)[run.name]["why"] == (
        "waits for a worker, such as BackgroundWorker(later).start() in this kernel or "
        "cellist.serve(later) in another notebook"
    )


def test_the_sentence_on_a_lone_run_says_why(view, story):
    run = story.begin(story.task("step"), 0)
    run.why = Reason("miss", "changed", "ran: helper `clean` changed (line 4)")
    story.enter(run, 1, COMPLETED)
    assert view.snapshot()["header"]["sentence"] == (
        "crawl: completed. 1 task run: 1 completed. Ran: helper `clean` changed (line 4). "
        "It took 1.0 s."
    )


def test_cancelling_is_shown_until_the_code_ends(view, story):
    run = story.begin(story.task("step"), 0)
    assert rows(view)[run.name]["can"] == ["cancel"]
    story.enter(run, 1, CANCELLING)
    row = rows(view)[run.name]
    assert row["look"] == "cancelling"
    assert "can" not in row
    assert [bar[0] for bar in row["bars"]] == ["running", "cancelling"]
    story.enter(run, 2, CANCELLED)
    assert rows(view)[run.name]["look"] == "cancelled"
    assert [bar[0] for bar in rows(view)[run.name]["bars"]] == ["cancelled", "cancelling"]
    assert view.active == 0


def test_upstream_failure_is_not_waited_for(view, story):
    run = story.task("after")
    story.enter(run, 0, PENDING)
    story.enter(run, 1, PENDING, "NotReady")
    assert rows(view)[run.name]["word"] == "not run"
    assert view.active == 0


def test_logs_reach_the_row_and_only_the_last_stay(view, story):
    run = story.begin(story.task("step"), 0)
    for i in range(20):
        run.log(20, f"line {i}")
    assert rows(view)[run.name]["logs"] == [f"line {i}" for i in range(14, 20)]


def test_a_traceback_names_no_place_of_this_machine(view, story):
    run = story.fail(story.task("fetch"), 1, 2)
    run.error = ErrorInfo(
        "ValueError",
        "no",
        'File "/tmp/ipykernel_31177/4083141584.py", line 6, in fetch\n'
        f'File "{Path.home()}/lib/http.py", line 1, in get\nValueError: no',
    )
    assert rows(view)[run.name]["trace"] == (
        'File "<cell>", line 6, in fetch\nFile "~/lib/http.py", line 1, in get\nValueError: no'
    )


def test_a_patch_holds_only_what_changed(view, story):
    flow = story.begin(story.flow(), 0)
    first = story.begin(story.task("one", flow), 1)
    story.begin(story.task("two", flow), 1)
    view.snapshot()
    story.enter(first, 2, COMPLETED)
    patch = view.changes()
    assert patch["cells"] == [[view.groups[1].id], [0], "d"]
    assert [row["name"] for row in patch["rows"]] == [first.name]
    assert "groups" not in patch, "that follows from the cells"
    assert "graph" not in patch
    assert set(view.changes()) == {"header"}


def test_what_is_said_of_a_group_may_be_put_off_but_not_its_runs(view, story):
    flow = story.begin(story.flow(), 0)
    runs = [story.begin(story.task("fetch", flow), 1) for _ in range(3)]
    first = view.changes(everything=False)
    assert [group["name"] for group in first["groups"]] == ["crawl", "fetch"], "new ones at once"
    for run in runs:
        run.why = Reason("miss", "changed", "helper `clean` changed (line 4)")
        story.enter(run, 2, COMPLETED)
    patch = view.changes(everything=False)
    assert "groups" not in patch
    assert patch["cells"] == [[1, 1, 1], [0, 1, 2], "ddd"]
    assert not view.is_stale
    assert view.has_put_off
    (fetch,) = view.changes()["groups"]
    assert fetch == {
        "id": 1,
        "why": "helper `clean` changed (line 4) (×3)",
        "took": "999 ms",
    }
    assert not view.has_put_off
    assert set(view.changes()) == {"header"}


def test_a_large_graph_may_be_put_off(view, story):
    flow = story.begin(story.flow(), 0)
    for number in range(GRAPH_AT_ONCE + 1):
        story.begin(story.task(f"task {number}", flow), 1)
    assert "graph" not in view.changes(everything=False)
    assert view.has_put_off
    assert len(view.changes()["graph"]["wide"]["nodes"]) == GRAPH_AT_ONCE + 1
    assert not view.has_put_off


def test_a_new_group_is_drawn_at_once_however_slow_the_last_layout_was(view, story, monkeypatch):
    """On a loaded machine the next picture was put off, and nobody drew a frame later on."""
    flow = story.begin(story.flow(), 0)
    story.begin(story.task("one", flow), 1)
    layout, clock = view_module.graph_of, [1.0]

    def slow(groups):
        clock[0] += 1
        return layout(groups)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(view_module, "graph_of", slow)
    view.changes()
    story.begin(story.task("two", flow), 2)
    patch = view.changes()
    assert len(patch["graph"]["wide"]["nodes"]) == 2
    assert not view.is_stale


def test_what_the_record_has_read_is_still_to_be_sent(view, story):
    flow = story.begin(story.flow(), 0)
    story.begin(story.task("one", flow), 1)
    view.read()
    assert view.is_stale
    assert {group["name"] for group in view.changes()["groups"]} == {"crawl", "one"}
    assert not view.is_stale


def test_patches_add_up_to_the_snapshot(view, story):
    flow = story.begin(story.flow(), 0)
    seen: dict[str, dict] = {"rows": {}, "groups": {}}

    def fold(*, everything=False):
        patch = view.changes(everything=everything)
        for row in patch.get("rows", ()):
            seen["rows"][row["id"]] = row
        for group in patch.get("groups", ()):
            known = seen["groups"].setdefault(group["id"], {"cells": []})
            known.update(group)
        for number, index, code in zip(*patch.get("cells", ()), strict=True):
            seen["groups"][number]["cells"][index : index + 1] = code

    runs = []
    for i in range(40):
        run = story.task(f"task {i % 3}", flow, upstream=runs[-1:])
        runs.append(story.begin(run, i))
        if i % 4 == 0:
            fold()
        if i % 3 == 0:
            story.enter(run, i + 0.5, COMPLETED if i % 2 else FAILED)
    fold(everything=True)
    whole = view.snapshot()
    assert seen["rows"] == {row["id"]: row for row in whole["rows"]}
    for group in whole["groups"]:
        assert {**seen["groups"][group["id"]], "cells": group["cells"]} == group
        assert "".join(seen["groups"][group["id"]]["cells"]) == group["cells"]


def test_runs_that_are_only_counted_come_when_they_are_wanted(view, story):
    flow = story.begin(story.flow(), 0)
    for _ in range(3_000):
        story.complete(story.task("fetch", flow), 1, 2)
    view.snapshot()
    group = view.groups[1]
    assert group.as_dict()["pace"]["parts"] == [[0, "completed", 3_000]]
    assert view.want(group.id, 2_500, 3)
    patch = view.changes()
    assert [row["i"] for row in patch["rows"]] == [2_500, 2_501, 2_502]
    assert not view.want(group.id, 2_500, 3), "they are there now"
    assert {row["i"] for row in view.snapshot()["rows"]} >= {2_500, 2_501, 2_502}
    for nonsense in ((-1, 0, 5), (99, 0, 5), (group.id, 10_000, 5), (group.id, 2_990, -5)):
        assert not view.want(*nonsense)
    view.want(group.id, 0, 10**9)
    assert group.sent <= GROUP_LIMIT + 3 + 200


def test_tags_are_with_runs_and_groups(view, story):
    flow = story.begin(story.flow(), 0)
    for tags in ({"slow"}, {"eu", "slow"}, ()):
        run = story.task("fetch", flow)
        run.tags = frozenset(tags)
        story.begin(run, 1)
    whole = view.snapshot()
    assert [row.get("tags") for row in whole["rows"]] == [None, ["slow"], ["eu", "slow"], None]
    assert whole["groups"][1]["tags"] == ["eu", "slow"]


def test_ten_thousand_runs_are_counted_but_not_all_listed(view, story):
    flow = story.begin(story.flow(), 0)
    runs = [story.begin(story.task("fetch", flow), 1) for _ in range(10_000)]
    for i, run in enumerate(runs):
        if i == 9_000:
            story.enter(run, 2, FAILED)
        else:
            story.enter(run, 2, COMPLETED)
    whole = view.snapshot()
    fetch = next(group for group in whole["groups"] if group["name"] == "fetch")
    assert len(fetch["cells"]) == 10_000
    assert fetch["cells"].index("f") == 9_000
    assert view.groups[1].more == f"… and {10_000 - GROUP_LIMIT - 1:,} more"
    shown = {row["name"] for row in whole["rows"]}
    assert runs[9_000].name in shown, "what failed is listed however many runs there are"
    assert len(json.dumps(whole)) < 300_000


def test_even_failures_are_listed_up_to_a_limit(view, story):
    for _ in range(GROUP_LIMIT + NOTABLE_LIMIT + 100):
        story.fail(story.task("fetch"), 1, 2)
    assert len(view.snapshot()["rows"]) == GROUP_LIMIT + NOTABLE_LIMIT


def test_a_frame_costs_what_changed_not_what_there_is(view, story):
    flow = story.begin(story.flow(), 0)
    runs = [story.begin(story.task("fetch", flow), 1) for _ in range(10_000)]
    view.snapshot()
    spent = []
    for run in runs[5_000:5_040]:
        story.enter(run, 2, COMPLETED)
        begin = time.thread_time()
        view.changes()
        spent.append(time.thread_time() - begin)
    assert sorted(spent)[20] < 0.002


def test_ten_thousand_outermost_runs_cost_no_more(view, story):
    runs = [story.begin(story.task("fetch"), i) for i in range(10_000)]
    view.snapshot()
    spent = []
    for i, run in enumerate(runs[5_000:5_040]):
        story.enter(run, 20_000 + i, COMPLETED)
        begin = time.thread_time()
        view.changes()
        spent.append(time.thread_time() - begin)
    assert sorted(spent)[20] < 0.002
    assert view.header()["start"] == START // 1_000_000
    assert len(view.header()["cancel"]) == 50
    for run in runs[:5_000] + runs[5_040:]:
        story.enter(run, 30_000, COMPLETED)
    header = view.changes()["header"]
    assert (header["look"], header["end"]) == ("completed", START // 1_000_000 + 30_000_000)
    assert header["cancel"] == []


def test_many_states_between_two_frames_are_read_once(view, story):
    run = story.task("step")
    for _ in range(50):
        run.enter(PENDING)
        view.apply(StateChanged(run, 0))
    run.enter(RUNNING)
    view.apply(StateChanged(run, 50))
    patch = view.changes()
    assert len(patch["rows"]) == 1
    assert patch["rows"][0]["look"] == "running"


def test_runs_of_other_cells_as_inputs_do_no_harm(view, story):
    elsewhere = Story().task("far away")
    run = story.complete(story.task("here", upstream=[elsewhere]), 1, 2)
    assert rows(view)[run.name]["look"] == "completed"


def test_snapshot_explains_every_look(view):
    assert set(view.snapshot()["looks"]) == set(LOOKS)


def test_a_lone_run_says_in_the_header_why_it_ran_or_how_it_failed(view, story):
    run = story.task("slow")
    run.why = Reason("miss", "changed", "ran: helper `clean` changed (line 4)", notes=("a hint",))
    story.begin(run, 0)
    header = view.snapshot()["header"]
    assert header["why"] == "ran: helper `clean` changed (line 4)"
    assert header["lone"] == rows(view)[run.name]["id"]
    assert rows(view)[run.name]["notes"] == ["a hint"]
    run.error = ErrorInfo("ValueError", "no", "Traceback\nValueError: no")
    story.enter(run, 2, FAILED)
    assert view.changes()["header"]["why"] == "ValueError: no"


def test_a_run_is_not_alone_in_a_flow_nor_with_others(view, story):
    story.complete(story.task("one"), 0, 1)
    story.complete(story.task("two"), 1, 2)
    assert view.snapshot()["header"]["lone"] is None
    other = View("crawl")
    tale = Story(other.apply)
    tale.complete(tale.task("step", tale.begin(tale.flow(), 0)), 1, 2)
    assert other.snapshot()["header"]["lone"] is None
