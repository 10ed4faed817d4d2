"""Source is parsed by one thread at a time, and what cannot be parsed raises `SyntaxError`."""

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist.caching.parsing import parse


@pytest.mark.parametrize(
    "source", ["def (", "a\0b", "'\ud800'", "(" * 300, "-" * 200_000 + "1"], ids=range(5)
)
def test_all_that_cannot_be_parsed_is_a_syntax_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        parse(source)


def test_two_threads_never_parse_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def meet(source: str, mode: str) -> Any:
        with pytest.raises(threading.BrokenBarrierError):  # else the other one is in here, too
            both.wait(0.05)
        return source, mode

    monkeypatch.setattr(ast, "parse", meet)
    with ThreadPoolExecutor(2) as pool:
        found: list[Any] = list(pool.map(parse, ["1", "2"]))
    assert found == [("1", "exec"), ("2", "exec")]


def test_a_parse_that_another_one_disturbed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ast.parse
    faults = [SystemError("AST constructor recursion depth mismatch")] * 2

    def disturbed(source: str, mode: str) -> Any:
        if faults:
            raise faults.pop()
        return real(source, mode=mode)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert isinstance(parse("x", "eval").body, ast.Name)
    assert not faults


def test_nothing_else_in_cellist_parses() -> None:
    root = Path(cellist.__file__).parent
    parsing = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if "ast.parse(" in path.read_text("utf-8")
    ]
    assert parsing == ["caching/parsing.py"]
