"""SPEC 18: contexts, runtime, tags and logging, as code inside of runs sees them."""

import asyncio
import builtins
import contextvars
import io
import logging
import sys
import threading
from typing import Any
from uuid import UUID

import pytest

import cellist
from cellist import flow, get_run_context, get_run_logger, tags, task
from cellist.cache_policies import NO_CACHE
from cellist.context import FlowRunContext, TaskRunContext
from cellist.exceptions import MissingContextError
from cellist.task_runners import ProcessPoolTaskRunner


@task(cache_policy=NO_CACHE)
def child() -> Any:
    return None


class TestContext:
    def test_none(self) -> None:
        with pytest.raises(MissingContextError):
            get_run_context()
        with pytest.raises(RuntimeError):
            get_run_context()
        assert FlowRunContext.get() is None
        assert TaskRunContext.get() is None

    def test_innermost(self) -> None:
        seen: list[Any] = []

        @flow
        def inner() -> None:
            seen.append(type(get_run_context()))

        @task(cache_policy=NO_CACHE)
        def t() -> None:
            seen.append(type(get_run_context()))
            inner()
            seen.append(type(get_run_context()))

        @flow
        def f() -> None:
            seen.append(type(get_run_context()))
            t()
            seen.append(type(get_run_context()))

        f()
        assert seen == [
            *(FlowRunContext, TaskRunContext, FlowRunContext, TaskRunContext, FlowRunContext),
        ]
        assert FlowRunContext.get() is None

    def test_fields_of_a_task(self) -> None:
        @task(cache_policy=NO_CACHE, persist_result=False, log_prints=True)
        def t(x: int, y: int = 2) -> None:
            context: Any = get_run_context()
            assert context.task.name == "t"
            assert context.task_run.task_key == t.task_key
            assert context.parameters == {"x": 1, "y": 2}
            assert context.start_time.tzinfo is not None
            assert context.log_prints is True
            assert context.persist_result is False

        t(1)

    def test_fields_of_a_flow(self) -> None:
        @flow(log_prints=False)
        def f(x: int, y: int = 2) -> None:
            context: Any = get_run_context()
            assert context.flow is f or context.flow.name == "f"
            assert context.flow_run.name == cellist.runtime.flow_run.name
            assert context.parameters == {"x": 1, "y": 2}
            assert isinstance(context.task_runner, cellist.task_runners.TaskRunner)
            assert context.log_prints is False

        f(1)

    def test_both_in_a_task_of_a_flow(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            flow_context: Any = FlowRunContext.get()
            return flow_context.flow.name

        @flow(name="outer")
        def f() -> Any:
            return t(), t.submit().result()

        assert f() == ("outer", "outer")
        assert TaskRunContext.get() is None

    def test_user_threads_have_none_unless_copied(self) -> None:
        seen: dict[str, Any] = {}

        @flow
        def f() -> None:
            def look(name: str) -> None:
                seen[name] = FlowRunContext.get() is not None

            wrapped = cellist.context.with_context(look)
            copied = contextvars.copy_context()
            for target, args in [
                (look, ("plain",)),
                (copied.run, (look, "copied")),
                (wrapped, ("wrapped",)),
            ]:
                thread: Any = threading.Thread(target=target, args=args)
                thread.start()
                thread.join()

        f()
        assert seen == {"plain": False, "copied": True, "wrapped": True}

    def test_is_left_after_errors(self) -> None:
        @flow
        def f() -> None:
            with pytest.raises(ZeroDivisionError):
                task(lambda: 1 / 0, cache_policy=NO_CACHE)()
            assert TaskRunContext.get() is None
            raise KeyError

        with pytest.raises(KeyError):
            f()
        assert FlowRunContext.get() is None

    async def test_of_tasks_side_by_side(self) -> None:
        @task(cache_policy=NO_CACHE)
        async def t(i: int) -> Any:
            await asyncio.sleep(0)
            return cellist.runtime.task_run.parameters["i"]

        assert await asyncio.gather(*(t(i) for i in range(10))) == list(range(10))

    def test_in_a_process(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: int) -> Any:
            from cellist import runtime

            return runtime.task_run.name, runtime.task_run.parameters, runtime.flow_run.flow_name

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def f() -> Any:
            return t.submit(3).result()

        name, parameters, of_flow = f()
        assert name.startswith("t")
        assert (parameters, of_flow) == ({"x": 3}, "f")


class TestRuntime:
    def test_of_a_task(self) -> None:
        @task(tags=["a"], cache_policy=NO_CACHE, name="named")
        def t(x: int, y: int = 2) -> Any:
            run: Any = cellist.runtime.task_run
            UUID(str(run.id))
            return run.name, run.task_name, run.tags, run.parameters, run.run_count

        assert t(1) == ("named", "named", ["a"], {"x": 1, "y": 2}, 1)

    def test_of_a_flow(self) -> None:
        @flow(version="7")
        def my_flow(x: int) -> Any:
            run: Any = cellist.runtime.flow_run
            UUID(str(run.id))
            return run.flow_name, run.flow_version, run.parameters, run.run_count, sorted(run.tags)

        with tags("t"):
            assert my_flow(1) == ("my-flow", "7", {"x": 1}, 1, ["t"])

    @pytest.mark.parametrize(
        ("of", "attribute", "value"),
        [
            *[
                ("flow_run", name, None)
                for name in ("id", "name", "flow_name", "flow_version", "parent_flow_run_id")
            ],
            ("flow_run", "root_flow_run_id", None),
            ("flow_run", "parent_deployment_id", None),
            ("flow_run", "tags", []),
            ("flow_run", "parameters", {}),
            ("flow_run", "run_count", 0),
            *[("task_run", name, None) for name in ("id", "name", "task_name")],
            ("task_run", "tags", []),
            ("task_run", "parameters", {}),
            ("task_run", "run_count", 0),
            *[("deployment", name, None) for name in ("id", "name", "version", "flow_run_id")],
            ("deployment", "parameters", {}),
        ],
    )
    def test_outside_of_runs(self, of: str, attribute: str, value: Any) -> None:
        assert getattr(getattr(cellist.runtime, of), attribute) == value

    @pytest.mark.parametrize("of", ["flow_run", "task_run", "deployment"])
    def test_unknown(self, of: str) -> None:
        with pytest.raises(AttributeError):
            _ = getattr(cellist.runtime, of).nope

    def test_mocked_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__NAME", "mocked")
        monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__RUN_COUNT", "7")
        assert cellist.runtime.flow_run.name == "mocked"
        assert cellist.runtime.task_run.run_count == 7

    def test_can_be_imported_from(self) -> None:
        from cellist.runtime import flow_run, task_run

        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return task_run.name, flow_run.name is not None

        assert t() == ("t", False)
        assert flow(t.fn, name="x")()[1] is True


class TestTags:
    def test_nest_and_yield_the_current(self) -> None:
        with tags("a", "b") as outer:
            assert set(outer) == {"a", "b"}
            with tags("c") as inner:
                assert set(inner) == {"a", "b", "c"}

    def test_apply_to_everything_inside(self, checked: Any) -> None:
        @flow
        def sub() -> None:
            child()

        @flow
        def f() -> None:
            sub()
            with tags("inside"):
                child.submit()

        with tags("outside"):
            f()
        child()
        assert set(checked.one("f").tags) == {"outside"}
        assert set(checked.one("sub").tags) == {"outside"}
        assert [sorted(run.tags) for run in checked.of("child")] == [
            ["outside"],
            ["inside", "outside"],
            [],
        ]

    def test_are_taken_at_submit(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            return sorted(cellist.runtime.task_run.tags)

        @flow
        def f() -> Any:
            with tags("a"):
                future = t.submit()
            return future.result()

        assert f() == ["a"]

    def test_runs_can_be_filtered_by_them(self) -> None:
        with tags("wanted"):
            child()
        child()
        assert len(cellist.runs(tag="wanted")) == 1


class TestRunLogger:
    def test_needs_a_run(self) -> None:
        with pytest.raises(MissingContextError):
            get_run_logger()

    def test_in_tasks_and_flows(self, caplog: pytest.LogCaptureFixture, checked: Any) -> None:
        caplog.set_level(logging.INFO, logger="cellist")

        @task(cache_policy=NO_CACHE)
        def t() -> None:
            get_run_logger().info("of task %s", 1)
            get_run_logger().warning("careful")

        @flow
        def f() -> None:
            get_run_logger().info("of flow")
            t()

        f()
        assert [text for text in checked.logs() if text in {"of task 1", "of flow", "careful"}] == [
            *("of flow", "of task 1", "careful"),
        ]
        named = {record.name for record in caplog.records if "of task" in record.getMessage()}
        assert all("task_runs" in name for name in named)

    def test_in_threads(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> None:
            get_run_logger().info("number %d", i)

        @flow
        def f() -> None:
            t.map(range(5))

        f()
        assert {f"number {i}" for i in range(5)} <= set(checked.logs())

    def test_extra(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> Any:
            logger: Any = get_run_logger(extra_key="value")
            logger.info("with extra")

        t()


class TestPrints:
    """18.4, Q29, 25.18: prints of runs that log them, and of nobody else."""

    def test_off_by_default(self, capsys: pytest.CaptureFixture[str], checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t() -> None:
            print("plain")

        t()
        assert capsys.readouterr().out == "plain\n"
        assert "plain" not in checked.logs()

    def test_becomes_a_log(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE, log_prints=True)
        def t() -> None:
            print("one", 2, sep="-")
            print("to stderr", file=sys.stderr)
            print("trailing  \n\n")

        t()
        logs = checked.logs()
        assert "one-2" in logs
        assert "to stderr" in logs
        assert "trailing" in logs

    def test_other_files_are_left_alone(self, checked: Any) -> None:
        buffer = io.StringIO()

        @task(cache_policy=NO_CACHE, log_prints=True)
        def t() -> None:
            print("elsewhere", file=buffer)

        t()
        assert buffer.getvalue() == "elsewhere\n"
        assert "elsewhere" not in checked.logs()

    @pytest.mark.parametrize(
        ("of_flow", "of_task", "logged"),
        [
            (None, None, False),
            (True, None, True),
            (True, False, False),
            (None, True, True),
            (False, True, True),
            (False, None, False),
        ],
    )
    def test_inheritance(self, of_flow: Any, of_task: Any, logged: bool, checked: Any) -> None:
        @task(cache_policy=NO_CACHE, log_prints=of_task)
        def t() -> None:
            print("from the task")

        @flow(log_prints=of_flow)
        def f() -> None:
            t()
            t.submit()

        f()
        assert checked.logs().count("from the task") == (2 if logged else 0)

    def test_subflows_inherit(self, checked: Any) -> None:
        @flow
        def sub() -> None:
            print("from the child")

        @flow(log_prints=True)
        def f() -> None:
            sub()

        f()
        assert "from the child" in checked.logs()

    def test_by_setting(self, monkeypatch: pytest.MonkeyPatch, checked: Any) -> None:
        monkeypatch.setenv("CELLIST_LOGGING_LOG_PRINTS", "1")

        @flow
        def f() -> None:
            print("by setting")

        f()
        assert "by setting" in checked.logs()

    def test_twenty_at_once_land_in_their_runs(
        self, checked: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """25.18."""
        before = builtins.print
        barrier = threading.Barrier(20, timeout=60)

        @task(cache_policy=NO_CACHE, log_prints=True, name="printer", task_run_name="run-{i}")
        def t(i: int) -> None:
            barrier.wait()
            for _ in range(5):
                print(f"line of {i}")

        @task(cache_policy=NO_CACHE, name="silent")
        def quiet() -> None:
            print("not logged")

        @flow
        def f() -> None:
            t.map(range(20))
            quiet.submit()

        f()
        assert builtins.print is before
        by_run: dict[str, list[str]] = {}
        for event in checked.events:
            if type(event).__name__ == "LogWritten" and event.message.startswith("line of"):
                by_run.setdefault(event.run.name, []).append(event.message)
        assert by_run == {f"run-{i}": [f"line of {i}"] * 5 for i in range(20)}
        assert "not logged\n" in capsys.readouterr().out

    async def test_async(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE, log_prints=True)
        async def t(i: int) -> None:
            await asyncio.sleep(0)
            print(f"async {i}")

        await asyncio.gather(*(t(i) for i in range(3)))
        assert {f"async {i}" for i in range(3)} <= set(checked.logs())
