"""What a task run showed is shown again on a hit: in scripts, where it has to be asked for."""

import asyncio
import contextlib
import gc
import io
import logging
import re
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from cellist import flow, get_run_logger, recording, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.recording import untap
from cellist.settings import temporary_settings
from cellist.task_runners import ProcessPoolTaskRunner
from tests.sessions import names


@pytest.fixture(autouse=True)
def replay_is_on():
    with temporary_settings(replay="on"):
        yield
    untap()


@pytest.fixture
def seen(capsys, recorder):
    """Return what was printed since the last look: without marks, and how many there were."""
    del recorder

    def look() -> tuple[str, str, int]:
        out, err = capsys.readouterr()
        marks = [line for line in (out + err).splitlines() if "· recorded " in line]
        keep = [
            "".join(line for line in text.splitlines(keepends=True) if line.strip() not in marks)
            for text in (out, err)
        ]
        return keep[0], keep[1], len(marks)

    return look


def test_prints_come_back_in_order_under_one_mark(capsys, recorder):
    @task
    def fetch(n):
        print("one")
        print("two", file=sys.stderr)
        print("three", n)
        return n

    assert fetch(3) == 3
    assert capsys.readouterr() == ("one\nthree 3\n", "two\n")
    assert fetch(3) == 3
    out, err = capsys.readouterr()
    assert re.fullmatch(r"↺ fetch · recorded \d\d:\d\d\none\nthree 3\n", out)
    assert err == "two\n"
    assert [names(run)[-1] for run in recorder.runs] == ["Completed", "Cached"]


@pytest.mark.parametrize(
    ("setting", "option", "replays"),
    [
        ("auto", None, False),
        ("off", None, False),
        ("on", None, True),
        ("auto", True, True),
        ("off", True, True),
        ("on", False, False),
    ],
)
def test_the_switch(seen, setting, option, replays):
    @task(replay=option)
    def fetch(n):
        print("fetched")
        return n

    with temporary_settings(replay=setting):
        fetch(1)
        assert seen() == ("fetched\n", "", 0)
        fetch(1)
        assert seen() == (("fetched\n", "", 1) if replays else ("", "", 0))


def test_a_recording_waits_for_who_wants_it(seen):
    @task
    def fetch(n):
        print("fetched")
        return n

    fetch(1)
    seen()
    with temporary_settings(replay="off"):
        fetch(1)
        assert seen() == ("", "", 0)
    fetch(1)
    assert seen() == ("fetched\n", "", 1)


def test_a_task_that_shows_nothing_has_no_recording_and_no_mark(seen, recorder):
    @task
    def quiet(n):
        return n

    quiet(1)
    found = recorder.session.store.get(recorder.one("quiet").cache_key)
    assert found.shown is None
    quiet(1)
    assert seen() == ("", "", 0)


def test_nothing_is_recorded_where_nothing_is_kept(recorder):
    seen: list[object] = []

    def note():
        from cellist.engine.execution import current

        x = current.get()
        assert x is not None
        seen.append(x.cache_note.recorder if x.cache_note is not None else None)

    @task(cache_policy=NO_CACHE)
    def uncached():
        note()
        return 1

    @task
    def gives_nothing():
        note()

    @task
    def kept():
        note()
        return 1

    with recording.unrecorded():  # the test itself reads the context
        for each in (uncached, gives_nothing, kept):
            each()
    assert seen[:2] == [None, None]
    assert seen[2] is not None


def test_nested_tasks_are_shown_once_under_the_outer_one(seen):
    @task
    def inner(n):
        print("inner", n)
        return n

    @task
    def outer(n):
        print("before")
        value = inner(n)
        print("after")
        return value

    whole = "before\ninner 1\nafter\n"
    inner(1)
    assert seen() == ("inner 1\n", "", 0)
    outer(1)
    assert seen() == (whole, "", 1)  # what `inner` showed again, under its mark
    outer(1)
    assert seen() == (whole, "", 1)
    inner(1)
    assert seen() == ("inner 1\n", "", 1)


def test_submitted_and_mapped_runs_belong_to_whom_they_are_of(seen):
    @task
    def inner(n):
        print(f"inner {n}\n", end="")
        return n

    @task
    def outer():
        return sum(inner.map([1, 2, 3]).result())

    assert outer() == 6
    lines = sorted(seen()[0].splitlines())
    assert lines == ["inner 1", "inner 2", "inner 3"]
    assert outer() == 6
    out, _, marks = seen()
    assert (sorted(out.splitlines()), marks) == (lines, 1)
    inner(2)
    assert seen() == ("inner 2\n", "", 1)


def test_threads_of_the_task_count_and_other_threads_do_not(seen):
    go, stop = threading.Event(), threading.Event()

    def elsewhere():
        go.wait(60)
        print("elsewhere")
        stop.set()

    other = threading.Thread(target=elsewhere)
    other.start()

    @task
    def work(n):
        go.set()
        stop.wait(60)
        thread = threading.Thread(target=print, args=("plain",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: pool and print("pooled")).result()
        return n

    work(1)
    other.join()
    assert seen() == ("elsewhere\nplain\npooled\n", "", 0)
    work(1)
    assert seen() == ("plain\npooled\n", "", 1)


def test_async_runs_that_overlap_are_told_apart(seen):
    turn: list[asyncio.Event] = []

    @task
    async def work(n):
        if n == 2:
            await turn[0].wait()
        print("begin", n)
        turn[0].set()
        if n == 1:
            await turn[1].wait()
        print("end", n)
        turn[1].set()
        return n

    async def overlapping():
        turn[:] = [asyncio.Event(), asyncio.Event()]
        return await asyncio.gather(work(1), work(2))

    async def one_by_one():
        return [await work(1), await work(2)]

    assert asyncio.run(overlapping()) == [1, 2]
    assert seen() == ("begin 1\nbegin 2\nend 2\nend 1\n", "", 0)
    assert asyncio.run(one_by_one()) == [1, 2]
    assert seen() == ("begin 1\nend 1\nbegin 2\nend 2\n", "", 2)


def test_a_failed_attempt_is_not_shown_again(seen):
    tries: list[int] = []

    @task(retries=1, cache_policy=INPUTS)
    def flaky(n):
        print("try", n)
        tries.append(n)
        if len(tries) == 1:
            raise ValueError
        print("done")
        return n

    @task(retries=1, cache_policy=INPUTS)
    def silent_in_the_end(n):
        tries.append(n)
        if len(tries) == 3:
            print("try")
            raise ValueError
        return n

    flaky(1)
    silent_in_the_end(1)
    seen()
    flaky(1)
    silent_in_the_end(1)
    assert seen() == ("try 1\ndone\n", "", 1)


def test_what_a_task_redirects_is_not_shown(seen):
    @task
    def inner(n):
        print("inner")
        return n

    @task
    def outer(n):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            print("hidden")
            inner(n)
        print("shown")
        return text.getvalue()

    assert outer(1) == "hidden\ninner\n"
    assert seen() == ("shown\n", "", 0)
    assert outer(1) == "hidden\ninner\n"
    assert seen() == ("shown\n", "", 1)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        inner(1)
    assert text.getvalue().endswith("inner\n")
    assert seen()[0] == ""


class Refusing(list[logging.Handler]):
    """The root logger's handlers as in a script: pytest adds its own when the test begins."""

    def append(self, _: logging.Handler, /) -> None:
        """Take none."""


@pytest.fixture
def no_handlers(monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", Refusing())


@pytest.mark.usefixtures("no_handlers")
def test_logs_go_to_the_run_marked_and_once_to_the_console(capsys, recorder):
    @task(log_prints=True)
    def work(n):
        print("printed")
        get_run_logger().warning("logged %s", n)
        get_run_logger().debug("unheard")
        return n

    work(1)
    assert recorder.logs() == ["printed", "logged 1"]
    first = capsys.readouterr()
    recorder.events.clear()
    work(1)
    again = capsys.readouterr()
    logs = recorder.logs()
    assert [message.split(" · ")[1] for message in logs] == ["printed", "logged 1"]
    assert all(message.startswith("↺ ") for message in logs)
    assert first.out == again.out == ""
    assert again.err.count("printed") == again.err.count("logged 1") == 1
    assert "WARNING | Task run 'work' - ↺ " in again.err


def test_records_of_old_do_not_go_to_handlers_of_the_user(recorder, capsys):
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())
            sys.stderr.write("handled\n")

    @task
    def work(n):
        get_run_logger().info("logged")
        return n

    logger, handler = logging.getLogger("cellist.task_runs"), Handler()
    logger.addHandler(handler)
    try:
        work(1)
        assert capsys.readouterr().err == "handled\n"
        work(1)
    finally:
        logger.removeHandler(handler)
    assert told == ["logged"]
    assert capsys.readouterr().err == ""
    assert recorder.logs()[-1].endswith(" · logged")


def test_logs_of_inner_runs_are_shown_with_the_outer_one(recorder):
    @task
    def inner(n):
        get_run_logger().info("inside")
        return n

    @task
    def outer(n):
        get_run_logger().info("outside")
        return inner(n)

    outer(1)
    recorder.events.clear()
    outer(1)
    assert [message.split(" · ")[1] for message in recorder.logs()] == ["outside", "inside"]


def test_logs_of_threads_and_of_other_processes_come_back(recorder):
    @task(log_prints=True)
    def work(n):
        logger = get_run_logger()
        thread = threading.Thread(target=logger.info, args=("in a thread",))
        thread.start()
        thread.join()
        print("printed")
        return n

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def apart():
        return work.submit(2).result()

    work(1)
    apart()
    recorder.events.clear()
    work(1)
    apart()
    told = [message.split(" · ")[1] for message in recorder.logs()]
    assert told == ["in a thread", "printed"] * 2


def test_a_timeout_in_a_thread_records_too(seen):
    @task(timeout_seconds=30)
    def work(n):
        print("in time")
        return n

    @flow
    def both():
        return work.submit(1).result()

    both()
    assert seen()[0] == "in time\n"
    both()
    out, _, marks = seen()
    assert (out, marks) == ("in time\n", 1)


def test_results_kept_in_a_transaction_or_elsewhere_have_it_too(seen, tmp_path):
    @task(result_storage=tmp_path / "there", result_serializer="json", on_commit=[lambda _: None])
    def work(n):
        print("kept")
        return n

    work(1)
    work(1)
    assert seen() == ("kept\nkept\n", "", 1)


def test_progress_is_shown_as_it_ended(seen):
    @task
    def work(n):
        for step in range(n):
            print(f"\rstep {step}", end="")
        return n

    work(5)
    seen()
    work(5)
    assert seen() == ("step 4\n", "", 1)  # the line is ended, for the next mark


def test_a_recording_that_cannot_be_read_costs_no_result(seen, recorder):
    @task
    def work(n):
        print("shown")
        return n

    work(1)
    store = recorder.session.store
    key = recorder.one("work").cache_key
    entry = store.seal(key, 1, {"task": "work"}, shown=b"no json")
    store.keep(entry, durable=False)
    seen()
    with pytest.warns(UserWarning, match="What task `work` showed is not shown again"):
        assert work(1) == 1
    assert recorder.of("work")[-1].state_name == "Cached"


def test_streams_that_code_redirects_to_are_not_kept(recorder):
    del recorder
    texts: list[weakref.ref[io.StringIO]] = []

    @task
    def work(n):
        return n

    for n in range(3):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            work(n)
        texts.append(weakref.ref(text))
        del text
    work(3)  # with the stream of before
    gc.collect()
    assert [text() for text in texts] == [None] * 3


def test_nothing_stays_tapped(recorder):
    start = threading.Thread.start

    @task
    def work(n):
        return n

    work(1)
    assert threading.Thread.start is not start
    untap()
    assert threading.Thread.start is start
    assert "write" not in vars(sys.stdout)
