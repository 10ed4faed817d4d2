"""Overruling the cache from a notebook: the commands, and `%%task` cells."""

import signal
from typing import Any

import pytest
from IPython.core.error import UsageError

from tests.shells import Ran, Shell, shell

FIRST = "%%task load\ntable = [n * 2 for n in range(5)]  # sheet\n"
RENAMED = "%%task load\ntable = [k * 2 for k in range(5)]\n"


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "off")
    before = signal.getsignal(signal.SIGINT)
    with shell(tmp_path) as started:
        yield started
    signal.signal(signal.SIGINT, before)  # `stop_in` raises where no signal would be handled


def ran(notebook: Shell, code: str) -> Ran:
    done = notebook.run(code)
    assert done.error is None, done.error
    return done


def test_a_task_is_refreshed_accepted_and_taken_back(notebook: Shell) -> None:
    ran(notebook, "from cellist import task")
    ran(notebook, "@task\ndef embed(n):\n    return [n]")
    ran(notebook, "embed(1)")
    assert "1 stored result will be" in ran(notebook, "%cellist refresh embed").out
    assert ran(notebook, "embed(1)").why == "ran: a refresh was asked for"
    ran(notebook, "@task\ndef embed(n):\n    m = n\n    return [m]")
    told = ran(notebook, '%cellist accept embed --because "only a local name"').out
    assert "`embed`: 1 stored result of its former source" in told
    assert "+    m = n" in told
    assert ran(notebook, "embed(1)").why.endswith("accepted because: only a local name")
    notebook.restart()
    ran(notebook, "from cellist import task")
    ran(notebook, "@task\ndef embed(n):\n    m = n\n    return [m]")
    assert "accepted because" in ran(notebook, "embed(1)").why
    assert "is taken back" in ran(notebook, "%cellist accept embed --undo").out
    assert "its own source changed" in ran(notebook, "embed(1)").why
    kinds = list(ran(notebook, "%cellist decisions").result["kind"])
    assert kinds == ["undo", "accept", "refresh"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("refresh", "needs the name"),
        ("accept embed", "needs a reason"),
        ("accept embed --because ''", "needs a reason"),
        ("accept --because x", "arguments are required"),
        ("accept embed --why x", "unrecognized arguments"),
        ("accept embed --because x", "No task `embed` is known here"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(notebook: Shell, line: str, said: str) -> None:
    error = notebook.run(f"%cellist {line}").error
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_a_cell_is_refreshed_once(notebook: Shell) -> None:
    ran(notebook, FIRST)
    assert "1 stored result" in ran(notebook, "%cellist refresh load").out
    again = ran(notebook, FIRST)
    assert again.state == "Completed"
    assert again.run is not None
    assert again.run.why.notes[0].startswith("gave the same result as at ")
    assert ran(notebook, FIRST).state == "Cached"


def test_a_cell_that_gives_something_else_is_flagged(notebook: Shell) -> None:
    ran(notebook, "import itertools, random")
    cell = "%%task draw{}\nx = {{'drawn': random.random(), 'more': [1, 2]}}\n"
    ran(notebook, cell.format(""))
    again = ran(notebook, cell.format(" --refresh"))
    assert "it is not deterministic" in again.why
    hit = ran(notebook, cell.format(""))
    assert hit.run is not None
    assert hit.run.why.notes[0] == "not deterministic: two runs gave different results"


def test_outputs_with_a_class_of_the_cell_and_links_compare(notebook: Shell) -> None:
    ran(notebook, "given = [1]")
    cell = (
        "%%task make{}\nclass P:\n    def __init__(self): self.n = 1\n"
        "p = P()\nheld = [given, p]\ntwo = {{p.n, 'a'}}\n"
    )
    ran(notebook, cell.format(""))
    again = ran(notebook, cell.format(" --refresh"))
    assert again.run is not None
    assert again.run.why.notes[0].startswith("gave the same result as at ")
    assert ran(notebook, "held[0] is given and isinstance(p, P)").result is True


def accept_stopped(notebook: Shell, cell: str) -> str:
    """Run a cell that is stopped as it begins, and accept its former results."""
    stopped = notebook.run(cell)
    assert isinstance(stopped.error, KeyboardInterrupt)
    return ran(notebook, '%cellist accept load --because "same table"').out


def stop_in(notebook: Shell, monkeypatch: Any) -> None:
    """Let the code of the next cell be stopped as it begins, as by the stop button."""

    def interrupt(*_: Any) -> None:
        monkeypatch.undo()
        monkeypatch.setenv("CELLIST_UI", "off")
        raise KeyboardInterrupt

    monkeypatch.setattr("cellist.notebook.celltask.start", interrupt)


def test_a_cell_is_accepted_once_it_has_begun_to_run_as_it_is(notebook: Shell, monkeypatch) -> None:
    ran(notebook, FIRST)
    notebook.restart()
    stop_in(notebook, monkeypatch)
    told = accept_stopped(notebook, RENAMED)
    assert "`load`: 1 stored result of its former source" in told
    hit = ran(notebook, RENAMED)
    assert hit.state == "Cached"
    assert hit.why.endswith("accepted because: same table")
    assert notebook["table"] == [0, 2, 4, 6, 8]
    assert ran(notebook, RENAMED.replace("* 2", "* 3")).state == "Completed"
    assert "is taken back" in ran(notebook, "%cellist accept load --undo").out
    assert ran(notebook, RENAMED).state == "Completed"


def test_a_cell_that_makes_more_than_was_stored_runs(notebook: Shell, monkeypatch) -> None:
    ran(notebook, FIRST)
    more = RENAMED + "size = len(table)\n"
    stop_in(notebook, monkeypatch)
    accept_stopped(notebook, more)
    again = ran(notebook, more)
    assert again.state == "Completed"
    assert "the accepted results hold no `size`" in again.why
    assert notebook["size"] == 5
    assert ran(notebook, more).state == "Cached"


def test_an_unknown_cell_is_not_accepted(notebook: Shell) -> None:
    ran(notebook, FIRST)
    notebook.restart()
    error = notebook.run('%cellist accept load --because "same table"').error
    assert "known once it has begun to run" in str(error)


def test_a_read_only_cache_keeps_no_cell(notebook: Shell, monkeypatch) -> None:
    monkeypatch.setenv("CELLIST_CACHE", "readonly")
    for _ in range(2):
        assert ran(notebook, FIRST).why.endswith("not kept (CELLIST_CACHE=readonly)")
