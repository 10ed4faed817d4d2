"""What only a real kernel shows: where code runs, stop, output of threads, restart."""

import re

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """
%load_ext cellist
import asyncio, os, threading, time
import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
"""
TASKS = """
@task(cache_policy=NO_CACHE)
def nap(seconds):
    time.sleep(seconds)
    return seconds

@task(cache_policy=NO_CACHE)
async def doze(seconds):
    await asyncio.sleep(seconds)
    return seconds

@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=90)
def fail():
    raise ValueError("no luck")
"""
SOON = 20.0  # seconds after the press; what is stopped would go on for sixty


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """Give one kernel to all tests here that leave nothing behind."""
    home = tmp_path_factory.mktemp("home")
    env = {"CELLIST_HOME": str(home / "store"), "CELLIST_SECRET_DIR": str(home / "secret")}
    with kernel(env, str(home)) as one:
        first = one.run(SETUP)
        assert first.error is None, first.traceback
        assert one.run(TASKS).error is None
        yield one


def states(one: Kernel, what: str = "task") -> str:
    """Return the states of the latest runs of a kind, newest first."""
    return one.run(f"list(cellist.runs(kind={what!r}, limit=3)['state'])").result or ""


INTERRUPTED = {
    "a sync body": "%%flow\nnap(60)",
    "a blocking body without task": "%%flow\ntime.sleep(60)",
    "an awaiting body": "%%flow\nawait asyncio.sleep(60)",
    "awaited tasks": "%%flow\nawait asyncio.gather(doze(60), doze(61))",
    "thread tasks": "%%flow\nnap.map([60, 61]).result()",
    "submitted async tasks": "%%flow\nawait doze.submit(60)",
    "submitted async tasks waited for without await": "%%flow\ndoze.submit(60).result()",
    "a retry wait": "%%flow\nfail()",
    "a retry wait of a submitted task": "%%flow\nfail.submit().result()",
    "a sync flow": "@flow\ndef f():\n    nap(60)\nf()",
    "a sync flow that waits for async work": "@flow\ndef f():\n    doze.submit(60).result()\nf()",
    "an async flow": "@flow\nasync def f():\n    await doze(60)\nawait f()",
    "a lone task": "nap(60)",
    "runs submitted without a flow": "nap.map([60, 61]).result()",
    "an awaited run without a flow": "await doze.submit(60)",
    "an awaited thread run without a flow": "await nap.submit(60)",
}


@pytest.mark.parametrize("where", INTERRUPTED)
def test_stop_stops(shared: Kernel, where: str) -> None:
    cell = shared.run(INTERRUPTED[where], interrupt_when=shared.at_rest)
    assert cell.seconds < SOON
    assert cell.error is not None
    assert cell.error[0] in {"KeyboardInterrupt", "CancelledError"}
    after = shared.run("6 * 7")
    assert after.result == "42"
    newest = shared.run("cellist.runs(limit=1)['state'].iloc[0]").result or ""
    assert re.search("Cancel", newest), newest
    left = shared.run("[t for t in asyncio.all_tasks() if 'cellist' in repr(t.get_coro())]")
    assert left.result == "[]"


def test_a_sync_call_runs_on_the_main_thread(shared: Kernel) -> None:
    shared.run("@task(cache_policy=NO_CACHE)\ndef where(): return threading.current_thread().name")
    assert shared.run("where()").result == "'MainThread'"
    assert shared.run("%%flow\nwhere()").result == "'MainThread'"
    assert "cellist-worker" in (shared.run("%%flow\nwhere.submit()").result or "")


def test_submitted_coroutines_run_on_the_loop_of_the_kernel(shared: Kernel) -> None:
    shared.run("lock = asyncio.Event(); loop = asyncio.get_running_loop()")
    shared.run(
        "@task(cache_policy=NO_CACHE)\nasync def wait_for_it():\n"
        "    await lock.wait()\n    return asyncio.get_running_loop() is loop"
    )
    cell = shared.run(
        "%%flow\nfuture = wait_for_it.submit()\nawait asyncio.sleep(0.05)\nlock.set()\nfuture"
    )
    assert cell.result == "True"


def test_a_sync_flow_waits_for_coroutines_on_the_same_loop(shared: Kernel) -> None:
    cell = shared.run("@flow\ndef f():\n    return doze.submit(0.05).result()\nf()")
    assert cell.result == "0.05"


def test_a_thread_that_needs_the_loop_later_does_not_deadlock(shared: Kernel) -> None:
    shared.run(
        "@task(cache_policy=NO_CACHE)\ndef late():\n"
        "    time.sleep(0.2)\n    return doze.submit(0.05).result()"
    )
    assert shared.run("@flow\ndef f():\n    return late.submit().result()\nf()").result == "0.05"


def test_prints_of_threads_stay_with_their_cell(shared: Kernel) -> None:
    shared.run(
        "go = threading.Event()\n@task(cache_policy=NO_CACHE)\ndef talk(n):\n"
        "    go.wait()\n    print(f'said {n}\\n', end='')"
    )
    first = shared.run("futures = talk.map([1, 2]); print('first')")
    second = shared.run("print('second'); go.set(); [f.wait() for f in futures]")
    assert "said" not in second.stdout
    assert first.stdout == "first\n"
    assert sorted(second.elsewhere.split()) == ["1", "2", "said", "said"]


def test_names_awaits_magics_and_the_last_value_of_a_flow_cell(shared: Kernel) -> None:
    cell = shared.run(
        "%%flow named --tag t\n%matplotlib --list\nvalue = await doze(0.01)\nvalue + 1"
    )
    assert cell.error is None, cell.traceback
    assert cell.result == "1.01"
    assert shared.run("value").result == "0.01"
    assert shared.run("Out[max(Out)]").result == "0.01"
    row = "cellist.runs(kind='flow', limit=1).iloc[0][['name', 'state']].tolist()"
    assert "Completed" in (shared.run(row).result or "")


def test_tracebacks_point_at_the_lines_of_the_user(shared: Kernel) -> None:
    cell = shared.run("%%flow\nx = 1\ny = 0\nx / y")
    assert cell.error == ("ZeroDivisionError", "division by zero")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", cell.traceback)
    assert "----> 4 x / y" in plain
    assert "cellist/engine" not in plain
    nested = shared.run("@task\ndef bad(x):\n    return 1 / x\nbad(0)")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", nested.traceback)
    assert "----> 3     return 1 / x" in plain
    assert "cellist/" not in plain


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("cellist.run('nobody')", "ObjectNotFound"),
        ("task(len, retries='3')", "ConfigurationError"),
        ("task(len)()", "ParameterBindError"),
        ("task(len).submit(task(len).submit(1))", "UnfinishedRun"),
        ("task(len)(task(len).submit(1))", "UpstreamTaskError"),
        ("%%flow\ntask(len).submit(task(len).submit(1))", "UnfinishedRun"),
        (
            "async def inner(): return await task(lambda: 1 / 0).submit()\nawait inner()",
            "ZeroDivisionError",
        ),
    ],
)
def test_errors_of_cellist_show_the_lines_of_the_user_only(
    shared: Kernel, cell: str, said: str
) -> None:
    ran = shared.run("import cellist\n" + cell if not cell.startswith("%%") else cell)
    if ran.error is None:  # the future was handed out
        ran = shared.run("_.result()")
    assert ran.error is not None
    assert ran.error[0] == said
    plain = re.sub(r"\x1b\[[0-9;]*m", "", ran.traceback)
    assert "Cell In[" in plain
    assert "cellist/" not in plain


def test_functions_defined_in_a_flow_cell_have_source(shared: Kernel) -> None:
    shared.run("%%flow\n@task\ndef kept(x):\n    return x + 1\nkept(1)")
    source = shared.run("import inspect; inspect.getsource(kept.fn)").result or ""
    assert "return x + 1" in source


def test_flow_options_reach_the_run(shared: Kernel) -> None:
    shared.run("tries = []")
    again = shared.run(
        "%%flow again --retries 2 --retry-delay 0.05 -o got\n"
        "tries.append(1)\nif len(tries) < 3: raise ValueError('not yet')\nlen(tries)"
    )
    assert again.result == "3"
    assert shared.run("got").result == "3"
    blocked = shared.run("%%flow late --timeout 0.2\ntime.sleep(60)")
    assert blocked.error is not None
    assert blocked.error[0] == "FlowRunTimeoutError"
    assert blocked.seconds < SOON
    waiting = shared.run("%%flow late --timeout 0.2\nnap.submit(60).result()")
    assert waiting.error is not None
    assert waiting.error[0] == "FlowRunTimeoutError"
    assert waiting.seconds < SOON
    late = shared.run("%%flow late --timeout 0.2\nawait asyncio.sleep(60)")
    assert late.error is not None
    assert late.error[0] == "FlowRunTimeoutError"
    assert late.seconds < SOON
    assert "TimedOut" in (shared.run("list(cellist.runs(limit=1)['state'])").result or "")


def test_quiet_shows_nothing_and_another_magic_around_a_flow_is_refused(shared: Kernel) -> None:
    assert shared.run("%%flow hush -q\nnap(0.01)").shown == []
    cell = shared.run("%%time\n%%flow inner\n1")
    assert "must be the first line of its cell" in cell.stderr
    assert shared.run("%%flow\n1").result == "1"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%%flow --bogus", "--bogus"),
        ("%%flow --retries x", "whole number"),
        ("%%flow a/b", "must not contain"),
        ("%%flow --refresh --no-cache", "exclude each other"),
        ("%%flow --runner spaceship", "spaceship"),
    ],
)
def test_unusable_options_are_named(shared: Kernel, line: str, says: str) -> None:
    cell = shared.run(f"{line}\n1")
    assert says in cell.stderr
    assert "Traceback" not in cell.stderr
    assert shared.run("1 + 1").result == "2"


def test_a_syntax_error_in_a_flow_cell_opens_no_flow(shared: Kernel) -> None:
    before = shared.run("len(cellist.runs(kind='flow'))").result
    for body in ("x = = 1", "break", "return 1"):
        cell = shared.run(f"%%flow\n{body}")
        assert cell.error is not None
        assert cell.error[0] == "SyntaxError"
    assert shared.run("len(cellist.runs(kind='flow'))").result == before


@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_other_processes_run_functions_of_the_notebook(shared: Kernel, runner: str) -> None:
    shared.run(
        "factor = 7\n@task(cache_policy=NO_CACHE)\ndef there(x): return x * factor, os.getpid()"
    )
    cell = shared.run(f"%%flow --runner {runner}\nout = there.map([1, 2])\nout", timeout=120)
    assert cell.error is None, cell.traceback
    assert shared.run("[r.result()[0] for r in out]").result == "[7, 14]"
    assert shared.run("os.getpid() in {r.result()[1] for r in out}").result == "False"


def test_status_lists_what_runs_and_unload_undoes(shared: Kernel) -> None:
    shared.run("go = threading.Event()\nfuture = task(go.wait, cache_policy=NO_CACHE).submit()")
    name = (
        shared.run("while not future.state.is_running(): pass\nfuture.name").result or ""
    ).strip("'")
    assert f"task {name}: Running" in shared.run("%cellist status").stdout
    shared.run("go.set(); future.wait()")
    assert f"task {name}:" not in shared.run("%cellist status").stdout
    assert "has no command" in shared.run("%cellist dance").stderr
    doctor = shared.run("%cellist doctor").stdout
    assert "cellist" in doctor
    assert "damaged" in doctor
    shared.run("%unload_ext cellist")
    gone = shared.run("%%flow\n1")
    assert gone.error is not None or "not found" in gone.stderr
    assert "cellist/" in shared.run("import cellist; cellist.run('nobody')").traceback
    assert shared.run("%load_ext cellist").error is None
    assert shared.run("%%flow\n1").result == "1"


def test_results_outlive_the_kernel_and_an_edit_is_a_miss(tmp_path) -> None:
    code = "@task\ndef double(x):\n    return helper(x) * 2"
    with kernel(cwd=str(tmp_path)) as one:
        for cell in (SETUP, "def helper(x):\n    return x + 1", code):
            assert one.run(cell).error is None
        assert one.run("double(5)").result == "12"
        one.restart()
        for cell in (SETUP, "# moved down\n\ndef helper(x):\n    return x + 1  # same", code):
            assert one.run(cell).error is None
        again = one.run("state = double(5, return_state=True); state.name, state.result()")
        assert again.result == "('Cached', 12)"
        assert "reused from" in (one.run("str(state.why)").result or "")
        one.run("def helper(x):\n    return x + 2")
        edited = one.run("state = double(5, return_state=True); state.name, state.result()")
        assert edited.result == "('Completed', 14)"
        why = one.run("%cellist why double").result or ""
        assert "helper `helper` changed" in why
        assert "return x + 2" in why


TALK = """
from cellist import get_run_logger

@task(cache_policy=NO_CACHE)
def talk():
    get_run_logger().info("said")
    return 5
"""


def test_logs_are_on_the_board_and_not_below_it_as_well(shared: Kernel) -> None:
    assert shared.run(TALK).error is None
    for code in ("talk()", "%%flow\ntalk()", "%%flow -q\ntalk()", "talk.submit().result()"):
        cell = shared.run(code)
        assert cell.error is None, cell.traceback
        assert cell.stderr == "", code


def test_without_a_board_logs_are_written(tmp_path) -> None:
    env = {"CELLIST_HOME": str(tmp_path / "s"), "CELLIST_SECRET_DIR": str(tmp_path / "k")}
    with kernel(env, str(tmp_path)) as bare:
        bare.run(SETUP.replace("%load_ext cellist", ""))
        bare.run(TALK)
        assert re.fullmatch(
            r"[\d:.]+ \| INFO    \| Task run 'talk' - said\n", bare.run("talk()").stderr
        )
        assert bare.run("import os; os.environ['CELLIST_UI'] = 'off'; talk()").stderr == ""


def test_a_state_gives_its_value_with_and_without_await(shared: Kernel) -> None:
    assert shared.run(TALK).error is None
    shared.run("state = talk(return_state=True)")
    for code in ("state.result()", "await state.result()", "x = await state.result(); x"):
        assert shared.run(code).result == "5", code
