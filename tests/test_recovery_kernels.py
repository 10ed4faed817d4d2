"""Work that survives its kernel: crash marks, the offer, resume and retry in real processes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from cellist.caching.store import ResultStore
from cellist.history import History
from tests.kernels import Kernel, kernel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX is there a kill -9"),
]

DEFINE = """
import os, time
from pathlib import Path
from cellist import flow, task

@task
def load(x):
    return [x] * 3

@task
def train(rows):
    Path("started").write_text("x")
    while not Path("go").exists():
        time.sleep(0.02)
    return sum(map(sum, rows))

@flow(flow_run_name="fit-7")
def fit(n, scale=1.0):
    rows = load.map(range(n)).result()
    return train(rows) * scale
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def book(folder: Path) -> Generator[Kernel]:
    with kernel(cwd=str(folder)) as started:
        yield started


def pid_of(book: Kernel) -> int:
    return int(book.run("import os; os.getpid()").result or 0)


def is_written() -> bool:
    """Whether the history knows that `train` runs, and the store has what was loaded for it."""
    home = Path(os.environ["CELLIST_HOME"])
    history = History(home / "history.sqlite", on_warning=print)
    store = ResultStore(home / "results")
    try:
        loaded = history.runs(name="load", state="completed")
        going = {row["name"] for row in history.runs(state="running")}
        return len(going) == 2 and len(store.entries()) == len(loaded) > 0
    finally:
        history.close()
        store.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_at_work(book: Kernel, folder: Path, cell: str) -> None:
    """Kill the kernel while `train` runs in a cell, and start it anew."""
    pid = pid_of(book)
    book.client.execute(cell)
    wait_for((folder / "started").exists)
    wait_for(is_written)
    os.kill(pid, signal.SIGKILL)
    book.client.stop_channels()
    book.manager.restart_kernel(now=True)
    book._connect()
    (folder / "go").write_text("x")


def test_a_flow_is_resumed_after_its_kernel_was_killed(book: Kernel, folder: Path) -> None:
    assert book.run("%load_ext cellist").stdout == ""
    assert book.run(DEFINE).error is None
    kill_at_work(book, folder, "fit(4, scale=2.0)")
    said = book.run("%load_ext cellist").stdout
    assert said == (
        "Flow run 'fit-7' (fit) went away with its kernel: stopped at `train`, 4 results reusable."
        " Go on: %cellist resume fit-7\n"
    )
    early = book.run("%cellist resume")
    assert "Flow 'fit' is not defined here" in early.stderr
    book.run(DEFINE)
    went_on = book.run("%cellist resume")
    assert went_on.result == "36.0", went_on
    ran = book.run(
        "import cellist\n"
        "rows = cellist.runs()[['definition', 'state']].values.tolist()\n"
        "print(sorted(map(tuple, rows)))\n"
        "now, before = cellist.runs(kind='flow')['id']\n"
        "print(cellist.run(now).resumed_from == before)"
    ).stdout
    assert ran == (
        "[('fit', 'Completed'), ('fit', 'Crashed'), *loads, ('train', 'Completed'), "
        "('train', 'Crashed')]\nTrue\n".replace(
            "*loads", ", ".join(["('load', 'Cached')"] * 4 + ["('load', 'Completed')"] * 4)
        )
    )
    book.restart()
    assert book.run("%load_ext cellist").stdout == ""  # there is nothing to resume any more


def test_a_flow_cell_is_resumed_by_running_it_again(book: Kernel, folder: Path) -> None:
    book.run("%load_ext cellist")
    book.run(DEFINE)
    cell = "%%flow study\nrows = load.map(range(3)).result()\nbest = train(rows)\nbest"
    kill_at_work(book, folder, cell)
    assert "went away with its kernel" in book.run("%load_ext cellist").stdout
    book.run(DEFINE)
    went_on = book.run("%cellist resume")
    assert went_on.error is None, went_on.traceback
    assert went_on.result == "9"
    assert book.run("best").result == "9"
    linked = (
        "import cellist; cellist.run('study').resumed_from == cellist.runs(name='study')['id'][1]"
    )
    assert book.run(linked).result == "True"


def test_a_failed_cell_is_retried(book: Kernel, folder: Path) -> None:
    book.run("%load_ext cellist")
    book.run(
        "from cellist import task\nfrom cellist.cache_policies import NO_CACHE\n"
        "import os\nos.environ['BROKEN'] = '2'\n"
        "@task(cache_policy=NO_CACHE)\n"
        "def work(x):\n"
        "    if str(x) in os.environ['BROKEN'].split():\n"
        "        raise ValueError(x)\n"
        "    return {'x': x}"
    )
    failed = book.run("%%flow study\ngot = work.map(range(3)).result()\nlen(got)")
    assert failed.error is not None
    book.run("os.environ['BROKEN'] = ''")
    again = book.run("%cellist retry")
    assert again.error is None, again.traceback
    assert again.result == "3"
    ended = "import cellist; sorted(cellist.runs(name='work')['state'].tolist())"
    assert book.run(ended).result == str(sorted(["Cached"] * 2 + ["Completed"] * 3 + ["Failed"]))
    over = book.run("%cellist retry study")
    assert "has completed" in over.stderr


def test_runs_of_a_living_kernel_are_left_alone(book: Kernel, folder: Path) -> None:
    book.run("%load_ext cellist")
    book.run(DEFINE)
    book.client.execute("fit(2)")
    wait_for((folder / "started").exists)
    wait_for(is_written)
    with kernel(cwd=str(folder)) as second:
        assert second.run("%load_ext cellist").stdout == ""
        states = second.run("import cellist; cellist.runs(name='fit')['state'].tolist()")
        assert states.result == "['Running']"
        refused = second.run("%cellist resume fit-7")
        assert "still going on in another kernel" in refused.stderr
    (folder / "go").write_text("x")


def test_parameters_that_cannot_be_kept_are_named(book: Kernel, folder: Path) -> None:
    book.run("%load_ext cellist")
    code = DEFINE.replace("def fit(n, scale=1.0):", "def fit(n, how, big, scale=1.0):")
    book.run(code)
    kill_at_work(book, folder, "fit(2, lambda: 1, b'x' * 2_000_000)")
    book.run("%load_ext cellist")
    book.run(code)
    refused = book.run("%cellist resume")
    said = refused.stderr
    assert "Parameters of run 'fit-7' are missing" in said
    assert "`how`" in said
    assert "`big`: it is larger than 1 MB" in said
