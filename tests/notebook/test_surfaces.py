"""What CELLIST_UI shows where: in a kernel with a front end and without, in a terminal."""

from typing import Any

import pytest

from tests.kernels import Cell, Kernel, kernel
from tests.shells import shell

SETUP = """\
%load_ext cellist
from cellist import task
from cellist.cache_policies import NO_CACHE
@task(cache_policy=NO_CACHE)
def double(n):
    return 2 * n
"""
FLOW = "%%flow numbers\ndouble.map([1, 2]).result()"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kernel")
    env = {
        "CELLIST_HOME": str(directory / "home"),
        "CELLIST_SECRET_DIR": str(directory / "secret"),
        "CELLIST_UI": "auto",
    }
    with kernel(env) as started:
        assert started.run(SETUP).error is None
        yield started


def run_from_page(one: Kernel, code: str) -> Cell:
    """Run a cell as a page does, which sends the id of its cell."""
    client: Any = one.client
    execute, session = client.execute, client.session

    def from_page(code: str, **options: Any) -> Any:
        message = session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {},
             "allow_stdin": False, "stop_on_error": True, **options},
            metadata={"cellId": "abc"},
        )  # fmt: skip
        client.shell_channel.send(message)
        return message["header"]["msg_id"]

    client.execute = from_page
    try:
        return one.run(code)
    finally:
        client.execute = execute


@pytest.mark.kernel
@pytest.mark.parametrize("page", [True, False], ids=["page", "headless"])
@pytest.mark.parametrize("ui", ["auto", "widget", "html", "text", "off"])
def test_a_kernel_shows(one, ui, page):
    one.run(f"import os; os.environ['CELLIST_UI'] = {ui!r}")
    cell = run_from_page(one, FLOW) if page else one.run(FLOW)
    assert cell.result == "[2, 4]"
    widget = ui == "widget" or (ui == "auto" and page)
    html = widget or ui == "html" or ui == "auto"
    assert any(WIDGET in bundle for bundle in cell.shown) == widget
    assert ("data-cellist-static" in cell.html) == html
    assert cell.stdout.startswith("numbers: ✓ completed in ") == (ui == "text")
    if ui == "text":
        assert "double ×2  ✓ completed" in cell.stdout
        assert cell.shown == []
    if ui == "off":
        assert (cell.shown, cell.stdout, cell.stderr) == ([], "", "")


@pytest.mark.parametrize("looked_at", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("ui", ["auto", "widget", "html", "text", "off"])
def test_a_terminal_shell_shows(tmp_path, monkeypatch, ui, looked_at):
    monkeypatch.setenv("CELLIST_UI", ui)
    monkeypatch.setenv("CELLIST_LOGGING_LEVEL", "ERROR")
    monkeypatch.setattr("cellist.notebook.extension.is_terminal", lambda stream: looked_at)
    with shell(tmp_path) as terminal:
        terminal.run(SETUP)
        ran = terminal.run(FLOW)
        told = ui == "text" or (ui == "auto" and looked_at)
        assert ran.out.replace("Out[2]: [2, 4]\n", "").startswith("numbers: ✓ compl") == told
        if ui == "off":
            assert (ran.out, ran.err, ran.shown) == ("Out[2]: [2, 4]\n", "", [])
        lone = terminal.run("double(4)")
        assert ("double: ✓ completed in" in lone.out) == told


def test_many_calls_in_one_cell_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "text")
    with shell(tmp_path) as terminal:
        terminal.run(SETUP)
        out = terminal.run("for n in range(300): double(n)").out
    assert len(out.splitlines()) == 2
    assert "300 runs: 300 completed" in out


@pytest.mark.kernel
@pytest.mark.parametrize(("ui", "written"), [("text", True), ("html", False), ("off", False)])
def test_what_tasks_log_is_written_where_no_board_shows_it(one, ui, written):
    one.run(f"import os; os.environ['CELLIST_UI'] = {ui!r}")
    cell = one.run(
        "from cellist import get_run_logger\n"
        "@task(cache_policy=NO_CACHE)\n"
        "def say():\n    get_run_logger().warning('take care')\n"
        "say()"
    )
    assert ("take care" in cell.stderr) == written
