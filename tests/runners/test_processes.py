"""What only the process pool does: end processes, replace them, start them as it was told."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellist import flow, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE, TaskSource
from cellist.exceptions import CrashedRun, SerializationError
from cellist.logging import get_run_logger
from cellist.runners import processes
from cellist.task_runners import ProcessPoolTaskRunner
from tests.sessions import Recorder, names

pytestmark = pytest.mark.slow
quick: dict[str, Any] = {"cache_policy": NO_CACHE}
one: dict[str, Any] = {"task_runner": ProcessPoolTaskRunner(max_workers=1)}


def until(condition: Any) -> None:
    """Wait for another process, which no event of ours can announce."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os._exit(3), "it ended with exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"it was ended by signal 9 \(SIGKILL\)"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), r"it was ended by signal 11 \(SIGSEGV\)"),
    ],
    ids=["exit", "kill", "segfault"],
)
def test_a_died_process_crashes_its_run_and_the_pool_goes_on(
    recorder: Recorder, end: Any, how: str
) -> None:
    gone = task(end, name="gone", retries=3, **quick)
    pid = task(os.getpid, name="pid", **quick)

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def f():
        bad, good = gone.submit(), [pid.submit() for _ in range(6)]
        with pytest.raises(CrashedRun, match=f"task `gone` went away: {how}"):
            bad.result()
        assert names(bad.run) == ["Pending", "Running", "Crashed"]
        return {one.result() for one in good} | {pid.submit().result()}

    assert f()


def test_a_process_that_died_while_idle_costs_no_run(recorder: Recorder) -> None:
    pid = task(os.getpid, name="pid", **quick)

    @flow(**one)
    def f():
        first = pid.submit().result()
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        return first != pid.submit().result()

    assert f()


def test_the_code_of_a_cancelled_task_ends_with_its_process(
    recorder: Recorder, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"

    @task(**quick)
    def stuck(path):
        Path(path).write_text(str(os.getpid()))
        threading.Event().wait()  # for ever, and in C

    @flow(**one)
    def f():
        future = stuck.submit(str(mark))
        until(lambda: mark.exists() and mark.read_text())
        future.cancel()
        future.wait(60)
        assert names(future.run) == ["Pending", "Running", "Cancelling", "Cancelled"]
        until(lambda: not is_alive(int(mark.read_text())))
        return task(abs, name="next", **quick).submit(-1).result()

    assert f() == 1


def test_a_time_limit_ends_the_process_and_counts_the_code_only(
    recorder: Recorder, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"

    @task(timeout_seconds=0.3, retries=1, **quick)
    def stuck(path):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n")
        threading.Event().wait()

    @task(timeout_seconds=0.3, **quick)
    def fast():
        return 1

    @flow(**one)
    def f():
        assert fast.submit().result() == 1  # although its process takes longer to start
        future = stuck.submit(str(mark))
        future.wait(60)
        assert names(future.run) == ["Pending", "Running", "Retrying", "TimedOut"]
        pids = [int(line) for line in mark.read_text().split()]
        assert len(set(pids)) == 2
        for pid in pids:
            until(lambda pid=pid: not is_alive(pid))
        return fast.submit().result()

    assert f() == 1


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_prints_and_logs_arrive_in_order_while_the_task_runs(
    recorder: Recorder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"

    @task(**quick)
    def talk(path):
        import sys

        print("first")
        get_run_logger().info("logged")
        print("to stderr", file=sys.stderr)
        print("no line", end="", flush=True)
        while not Path(path).exists():
            time.sleep(0.005)
        print("last")

    @flow(**one)
    def f():
        future = talk.submit(str(gate))
        out, err = "", ""
        deadline = time.monotonic() + 30
        while "no line" not in out:
            assert time.monotonic() < deadline
            time.sleep(0.005)
            seen = capsys.readouterr()
            out, err = out + seen.out, err + seen.err
        assert out == "first\nno line"
        assert "to stderr\n" in err
        assert "logged" in recorder.logs()
        assert not future.done()
        gate.touch()
        future.wait()

    f()
    assert capsys.readouterr().out == "last\n"


def test_initializer_of_a_notebook_with_a_lock(recorder: Recorder) -> None:
    """It is pickled by value, and its arguments may be what only a new process can be given."""
    import multiprocessing

    lock = multiprocessing.get_context("spawn").Lock()

    def set_up(text, shared):
        import builtins

        with shared:
            builtins.cellist_test_place = text  # type: ignore[attr-defined] - made up here

    @task(**quick)
    def where():
        import builtins

        return builtins.cellist_test_place  # type: ignore[attr-defined] - made up above

    @flow(task_runner=ProcessPoolTaskRunner(1, set_up, ("here", lock)))
    def f():
        return where.submit().result()

    assert f() == "here"


def test_initializer_that_fails(recorder: Recorder) -> None:
    def set_up():
        raise ValueError("no licence")

    @flow(task_runner=ProcessPoolTaskRunner(1, set_up))
    def f():
        futures = task(abs, name="work", **quick).map([-1, -2])
        for future in futures:
            with pytest.raises(ValueError, match="no licence"):
                future.result()
        return [future.run.state_name for future in futures]

    assert f() == ["Failed", "Failed"]


class Holder:
    def __init__(self) -> None:
        self.conn = {"lock": threading.Lock()}


def test_what_cannot_be_sent_is_named(recorder: Recorder) -> None:
    lock = threading.Lock()

    @task(**quick)
    def use(x, config=None):
        return x

    @task(**quick)
    def reach(x):
        return lock, x

    @flow(**one)
    def f():
        for arguments, words in (
            (
                {"x": 1, "config": {"db": [1, Holder()]}},
                r"`config['db'][1].conn['lock']` is a _thr",
            ),
            ({"x": lock}, "Argument `x` of task `use` cannot be sent to a process: `x` is a _thr"),
        ):
            with pytest.raises(SerializationError) as caught:
                use.submit(**arguments).result()
            assert words in str(caught.value)
        with pytest.raises(SerializationError, match="it uses `lock`, a _thread"):
            reach.submit(1).result()

    f()


def test_processes_end_with_their_flow(recorder: Recorder) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def f():
        pid = task(os.getpid, name="pid", **quick)
        return [pid.submit().result() for _ in range(4)]

    for pid in f():
        until(lambda pid=pid: not is_alive(pid))


def test_interrupts_and_exits_of_code_crash_the_run_only(recorder: Recorder) -> None:
    def leave():
        raise SystemExit(2)

    @flow(**one)
    def f():
        future = task(leave, name="leave", **quick).submit()
        future.wait()
        assert names(future.run)[-1] == "Crashed"
        return task(abs, name="next", **quick).submit(-1).result()

    assert f() == 1


UNGUARDED = """
from cellist import flow, task
from cellist.task_runners import ProcessPoolTaskRunner
@task
def one():
    return 1
@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def f():
    return one.submit().result()
f()
"""


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "CrashedRun: No process for task `one` came up" in done.stderr
    assert 'below `if __name__ == "__main__":`' in done.stderr


ABANDONED = """
import os, time
from cellist import flow, task
from cellist.task_runners import ProcessPoolTaskRunner
@task
def stuck():
    print(os.getpid(), flush=True)
    time.sleep(600)
@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def f():
    stuck.submit().wait()
if __name__ == "__main__":
    f()
"""


def test_processes_end_when_their_kernel_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ABANDONED)
    with subprocess.Popen([sys.executable, "-u", str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until(lambda: not is_alive(pid))


def test_text_that_comes_at_once_is_shown_at_once() -> None:
    shown: list[tuple[str, str]] = []
    more = iter([True, False, True, False])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "write", lambda name, text: shown.append((name, text)))
        text = processes.Shown(lambda: next(more))
        text.write("stdout", "a\n")
        assert shown == []
        text.write("stdout", "b\n")
        assert shown == [("stdout", "a\nb\n")]
        text.write("stdout", "c\n")
        text.write("stderr", "d\n")
        assert shown[1:] == [("stdout", "c\n"), ("stderr", "d\n")]
        patch.setattr(processes, "_SHOWN_AFTER", 0.0)
        text = processes.Shown(lambda: True)
        text.write("stdout", "e\n")
        assert shown[3:] == [("stdout", "e\n")]
        text.flush()
        assert len(shown) == 4


def test_what_code_wrote_before_its_process_died_is_shown(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    def die():
        for number in range(300):
            print("line", number)
        os.kill(os.getpid(), signal.SIGKILL)

    @flow(**one)
    def f():
        task(die, name="die", **quick).submit().wait()

    f()
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in range(300)]


@pytest.mark.parametrize(
    ("policy", "versions", "is_kept"),
    [
        (DEFAULT, None, False),
        (DEFAULT, {"numpy": "exact"}, False),
        (DEFAULT, "off", True),
        (DEFAULT, {"numpy": "off"}, True),
        (DEFAULT, {"numpy": "major", "*": "off"}, False),
        (INPUTS + TaskSource(versions="off"), None, True),
        (INPUTS, None, True),
    ],
)
def test_a_worker_with_another_version_of_a_library(
    recorder: Recorder, policy: Any, versions: Any, is_kept: bool
) -> None:
    """What it gives is not kept if versions count in the key."""

    def set_up():
        from cellist.caching import by_name

        by_name._version_of = lambda name: "0.1"

    @task(cache_policy=policy, versions=versions)
    def total(n):
        return int(np.arange(n).sum())

    @flow(task_runner=ProcessPoolTaskRunner(1, set_up))
    def f():
        states = [total.submit(4, return_state=True) for _ in range(2)]
        return [(state.name, state.result()) for state in states]

    assert f() == [("Completed", 6), ("Cached" if is_kept else "Completed", 6)]
    if not is_kept:
        assert "its worker has numpy 0.1 and not" in str(recorder.of("total")[0].why)


def test_text_that_the_stream_here_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file, "ascii"))
    processes.write("stdout", "one \xe9 \udc80\ntwo\n")
    assert file.getvalue() == b"one \\xe9 \\udc80\ntwo\n"
