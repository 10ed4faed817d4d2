"""The history: written behind the runs' backs, read as frames and records, never in the way."""

import json
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cellist.exceptions import ObjectNotFound
from cellist.history import History, database, rows
from cellist.model.events import Journal, StateChanged
from cellist.model.facts import Arguments
from cellist.model.reasons import Change, Reason
from cellist.model.runs import ErrorInfo, FlowRun, TaskRun
from cellist.model.states import COMPLETED, FAILED, PENDING, RUNNING, SCHEDULED


class Definition:
    """Stands for a task or flow."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version: str | None = None
        self.key = name


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def history(tmp_path: Path, warned: list[str]):
    one = History(tmp_path / "history.sqlite", on_warning=warned.append)
    yield one
    one.close()


def task_run(history: History, name: str = "clean", *, flow=None, tags=(), call=None) -> TaskRun:
    run = TaskRun(Definition(name), flow, flow, [history.sink], frozenset(tags))
    run.call = call
    return run


def finish(run: TaskRun) -> TaskRun:
    run.enter(PENDING)
    run.enter(RUNNING)
    run.enter(COMPLETED)
    return run


def test_a_run_pays_one_append_per_event() -> None:
    journal, events = Journal(), list[Any]()
    sinks = [journal, events.append]
    run = finish(TaskRun(Definition("step"), None, None, sinks, frozenset()))
    run.log(20, "said")
    run.announce("name")
    assert [StateChanged(run, position) for position in range(3)] == events[:3]
    assert list(journal) == [run, run, run, events[3], run]


def test_runs_can_be_read_after_a_flush_newest_first(history: History) -> None:
    first = finish(task_run(history, "load", tags=["nightly"]))
    second = finish(task_run(history))
    assert history.flush(60)
    rows = history.runs()
    assert [row["id"] for row in rows] == [second.id.hex, first.id.hex]
    assert rows[0]["state"] == "Completed"
    assert [state[0] for state in rows[0]["states"]] == ["Pending", "Running", "Completed"]
    assert rows[1]["tags"] == ["nightly"]


def test_filters_choose_runs(history: History) -> None:
    flow = FlowRun(Definition("etl"), None, None, [history.sink], frozenset())
    flow.name = "brave-otter"
    flow.enter(PENDING)
    flow.enter(RUNNING)
    inside = finish(task_run(history, "load", flow=flow, tags=["x"]))
    flow.enter(COMPLETED)
    failed = task_run(history, "train")
    failed.enter(PENDING)
    failed.enter(RUNNING)
    failed.enter(FAILED, None, "boom")
    history.flush(60)
    names = lambda **filters: [row["definition"] for row in history.runs(**filters)]
    assert names(kind="flow") == ["etl"]
    assert names(name="load") == ["load"]
    assert names(flow="etl") == ["load"]
    assert names(flow="brave-otter") == ["load"]
    assert names(flow=flow.id) == ["load"]
    assert names(state="failed") == ["train"]
    assert names(tag="x") == ["load"]
    assert names(limit=1) == ["train"]
    assert history.run("brave-otter").children[0].id == inside.id.hex


def test_a_frame_has_the_same_columns_and_types_when_empty(history: History) -> None:
    empty = history.frame()
    finish(task_run(history))
    history.flush(60)
    full = history.frame()
    assert list(empty.columns) == list(full.columns)
    assert len(empty) == 0
    assert str(full["start"].dtype) == str(empty["start"].dtype) == "datetime64[ns, UTC]"
    assert full["duration"].iloc[0] > 0
    assert str(full["duration"].dtype) == "float64"
    assert full["reused"].dtype == bool


def test_a_record_tells_the_whole_story(history: History) -> None:
    run = task_run(history, "fetch", call=Arguments(("http://x",), {"tries": [1, 2]}))
    run.why = Reason(
        "miss",
        "changed",
        "ran: helper `clean` changed",
        (Change("function", "clean", "def clean(): 1", "def clean(): 2", "helper changed"),),
    )
    run.enter(PENDING)
    run.enter(RUNNING)
    run.log(20, "trying")
    run.failed_attempts = [(1, ErrorInfo("OSError", "503", "First …" + 10_000 * "x"))]
    run.enter(SCHEDULED, "AwaitingRetry", "503")
    run.enter(RUNNING, "Retrying")
    run.error = ErrorInfo("ValueError", "<b>no</b>", "Traceback …")
    run.enter(FAILED, None, "gave up")
    history.flush(60)
    record = history.run(run.id.hex[:20])
    assert [state.name for state in record.states] == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "Failed",
    ]
    assert [attempt.ended_in for attempt in record.attempts] == ["AwaitingRetry", "Failed"]
    first, second = record.attempts
    assert first.error is not None
    assert first.error[:2] == ("OSError", "503")
    assert first.error[2].startswith("First …xxx")
    assert len(first.error[2]) < 6_100
    assert second.error == record.error
    assert record.inputs == {"args[0]": "'http://x'", "tries": "[1, 2]"}
    assert record.why is not None
    assert "-def clean(): 1" in record.why["changes"][0]["diff"]
    assert record.error == ("ValueError", "<b>no</b>", "Traceback …")
    assert record.logs[0].message == "trying"
    assert "helper `clean` changed" in repr(record)
    assert "<b>no</b>" not in record._repr_html_()
    assert "&lt;b&gt;no&lt;/b&gt;" in record._repr_html_()


def test_arguments_are_let_go_once_recorded(history: History) -> None:
    run = finish(task_run(history, call=([1, 2, 3],)))
    history.flush(60)
    assert run.call is None
    assert run.inputs == {"args[0]": "[1, 2, 3]"}


def test_an_unknown_name_is_answered_with_near_ones(history: History) -> None:
    finish(task_run(history, "clean_weather"))
    history.flush(60)
    with pytest.raises(ObjectNotFound, match=r"Near to it: .*clean_weather"):
        history.run("clean_wether")


def test_compare_lists_only_what_differs(history: History) -> None:
    one = finish(task_run(history, call=(1,)))
    two = finish(task_run(history, call=(2,)))
    history.flush(60)
    frame = history.compare(one.id.hex, two.id.hex)
    facts = dict(zip(frame["fact"], frame.iloc[:, 1:].to_numpy().tolist(), strict=True))
    assert facts["input args[0]"] == ["1", "2"]
    assert "definition" not in facts


def test_durations_of_completed_runs_are_known(history: History) -> None:
    finish(task_run(history))
    history.flush(60)
    (seconds,) = history.durations("clean")
    assert 0 < seconds < 60


def test_flow_runs_are_compared_by_whether_they_reused_results(history: History) -> None:
    for names in (["Cached", "Cached"], [None, "Cached"], [None, None], [None, None]):
        flow = FlowRun(Definition("crawl"), None, None, [history.sink], frozenset())
        flow.enter(PENDING)
        flow.enter(RUNNING)
        for name in names:
            inside = task_run(history, flow=flow)
            inside.enter(PENDING)
            if name is None:
                inside.enter(RUNNING)
            inside.enter(COMPLETED, name)
        flow.enter(COMPLETED)
    history.flush(60)
    name = "crawl"
    assert len(history.durations(name, kind="flow")) == 3, "nothing ran in the first one"
    assert len(history.durations(name, kind="flow", reusing=True)) == 1
    assert len(history.durations(name, kind="flow", reusing=False)) == 2
    assert len(history.durations(name, 1, "flow", reusing=False)) == 1


def test_a_second_process_sees_and_adds_runs(history: History, tmp_path: Path) -> None:
    finish(task_run(history, "here"))
    history.flush(60)
    code = f"""
    from pathlib import Path
    import tests.history.test_history as t
    from cellist.history import History
    h = History(Path({str(history.path)!r}), on_warning=print)
    t.finish(t.task_run(h, "there"))
    h.close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
    assert {row["definition"] for row in history.runs()} == {"here", "there"}


def test_runs_of_a_dead_process_are_crashed_and_those_of_a_living_one_are_not(
    history: History, tmp_path: Path
) -> None:
    mine = task_run(history, "mine")
    mine.enter(PENDING)
    mine.enter(RUNNING)
    history.flush(60)
    code = f"""
    import os
    from pathlib import Path
    import tests.history.test_history as t
    from cellist.history import History
    from cellist.model.states import PENDING, RUNNING
    h = History(Path({str(history.path)!r}), on_warning=print)
    run = t.task_run(h, "killed")
    run.enter(PENDING); run.enter(RUNNING)
    h.flush(60)
    os.kill(os.getpid(), 9)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    assert killed.returncode == -9
    other = History(history.path, on_warning=print)
    finish(task_run(other, "later"))
    other.flush(60)
    states = {row["definition"]: row["state"] for row in other.runs()}
    assert states == {"mine": "Running", "killed": "Crashed", "later": "Completed"}
    assert "went away" in (other.run("killed").states[-1].message or "")
    other.close()


def test_a_process_elsewhere_is_gone_when_it_is_not_heard_of(history: History) -> None:
    run = task_run(history, "elsewhere")
    run.enter(PENDING)
    run.enter(RUNNING)
    history.flush(60)
    assert history.path is not None

    def on_file(sql: str, *values: Any) -> None:
        with closing(sqlite3.connect(str(history.path))) as connection, connection:
            connection.execute(sql, values)

    def state() -> str:
        other = History(history.path, on_warning=print)
        finish(task_run(other, "later"))
        other.flush(60)
        found = other.run("elsewhere").state
        other.close()
        return found

    on_file("UPDATE sessions SET host = 'another machine'")
    on_file("DELETE FROM beats")  # as of a version that gave no signs
    assert state() == "Running"
    on_file("INSERT INTO beats VALUES (1, ?)", time.time_ns())
    assert state() == "Running"
    on_file("UPDATE beats SET at = ? WHERE session = 1", time.time_ns() - 600 * 10**9)
    assert state() == "Crashed"


def test_signs_of_life_are_given_while_runs_go_on(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BEAT_EVERY", 0.0)
    run = task_run(history, "long")
    run.enter(PENDING)
    run.enter(RUNNING)
    history.flush(60)
    history.flush(60)
    assert history.path is not None
    with closing(sqlite3.connect(history.path)) as connection:
        ((session, at),) = connection.execute("SELECT * FROM beats").fetchall()
    assert session == 1
    assert abs(at - time.time_ns()) < 60 * 10**9


def test_a_damaged_file_is_moved_aside_with_one_warning(tmp_path: Path, warned: list[str]) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    history = History(path, on_warning=warned.append)
    finish(task_run(history))
    assert history.flush(60)
    assert len(history.runs()) == 1
    history.close()
    assert len(warned) == 1
    assert "damaged" in warned[0]
    assert list(tmp_path.glob("history.sqlite.corrupt-*"))


def test_a_newer_file_is_left_alone(tmp_path: Path, warned: list[str]) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    history = History(path, on_warning=warned.append)
    finish(task_run(history))
    history.flush(60)
    assert len(history.runs()) == 1
    history.close()
    assert path.read_bytes() == before
    assert "newer version" in warned[0]


def test_a_place_that_cannot_be_written_means_memory_only(
    tmp_path: Path, warned: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    history = History(tmp_path / "file" / "history.sqlite", on_warning=warned.append)
    finish(task_run(history))
    history.flush(60)
    assert len(history.runs()) == 1
    assert len(warned) == 1
    history.close()


def test_a_file_taken_away_is_made_anew(history: History, warned: list[str]) -> None:
    finish(task_run(history, "before"))
    history.flush(60)
    assert history.path is not None
    for part in history.path.parent.glob("history.sqlite*"):
        part.unlink()
    finish(task_run(history, "after"))
    history.flush(60)
    assert [row["definition"] for row in history.runs()] == ["after"]


def test_a_locked_file_costs_a_warning_and_no_run(
    history: History, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 100)
    finish(task_run(history, "first"))
    history.flush(60)
    assert history.path is not None
    assert history._connection is not None
    history._connection.execute("PRAGMA busy_timeout = 100")
    blocker = sqlite3.connect(history.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    run = finish(task_run(history, "while locked"))
    history.flush(60)
    assert run.is_final
    blocker.execute("ROLLBACK")
    blocker.close()
    finish(task_run(history, "after"))
    history.flush(60)
    assert {row["definition"] for row in history.runs()} == {"first", "while locked", "after"}


def test_the_queue_keeps_nothing_alive_after_a_batch(history: History) -> None:
    for _ in range(1000):
        finish(task_run(history))
    history.flush(60)
    assert not history._queue
    assert len(history.runs(limit=2000)) == 1000


def until(is_true, seconds: float = 60.0) -> bool:
    """Wait until something holds, asking often; whether it came to hold."""
    end = time.monotonic() + seconds
    while not is_true() and time.monotonic() < end:
        time.sleep(0.01)
    return is_true()


def test_a_long_run_can_be_read_before_it_ends_and_while_nobody_waits(history: History) -> None:
    run = task_run(history, "train", call=(3,))
    run.enter(PENDING)
    run.enter(RUNNING)
    assert until(lambda: bool(history.runs(state="running")))
    run.enter(COMPLETED)
    assert until(lambda: bool(history.runs(state="completed")))
    assert len(history.runs()) == 1


def test_a_flush_shows_a_run_that_has_just_begun(history: History) -> None:
    run = task_run(history, "train")
    run.enter(PENDING)
    assert history.flush(60)
    assert [row["state"] for row in history.runs()] == ["Pending"]


def test_batches_of_all_sizes_are_written_whole(history: History) -> None:
    written = 0
    for size in (1, 15, 16, 17, 129, 1100, 2500):
        for _ in range(size):
            finish(task_run(history))
        written += size
        assert history.flush(60)
        assert len(history.runs(limit=10_000)) == written


def test_odd_texts_come_back_and_cost_no_other_run(history: History, warned: list[str]) -> None:
    odd = 'lone \ud800 "quoted" \\ \x00 ü'
    run = task_run(history, "ümläut", tags=[odd], call=Arguments((odd,), {odd: odd}))
    run.name = "name \ud800"
    run.preview = odd
    run.enter(PENDING)
    run.enter(FAILED, odd, odd)
    broken = task_run(history, "broken", call=object())
    finish(broken)
    finish(task_run(history, "next"))
    assert history.flush(60)
    (row,) = history.runs(name="ümläut")
    assert row["result"] == odd
    assert row["states"][-1][2] == odd
    assert row["tags"] == [odd]
    assert row["inputs"].keys() == {"args[0]", odd}
    assert {row["definition"] for row in history.runs()} == {"ümläut", "next"}
    assert len(warned) == 1


def test_an_error_whose_text_is_half_a_character_is_in_the_frame(history: History) -> None:
    run = task_run(history)
    run.enter(PENDING)
    run.error = ErrorInfo("ValueError", "lone \ud800", "")
    run.enter(FAILED)
    assert history.flush(60)
    assert list(history.frame()["error"]) == ["ValueError: lone ?"]


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", on_warning=print)
    finish(task_run(history))
    history.close()
    again = History(tmp_path / "history.sqlite", on_warning=print)
    assert len(again.runs()) == 1
    again.close()
    time.sleep(0)


def test_text_that_is_not_unicode_costs_no_other_run(history: History) -> None:
    odd = task_run(history, "odd")
    odd.enter(PENDING)
    odd.enter(RUNNING)
    odd.log(20, "a name like \udcff")
    odd.enter(COMPLETED)
    finish(task_run(history, "other"))
    assert history.flush(60)
    assert {row["definition"] for row in history.runs()} == {"odd", "other"}
    assert history.run("odd").logs[0].message.startswith("a name like ")


def test_a_file_locked_at_the_start_is_used_once_it_is_free(
    tmp_path: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 50)
    path = tmp_path / "history.sqlite"
    History(path, on_warning=warned.append).close()
    with closing(database.connect(str(path))) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        history = History(path, on_warning=warned.append)
        finish(task_run(history, "while locked"))
        history.flush(60)
        blocker.execute("ROLLBACK")
    finish(task_run(history, "after"))
    history.flush(60)
    history.close()
    assert history.path == path
    again = History(path, on_warning=warned.append)
    assert {row["definition"] for row in again.runs()} == {"while locked", "after"}
    again.close()


def test_a_full_disk_for_a_while_loses_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    finish(task_run(history, "before"))
    history.flush(60)
    write = database.write_runs

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(database, "write_runs", full)
    finish(task_run(history, "while full"))
    history.flush(60)
    monkeypatch.setattr(database, "write_runs", write)
    finish(task_run(history, "after"))
    history.flush(60)
    states = {row["definition"]: row["state"] for row in history.runs()}
    assert states == dict.fromkeys(["before", "while full", "after"], "Completed")
    assert len(warned) == 1


def test_who_only_reads_sees_the_crashed(history: History) -> None:
    code = f"""
    import os
    from pathlib import Path
    import tests.history.test_history as t
    from cellist.history import History
    from cellist.model.states import PENDING, RUNNING
    h = History(Path({str(history.path)!r}), on_warning=print)
    run = t.task_run(h, "killed")
    run.enter(PENDING); run.enter(RUNNING)
    h.flush(60)
    os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    history.flush(60)
    (row,) = history.runs()
    assert row["state"] == "Crashed"
    assert (history.run("killed").seconds or 0) < 30


def test_reading_makes_no_file(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", on_warning=print)
    assert history.runs() == []
    history.flush(60)
    assert not (tmp_path / "history.sqlite").exists()
    history.close()


@pytest.mark.parametrize(
    "why",
    [
        Reason(
            "hit", "reused", 'reused "today"\n, saved 2 s', (), 1795656148.25, 0.0, ("é\ud800", "b")
        ),
        Reason("miss", "first_run", "ran: never run before"),
        Reason("hit", "reused", "s", (), 5, 1e-9),
    ],
)
def test_a_reason_written_the_short_way_reads_like_its_dict(why: Reason) -> None:
    assert json.loads(rows._plainly(why)) == why.as_dict()
