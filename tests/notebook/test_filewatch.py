"""Files that a `%%task` cell reads and writes under names that no analysis can see."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shells import Shell, shell

BEFORE = """
import os, sqlite3, tempfile
from pathlib import Path
part = "dat"
def slurp(*name):
    with open("".join(name)) as file:
        return file.read()
"""


@pytest.fixture
def notebook(tmp_path, monkeypatch) -> Iterator[Shell]:
    monkeypatch.setenv("CELLIST_UI", "text")
    folder = tmp_path / "work"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("1\n")
    monkeypatch.chdir(folder)
    with shell(tmp_path / "session") as started:
        assert started.run(BEFORE).error is None
        yield started


def states(notebook: Shell, cell: str, times: int = 2) -> list[str | None]:
    ran = [notebook.run(f"%%task\n{cell}") for _ in range(times)]
    assert [one.error for one in ran] == [None] * times
    return [one.state for one in ran]


READS = {
    "a computed name": "x = slurp(part, 'a/a', '.csv')",
    "in a thread": (
        "import threading\nfound = []\n"
        "def look(): found.append(slurp(part, 'a/a', '.csv'))\n"
        "one = threading.Thread(target=look)\none.start()\none.join()\ndel one\nx = found"
    ),
    "all that a folder holds": "x = [slurp(str(p)) for p in sorted(Path(part + 'a').iterdir())]",
}


@pytest.mark.parametrize("how", READS)
def test_a_file_that_was_read_counts(notebook: Shell, how: str) -> None:
    cell = READS[how]
    assert states(notebook, cell) == ["Completed", "Cached"]
    Path("data/a.csv").write_text("100\n")
    changed = notebook.run(f"%%task\n{cell}")
    assert changed.state == "Completed"
    assert "file `data/a.csv` changed" in changed.why
    assert "100" in str(notebook["x"])
    Path("data/a.csv").write_text("1\n")
    assert states(notebook, cell, 1) == ["Cached"]  # by its content, and both are stored


def test_a_new_file_in_a_folder_that_was_listed_counts(notebook: Shell) -> None:
    cell = "x = len(os.listdir(part + 'a'))"
    assert states(notebook, cell) == ["Completed", "Cached"]
    Path("data/.ipynb_checkpoints").mkdir()
    assert states(notebook, cell, 1) == ["Cached"]
    Path("data/b.csv").touch()
    changed = notebook.run(f"%%task\n{cell}")
    assert "folder `data` changed" in changed.why
    assert notebook["x"] == 3


def test_a_file_that_was_not_there_counts(notebook: Shell) -> None:
    cell = "try:\n    x = slurp(part, 'a/late')\nexcept OSError:\n    x = None"
    assert states(notebook, cell) == ["Completed", "Cached"]
    Path("data/late").write_text("here")
    assert states(notebook, cell, 1) == ["Completed"]
    assert notebook["x"] == "here"


def test_a_file_that_was_written_is_written_again_unless_it_is_there(notebook: Shell) -> None:
    cell = "x = Path(part + 'a', 'out').write_text('made')"
    assert states(notebook, cell) == ["Completed", "Cached"]
    for spoil in (Path.unlink, lambda path: path.write_text("other")):
        spoil(Path("data/out"))
        assert states(notebook, cell, 1) == ["Completed"]
        assert Path("data/out").read_text() == "made"


CHANGES = {
    "appending": "with open(part + 'a/log', 'a') as f: f.write('x')",
    "making a folder": "if not os.path.exists(part + 'a/new'): os.mkdir(part + 'a/new')",
    "removing": "os.remove(part + 'a/a.csv')",
    "renaming": "os.rename(part + 'a/a.csv', part + 'a/b.csv')",
    "reading and then writing": (
        "p = Path(part + 'a', 'a.csv')\nn = p.write_text(p.read_text() + '1')"
    ),
    "a new database": "c = sqlite3.connect(part + 'a/db')\nc.execute('create table t(a)')\ndel c",
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.filterwarnings("ignore:unclosed database")
def test_what_would_be_done_once_more_is_not_stored(notebook: Shell, what: str) -> None:
    ran = notebook.run(f"%%task\n{CHANGES[what]}")
    assert ran.error is None
    assert "not kept" in ran.why
    assert "data/" in ran.why
    assert notebook.session.store.entries() == []


NOTHING = {
    "temporary files": "with tempfile.TemporaryDirectory() as t:\n    Path(t, 'x').write_text('1')",
    "a temporary file": "with tempfile.TemporaryFile() as f:\n    n = f.write(b'1')",
    "modules": "import wave, colorsys",
    "the system's files": "x = slurp('/etc/', 'passwd')[:4]",
    "files it writes and then reads": (
        "p = Path(part + 'a', 'z')\nn = p.write_text('1')\nx = p.read_text()"
    ),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_is_nobodys_data_is_no_obstacle(notebook: Shell, what: str) -> None:
    assert states(notebook, NOTHING[what]) == ["Completed", "Cached"]


def test_files_are_named_from_the_project(notebook: Shell, tmp_path: Path, monkeypatch) -> None:
    cell = READS["a computed name"]
    assert states(notebook, cell, 1) == ["Completed"]
    moved = tmp_path / "work"
    moved.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert states(notebook, cell, 1) == ["Cached"]
