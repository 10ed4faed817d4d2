"""Files that a `%%task` cell names: their content counts, in whichever way they are named."""

import textwrap
from pathlib import Path

import pytest

from cellist.model.reasons import Component
from cellist.notebook.files import named_files
from tests.shells import Shell, shell


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "text")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1\n")
    (tmp_path / "data" / "b.csv").write_text("2\n")
    (tmp_path / "other.csv").write_text("3\n")
    with shell(tmp_path / "session") as started:
        yield started


BEFORE = """
from pathlib import Path
import glob, os
folder = "data"
full = Path("data/a.csv").resolve()
def slurp(name):
    with open(name) as file:
        return file.read()
def load():
    return slurp("data/a.csv")
class Reader:
    def read(self):
        return Path("data/a.csv").read_text()
reader = Reader()
"""
NAMED = {
    "in the cell": "x = slurp('data/a.csv')",
    "by a path": "x = Path('data/a.csv').read_text()",
    "by an input": "x = full.read_text()",
    "in a folder": "x = (Path(folder) / 'a.csv').read_text()",
    "joined": "x = slurp(os.path.join(folder, 'a.csv'))",
    "in an f-string": "x = slurp(f'{folder}/a.csv')",
    "in a helper": "x = load()",
    "in a method": "x = reader.read()",
    "by a pattern": "x = [slurp(name) for name in sorted(glob.glob('data/*.csv'))]",
}


def test_a_cell_that_writes_a_file_is_kept_once_the_file_is_there(notebook: Shell, tmp_path: Path):
    cell = "%%task\nfrom pathlib import Path\nx = Path('new.csv').write_text('1')"
    first, second, third = (notebook.run(cell) for _ in range(3))
    assert "it changed the file `new.csv`" in first.why
    assert (second.state, third.state) == ("Completed", "Cached")
    (tmp_path / "new.csv").unlink()
    assert notebook.run(cell).state == "Completed"
    assert (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("named", NAMED)
def test_a_changed_file_is_a_miss(named: str, notebook: Shell, tmp_path: Path) -> None:
    notebook.run(BEFORE)
    cell = f"%%task\n{NAMED[named]}"
    first, again = notebook.run(cell), notebook.run(cell)
    assert (first.error, again.error) == (None, None)
    assert (first.state, again.state) == ("Completed", "Cached")
    (tmp_path / "data" / "a.csv").write_text("100\n")
    changed = notebook.run(cell)
    assert changed.state == "Completed"
    assert "file `" in changed.why
    assert "a.csv" in changed.why
    assert "100" in str(notebook.shell.user_ns["x"])
    (tmp_path / "other.csv").write_text("not named\n")
    assert notebook.run(cell).state == "Cached"
    (tmp_path / "data" / "a.csv").write_text("1\n")  # the content counts, not the time
    assert notebook.run(cell).state == "Cached"


def test_a_new_file_for_a_pattern_is_a_miss(notebook: Shell, tmp_path: Path) -> None:
    cell = "%%task\nimport glob\nx = len(glob.glob('data/*.csv'))"
    assert [notebook.run(cell).state for _ in range(2)] == ["Completed", "Cached"]
    (tmp_path / "data" / "c.csv").write_text("3\n")
    assert notebook.run(cell).state == "Completed"
    assert notebook.shell.user_ns["x"] == 3


def test_a_file_the_cell_writes_is_no_obstacle(notebook: Shell) -> None:
    cell = "%%task\nfrom pathlib import Path\nx = Path('out.txt').write_text('made')"
    states = [notebook.run(cell).state for _ in range(3)]
    assert states[0] == "Completed"
    assert states[2] == "Cached"


def test_texts_that_are_no_files_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = textwrap.dedent(
        """
        def f():
            print("", ".", "..", "/", "a" * 5, "no such file", "x\\0y", "é" * 2000)
            print("*", ".*", "select * from t")
        """
    )
    (tmp_path / "any.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    parts = [Component("source", "f", "", code), Component("global", "missing", "")]
    assert named_files(parts, {}) == []
    assert named_files([Component("source", "f", "", "not python (")], {}) == []


DECLARED = {
    "a file": ("from cellist import File\nsource = File('data/a.csv')", "open(source).close()"),
    "a file in a list": (
        "from cellist import File\nsource = [File(folder + '/a.csv') for folder in ['data']]",
        "len(source)",
    ),
    "a folder": ("from cellist import Folder\nsource = Folder('data')", "len(source.files())"),
    "a variable": ("from cellist import Env\nsource = Env('CELL_MODEL')", "source.value"),
}


@pytest.mark.parametrize("declared", DECLARED)
def test_what_is_declared_in_another_cell_counts(
    declared: str, notebook: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cell = DECLARED[declared]
    notebook.run(before)
    first, again = (notebook.run(f"%%task\nx = {cell}") for _ in range(2))
    assert (first.state, again.state) == ("Completed", "Cached"), (first.why, again.why)
    monkeypatch.setenv("CELL_MODEL", "b")
    (tmp_path / "data" / "a.csv").write_text("100\n")
    changed = notebook.run(f"%%task\nx = {cell}")
    assert changed.state == "Completed"
    assert "global `source`" in changed.why


def test_a_declared_file_that_a_cell_changes(notebook: Shell) -> None:
    notebook.run("from cellist import File\nsource = File('data/a.csv')")
    ran = notebook.run("%%task\nx = source.path.write_text('7')")
    assert (ran.state, ran.error) == ("Completed", None)
    assert "`source`" in ran.why
    assert notebook.run("%%task\nx = source.path.write_text('7')").state == "Completed"
