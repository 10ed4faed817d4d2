"""Copies of syntax trees."""

import ast
from typing import Any

__all__ = ["copy_of"]


def copy_of(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Return copies that share no node with the originals, but for those Python shares itself.

    `copy.deepcopy` follows every attribute. Tools that show tracebacks put a `parent` on nodes,
    also on the few that all trees share, such as `Load`: a copy would take a whole other file
    along.
    """
    return [_copy(one) for one in statements]


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(one) for one in value]  # pyright: ignore[reportUnknownVariableType] - of any kind
    if not isinstance(value, ast.AST) or not (value._fields or value._attributes):
        return value
    kind: Any = type(value)
    made = kind.__new__(kind)  # it would be told off for fields that come below
    for name in (*value._fields, *value._attributes):
        if hasattr(value, name):
            setattr(made, name, _copy(getattr(value, name)))
    return made
