"""A `%%flow` cell becomes an ordinary cell whose body a flow surrounds."""

import ast

import pytest
from IPython.core.error import UsageError

from cellist.notebook.options import parse_flow_line
from cellist.notebook.transform import FLOW_NAME, WrapBody, replace_first_line


def transformed(cell: str) -> ast.Module:
    lines = replace_first_line(cell.splitlines(keepends=True))
    tree = ast.parse("".join(lines))
    return WrapBody().visit(tree)


@pytest.mark.parametrize("line", ["%%flow", "%%flow ", "%%flow name --retries 2", "%%flow\tx"])
def test_only_the_first_line_changes(line: str) -> None:
    lines = [line + "\n", "x = 1\n", "x\n"]
    changed = replace_first_line(lines)
    assert changed[0].startswith(f"{FLOW_NAME} = await ")
    assert changed[1:] == lines[1:]


@pytest.mark.parametrize("cell", ["", "x = 1\n", "%%flows\nx", "%%time\nx", "# %%flow\nx"])
def test_other_cells_are_left_alone(cell: str) -> None:
    lines = cell.splitlines(keepends=True)
    assert replace_first_line(lines) == lines
    if not cell.startswith("%"):
        tree = ast.parse(cell)
        before = ast.dump(tree)
        assert ast.dump(WrapBody().visit(tree)) == before


def test_the_last_expression_is_shown_after_the_flow() -> None:
    tree = transformed("%%flow\nx = 1\nx + 1\n")
    opening, loop, shown = tree.body
    assert isinstance(opening, ast.Assign)
    assert isinstance(loop, ast.AsyncFor)
    assert ast.unparse(shown) == f"{FLOW_NAME}.value"
    assert shown.lineno == 3
    (attempt,) = loop.body
    assert isinstance(attempt, ast.AsyncWith)
    assert ast.unparse(attempt.body[-1]) == f"{FLOW_NAME}.value = x + 1"
    assert [statement.lineno for statement in attempt.body] == [2, 3]


def test_a_body_that_ends_in_a_statement_shows_nothing() -> None:
    assert len(transformed("%%flow\nx = 1\n").body) == 2


def test_an_empty_flow_is_a_flow() -> None:
    tree = transformed("%%flow\n")
    compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("body", ["break", "continue", "return 1", "yield 1"])
def test_what_python_refuses_at_the_top_stays_refused(body: str) -> None:
    tree = transformed(f"%%flow\nx = 1\n{body}\n")
    with pytest.raises(SyntaxError) as caught:
        compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert caught.value.lineno == 3


def test_all_options_are_understood() -> None:
    options = parse_flow_line(
        "crawl --retries 2 --retry-delay 1,5 --timeout 60 --runner sequential "
        "--refresh --tag a --tag b -o out -q"
    )
    assert options.name == "crawl"
    assert options.retries == 2
    assert options.retry_delay == [1.0, 5.0]
    assert options.timeout == 60.0
    assert options.runner == "sequential"
    assert options.cache_mode == "refresh"
    assert options.tags == ["a", "b"]
    assert options.output == "out"
    assert options.quiet
    assert parse_flow_line("").cache_mode is None
    assert parse_flow_line("--no-cache").cache_mode == "off"
    assert parse_flow_line("").tags == []


@pytest.mark.parametrize(
    "line", ["--retries -1", "--timeout 0", "--retry-delay x", "a b", "-o 1x", "x%y"]
)
def test_unusable_options_are_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse_flow_line(line)
