"""Pauses in a real kernel: stop ends them, and where nobody looks they fail at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """
%load_ext cellist
import asyncio, os, threading, time
import cellist
from cellist import flow, pause_flow_run, resume_flow_run, task
from cellist.input import RunInput

@flow
def ask():
    return pause_flow_run(wait_for_input=int)

@flow
async def aask():
    return await pause_flow_run(wait_for_input=int)
"""
SOON = 20.0  # seconds after the press; what is not stopped waits for good


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give one kernel to all tests here that leave nothing behind."""
    home = tmp_path_factory.mktemp("home")
    env = {"CELLIST_HOME": str(home / "store"), "CELLIST_SECRET_DIR": str(home / "secret")}
    with kernel(env, str(home)) as one:
        first = one.run(SETUP)
        assert first.error is None, first.traceback
        one.run("%%flow first\npass", cell_id="first")  # the first board takes its time to import
        yield one


PAUSES = {
    "a sync flow": "ask()",
    "an async flow": "await aask()",
    "a flow cell": "%%flow\nawait pause_flow_run()",
    "a flow cell that does not await": "%%flow\npause_flow_run()",
    "a task of a flow": "%%flow\ntask(pause_flow_run).submit().result()",
}


@pytest.mark.parametrize("code", PAUSES.values(), ids=PAUSES.keys())
def test_stop_ends_a_pause(shared: Kernel, code: str) -> None:
    cell = shared.run(code, interrupt_when=shared.at_rest, cell_id="c")
    assert cell.seconds < SOON
    assert cell.error is not None
    assert cell.error[0] in {"KeyboardInterrupt", "CancelledError"}
    assert shared.run("6 * 7").result == "42"
    states = "list(cellist.runs(kind='flow', limit=1)['state'])"
    assert shared.run(states).result == "['Cancelled']"


@pytest.mark.parametrize("code", PAUSES.values(), ids=PAUSES.keys())
def test_where_nobody_looks_it_fails_at_once(shared: Kernel, code: str) -> None:
    cell = shared.run(code)
    assert cell.seconds < SOON
    assert cell.error is not None
    assert cell.error[0] == "UnattendedPause"
    assert "CELLIST_INPUTS" in cell.error[1]


def test_a_file_answers_where_nobody_looks(shared: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"ask.1": 5, "aask.1": 6, "named": 7}))
    shared.run(f"os.environ['CELLIST_INPUTS'] = {str(file)!r}")
    assert shared.run("ask()").result == "5"
    assert shared.run("await aask()").result == "6"
    named = shared.run("%%flow\nawait pause_flow_run(int, key='named')")
    assert named.result == "7"
    shared.run("del os.environ['CELLIST_INPUTS']")


def test_a_background_flow_is_answered_by_another_cell(shared: Kernel) -> None:
    code = "%%flow later --bg -o h\n(await pause_flow_run(wait_for_input=int)) + 1"
    shared.run(code, cell_id="l")
    assert "flow later" in shared.run("%cellist status").stdout
    wrong = shared.run("resume_flow_run('later', 'many')")
    assert wrong.error is not None
    assert wrong.error[0] == "InvalidInput"
    assert shared.run("resume_flow_run('later', 41)").error is None
    assert shared.run("await h").result == "42"
    over = shared.run("resume_flow_run('later', 41)")
    assert over.error is not None
    assert over.error[0] == "NotPausedError"


@pytest.mark.parametrize("ui", ["html", "text"])
def test_without_a_widget_it_says_how_to_resume(shared: Kernel, ui: str) -> None:
    shared.run(f"os.environ['CELLIST_UI'] = {ui!r}")
    cell = shared.run("%%flow told --bg -o h\nawait pause_flow_run()", cell_id="t")
    shared.wait_for(lambda: "waits for somebody to resume it" in cell.html + cell.stdout)
    shared.run("resume_flow_run('told')")
    assert shared.run("await h\nh.state.name").result == "'Completed'"
    shared.run("del os.environ['CELLIST_UI']")
