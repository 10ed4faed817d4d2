"""Parameters annotated as files, folders or variables: the plain argument counts by content."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import pytest

import cellist
from cellist import Env, File, Folder, task
from cellist.annotated import counted_parameters
from cellist.cache_policies import INPUTS
from cellist.definitions import shape_of

pytestmark = pytest.mark.usefixtures("place", "recorder")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "work"
    (directory / "d").mkdir(parents=True)
    monkeypatch.chdir(directory)
    Path("a").write_text("1")
    Path("d/x.csv").write_text("1")


def counted(annotation: Any, value: Any) -> Any:
    """Return what stands for an argument of a parameter with this annotation."""

    def f(path): ...

    f.__annotations__["path"] = annotation
    found = counted_parameters(f, shape_of(f, "task").signature)
    return found["path"](value) if found else value


A = File("a")


@pytest.mark.parametrize(
    ("annotation", "value", "stands"),
    [
        (File, "a", A),
        (File, Path("a"), A),
        (File, A, A),
        (File, None, None),
        (File, "", ""),
        (File, 3, 3),
        (File, Folder("a"), Folder("a")),
        ("File", "a", A),
        ("cellist.File", "a", A),
        ("File | None", "a", A),
        ("not defined yet", "a", "a"),
        (File | None, "a", A),
        (Optional[File], "a", A),  # noqa: UP045 - users write it
        (Annotated[str, File], "a", A),
        (Annotated[str, File("any")], "a", A),
        (Annotated[str | None, "doc", File], None, None),
        (Annotated[str, "doc"], "a", "a"),
        (Annotated[File, "doc"], "a", A),
        (Annotated[str, Folder(".", "*.csv")], "d", Folder("d", "*.csv")),
        (Folder, "d", Folder("d")),
        (Folder, Path("d"), Folder("d")),
        (Env, "A", Env("A")),
        (Env, Path("A"), Path("A")),
        (list[File], ["a", A, None], [A, A, None]),
        (list["File"], ["a"], [A]),
        (list[File] | None, ["a"], [A]),
        (Sequence[File], ("a",), (A,)),
        (set[File], {"a"}, {A}),
        (tuple[File, ...], ("a",), (A,)),
        (dict[str, File], {"k": "a"}, {"k": A}),
        (dict[str, list[File]], {"k": ["a"]}, {"k": [A]}),
        (list[File], "a", "a"),
        (str, "a", "a"),
        (list[str], ["a"], ["a"]),
    ],
)
def test_what_stands_for_an_argument(annotation: Any, value: Any, stands: Any) -> None:
    found = counted(annotation, value)
    assert (found, type(found)) == (stands, type(stands))


def test_an_iterator_is_not_used_up() -> None:
    values = iter(["a"])
    assert counted(list[File], values) is values
    assert list(values) == ["a"]


def test_stars_and_partials() -> None:
    def f(*paths: File, **named: "File"): ...

    found = counted_parameters(f, shape_of(f, "task").signature)
    assert found["paths"](("a",)) == (A,)
    assert found["named"]({"k": "a"}) == {"k": A}

    def g(n: int, path: "File"): ...

    bound: Any = functools.partial(g, 1)
    assert counted_parameters(bound, shape_of(bound, "task").signature)["path"]("a") == A


def test_the_function_gets_what_was_passed() -> None:
    def both(path: File, *, more: Annotated[Path, File] = Path("a")) -> Any:
        return path, more

    given: Any = task(both)
    assert given("a") == ("a", Path("a"))
    assert given("a", return_state=True).name == "Cached"
    Path("b").write_text("1")
    assert given("b", return_state=True).name == "Cached"  # the first value wins
    Path("a").write_text("2")
    state = given("a", return_state=True)
    assert str(state.why) == (
        "ran: argument `path`: file `a` changed (line 1: `2`); "
        "argument `more`: file `a` changed (line 1: `2`)"
    )


def test_a_change_during_the_run_is_seen() -> None:
    def write(path: File) -> int:
        with Path(str(path)).open("a") as file:
            return file.write("more")

    grow: Any = task(write)
    why = grow("a", return_state=True).why
    assert "argument `path` changed during the run" in str(why)


def test_what_is_left_out_is_not_read() -> None:
    t = task(lambda path, n: n, name="t")
    t.fn.__annotations__["path"] = File
    without = t.with_options(cache_policy=INPUTS - "path")
    assert without("a", 1) == 1
    Path("a").write_text("2")
    assert without("a", 1, return_state=True).name == "Cached"
    assert without("d", 1, return_state=True).name == "Cached"  # a folder, which File refuses


def test_names_that_are_defined_later() -> None:
    namespace: dict[str, Any] = {"task": task, "__name__": "__main__"}
    exec("@task\ndef t(path: 'Later'): return path", namespace)
    namespace["Later"] = cellist.File
    t: Any = namespace["t"]
    t("a")
    Path("a").write_text("2")
    assert t("a", return_state=True).name == "Completed"
