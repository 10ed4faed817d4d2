"""Running again what failed, as the button under the cell does it."""

import pytest

from cellist.notebook.again import code_for
from tests.kernels import kernel

RETRY = '__import__("cellist").retry("ab12")'


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("%%flow crawl\nx = 1", "%%flow crawl --bg\nx = 1"),
        ("\n%%flow --bg crawl --retries 2\nx = 1", "%%flow --bg crawl --retries 2\nx = 1"),
        ("%%flow  \nx", "%%flow --bg\nx"),
        ("%%task load --retries 2\nx = 1", "%%task load --retries 2\nx = 1"),
        ("%%flows\nx", "%%flows\nx"),
        (None, RETRY),
    ],
)
def test_what_runs_depends_on_the_cell(source, code):
    assert code_for(source, "ab12") == code


SETUP = """\
%load_ext cellist
import os, cellist
from cellist import flow, task
from cellist.session import get_session

@task
def fetch(n):
    if n == 2 and not os.path.exists("ok"):
        raise ValueError("no")
    return n

@flow
def crawl():
    return sum(fetch.map(range(4)).result())

def click():
    run = get_session().unfinished.latest().run
    return run.cell.board._control("retry_failed", run.id.hex)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", ["%%flow bad\nx = sum(fetch.map(range(4)).result())", "x = crawl()"]
)
def test_a_click_runs_again_what_failed_and_reuses_the_rest(tmp_path, cell):
    places = {"CELLIST_HOME": f"{tmp_path}/home", "CELLIST_SECRET_DIR": f"{tmp_path}/secret"}
    with kernel({**places, "CELLIST_UI": "widget"}, cwd=str(tmp_path)) as k:
        assert k.run(SETUP).error is None
        assert k.run(cell).error == ("ValueError", "no")
        assert "A cell is running" in (k.run("click()").result or "")
        k.run("open('ok', 'w').close()\nimport asyncio\nloop = asyncio.get_running_loop()")
        k.run("said = []\nhandle = loop.call_later(0.2, lambda: said.append(click()))")
        k.run("await asyncio.sleep(0)")
        found = ""
        for _ in range(40):
            done = k.run("import time; time.sleep(0.1); len(cellist.runs(kind='flow')), said")
            found = done.result or ""
            if found.startswith("(2"):
                break
        assert "What failed runs again" in found
        states = k.run("cellist.runs(kind='flow').state.tolist()").result
        assert states == "['Completed', 'Failed']"
        reused = k.run("cellist.runs(kind='task', limit=4).state.value_counts().to_dict()").result
        assert reused == "{'Cached': 3, 'Completed': 1}"
