"""Names in single definitions and expressions: what a function takes from around it, and the like.

These need no order of events; `analysis` puts them in order.
"""

import ast
import re
import symtable
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_SWALLOWING = {"suppress", "raises", "assertRaises", "ExitStack", "AsyncExitStack"}
_CALM_DECORATORS = {"dataclass", "total_ordering", "final", "runtime_checkable", "define", "frozen"}
CALM_FOR_FUNCTIONS = {
    "property", "setter", "getter", "deleter", "staticmethod", "classmethod", "abstractmethod",
    "cached_property", "lru_cache", "cache", "wraps", "contextmanager", "asynccontextmanager",
    "override", "overload", "final", "singledispatch", "singledispatchmethod", "task", "flow",
}  # fmt: skip
"""Decorators by which no function is called at once."""
_CALM_BASES = {"object", "ABC", "Protocol", "Generic", "NamedTuple", "TypedDict", "BaseModel"}
_MAKING = {
    "namedtuple", "NamedTuple", "TypedDict", "NewType", "TypeVar", "ParamSpec", "TypeVarTuple",
    "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "make_dataclass",
}  # fmt: skip
"""What is called to make a type with a name."""
_SPEAKING = {  # calls whose texts name variables: pandas, numexpr, duckdb, patsy
    "query", "eval", "evaluate", "sql", "execute", "dmatrix", "dmatrices", "from_formula",
    "ols", "wls", "gls", "glm", "gee", "logit", "probit", "poisson", "mixedlm", "quantreg",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d]\w*")
_INERT = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.BinOp,
    ast.expr_context, ast.operator,
)  # fmt: skip
"""What an annotation or a default is mostly made of; it calls no function of the cell."""


class Knowledge:
    """What is known of things by their names alone; a doubt is decided so that more is read."""

    def swallows(self, manager: ast.expr) -> bool:
        """Whether a `with` on this expression may go on after an exception in its block."""
        return called_name(manager) in _SWALLOWING

    def calls_methods(self, definition: ast.ClassDef) -> bool:
        """Whether making the class may call its methods, as a metaclass or a decorator might."""
        if definition.keywords:
            return True
        calm = all(called_name(one) in _CALM_DECORATORS for one in definition.decorator_list)
        return not (calm and all(self.is_calm_base(base) for base in definition.bases))

    def is_library(self, function: ast.expr) -> bool:
        """Whether a dotted name is surely something of a library."""
        del function
        return False

    def is_calm(self, node: ast.expr, *, still: bool = False) -> bool:
        """Whether evaluating the expression surely calls no function of the notebook.

        `still` says that it may not pass on an object, either.
        """
        match node:
            case ast.Constant():
                return True
            case ast.Name():
                return not still
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return all(self.is_calm(part, still=still) for part in parts)
            case ast.Dict() | ast.BinOp() | ast.UnaryOp():
                return all(self.is_calm(part, still=True) for part in in_order(node))
            case ast.Call(func=function):
                return self.is_library(function) and all(
                    self.is_calm(part, still=True) for part in in_order(node)[1:]
                )
            case _:
                return False

    def is_calm_base(self, base: ast.expr) -> bool:
        """Whether a base class calls no methods of a subclass that is being made."""
        name = called_name(base.value if isinstance(base, ast.Subscript) else base)
        return name in _CALM_BASES or name.endswith(("Error", "Exception", "Warning"))


BY_NAME = Knowledge()


def called_name(node: ast.expr) -> str:
    """Return the last name of what is called, such as `suppress` of `contextlib.suppress(...)`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def makes_type(name: str, value: ast.expr) -> bool:
    """Whether an expression is a call that makes a type of this name, such as `namedtuple`."""
    match value:
        case ast.Call(args=[ast.Constant(value=said), *_]) if said == name:
            return called_name(value) in _MAKING
        case _:
            return False


def root_of(node: ast.expr) -> ast.Name | None:
    """Return the name at the root of `a.b[c].d`, `None` if there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def stored_in(body: list[ast.stmt]) -> set[str]:
    """Return the names that code binds, of functions in it, too."""
    found: set[str] = set()
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def is_inert(node: ast.expr) -> bool:
    """Whether evaluating the expression calls no function that the cell defines."""
    return all(isinstance(part, _INERT) for part in ast.walk(node))


def words_in_texts(call: ast.Call) -> Iterator[str]:
    """Yield the words in texts given to a call such as `df.query("a > @limit")`.

    Such calls look variables up by their names in the text.
    """
    if called_name(call) not in _SPEAKING:
        return
    for argument in (*call.args, *(word.value for word in call.keywords)):
        for part in ast.walk(argument):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield from _WORD.findall(part.value)


def words_of(text: str) -> set[str]:
    """Return the words in a text that may be names."""
    return set(_WORD.findall(text))


def looks_up_unwritten(call: ast.Call) -> bool:
    """Whether the call looks up names in a text that is not written in the call itself."""
    if called_name(call) not in _SPEAKING:
        return False
    given = [*call.args, *(word.value for word in call.keywords)]
    return not all(isinstance(one, ast.Constant) for one in given)


def evaluated_now(node: Function) -> list[ast.expr]:
    """Return what the definition of a function evaluates at once."""
    arguments = node.args
    parts = [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
    if isinstance(node, ast.Lambda):
        return parts
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    notes = [one.annotation for one in named] + [node.returns]
    return [*node.decorator_list, *parts, *(note for note in notes if note is not None)]


def free_names(node: Function) -> tuple[set[str], set[str]]:
    """Return the names a function takes from around it, and those it declares global and binds."""
    bare = ast.Expr(node) if isinstance(node, ast.Lambda) else node
    table = symtable.symtable(ast.unparse(ast.Module([bare], [])), "<cell>", "exec")
    free: set[str] = set()
    written: set[str] = set()
    tables = list(table.get_children())
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        is_class = str(inner.get_type()).lower().endswith("class")
        for symbol in inner.get_symbols():
            if symbol.is_global():
                free.add(symbol.get_name())
                if symbol.is_declared_global() and symbol.is_assigned():
                    written.add(symbol.get_name())
            elif is_class and symbol.is_referenced():
                free.add(symbol.get_name())  # `x = x` in a class reads the one outside
    return free, written


def in_order(node: ast.expr) -> list[ast.expr]:
    """Return the parts of an expression in the order Python evaluates them."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return [part for pair in pairs for part in pair if part is not None]
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            found.append(child.value)
        elif isinstance(child, ast.expr):
            found.append(child)
    return found
