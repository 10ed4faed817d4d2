"""Names that code mentions inside texts: in a query of pandas, or an expression to evaluate."""

import ast
import re
from collections.abc import Iterator

from cellist.caching.parsing import parse
from cellist.caching.tree_parts import chain_of

_MENTIONED = r"@([^\W\d]\w*(?:\.[^\W\d]\w*)*)"


def names_in_query(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names behind an `@` in a text, which may be built around fields."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            for name in re.findall(_MENTIONED, part.value):
                yield tuple(name.split("."))


def names_in_expression(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names in code given as a text; none if it cannot be parsed."""
    try:
        tree = parse(text.strip())
    except SyntaxError:
        return
    pending: list[ast.AST] = [tree]
    while pending:
        part = pending.pop()
        chain = chain_of(part)
        if chain is not None:
            yield chain
        else:
            pending.extend(ast.iter_child_nodes(part))
