"""Copies of syntax trees take nothing along that is not the tree's."""

import ast
import textwrap

from cellist.notebook.trees import copy_of

CODE = textwrap.dedent(
    """
    @d(1)
    async def f(a, /, b: int = 1, *c, k=2, **kw) -> str:
        "doc"
        global g
        async with m as (x, *y):
            return f"{a!r:>{b}}" if not a else [i async for i in b if i]
    class C(B, metaclass=M):
        z = {**k, "a": b"x", 1: -2j}
    match v:
        case {"a": int(q), **rest} if rest: pass
        case [1, *_] | None: del x[1:2]
    try: (n := 1) + 2
    except* E as e: raise X from e
    """
)


def test_a_copy_is_the_same_tree_of_other_nodes() -> None:
    tree = ast.parse(CODE)
    copied = ast.Module(copy_of(tree.body), [])
    assert ast.dump(copied, include_attributes=True) == ast.dump(tree, include_attributes=True)
    originals = {id(node) for node in ast.walk(tree) if node._fields}
    assert originals.isdisjoint(id(node) for node in ast.walk(copied) if node._fields)
    compile(ast.fix_missing_locations(copied), "<test>", "exec")


def test_what_tools_hang_on_nodes_is_left_behind() -> None:
    """`executing`, which IPython shows tracebacks with, does this to nodes that all trees share."""
    tree = ast.parse("x = y")
    (statement,) = tree.body
    assert isinstance(statement, ast.Assign)
    statement.value.parent = other = ast.parse(CODE)  # type: ignore[attr-defined] - as tracebacks put it there
    assert isinstance(statement.value, ast.Name)
    shared = statement.value.ctx
    shared.parent = other  # type: ignore[attr-defined] - as tracebacks put it there
    try:
        (copied,) = copy_of(tree.body)
        assert isinstance(copied, ast.Assign)
        assert not hasattr(copied.value, "parent")
        assert isinstance(copied.value, ast.Name)
        assert copied.value.ctx is shared
    finally:
        del shared.parent  # type: ignore[attr-defined] - as tracebacks put it there
