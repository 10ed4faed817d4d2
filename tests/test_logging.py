"""Loggers that know their run, and who gets to read what runs log."""

import functools
import logging
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cellist import flow, get_run_logger, runtime, task
from cellist.cache_policies import NO_CACHE
from cellist.context import get_run_context
from cellist.engine.execution import current_cell
from cellist.exceptions import MissingContextError
from cellist.logging import (
    disable_run_logger,
    flow_run_logger,
    get_logger,
    task_run_logger,
)
from cellist.session import get_session
from cellist.settings import temporary_settings


@pytest.fixture
def kept():
    """Collect what runs log."""
    found: list[tuple[str, int, str]] = []

    def sink(event) -> None:
        if hasattr(event, "message"):
            found.append((event.run.definition.name, event.level, event.message))

    session = get_session()
    session.sinks.append(sink)
    yield found
    session.sinks.remove(sink)


def test_a_run_logger_writes_to_the_run_and_to_the_standard_logger(kept, caplog) -> None:
    @task(cache_policy=NO_CACHE)
    def work() -> None:
        get_run_logger().info("got %d rows", 3)
        get_run_logger().debug("too much")

    with caplog.at_level(logging.INFO, "cellist"):
        work()
    assert kept == [("work", logging.INFO, "got 3 rows")]
    (record,) = caplog.records
    assert record.name == "cellist.task_runs"
    assert record.run_name == "work"


def test_there_is_no_run_logger_outside_runs() -> None:
    with pytest.raises(MissingContextError):
        get_run_logger()
    with pytest.raises(TypeError, match="must be a FlowRunContext"):
        get_run_logger("a run")


@pytest.mark.parametrize("inside", [True, False])
def test_a_run_logger_knows_the_names_of_its_run_and_flow(caplog, inside) -> None:
    @task(cache_policy=NO_CACHE, task_run_name="t1")
    def work() -> None:
        logger: Any = get_run_logger(own=1)
        child = logger.getChild("part", {"more": 2})
        child.info("said")
        context: Any = get_run_context()
        given.append((str(context.task_run.id), logger.extra, child.extra))

    @flow(name="around", flow_run_name="f1")
    def around() -> str:
        work()
        logger: Any = get_run_logger()
        assert logger.extra.keys() == of_flow.keys()
        context: Any = get_run_context()
        return str(context.flow_run.id)

    given: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    of_flow = dict.fromkeys(("flow_run_id", "flow_run_name", "flow_name"), "<unknown>")
    with caplog.at_level(logging.INFO, "cellist"):
        if inside:
            of_flow = dict(zip(of_flow, (around(), "f1", "around"), strict=True))
        else:
            work()
    ((number, extra, more),) = given
    of_task = {"task_run_id": number, "task_run_name": "t1", "task_name": "work"}
    assert extra == {**of_flow, **of_task, "own": 1}
    assert more == {**extra, "more": 2}
    (record,) = [one for one in caplog.records if one.getMessage() == "said"]
    assert record.name == "cellist.task_runs.part"
    assert {name: getattr(record, name) for name in more} == more


def test_records_carry_what_formatters_ask_for(caplog):
    @task(cache_policy=NO_CACHE)
    def work():
        get_run_logger(color="red").info("in a task", extra={"size": 1})
        get_run_logger(outer_context[0]).info("of the flow")
        return runtime.task_run.id, runtime.task_run.name

    outer_context = []

    @flow
    def whole():
        outer_context.append(get_run_context())
        return work(), runtime.flow_run.id, runtime.flow_run.name

    (task_id, task_name), flow_id, flow_name = whole()
    in_task, of_flow = [
        r for r in caplog.records if "state" not in r.message and "Beg" not in r.message
    ]
    of_run = {"flow_run_id": flow_id, "flow_run_name": flow_name, "flow_name": "whole"}
    assert (
        vars(in_task).items()
        >= {
            **of_run,
            "task_run_id": task_id,
            "task_run_name": task_name,
            "task_name": "work",
            "run_name": task_name,
            "color": "red",
            "size": 1,
            "name": "cellist.task_runs",
            "filename": "test_logging.py",
            "funcName": "work",
        }.items()
    )
    assert vars(of_flow).items() >= {**of_run, "name": "cellist.flow_runs"}.items()
    assert not hasattr(of_flow, "task_run_id")


def test_a_call_that_cannot_be_formatted_fails_nobody(recorder, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @task(cache_policy=NO_CACHE)
    def work():
        get_run_logger().info("got %d rows", "three")
        get_run_logger().info("%(a)s and %(b)s", {"a": 1, "b": 2})
        get_run_logger().info("100%")
        try:
            raise KeyError("k")
        except KeyError:
            get_run_logger().exception("it failed")
        return 1

    assert work() == 1
    *plain, failed = recorder.logs()
    assert plain == ["got %d rows ('three',)", "1 and 2", "100%"]
    assert failed.startswith("it failed\nTraceback")
    assert failed.rstrip().endswith("KeyError: 'k'")


def test_hooks_get_loggers_of_runs(recorder):
    def after(definition, run, state):
        logger = flow_run_logger if run.kind == "flow" else task_run_logger
        logger(run, definition).warning("seen %s", definition.name)

    @task(cache_policy=NO_CACHE, on_completion=[after])
    def work():
        pass

    @flow(on_completion=[after])
    def whole():
        work()

    whole()
    logs = [(e.run.definition.name, e.message) for e in recorder.events if len(e) == 4]
    assert logs == [("work", "seen work"), ("whole", "seen whole")]


def test_loggers_of_runs_take_fields(caplog, recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        pass

    work()
    other = SimpleNamespace(id=1, name="other")
    task_run_logger(recorder.one("work"), work, other, other, size=1).info("late")
    (record,) = caplog.records
    assert (record.flow_run_name, record.flow_run_id, record.size) == ("other", "1", 1)


def test_run_loggers_can_be_disabled(kept, caplog):
    @task(cache_policy=NO_CACHE)
    def work():
        get_run_logger().info("said")
        return 1

    with disable_run_logger():
        with disable_run_logger():
            assert work.fn() == 1
        assert work.fn() == 1
        assert work() == 1
    assert (kept, caplog.records) == ([], [])
    work()
    assert kept == [("work", logging.INFO, "said")]
    with pytest.raises(MissingContextError):
        work.fn()


@pytest.mark.parametrize(
    ("level", "kept_levels"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING"]),
        ("info", ["INFO", "WARNING"]),
        ("WARNING", ["WARNING"]),
        ("35", []),
    ],
)
def test_the_level_is_a_setting(kept, level, kept_levels):
    @task(cache_policy=NO_CACHE)
    def work():
        for name in ("debug", "info", "warning"):
            getattr(get_run_logger(), name)("said")

    with temporary_settings(logging_level=level):
        work()
    assert [logging.getLevelName(each) for _, each, _ in kept] == kept_levels
    assert logging.getLogger("cellist").level == logging.INFO


class Refusing(list):
    def append(self, handler):
        """Take none: pytest adds its handlers anew when the test begins."""


@pytest.fixture
def nobody(monkeypatch):
    """A process without handlers, such as a script; pytest's own stand in the root logger."""
    monkeypatch.setattr(logging.getLogger(), "handlers", Refusing())


@task(cache_policy=NO_CACHE, task_run_name="work")
def work(fail=False):
    get_run_logger().info("said")
    get_run_logger().debug("whispered")
    if fail:
        raise KeyError("k")


@flow(flow_run_name="run of {name}")
def whole(name, fail=False):
    work(fail)


def lines(text):
    """The lines of the console without their time."""
    found = []
    for line in text.splitlines():
        time, _, rest = line.partition(" | ")
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d\d\d", time), line
        found.append(rest)
    return found


BEGIN = "INFO    | Flow run 'run of x' - Beginning flow run 'run of x' for flow 'whole'"
SAID = "INFO    | Task run 'work' - said"
DONE = "INFO    | Task run 'work' - Finished in state Completed()"
END = "INFO    | Flow run 'run of x' - Finished in state Completed()"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [BEGIN, SAID, END]),
        ({"logging_level": "INFO"}, [BEGIN, SAID, DONE, END]),
        (
            {"logging_level": "DEBUG"},
            [BEGIN, SAID, "DEBUG   | Task run 'work' - whispered", DONE, END],
        ),
        ({"logging_level": "WARNING"}, []),
        ({"ui": "off"}, []),
        ({"ui": "text"}, [BEGIN, SAID, END]),
    ],
)
def test_a_script_reads_logs_on_stderr(nobody, capsys, settings, expected):
    with temporary_settings(settings):
        whole("x")
    out, err = capsys.readouterr()
    assert (out, lines(err)) == ("", expected)


def test_debug_mode_shows_the_whole_state(nobody, capsys):
    with temporary_settings(debug_mode=True):
        whole("x")
    done = "Finished in state Completed(message=None, type=COMPLETED, result=None)"
    assert [line.endswith(done) for line in lines(capsys.readouterr().err)][-2:] == [True, True]


def test_failures_are_told(nobody, capsys):
    with pytest.raises(KeyError):
        whole("x", fail=True)
    failed = "Finished in state Failed"
    of_task = "Task run encountered an exception KeyError: 'k'"
    of_flow = "Flow run encountered an exception: KeyError: 'k'"
    assert lines(capsys.readouterr().err)[2:] == [
        f"""ERROR   | Task run 'work' - {failed}("{of_task}")""",
        f"""ERROR   | Flow run 'run of x' - {failed}("{of_flow}")""",
    ]


def test_a_subflow_begins_in_the_log_of_its_parent(nobody, capsys):
    @flow(flow_run_name="outer")
    def outer():
        whole("x")

    outer()
    begins = [line for line in lines(capsys.readouterr().err) if "Beginning" in line]
    assert begins == [
        "INFO    | Flow run 'outer' - Beginning flow run 'outer' for flow 'outer'",
        "INFO    | Flow run 'outer' - Beginning subflow run 'run of x' for flow 'whole'",
    ]


def test_submitted_tasks_end_as_others_do(nobody, capsys):
    @flow(flow_run_name="run of x")
    def submitting():
        work.submit().wait()

    with temporary_settings(logging_level="INFO"):
        submitting()
    assert lines(capsys.readouterr().err)[1:] == [SAID, DONE, END]


@pytest.mark.parametrize("shows_logs", [True, False])
def test_a_board_makes_the_console_silent(nobody, capsys, shows_logs):
    token = current_cell.set(SimpleNamespace(shows_logs=shows_logs))
    try:
        whole("x")
    finally:
        current_cell.reset(token)
    assert lines(capsys.readouterr().err) == ([] if shows_logs else [BEGIN, SAID, END])


def test_a_handler_of_ones_own_makes_the_console_silent(nobody, capsys):
    records = []

    class Keeping(logging.Handler):
        def emit(self, record):
            records.append(record)

    handler = Keeping()
    logger = logging.getLogger("cellist")
    logger.addHandler(handler)
    try:
        whole("x")
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err == ""
    assert [record.getMessage() for record in records][1:] == [
        "said",
        "Finished in state Completed()",
    ]


def test_a_level_of_the_root_logger_asks_for_the_ends_of_tasks(caplog):
    whole("x")
    assert [record.name for record in caplog.records].count("cellist.task_runs") == 1
    caplog.clear()
    with caplog.at_level(logging.INFO):
        whole("x")
    assert [r.getMessage() for r in caplog.records if r.name == "cellist.task_runs"] == [
        "said",
        "Finished in state Completed()",
    ]


class Notify:
    def __call__(self, *_):
        pass


def notify(*_):
    pass


def broken(*_):
    raise KeyError("h")


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (notify, "notify"),
        (functools.partial(functools.partial(notify, 1), 2), "notify"),
        (Notify(), "Notify"),
        (lambda *_: None, "<lambda>"),
    ],
)
def test_hooks_are_told_by_name(caplog, hook, name):
    @task(cache_policy=NO_CACHE, on_running=[hook], on_completion=[hook])
    def hooked():
        pass

    hooked()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"Running hook {name!r} in response to entering state 'Running'"),
        ("INFO", f"Hook {name!r} finished running successfully"),
        ("INFO", f"Running hook {name!r} in response to entering state 'Completed'"),
        ("INFO", f"Hook {name!r} finished running successfully"),
    ]


def test_a_hook_that_fails_is_told_as_well(caplog, kept):
    @task(cache_policy=NO_CACHE, on_completion=[broken])
    def hooked():
        pass

    hooked()
    message = "Hook 'broken' (on_completion) raised KeyError('h')"
    assert kept == [("hooked", logging.ERROR, message)]
    assert [record.getMessage() for record in caplog.records][1:] == [message]


def test_extra_loggers_take_part(nobody, kept, capsys):
    theirs = logging.getLogger("theirs.deep")

    @task(cache_policy=NO_CACHE, task_run_name="work")
    def using():
        theirs.info("fetched")
        theirs.debug("not this")
        try:
            raise KeyError("k")
        except KeyError:
            theirs.exception("failed")

    with temporary_settings(PREFECT_LOGGING_EXTRA_LOGGERS="theirs, others"):
        theirs.info("outside")
        using()
    using()
    assert [(name, level) for name, level, _ in kept] == [("using", 20), ("using", 40)]
    assert kept[0][2] == "fetched"
    assert kept[1][2].startswith("failed\nTraceback")
    err = capsys.readouterr().err
    assert "INFO    | theirs.deep - outside\n" in err
    assert err.count("INFO    | theirs.deep - fetched\n") == 1
    logger = logging.getLogger("theirs")
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)


def test_loggers_outside_runs(nobody, capsys):
    assert get_logger().name == "cellist"
    assert get_logger("mine") is get_logger("cellist.mine") is logging.getLogger("cellist.mine")
    get_logger("mine").info("said")
    get_logger("mine").debug("whispered")
    assert lines(capsys.readouterr().err) == ["INFO    | cellist.mine - said"]


SCRIPT = """
import logging, sys
from cellist import flow  # and nothing of `cellist.logging`
if {configured}:
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
@flow(flow_run_name="f", log_prints=True)
def f():
    print("printed")
f()
"""


@pytest.mark.parametrize("configured", [False, True])
def test_a_real_script(configured):
    program = SCRIPT.format(configured=configured)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    texts = ["Beginning flow run 'f' for flow 'f'", "printed", "Finished in state Completed()"]
    if configured:
        assert done.stdout.splitlines() == [f"cellist.flow_runs: {text}" for text in texts]
        assert done.stderr == ""
    else:
        assert lines(done.stderr) == [f"INFO    | Flow run 'f' - {text}" for text in texts]
        assert done.stdout == ""
