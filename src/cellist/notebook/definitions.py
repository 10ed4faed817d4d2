"""The definitions of a cell: functions, classes and imports, which are executed again on a hit.

Restored from a pickle, a function would carry a copy of its globals and a class would be another
class. So they come from the cell's own text. Imports come first, then what needs none of the cell's
values, then the values, then the rest. What cannot be had again in this way is told, and then
nothing of the cell is kept.
"""

import ast
from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any, cast

from cellist.caching.digests import digest_value
from cellist.notebook import scopes
from cellist.notebook.analysis import evaluated_by
from cellist.notebook.expressions import HARMLESS_MAGICS, CellNames
from cellist.notebook.links import is_atom

_MACHINERY = frozenset(
    {"_abc_impl", "__abstractmethods__", "__dict__", "__weakref__", "__doc__", "__slotnames__"}
    | {"_value2member_map_"}  # where an enum keeps combinations of flags once they were asked for
)
Plan = dict[str, list[str]]


class Unkept(Exception):
    """The outputs of a cell cannot be kept; the text says why and what helps."""


class Definitions:
    """The definitions of one cell and how they are told from values."""

    def __init__(self, names: CellNames, body: list[ast.stmt], filename: str) -> None:
        self._names = names
        self._made = names.definitions
        self._filename = filename
        self._body = body
        self._marks: dict[str, Any] = {}

    def note(self, name: str, value: Any) -> None:
        """Remember what a class or a decorated function is like right after its definition."""
        self._marks[name] = _mark(value)

    def split(
        self, outputs: Mapping[str, Any], before: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, ast.stmt]]:
        """Return the outputs that are values, and the statements that define the others.

        `before` is the namespace as it was: what is still the same need not be the cell's making.
        """
        values: dict[str, Any] = {}
        statements: dict[str, ast.stmt] = {}
        certain = self._names.certain or frozenset[str]()
        for name, value in outputs.items():
            is_left = name not in certain and name in before and before[name] is value
            statement = None if is_left else self._statement(name, value)
            if statement is None:
                values[name] = value
            else:
                statements[name] = statement
        return values, statements

    def _statement(self, name: str, value: Any) -> ast.stmt | None:
        """Return the statement that made the present value of a name, `None` for mere values."""
        made = self._made.get(name, [])
        is_only = len(made) == 1 and name not in self._names.assigned
        if is_only or isinstance(value, ModuleType):
            return made[0] if is_only else None
        if isinstance(value, FunctionType) and value.__code__.co_filename == self._filename:
            first = value.__code__.co_firstlineno
            made = [one for one in made if _first_line(one) == first]
            if len(made) < 2:
                return made[0] if made else None
        elif not isinstance(value, type):
            return None
        if made:
            message = f"`{name}` is defined in several ways: give each a name of its own"
            raise Unkept(message)
        return None

    def which(self, statements: Mapping[str, ast.stmt]) -> dict[str, int]:
        """Return which of several definitions of a name it is, by its place among them."""
        return {
            name: self._made[name].index(one)
            for name, one in statements.items()
            if len(self._made[name]) > 1
        }

    def plan(self, statements: Mapping[str, ast.stmt], values: Iterable[str]) -> Plan:
        """Return in which order definitions are executed on a hit, values coming between."""
        imports = [
            n for n, one in statements.items() if isinstance(one, ast.Import | ast.ImportFrom)
        ]
        others = [name for name in self._in_order(statements) if name not in imports]
        needs = {name: self._needs(statements[name], statements) for name in others}
        late: set[str] = set()
        unknown = set(values)
        while True:
            more = {name for name in others if needs[name] & (unknown | late)} - late
            if not more:
                break
            late |= more
        return {
            "imports": imports,
            "early": [name for name in others if name not in late],
            "late": [name for name in others if name in late],
        }

    def _in_order(self, statements: Mapping[str, ast.stmt]) -> list[str]:
        return sorted(statements, key=lambda name: statements[name].lineno)

    def _needs(self, statement: ast.stmt, statements: Mapping[str, ast.stmt]) -> set[str]:
        """Return the names a definition needs when executed, through functions of the cell."""
        found: set[str] = set()
        pending = evaluated_by(statement)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found.add(name)
            function = statements.get(name)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                pending |= scopes.free_names(function)[0]
            elif function is not None:
                pending |= evaluated_by(function)
        return found

    def check(
        self, statements: Mapping[str, ast.stmt], values: Mapping[str, Any], live: Mapping[str, Any]
    ) -> None:
        """Raise `Unkept` unless executing the definitions again gives what they are now."""
        for name, statement in statements.items():
            mark = self._marks.get(name)
            if mark is not None and mark != _mark(live[name]):
                message = f"`{name}` is changed after its definition: do that in a cell of its own"
                raise Unkept(message)
            if is_plain_function(statement) or isinstance(statement, ast.Import | ast.ImportFrom):
                continue  # defaults and attributes are kept as values
            for needed in sorted(self._needs(statement, statements) & values.keys()):
                if not is_atom(values[needed]) or self._times_bound(needed) != 1:
                    message = (
                        f"`{name}` is defined with `{needed}`, which this cell makes: define it "
                        "in a cell of its own"
                    )
                    raise Unkept(message)

    def _times_bound(self, name: str) -> int:
        return sum(
            isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
            for statement in self._body
            for node in ast.walk(statement)
        )


def harmless_magics(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the statements at the top that are line magics such as `%matplotlib inline`."""
    return [one for one in body if is_harmless_magic(one)]


def is_harmless_magic(statement: ast.stmt) -> bool:
    """Whether a statement is what IPython made of a line magic that hides no names."""
    match statement:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(
                    value=ast.Call(func=ast.Name(id="get_ipython")), attr="run_line_magic"
                ),
                args=[ast.Constant(value=str() as magic), *_],
            )
        ):
            return magic in HARMLESS_MAGICS
        case _:
            return False


def function_parts(value: Any) -> tuple[Any, Any, dict[str, Any]] | None:
    """Return what a function carries that its text does not tell: defaults and attributes."""
    parts = value.__defaults__, value.__kwdefaults__, dict(value.__dict__)
    return parts if any(parts) else None


def set_function_parts(function: FunctionType, parts: tuple[Any, Any, dict[str, Any]]) -> None:
    """Give a function what `function_parts` took from it."""
    function.__defaults__, function.__kwdefaults__, attributes = parts
    function.__dict__.update(attributes)


def is_plain_function(statement: ast.stmt) -> bool:
    """Whether a definition is a function without decorators, or a lambda with a name."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return not statement.decorator_list
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)


def _first_line(statement: ast.stmt) -> int:
    decorators = cast("list[ast.expr]", getattr(statement, "decorator_list", []))
    return decorators[0].lineno if decorators else statement.lineno


def _mark(value: Any) -> Any:
    """Return something that differs once a class or a decorated function was changed."""
    registry: Any = getattr(value, "registry", None)
    if callable(getattr(value, "dispatch", None)) and hasattr(registry, "values"):
        return [id(one) for one in registry.values()]
    module = str(type(value).__module__)
    if module.startswith("cellist"):
        return None
    try:
        state = cast("dict[str, Any]", vars(value))
    except TypeError:
        return None
    return {name: _stamp(part) for name, part in list(state.items()) if name not in _MACHINERY}


def _stamp(value: Any) -> Any:
    if isinstance(value, list | dict | set):
        try:
            return digest_value(cast("Any", value))
        except Exception:
            return id(cast("Any", value))
    return id(value)
