"""A canonical form of syntax trees: the same on every Python, whatever the layout of the text.

`ast.dump`, `ast.unparse` and bytecode all change with the Python version, so this module writes
trees itself. Left out: positions, comments, formatting, contexts, statements that do nothing
(`pass`, bare constants and so docstrings), and of the definition itself its name, its decorators
(what they did is in the objects they made) and its default values (they count as values).
Every text is written with its length, so no two trees read the same. The walk keeps a stack of its
own: a long chain of operators must not meet the recursion limit.

On the way it notes what the source component needs: dotted names, imports inside the body, and
whether the code looks at docstrings, names or annotations of functions, which then count.
"""

import ast
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

Chain = tuple[str, ...]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_STATEMENTS = frozenset({"body", "orelse", "finalbody"})
_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
DOCS = frozenset({"__doc__", "getdoc", "getcomments", "help", "render_doc"})
NAMES = frozenset({"__name__", "__qualname__"})
ANNOTATIONS = frozenset(
    {"__annotations__", "get_type_hints", "get_annotations", "signature", "getfullargspec"}
)
_READERS = DOCS | NAMES | ANNOTATIONS
_IMPORTERS = frozenset({"import_module", "__import__"})
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}


class BodyImport(NamedTuple):
    """An import inside a body: `bound` names `module`, its top level, or an `attribute` of it."""

    bound: str
    module: str
    attribute: str | None = None
    level: int = 0
    top: bool = False


class Shape(NamedTuple):
    """What the text of one definition says.

    `digest` leaves docstrings out, `docs` are they. `chains` are the dotted names read or written,
    `forced` those that are global names whatever the scopes say, `annotations` the ones in the
    signature's annotations.
    """

    digest: str
    docs: tuple[str, ...]
    chains: frozenset[Chain]
    forced: frozenset[Chain]
    imports: tuple[BodyImport, ...]
    annotations: frozenset[Chain]
    reads: frozenset[str]


def shape_of(node: Definition) -> Shape:
    """Return the canonical digest of a function or lambda and the names it uses."""
    name = None if isinstance(node, ast.Lambda) else node.name
    walk = _Walk(name)
    walk.emit([_definition(node)])
    docs = (_docstring(node), *walk.docs) if isinstance(node, _FUNCTIONS) else tuple(walk.docs)
    annotated = _Walk(name)
    annotated.emit(_annotations(node))
    return Shape(
        hashlib.sha256("".join(walk.out).encode("utf-8", "surrogatepass")).hexdigest(),
        docs,
        frozenset(walk.chains),
        frozenset(walk.forced),
        tuple(walk.imports),
        frozenset(annotated.chains),
        frozenset(walk.reads),
    )


def digest_of(node: ast.AST) -> str:
    """Return the canonical digest of any syntax tree, such as the body of a cell."""
    walk = _Walk(None)
    walk.emit([node])
    return hashlib.sha256("".join(walk.out).encode("utf-8", "surrogatepass")).hexdigest()


class _Parts(NamedTuple):
    """A node to write, as its tag and its fields."""

    tag: str
    fields: tuple[tuple[str, Any], ...]


def _definition(node: Definition) -> _Parts:
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    arguments = node.args
    kept = ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg")
    fields: list[tuple[str, Any]] = [
        ("args", _Parts("arguments", tuple((key, getattr(arguments, key)) for key in kept))),
        ("body", body),
    ]
    if not isinstance(node, ast.Lambda):
        fields.append(("returns", node.returns))
        fields.append(("type_params", getattr(node, "type_params", None)))
    return _Parts(type(node).__name__, tuple(fields))


def _annotations(node: Definition) -> list[Any]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    found = [argument.annotation for argument in every]
    found.append(getattr(node, "returns", None))
    return [annotation for annotation in found if annotation is not None]


def _docstring(node: ast.AST) -> str:
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


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    fields = tuple(field for field in kind._fields if field not in _SKIPPED_FIELDS)
    _FIELDS[kind] = fields
    return fields


def _framed(text: str) -> str:
    return f"{len(text)}:{text}"


class _Walk:
    """Writes trees into `out` and notes names on the way."""

    def __init__(self, own_name: str | None) -> None:
        self.own_name = own_name
        self.out: list[str] = []
        self.docs: list[str] = []
        self.chains: set[Chain] = set()
        self.forced: set[Chain] = set()
        self.imports: list[BodyImport] = []
        self.reads: set[str] = set()
        self._quiet: set[int] = set()
        self._typed: set[int] = set()
        """Annotated assignments in class bodies: there the annotations are values."""

    def emit(self, stack: list[Any]) -> None:
        """Write what lies on the stack, top first. Texts wrapped in a tuple are written as are."""
        out = self.out
        stack.reverse()
        while stack:
            item = stack.pop()
            if isinstance(item, tuple) and type(item) is tuple:
                out.append(item[0])
            elif isinstance(item, ast.AST):
                special = _SPECIAL.get(type(item))
                if special is None:
                    self._generic(item, stack)
                else:
                    special(self, item, stack)
            elif isinstance(item, list):
                self._list(item, stack)
            elif isinstance(item, _Parts):
                self._fields(item.tag, item.fields, stack)
            else:
                out.append(_scalar(item))

    def _generic(self, node: ast.AST, stack: list[Any]) -> None:
        kind = type(node)
        names = _FIELDS.get(kind) or _fields(kind)
        self._fields(kind.__name__, [(name, getattr(node, name, None)) for name in names], stack)

    def _fields(self, tag: str, fields: Sequence[tuple[str, Any]], stack: list[Any]) -> None:
        self.out.append(f"({tag} ")
        stack.append((")",))
        for name, value in reversed(fields):
            if value is None:
                continue
            if isinstance(value, list):
                if name in _STATEMENTS:
                    value = _effective(value)
                if not value:
                    continue
            stack.append(value)
            stack.append((f"{name}=",))

    def _list(self, items: list[Any], stack: list[Any]) -> None:
        self.out.append(f"[{len(items)} ")
        stack.append(("]",))
        stack.extend(reversed(items))

    def _name(self, node: ast.Name, _stack: list[Any]) -> None:
        if id(node) not in self._quiet:
            self.chains.add((node.id,))
        self._write_name(node.id)

    def _write_name(self, name: str) -> None:
        self.out.append("(Self)" if name == self.own_name else f"(Name {_framed(name)})")

    def _attribute(self, node: ast.Attribute, stack: list[Any]) -> None:
        if node.attr in _READERS:
            self.reads.add(node.attr)
        chain = chain_of(node)
        if chain is None:
            self._generic(node, stack)
            return
        if id(node) not in self._quiet:
            self.chains.add(chain)
        for attribute in reversed(chain[1:]):
            if attribute in _READERS:
                self.reads.add(attribute)
            self.out.append(f"(Attribute attr={_framed(attribute)}value=")
        self._write_name(chain[0])
        self.out.append(")" * (len(chain) - 1))

    def _constant(self, node: ast.Constant, _stack: list[Any]) -> None:
        value: object = node.value
        if isinstance(value, str) and value in _READERS:
            self.reads.add(value)
        self.out.append(f"(Constant {_scalar(value)})")

    def _call(self, node: ast.Call, stack: list[Any]) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in _READERS:
            self.reads.add(called)
        if called in {"getattr", "hasattr"} and len(node.args) > 1:
            chain, name = chain_of(node.args[0]), _text(node.args[1])
            if chain is not None and name is not None:
                self.chains.add((*chain, name))
                self._quiet.add(id(node.args[0]))
        elif called in _IMPORTERS and node.args:
            module = _text(node.args[0])
            if module is not None:
                self.imports.append(BodyImport("", module))
        self._generic(node, stack)

    def _subscript(self, node: ast.Subscript, stack: list[Any]) -> None:
        base = node.value
        if isinstance(base, ast.Call) and chain_of(base.func) == ("globals",):
            key = _text(node.slice)
            if key is not None:
                self.forced.add((key,))
        self._generic(node, stack)

    def _joined(self, node: ast.JoinedStr, stack: list[Any]) -> None:
        parts: list[Any] = []
        text = ""
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += str(value.value)
                continue
            if text:
                parts.append((f"(Constant {_scalar(text)})",))
            text = ""
            parts.append(value)
        if text or not parts:
            parts.append((f"(Constant {_scalar(text)})",))
        if len(parts) == 1 and isinstance(parts[0], tuple):
            stack.append(parts[0])
        else:
            self.out.append("(JoinedStr ")
            stack.append((")",))
            stack.append(parts)

    def _delete(self, node: ast.Delete, stack: list[Any]) -> None:
        targets: list[ast.expr] = []
        pending = list(reversed(node.targets))
        while pending:
            target = pending.pop()
            if isinstance(target, (ast.Tuple, ast.List)):
                pending.extend(reversed(target.elts))
            else:
                targets.append(target)
        self._fields("Delete", [("targets", targets)], stack)

    def _annotated(self, node: ast.AnnAssign, stack: list[Any]) -> None:
        if id(node) in self._typed or not node.simple:
            self._generic(node, stack)
        elif node.value is None:
            self._fields("Declare", [("target", node.target)], stack)
        else:
            fields = [("targets", [node.target]), ("value", node.value)]
            self._fields("Assign", fields, stack)

    def _documented(self, node: ast.AST, stack: list[Any]) -> None:
        self.docs.append(_docstring(node))
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if not isinstance(statement, _FUNCTIONS):
                    self._typed.update(
                        id(n) for n in ast.walk(statement) if isinstance(n, ast.AnnAssign)
                    )
        self._generic(node, stack)

    def _import(self, node: ast.Import, stack: list[Any]) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            self.imports.append(BodyImport(bound, alias.name, top=alias.asname is None))
        self._generic(node, stack)

    def _import_from(self, node: ast.ImportFrom, stack: list[Any]) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name
            self.imports.append(BodyImport(bound, node.module or "", alias.name, node.level))
        self._generic(node, stack)


def _text(node: ast.AST) -> str | None:
    """Return the text a constant holds, None for any other node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _effective(items: list[Any]) -> list[Any]:
    """Return the list without the statements that do nothing."""
    return [
        item
        for item in items
        if not isinstance(item, ast.Pass)
        and not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
    ]


def _scalar(value: object) -> str:
    """Return a constant, a name or an absent element, with its type and length."""
    if value is None:
        return "n;"
    if isinstance(value, str):
        return "s" + _framed(value)
    if isinstance(value, bool):
        return f"b{value:d};"
    if isinstance(value, int):
        return f"i{value:x};"  # hexadecimal: long numbers have a limit in decimal
    if isinstance(value, float):
        return f"f{value.hex()};"
    if isinstance(value, bytes):
        return "y" + _framed(value.hex())
    if isinstance(value, complex):
        return f"c{value.real.hex()},{value.imag.hex()};"
    return f"o{type(value).__name__};"  # Ellipsis is the only one left


_SPECIAL: dict[type[ast.AST], Any] = {
    ast.Name: _Walk._name,
    ast.Attribute: _Walk._attribute,
    ast.Constant: _Walk._constant,
    ast.Call: _Walk._call,
    ast.Subscript: _Walk._subscript,
    ast.JoinedStr: _Walk._joined,
    ast.Delete: _Walk._delete,
    ast.AnnAssign: _Walk._annotated,
    ast.FunctionDef: _Walk._documented,
    ast.AsyncFunctionDef: _Walk._documented,
    ast.ClassDef: _Walk._documented,
    ast.Import: _Walk._import,
    ast.ImportFrom: _Walk._import_from,
}
