"""Names that code mentions inside texts: in a query of pandas, or an expression to evaluate."""

import ast
import re
from collections.abc import Iterator

from cellist.caching.parsing import parse

_MENTIONED = r"@([^\W\d]\w*(?:\.[^\W\d]\w*)*)"


def names_in_query(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names behind an `@` in a text, which may be built around fields."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            for name in re.findall(_MENTIONED, part.value):
                yield tuple(name.split("."))


def names_in_expression(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the names that code given as a text reads; none if it cannot be parsed."""
    try:
        tree = parse(text.strip())
    except SyntaxError:
        return
    for part in ast.walk(tree):
        if isinstance(part, ast.Name):
            yield (part.id,)
