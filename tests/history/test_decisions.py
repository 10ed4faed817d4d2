"""Decisions over the cache in the history: written like runs, in files of any age."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cellist.history import History, database
from cellist.history.decisions import Decision
from cellist.history.frames import decisions_frame
from cellist.model.runs import TaskRun
from cellist.model.states import COMPLETED, PENDING, RUNNING

FIRST = Decision(1_000, "accept", "embed", "only renamed", 3, "me")
SECOND = Decision(2_000, "refresh", "embed")


class Definition:
    """Stands for a task."""

    name = key = "clean"
    version: str | None = None


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def opened(warned: list[str]):
    """Open histories that are closed at the end."""
    made: list[History] = []

    def make(path: Path | None) -> History:
        made.append(History(path, on_warning=warned.append))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("name", ["history.sqlite", None])
def test_decisions_are_read_newest_first(opened, tmp_path: Path, name: str | None) -> None:
    history = opened(tmp_path / name if name else None)
    for one in (FIRST, SECOND):
        history.decide(one)
    assert history.flush(60)
    assert history.decisions() == [SECOND, FIRST]


def test_another_process_reads_them(opened, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    first = opened(path)
    first.decide(FIRST)
    first.close()
    other = opened(path)
    assert other.decisions() == [FIRST]
    other.decide(SECOND)
    assert other.flush(60)
    assert other.decisions() == [SECOND, FIRST]


def test_a_file_from_before_there_were_decisions_is_gone_on_with(
    opened, tmp_path: Path, warned: list[str]
) -> None:
    path = tmp_path / "history.sqlite"
    before = opened(path)
    run = TaskRun(Definition(), None, None, [before.sink], frozenset())
    for state in (PENDING, RUNNING, COMPLETED):
        run.enter(state)
    assert before.flush(60)
    before.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE decisions")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    history = opened(path)
    assert history.decisions() == []
    history.decide(FIRST)
    assert history.flush(60)
    assert history.decisions() == [FIRST]
    assert [row["id"] for row in history.runs()] == [run.id.hex]
    assert warned == []


def test_an_older_cellist_can_go_on_with_the_file(opened, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history = opened(path)
    history.decide(FIRST)
    assert history.flush(60)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1 == database.VERSION


def test_a_decision_waits_for_a_file_that_somebody_holds(
    opened, tmp_path: Path, monkeypatch, warned: list[str]
) -> None:
    path = tmp_path / "history.sqlite"
    monkeypatch.setattr(database, "_BUSY_MS", 50)
    history = opened(path)
    history.decide(FIRST)
    assert history.flush(60)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        history.decide(SECOND)
        assert history.flush(60)
        assert history.decisions() == [FIRST]
        holder.execute("ROLLBACK")
    assert history.flush(60)
    assert history.decisions() == [SECOND, FIRST], "written once"


def test_a_text_that_cannot_be_stored_as_it_is_loses_nothing(opened, tmp_path: Path) -> None:
    history = opened(tmp_path / "history.sqlite")
    history.decide(FIRST._replace(because="odd \ud800", task="t\udfff"))
    history.decide(SECOND)
    assert history.flush(60)
    assert [one.because for one in history.decisions()] == ["", "odd ?"]


def test_no_decisions_make_an_empty_frame_of_the_same_types() -> None:
    empty, full = decisions_frame([]), decisions_frame([FIRST])
    assert list(empty.columns) == list(full.columns)
    for name in ("time", "results"):
        assert empty[name].dtype == full[name].dtype
    assert full["time"][0].year == 1970
