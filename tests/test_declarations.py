"""File, Folder and Env: they count by what they hold, wherever and whenever that is."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist import Env, File, Folder, flow, task
from cellist.caching.digests import digest_value
from cellist.exceptions import ParameterTypeError
from cellist.model.previews import short
from cellist.session import CellistWarning
from tests.sessions import Recorder

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("place", "recorder")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file in it."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    Path("a.csv").write_text("n\n1\n")
    return directory


def read(path: Any) -> str:
    return Path(path).read_text() if Path(path).exists() else "nothing"


def outcome(t: Any, *args: Any, **kwargs: Any) -> tuple[str, str]:
    state = t(*args, return_state=True, **kwargs)
    return state.name, str(state.why)


# What a file counts by


def test_a_file_counts_by_its_content_alone(place: Path) -> None:
    t = task(read)
    assert outcome(t, File("a.csv"))[0] == "Completed"
    os.utime("a.csv", (1, 1))
    assert outcome(t, File("a.csv"))[0] == "Cached"
    assert outcome(t, File(place / "a.csv"))[0] == "Cached"
    Path("copy.csv").write_text("n\n1\n")
    assert outcome(t, File("copy.csv"))[0] == "Cached"
    Path("a.csv").write_text("n\n2\n")
    assert outcome(t, File("a.csv")) == (
        "Completed",
        "ran: argument `path`: file `a.csv` changed (line 2: `2`)",
    )
    assert t(File("a.csv")) == "n\n2\n"


def test_a_missing_file_is_a_state_of_its_own() -> None:
    t = task(read)
    assert t(File("new.csv")) == "nothing"
    assert outcome(t, File("new.csv"))[0] == "Cached"
    assert outcome(t, File("a.csv/below"))[0] == "Cached"
    Path("new.csv").write_text("")
    assert outcome(t, File("new.csv")) == (
        "Completed",
        "ran: argument `path`: file `new.csv` changed (missing → 0 bytes)",
    )
    assert digest_value(File("new.csv")) != digest_value(Folder("nowhere"))


def test_a_file_inside_of_values_and_in_globals_counts_too() -> None:
    t = task(lambda named: [read(one) for one in named["files"]], name="nested")
    assert t({"files": [File("a.csv")]}) == ["n\n1\n"]
    source = File("a.csv")
    reads_global = task(lambda: read(source), name="reads")
    reads_global()
    assert outcome(reads_global)[0] == "Cached"
    Path("a.csv").write_text("n\n3\n")
    assert outcome(t, {"files": [File("a.csv")]})[0] == "Completed"
    name, why = outcome(reads_global)
    assert name == "Completed"
    assert why == "ran: closure variable `source`: file `a.csv` changed (line 2: `3`)"


@pytest.mark.parametrize("way", ["a folder", "unreadable"])
def test_what_cannot_be_read_turns_caching_off_and_is_named(way: str) -> None:
    file = File("a.csv") if way == "unreadable" else File(".")
    if way == "unreadable":
        Path("a.csv").unlink()
        Path("a.csv").symlink_to("a.csv")  # a link to itself, which not even root can read
    said = "is a folder: declare it with `Folder`" if way == "a folder" else "cannot be read"
    with pytest.warns(CellistWarning, match=rf"path: File\('.*'\) {said}") as warned:
        state = task(lambda path: 1, name="odd")(file, return_state=True)
    assert "hasher" not in str(warned[0].message)
    assert state.result() == 1
    assert state.why.code == "unstable"


def test_a_file_is_a_path_to_the_task() -> None:
    file = File("a.csv")
    with open(file) as opened:  # noqa: PTH123 - that it can be opened is the point
        assert opened.read() == "n\n1\n"
    assert pd.read_csv(file)["n"].tolist() == [1]
    assert (os.fspath(file), str(file), file.path) == ("a.csv", "a.csv", Path("a.csv"))
    assert Folder("d") / "x.csv" == Path("d/x.csv")


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_two_files_agree_if_and_only_if_their_content_does(tmp_path_factory, one, other):
    place = tmp_path_factory.mktemp("pair")
    (place / "x").write_bytes(one)
    (place / "y").write_bytes(other)
    same = digest_value(File(place / "x")) == digest_value(File(place / "y"))
    assert same == (one == other)


# Folders and variables


TREES = st.dictionaries(
    st.sampled_from(["a", "b", "c.csv", "d/a", "d/b"]), st.sampled_from(["", "1", "2"]), max_size=4
)


@given(TREES, TREES)
def test_two_folders_agree_if_and_only_if_names_and_contents_do(tmp_path_factory, one, other):
    places = []
    for tree in (one, other):
        places.append(tmp_path_factory.mktemp("tree"))
        for name, text in reversed(tree.items()):
            (places[-1] / name).parent.mkdir(exist_ok=True)
            (places[-1] / name).write_text(text)
        (places[-1] / "empty").mkdir()
    same = digest_value(Folder(places[0])) == digest_value(Folder(places[1]))
    assert same == (one == other)


def test_a_folder_says_which_files_have_changed() -> None:
    Path("d").mkdir()
    for name in "abcd":
        Path("d", name).write_text(name)
    t = task(lambda folder: len(folder.files()), name="count")
    assert t(Folder("d")) == 4
    Path("d/a").write_text("other")
    Path("d/b").unlink()
    Path("d/e").write_text("e")
    said = "argument `folder`: folder `d` changed (`a` changed, `e` is new, `b` is gone)"
    assert outcome(t, Folder("d")) == ("Completed", f"ran: {said}")
    assert outcome(t, Folder("d", "[cd]"))[0] == "Completed"
    Path("d/a").write_text("once more")
    assert outcome(t, Folder("d", "[cd]"))[0] == "Cached"
    assert Folder("d", "**").files() == Folder("d").files()
    assert outcome(t, Folder("none"))[1].endswith("folder `d` → folder `none`")


def test_a_variable_counts_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL", raising=False)
    t = task(lambda model: model.value, name="ask")
    assert t(Env("MODEL")) is None
    said = []
    for value in ("", "a", "b", "b"):
        monkeypatch.setenv("MODEL", value)
        said.append(outcome(t, Env("MODEL")))
    told = "ran: argument `model`: environment variable `MODEL` changed"
    assert [name for name, _ in said] == ["Completed", "Completed", "Completed", "Cached"]
    assert [why for _, why in said[1:3]] == [f"{told} (empty → a)", f"{told} (a → b)"]


def test_secrets_are_not_written_down(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    Path(".env").write_text("hidden-in-a-file-1")
    monkeypatch.setenv("API_KEY", "hidden-in-a-variable-1")
    t = task(lambda n: n, name="t", depends_on=[File(".env"), Env("API_KEY")])
    t(1)
    Path(".env").write_text("hidden-in-a-file-2")
    monkeypatch.setenv("API_KEY", "hidden-in-a-variable-2")
    state = t(1, return_state=True)
    said = "ran: file `.env` changed; environment variable `API_KEY` changed"
    assert str(state.why) == said
    assert "hidden-in" not in json.dumps(state.why.as_dict())


# How they are told, compared and carried


@pytest.mark.parametrize("made", [File("a"), Folder("a"), Folder("a", "*.csv"), Env("A")])
def test_they_are_values(made: Any) -> None:
    copy = pickle.loads(pickle.dumps(made))
    assert (copy, hash(copy), repr(copy)) == (made, hash(made), repr(made))
    assert short(made) == repr(made)
    assert made not in {File("b"), Folder("b"), Folder("a", "*.txt"), Env("B")}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: File(1), TypeError, "File needs a path, not int 1"),  # type: ignore[arg-type] - refused
        (lambda: File(""), ValueError, "not an empty text"),
        (lambda: Folder("a", "../*"), ValueError, "pattern below the folder"),
        (lambda: Folder("a", "/x"), ValueError, "pattern below the folder"),
        (lambda: Folder("a", ""), ValueError, "pattern below the folder"),
        (lambda: Env(""), ValueError, "no variable can have this name"),
        (lambda: Env("a=b"), ValueError, "no variable can have this name"),
        (lambda: Env(None), TypeError, "name of a variable, not NoneType"),  # type: ignore[arg-type] - refused
    ],
)
def test_what_cannot_be_declared(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_flows_make_one_of_a_plain_path() -> None:
    def plain(path: File, folders: list[Folder] | None = None) -> Any:
        return path, folders

    def either(path: File | None, n: int | File = 0) -> Any:
        return path, n

    f: Any = flow(plain)
    optional: Any = flow(either)
    assert optional(None, 3) == (None, 3)
    assert optional("a.csv") == (File("a.csv"), 0)
    assert f("a.csv", ["d"]) == (File("a.csv"), [Folder("d")])
    assert f(File("a.csv")) == (File("a.csv"), None)
    with pytest.raises(ParameterTypeError, match="File needs a path"):
        f(1)


def test_a_map_over_a_file_passes_it_to_each_run() -> None:
    t = task(lambda n, path: read(path) * n, name="many")
    assert t.map([1, 2], File("a.csv")).result() == ["n\n1\n", "n\n1\n" * 2]


# What happens during the run


def test_a_file_that_changes_during_the_run_is_not_kept() -> None:
    def rewrite(path: Any) -> int:
        Path(path).write_text(read(path) + "more\n")
        return 1

    t = task(rewrite)
    said = "argument `path` changed during the run, so the result is not kept"
    for _ in range(2):
        name, why = outcome(t, File("a.csv"))
        assert name == "Completed"
        assert why.endswith(said)
    depending = task(lambda n: rewrite("a.csv"), name="d", depends_on=[File("a.csv")])
    assert (
        "file `a.csv` changed during the run, so the result is not kept" in outcome(depending, 1)[1]
    )


def test_a_variable_that_changes_during_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "a")

    def change() -> int:
        os.environ["MODEL"] = "b"
        return 1

    t = task(change, name="t", depends_on=[Env("MODEL")])
    assert "environment variable `MODEL` changed during the run" in outcome(t)[1]


# Other processes and places

PROGRAM = """
import json, os, sys
from pathlib import Path
from typing import Annotated
from cellist import Env, File, Folder, task
from cellist.caching.digests import digest_value

def helper(n): return n + 1

params = File(Path("params.yml").resolve())

@task(depends_on=[helper, params, Folder("data"), Env("MODEL"), {"k": {"a", "b"}}])
def whole(path: File, *more: Annotated[str, Folder(".", "*.csv")], named: dict[str, File]):
    return path

here = Path.cwd()
states = [whole(str(here / "params.yml"), str(here / "data"), named={"a": here / "params.yml"},
                return_state=True)]
print(json.dumps([[state.name, str(state.why)] for state in states]))
print(digest_value([File("params.yml"), Folder("data"), Env("MODEL"), {File("params.yml")}]))
"""


def project(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "a.csv").write_text("1")
    (place / "data" / "b.csv").write_text("2")
    (place / "params.yml").write_text("lr: 1\n")
    (place / "program.py").write_text(PROGRAM)


def answers(place: Path, seed: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": seed,
             "CELLIST_UI": "off", "MODEL": "m", **variables},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_keys_hold_in_other_processes_and_under_other_paths(tmp_path: Path) -> None:
    for name in ("one", "elsewhere/two"):
        project(tmp_path / name)
    first = answers(tmp_path / "one", "1")
    second = answers(tmp_path / "elsewhere" / "two", "2")
    assert json.loads(first[0])[0][0] == "Completed"
    assert json.loads(second[0])[0][0] == "Cached", second
    assert first[1] == second[1]
    (tmp_path / "one" / "data" / "a.csv").write_text("3")
    ((name, why),) = json.loads(answers(tmp_path / "one", "3")[0])
    assert name == "Completed"
    assert "folder `data` changed (`a.csv` changed)" in why
    ((_, why),) = json.loads(answers(tmp_path / "elsewhere" / "two", "4", MODEL="n")[0])
    assert why == "ran: environment variable `MODEL`: m → n"


def test_the_component_keeps_the_size_of_large_files_only(recorder: Recorder) -> None:
    Path("large.txt").write_text("line\n" * 10_000)
    t = task(lambda n: n, name="t", depends_on=[File("large.txt")])
    t(1)
    Path("large.txt").write_text("line\n" * 10_001)
    assert outcome(t, 1)[1] == "ran: file `large.txt` changed (50,000 bytes → 50,005 bytes)"


def test_a_list_of_files_says_that_one_has_changed() -> None:
    t = task(lambda paths: len(paths) + 1, name="t")
    t([File("a.csv"), File("b.csv")])
    Path("b.csv").write_text("1")
    assert outcome(t, [File("a.csv"), File("b.csv")]) == (
        "Completed",
        "ran: argument `paths`: [File('a.csv'), File('b.csv')] changed",
    )
