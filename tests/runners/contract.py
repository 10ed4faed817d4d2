"""What every task runner must do, whatever it calls user code in.

The five classes that inherit it, in `test_contract.py`, say only how to make the runner.
"""

import contextlib
import importlib
import os
import sys
import threading
import time
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from cellist import allow_failure, flow, runtime, tags, task
from cellist.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from cellist.exceptions import CrashedRun, SerializationError, UnfinishedRun
from cellist.logging import get_run_logger
from cellist.states import Completed, Failed
from cellist.task_runners import TaskRunner
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


def until(condition: Any) -> None:
    """Wait for another process, which no event of ours can announce."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


MODULE = """
NUMBER = {0}

def add(x):
    return x + NUMBER

class Box:
    def __init__(self, x):
        self.x = x

    def more(self):
        return add(self.x)
"""

STATE = """
LOADED = None

def add(x):
    global LOADED
    if LOADED is None:
        LOADED = "loaded"
    return x, {0}
"""
REMEMBERS = """
from functools import lru_cache

def add(x):
    return x + {0}

@lru_cache
def remembered(x):
    return add(x)
"""
LATE = """
def late(x):
    from {name} import add

    return add(x)
"""


class RunnerContract:
    """The same tests for all runners."""

    name: ClassVar[str]
    leaves: ClassVar[bool] = False
    """Whether code runs in another process."""
    at_once: ClassVar[bool] = False
    """Whether a run has ended when `submit` returns."""
    ends_code: ClassVar[bool] = False
    """Whether code that blocks can be stopped."""

    def make(self) -> TaskRunner:
        raise NotImplementedError

    def test_values_failures_and_dependencies(self, recorder: Recorder) -> None:
        @task(**quick)
        def add(a, b=1):
            return a + b

        @task(retries=1, retry_delay_seconds=0.01, **quick)
        def fail(text):
            raise ValueError(text)

        @flow(task_runner=self.make())
        def f():
            one = add.submit(1)
            assert add.submit(one, b=add.submit(one)).result() == 5
            assert add.map([1, 2, one], b=one).result() == [3, 4, 4]
            assert add.submit([one, {"deep": (one,)}], b=[]).result() == [2, {"deep": (2,)}]
            bad = fail.submit("boom")
            with pytest.raises(ValueError, match="boom"):
                bad.result()
            assert names(bad.run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
            return [one, bad.run.name]

        assert f()[0] == 2
        assert names(recorder.one("f"))[-1] == "Completed"

    def test_an_exception_that_cannot_be_printed_is_a_failure(self, recorder: Recorder) -> None:
        class OddError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        @task(**quick)
        def fail():
            raise OddError

        @flow(task_runner=self.make())
        def f():
            fail.submit().wait()
            return 1

        f()
        assert names(recorder.one("fail"))[-1] == "Failed"

    @pytest.mark.parametrize("place", ["parameter", "nested", "wait_for"])
    def test_what_depends_on_a_failure_does_not_run(self, recorder: Recorder, place: str) -> None:
        @task(**quick)
        def fail():
            raise ValueError("boom")

        @task(**quick)
        def after(x=None):
            return repr(x)

        @flow(task_runner=self.make())
        def f():
            bad = fail.submit()
            options = {
                "parameter": {"x": bad},
                "nested": {"x": [{"deep": bad}]},
                "wait_for": {"wait_for": [bad]},
            }[place]
            future = after.submit(**options)
            with pytest.raises(UnfinishedRun):
                future.result()
            assert names(future.run) == ["Pending", "NotReady"]
            assert after.submit(allow_failure(bad)).result() == "ValueError('boom')"

        f()

    def test_cached_results_are_reused(self, recorder: Recorder) -> None:
        @task(cache_policy=INPUTS)
        def kept(x):
            return [x, list(range(100))]

        @task(cache_policy=INPUTS)
        def size(xs):
            return len(xs)

        @flow(task_runner=self.make())
        def f():
            first = kept.submit(1)
            states = [size.submit(first, return_state=True).name]
            again = kept.submit(1, return_state=True)
            assert again.result() == first.result()
            return [*states, again.name, size.submit(kept.submit(1), return_state=True).name]

        assert f() == ["Completed", "Cached", "Cached"]

    def test_time_limit(self, recorder: Recorder) -> None:
        @task(timeout_seconds=0.3, **quick)
        def slow(seconds):
            for _ in range(int(seconds * 100)):
                time.sleep(0.01)
            return "fine"

        @flow(task_runner=self.make())
        def f():
            if self.leaves:
                slow.with_options(timeout_seconds=60).submit(0).wait()  # workers start
            before = time.monotonic()
            future = slow.submit(20)
            future.wait(30)
            assert time.monotonic() - before < 10
            assert names(future.run) == ["Pending", "Running", "TimedOut"]

        f()

    def test_cancel_of_running_and_of_waiting_runs(
        self, recorder: Recorder, tmp_path: Path
    ) -> None:
        if self.at_once:
            return  # nothing runs or waits after `submit`
        mark = tmp_path / "mark"

        @task(**quick)
        def long(path):
            Path(path).touch()
            while True:
                time.sleep(0.005)

        @task(**quick)
        def after(x):
            return x

        @flow(task_runner=self.make())
        def f():
            running = long.submit(str(mark))
            waiting = after.submit(running)
            until(mark.exists)
            assert waiting.cancel()
            assert names(waiting.run) == ["Pending", "Cancelled"]
            assert running.cancel()
            assert running.run.state_name in {"Cancelling", "Cancelled"}
            running.wait(30)
            assert names(running.run) == ["Pending", "Running", "Cancelling", "Cancelled"]
            return after.submit(1).result()

        assert f() == 1

    def test_the_state_tells_the_truth_about_code_that_cannot_be_stopped(
        self, recorder: Recorder, tmp_path: Path
    ) -> None:
        if self.at_once:
            return
        mark, gate = tmp_path / "mark", tmp_path / "gate"
        os.mkfifo(gate)

        @task(**quick)
        def blocks(mark, gate):
            Path(mark).touch()
            Path(gate).read_text()  # in C, until somebody writes

        @flow(task_runner=self.make())
        def f():
            future = blocks.submit(str(mark), str(gate))
            until(mark.exists)
            future.cancel()
            if self.ends_code:
                future.wait(30)
            else:
                assert str(future.state) == "Cancelling('Cancel requested, still running.')"
                assert not future.done()
                with contextlib.suppress(BrokenPipeError):  # stopped before it read
                    gate.write_text("go on")
                future.wait(30)
            assert names(future.run)[-2:] == ["Cancelling", "Cancelled"]

        f()

    def test_what_code_knows_of_its_run(self, recorder: Recorder) -> None:
        @task(tags={"own"}, task_run_name="about-{x}", **quick)
        def about(x):
            return (
                runtime.task_run.name,
                sorted(runtime.task_run.tags),
                runtime.task_run.parameters,
                runtime.flow_run.name,
            )

        @flow(task_runner=self.make(), flow_run_name="whole")
        def f():
            with tags("around"):
                return about.submit(3).result()

        assert f() == ("about-3", ["around", "own"], {"x": 3}, "whole")

    def test_logs_and_prints(self, recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
        @task(**quick)
        def talk(x):
            get_run_logger().info("logged %s", x)
            print("shown", x)

        @task(log_prints=True, **quick)
        def tell(x):
            print("told", x)

        @flow(task_runner=self.make())
        def f():
            talk.submit(1).wait()
            tell.submit(2).wait()

        f()
        assert [text for text in recorder.logs() if "ed" in text.split()[0]] == ["logged 1"]
        assert "told 2" in recorder.logs()
        assert [line for line in capsys.readouterr().out.splitlines() if line] == ["shown 1"]

    def test_prints_arrive_while_the_task_runs(
        self, recorder: Recorder, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        if self.at_once:
            return
        gate = tmp_path / "gate"

        @task(**quick)
        def talk(path):
            print("before")
            while not Path(path).exists():
                time.sleep(0.005)
            print("after")

        @flow(task_runner=self.make())
        def f():
            future = talk.submit(str(gate))
            seen = ""

            def heard():
                nonlocal seen
                seen += capsys.readouterr().out
                return "before\n" in seen

            until(heard)
            assert not future.done()
            gate.touch()
            future.wait()

        f()
        assert capsys.readouterr().out == "after\n"

    @pytest.mark.parametrize("kind", ["cellist", "tqdm"])
    def test_loops_are_shown_while_they_go_on(
        self, recorder: Recorder, tmp_path: Path, kind: str
    ) -> None:
        if self.at_once:
            return
        gate = tmp_path / "gate"

        @task(**quick)
        def count(kind, path):
            import io

            import cellist

            if kind == "tqdm":
                from tqdm import tqdm

                loop: Any = tqdm(range(5), "rows", file=io.StringIO())
            else:
                loop = cellist.progress(range(5), description="rows")
            for number in loop:
                for _ in cellist.progress(range(number)):
                    pass
                while number == 3 and not Path(path).exists():
                    time.sleep(0.005)

        def seen(run):
            loops = run.progress.look(run.attempts) if run.progress is not None else []
            return [(one.description, one.done, one.total, one.is_over) for one in loops]

        @flow(task_runner=self.make())
        def f():
            future = count.submit(kind, str(gate))
            done = 3 if kind == "cellist" else 0  # tqdm counts where it draws
            try:
                until(lambda: seen(future.run)[:1] == [("rows", done, 5, False)])
            finally:
                gate.touch()
            future.wait()
            return seen(future.run)

        assert f()[0] == ("rows", 5, 5, True)

    def test_coroutines_and_generators(self, recorder: Recorder) -> None:
        @task(**quick)
        async def later(x):
            import asyncio

            await asyncio.sleep(0)
            return x + 1

        @task(**quick)
        def several(n):
            yield from range(n)

        @task(**quick)
        def total(xs):
            return sum(xs)

        @flow(task_runner=self.make())
        def f():
            return total.submit(several.submit(later.submit(3))).result()

        assert f() == 6

    def test_classes_of_a_notebook_stay_what_they_are(self, recorder: Recorder) -> None:
        """A worker has copies of them; what it sends back is of those here, as they are here."""

        class Box:
            def __init__(self, x):
                self.x = x

            def more(self):
                return self.x + 1

        more = Box.more

        @task(**quick)
        def make(x):
            return Box(x)

        @task(**quick)
        def grow(boxes):
            return [type(box) is Box for box in boxes], {"grown": Box(boxes[0].more())}

        @flow(task_runner=self.make())
        def f():
            first = make.submit(1)
            same, grown = grow.submit([first, Box(5)]).result()
            again, _ = grow.submit([grown["grown"], first.result()]).result()
            return same, again, first.result(), grown["grown"]

        same, again, first, grown = f()
        assert same == again == [True, True]
        assert type(first) is type(grown) is Box
        assert (first.x, grown.x) == (1, 2)
        assert Box.more is more

    def test_returned_states(self, recorder: Recorder) -> None:
        @task(**quick)
        def choose(good):
            return Completed(message="chosen", data=5) if good else Failed(message="no")

        @flow(task_runner=self.make())
        def f():
            states = [choose.submit(good, return_state=True) for good in (True, False)]
            assert [state.message for state in states] == ["chosen", "no"]
            return [state.type.name for state in states]

        assert f() == ["COMPLETED", "FAILED"]

    def test_hooks_run_here(self, recorder: Recorder) -> None:
        here: list[Any] = []

        def note(definition, run, state):
            here.append((definition.name, state.name, os.getpid(), state.result(False)))

        @task(on_running=[lambda *_: here.append("on")], on_completion=[note], **quick)
        def fine():
            return list(range(100))

        @flow(task_runner=self.make())
        def f():
            fine.submit().wait()

        f()
        assert here == ["on", ("fine", "Completed", os.getpid(), list(range(100)))]

    def test_nested_tasks(self, recorder: Recorder) -> None:
        @task(**quick)
        def leaf(n):
            return n

        @task(**quick)
        def branch(n):
            return sum(leaf.map(range(n)).result()) + leaf(n)

        @flow(task_runner=self.make())
        def f():
            return branch.map([3, 4, 5]).result()

        assert f() == [6, 10, 15]

    def test_wide_maps_and_long_chains(self, recorder: Recorder) -> None:
        @task(**quick)
        def add(x, y=1):
            return x + y

        @flow(task_runner=self.make())
        def f():
            before = threading.active_count()
            future = add.submit(0)
            for _ in range(29):
                future = add.submit(future)
            wide = add.map(range(60))
            assert threading.active_count() - before < 80
            return future.result(), sum(wide.result())

        assert f() == (30, 1830)

    def test_exits_crash_the_run_only(self, recorder: Recorder) -> None:
        if self.at_once:
            return  # the caller is what is left, as in Python

        @task(**quick)
        def leave():
            raise SystemExit(2)

        @flow(task_runner=self.make())
        def f():
            future = leave.submit()
            future.wait()
            assert names(future.run) == ["Pending", "Running", "Crashed"]
            return task(abs, name="next", **quick).submit(-1).result()

        assert f() == 1

    def test_what_cannot_be_sent_is_named(self, recorder: Recorder) -> None:
        if not self.leaves:
            return

        @task(**quick)
        def use(x):
            return x

        @task(**quick)
        def make():
            return threading.Lock()

        @flow(task_runner=self.make())
        def f():
            bad = use.submit({"db": [threading.Lock()]})
            with pytest.raises(SerializationError, match=r"`x\['db'\]\[0\]` is a _thread.lock"):
                bad.result()
            assert names(bad.run) == ["Pending", "Running", "Failed"]
            with pytest.raises(SerializationError, match="cannot be sent back"):
                make.submit().result()
            return use.submit(1).result()

        assert f() == 1

    def test_exceptions_come_back_as_what_they_are(self, recorder: Recorder) -> None:
        class OddError(Exception):
            def __init__(self, a, b, *, c):
                super().__init__(f"{a} and {b}")
                self.c = c

        class HolderError(OSError):
            def __init__(self, *args):
                super().__init__(*args)
                self.lock = threading.Lock()

        def odd():
            return OddError(1, 2, c=[3])

        def holder():
            error = HolderError(2, "no such thing")
            error.add_note("noted")
            return error

        def group():
            return ExceptionGroup("both", [ValueError(1), odd(), holder()])

        def text():
            return UnicodeEncodeError("ascii", "\xe9", 0, 1, "not ASCII")

        @task(**quick)
        def fail(make):
            raise make()

        def raised(make):
            future = fail.submit(make)
            future.wait()
            assert names(future.run) == ["Pending", "Running", "Failed"]
            return future.exception()

        @flow(task_runner=self.make())
        def f():
            return {make.__name__: raised(make) for make in (odd, holder, group, text)}

        found = f()
        assert type(found["odd"]) is OddError
        assert (str(found["odd"]), found["odd"].c) == ("1 and 2", [3])
        assert type(found["holder"]) is HolderError
        assert found["holder"].errno == 2
        assert found["holder"].__notes__[0] == "noted"
        if self.leaves:
            (_, left) = found["holder"].__notes__
            assert left.startswith("`lock`, a lock, cannot be sent")
        assert [type(one) for one in found["group"].exceptions] == [
            ValueError,
            OddError,
            HolderError,
        ]
        assert str(found["text"]) == str(text())

    def test_what_cannot_be_read_is_told(self, recorder: Recorder) -> None:
        class Spoilt:
            def __reduce__(self):
                return int, ("no number",)

        if not self.leaves:
            return

        @task(**quick)
        def make():
            return Spoilt()

        @task(**quick)
        def take(x):
            return x

        @flow(task_runner=self.make())
        def f():
            with pytest.raises(SerializationError, match="cannot be read here: ValueError: inval"):
                make.submit().result()
            bad = take.submit(Spoilt())
            with pytest.raises(SerializationError, match="arguments cannot be read in its process"):
                bad.result()
            assert names(bad.run) == ["Pending", "Running", "Failed"]
            return take.submit(1).result()

        assert f() == 1

    def test_used_directly_and_released(self, recorder: Recorder) -> None:
        t = task(len, name="size", **quick)
        with self.make() as runner:
            assert runner.submit(t, {"obj": [1]}).result() == 1
            assert runner.map(t, {"obj": [[1], [1, 2]]}).result() == [1, 2]
            with pytest.raises(RuntimeError, match="already started"):
                runner.__enter__()
        with pytest.raises(RuntimeError, match="must be started"):
            runner.submit(t, {"obj": [1]})

        @flow(task_runner=self.make())
        def f():
            return t.submit([1]).result()

        assert f() == 1
        assert f.task_runner._pool is None

    def test_code_in_modules_is_that_of_here(
        self, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also in a worker that has loaded a module which was edited since."""
        monkeypatch.syspath_prepend(str(tmp_path))
        name = f"own_{uuid4().hex}"
        file = tmp_path / f"{name}.py"
        file.write_text(MODULE.format(1), "utf-8")
        own = import_module(name)
        add, Box = own.add, own.Box

        @task(**quick)
        def load(path, name):
            sys.path.insert(0, path)
            return import_module(name).add(0)

        @task(cache_policy=INPUTS + TASK_SOURCE)
        def by_module(x):
            return own.add(x), own.NUMBER

        @task(cache_policy=INPUTS + TASK_SOURCE)
        def by_name(x):
            return add(x), Box(x).more()

        @task(**quick)
        def of_argument(box):
            return box.more()

        def all_three():
            futures = [by_module.submit(0), by_name.submit(0), of_argument.submit(Box(0))]
            return [future.result() for future in futures]

        @flow(task_runner=self.make())
        def f():
            nonlocal add, Box
            try:
                assert load.map([str(tmp_path)] * 2, name).result() == [1, 1]
                first = all_three()
                file.write_text(MODULE.format(22), "utf-8")
                importlib.reload(own)
                add, Box = own.add, own.Box
                second = all_three()
                monkeypatch.setattr(own, "NUMBER", 333)
                return first, second, all_three()
            finally:
                sys.modules.pop(name, None)

        assert f() == tuple([(n, n), (n, n), n] for n in (1, 22, 333))
        states = [names(run)[-1] for run in recorder.of("by_module")]
        assert states == ["Completed"] * 3

    def test_functions_that_remember_what_they_gave(
        self, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pickle knows them by name only: those of a notebook, and of a module that was edited."""
        monkeypatch.syspath_prepend(str(tmp_path))
        name = f"remembers_{uuid4().hex}"
        file = tmp_path / f"{name}.py"
        file.write_text(REMEMBERS.format(1), "utf-8")
        own = import_module(name)
        remembered = own.remembered

        @lru_cache(maxsize=7)
        def here(x):
            return x * 10

        @task(**quick)
        def load(path, name):
            sys.path.insert(0, path)
            return import_module(name).remembered(0)

        @task(**quick)
        def both(x, given=None):
            assert given is None or given(x) == remembered(x)
            return here(x), remembered(x), own.remembered(x), here.cache_parameters()["maxsize"]

        @flow(task_runner=self.make())
        def f():
            nonlocal remembered
            try:
                load.map([str(tmp_path)] * 2, name).wait()
                first = both.submit(1).result()
                file.write_text(REMEMBERS.format(22), "utf-8")
                importlib.reload(own)
                remembered = own.remembered
                return first, both.submit(1).result(), both.submit(1, remembered).result()
            finally:
                sys.modules.pop(name, None)

        assert f() == ((10, 2, 2, 7), (10, 23, 23, 7), (10, 23, 23, 7))

    def test_code_that_is_imported_late_and_state_of_modules(
        self, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What cannot be sent along is refused; what runs change in a worker is not kept."""
        if not self.leaves:
            return
        monkeypatch.syspath_prepend(str(tmp_path))
        name = f"late_{uuid4().hex}"
        file = tmp_path / f"{name}.py"
        file.write_text(STATE.format(1), "utf-8")
        own = import_module(name)
        path = str(tmp_path)

        namespace: dict[str, Any] = {}
        source = LATE.format(name=name)
        cell = tmp_path / "cell.py"
        cell.write_text(source, "utf-8")
        exec(compile(source, str(cell), "exec"), namespace)
        late = task(namespace["late"], cache_policy=INPUTS + TASK_SOURCE)

        @task(**quick)
        def load(path, name, number):
            sys.path.insert(0, path)
            import_module(name)
            Path(path, f"here-{number}").touch()
            end = time.monotonic() + 60
            while len([*Path(path).glob("here-*")]) < 2 and time.monotonic() < end:
                time.sleep(0.005)  # so that each worker gets one

        @flow(task_runner=self.make())
        def f():
            try:
                load.map([path] * 2, name, [1, 2]).wait()
                for x in range(5):
                    assert late.submit(x).result() == (x, 1)
                file.write_text(STATE.format(22), "utf-8")  # longer: bytecode goes by seconds
                importlib.reload(own)
                with pytest.raises(CrashedRun, match=f"`{name}.add` is other code in the worker"):
                    late.submit(5).result()
            finally:
                sys.modules.pop(name, None)

        f()
        runs = recorder.of("late")
        kept = [run for run in runs[:-1] if "changed by earlier runs" not in str(run.why)]
        assert 1 <= len(kept) <= 2  # the first in each worker
        assert names(runs[-1]) == ["Pending", "Running", "Crashed"]

    def test_names_and_copies(self) -> None:
        runner = self.make()
        assert runner.duplicate() == runner
        assert hash(runner.duplicate()) == hash(runner)
        assert runner.name == self.name

    def test_results_are_there_after_the_flow(self, recorder: Recorder) -> None:
        kept: list[Any] = []

        @task(**quick)
        def rows(n):
            return list(range(n))

        @flow(task_runner=self.make())
        def f():
            kept.append(rows.submit(1000))

        f()
        assert kept[0].result() == list(range(1000))
        assert kept[0].state.result() == list(range(1000))

    def test_upstream_values_are_let_go(self, recorder: Recorder) -> None:
        """The engine holds no value once the last task that takes it has ended."""
        import gc
        import weakref

        class Rows(list):
            pass

        alive: list[Any] = []

        @task(**quick)
        def rows():
            return Rows(range(3))

        @task(**quick)
        def count(xs):
            return len(xs)

        @flow(task_runner=self.make())
        def f():
            first = rows.submit()
            alive.append(weakref.ref(first.result()))
            second = count.submit(first)
            second.wait()
            del first
            until(lambda: gc.collect() is not None and alive[0]() is None)
            return second.result()

        assert f() == 3
