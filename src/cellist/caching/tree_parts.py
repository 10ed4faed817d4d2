"""What single nodes of a syntax tree say, and how a canonical form writes texts and constants."""

import ast
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

Chain = tuple[str, ...]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Form = tuple[str, tuple[tuple[str, str, bool], ...]]
"""How a node is written: what it begins with, and its fields, last first, each by its name, by how
that is written, and by whether it is a list of statements."""

TEXT, NAME, UNKNOWN = "=", "~", "?"
"""What the parts of a computed name begin with."""
_STATEMENTS = frozenset({"body", "orelse", "finalbody"})


WORDS: dict[type[ast.AST], str] = {
    kind: f"({kind.__name__} )"
    for group in (ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
    for kind in group.__subclasses__()
}
"""What operators are written as."""


IMPORTS = (ast.Import, ast.ImportFrom)


class BodyImport(NamedTuple):
    """An import inside a body: `bound` names `module`, its top level, or an `attribute` of it."""

    bound: str
    module: str
    attribute: str | None = None
    level: int = 0
    top: bool = False

    @property
    def path(self) -> str:
        """What is imported, as one dotted name."""
        return "." * self.level + ".".join(filter(None, (self.module, self.attribute)))


def form(tag: str, names: Sequence[str]) -> Form:
    """Return how nodes of this tag with these fields are written."""
    fields = tuple((name, f"{name}=", name in _STATEMENTS) for name in reversed(names))
    return f"({tag} ", fields


def annotations_of(node: Definition) -> list[Any]:
    """Return the annotations of a signature."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found = [one.annotation for one in every if one.annotation]
    found += [
        one.annotation for one in (arguments.vararg, arguments.kwarg) if one and one.annotation
    ]
    returns = None if isinstance(node, ast.Lambda) else node.returns
    return [*found, returns] if returns else found


def docstring_of(node: ast.AST) -> str:
    """Return the docstring of a definition, empty if it has none."""
    body: Sequence[ast.AST] = getattr(node, "body", ())
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        value = first.value.value
        return value if isinstance(value, str) else ""
    return ""


def chain_of(node: ast.AST) -> Chain | None:
    """Return `("a", "b", "c")` for `a.b.c`, None for what is no dotted name."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    attributes.append(node.id)
    return tuple(reversed(attributes))


def framed(text: str) -> str:
    """Return a text behind its length."""
    return f"{len(text)}:{text}"


def text_of(node: ast.AST) -> str | None:
    """Return the text a constant holds, None for any other node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def sorted_imports(statements: list[Any]) -> list[Any]:
    """Return statements with those imports in order that follow one another, as tools sort them.

    Imports that bind the same name stay as they are: the last one counts.
    """
    found: list[Any] = []
    for is_import, group in groupby(statements, lambda one: isinstance(one, IMPORTS)):
        run = list(group)
        names = [name for one in run for name in _bound(one)] if is_import else [""]
        found += sorted(run, key=_import_order) if len({*names}) == len(names) > 1 else run
    return found


def _import_order(node: ast.Import | ast.ImportFrom) -> tuple[Any, ...]:
    names = [(alias.name, alias.asname or "") for alias in node.names]
    if isinstance(node, ast.Import):
        return False, False, 0, "", names
    return True, not node.level, node.level, node.module or "", names


def _bound(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.asname or alias.name for alias in node.names]


def computed_import(call: ast.Call) -> Iterator[Chain]:
    """Yield what the name of the module is made of that a call imports, unless it is a constant.

    That is an empty text, the package a relative name starts from, and the parts of the name.
    """
    parts = list(_name_parts(call.args[0]))
    if len(parts) > 1 or parts[0][0] != TEXT:
        given = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "package")]
        package = next((part for node in given for part in _name_parts(node)), "")
        yield ("", package, *parts)


def _name_parts(node: ast.expr) -> Iterator[str]:
    text, chain = text_of(node), chain_of(node)
    if text is not None:
        yield TEXT + text
    elif chain is not None:
        yield NAME + ".".join(chain)
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _name_parts(value)
    elif isinstance(node, ast.FormattedValue) and node.format_spec is None:
        yield from _name_parts(node.value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _name_parts(node.left)
        yield from _name_parts(node.right)
    else:
        yield UNKNOWN


def is_own_module(node: ast.AST) -> bool:
    """Whether an expression is `sys.modules[__name__]`."""
    return (
        isinstance(node, ast.Subscript)
        and (chain_of(node.value) or ("",))[-1] == "modules"
        and chain_of(node.slice) == ("__name__",)
    )


def scalar(value: object) -> str:
    """Return a constant, a name or an absent element, with its type and length."""
    if value is None:
        return "n;"
    if isinstance(value, str):
        return "s" + framed(value)
    if isinstance(value, bool):
        return f"b{value:d};"
    if isinstance(value, int):
        return f"i{value:x};"  # hexadecimal: long numbers have a limit in decimal
    if isinstance(value, float):
        return f"f{value.hex()};"
    if isinstance(value, bytes):
        return "y" + framed(value.hex())
    if isinstance(value, complex):
        return f"c{value.real.hex()},{value.imag.hex()};"
    return f"o{type(value).__name__};"  # Ellipsis is the only one left
