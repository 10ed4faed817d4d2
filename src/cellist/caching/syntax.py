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
from typing import Any, NamedTuple, cast

from cellist.caching.quoted import names_in_expression, names_in_query
from cellist.caching.readers import NAMESPACES, READERS
from cellist.caching.tree_parts import (
    IMPORTS,
    WORDS,
    BodyImport,
    Chain,
    Definition,
    Form,
    annotations_of,
    chain_of,
    computed_import,
    docstring_of,
    form,
    framed,
    is_own_module,
    scalar,
    sorted_imports,
    text_of,
)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_IMPORTERS = frozenset({"import_module", "__import__"})
_EVALUATORS = frozenset({"eval", "exec", "compile"})
_PARAMETERS = ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg")
_FORMS: dict[type[ast.AST], Form] = {}
"""How nodes of a type are written."""


class Shape(NamedTuple):
    """What the text of one definition says.

    `digest` leaves docstrings out, `docs` are they. `chains` are the dotted names read or written,
    `forced` those that are global names whatever the scopes say, `annotations` the ones in the
    signature's annotations, `quoted` the ones in texts that pandas or `eval` read, global unless
    they are local, `named` those that hold the names of modules to import, or tell behind an empty
    root how one is computed. With `escapes`, any name of the function's module may be meant.
    """

    digest: str
    docs: tuple[str, ...]
    chains: frozenset[Chain]
    forced: frozenset[Chain]
    imports: tuple[BodyImport, ...]
    annotations: frozenset[Chain]
    reads: frozenset[str]
    quoted: frozenset[Chain] = frozenset()
    escapes: bool = False
    named: frozenset[Chain] = frozenset()


def shape_of(node: Definition) -> Shape:
    """Return the canonical digest of a function or lambda and the names it uses."""
    name = None if isinstance(node, ast.Lambda) else node.name
    walk = _Walk(name)
    stack: list[Any] = []
    walk.definition(node, stack)
    walk.emit(stack)
    walk.finish()
    docs = (docstring_of(node), *walk.docs) if isinstance(node, _FUNCTIONS) else tuple(walk.docs)
    annotated: frozenset[Chain] = frozenset()
    if annotations := annotations_of(node):
        other = _Walk(name)
        other.emit(annotations)
        annotated = frozenset(other.chains)
    return Shape(
        hashlib.sha256("".join(walk.out).encode("utf-8", "surrogatepass")).hexdigest(),
        docs,
        frozenset(walk.chains),
        frozenset(walk.forced),
        tuple(walk.imports),
        annotated,
        frozenset(walk.reads),
        frozenset(walk.quoted),
        walk.escapes,
        frozenset(walk.named),
    )


def digest_of(node: ast.AST) -> str:
    """Return the canonical digest of any syntax tree, such as the body of a cell."""
    walk = _Walk(None)
    walk.emit([node])
    walk.finish()
    return hashlib.sha256("".join(walk.out).encode("utf-8", "surrogatepass")).hexdigest()


def _form_of(kind: type[ast.AST]) -> Form:
    """Return what nodes of a type are written by, worked out once."""
    names = [name for name in kind._fields if name not in _SKIPPED_FIELDS]
    found = _FORMS[kind] = form(kind.__name__, names)
    return found


_DEFINITIONS = {
    kind: form(kind.__name__, (*_PARAMETERS, "body", "returns", "type_params"))
    for kind in (*_FUNCTIONS, ast.Lambda)
}
"""What counts of a definition itself: no name, no decorators, no default values."""


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
        self.quoted: set[Chain] = set()
        self.named: set[Chain] = set()
        self.escapes = False
        self._stored: set[str] = set()
        self._declared: set[str] = set()
        self._quiet: set[int] = set()
        self._typed: set[int] = set()
        """Annotated assignments in class bodies: there the annotations are values."""

    def emit(self, stack: list[Any]) -> None:
        """Write what lies on the stack, top first: trees, and texts that go in as they are."""
        write, pop = self.out.append, stack.pop
        special, generic = _SPECIAL.get, _Walk.generic
        while stack:
            item: object = pop()
            if type(item) is str:
                write(item)
            else:
                special(type(item), generic)(self, item, stack)

    def finish(self) -> None:
        """Write what is known at the end: local names that nothing but an annotation makes so."""
        self.out += [f"(Declare {framed(one)})" for one in sorted(self._declared - self._stored)]

    def generic(self, node: ast.AST, stack: list[Any]) -> None:
        """Write a node by its fields."""
        kind = type(node)
        self._write(_FORMS.get(kind) or _form_of(kind), node.__dict__, stack)

    def word(self, node: ast.AST, _stack: list[Any]) -> None:
        """Write a node that has no fields, such as an operator."""
        self.out.append(WORDS[type(node)])

    def parameter(self, node: ast.arg, stack: list[Any]) -> None:
        """Write a parameter; most have no annotation."""
        if node.annotation is None:
            self.out.append(f"(arg arg=s{len(node.arg)}:{node.arg})")
        else:
            self.generic(node, stack)

    def fields(self, tag: str, fields: dict[str, Any], stack: list[Any]) -> None:
        """Write a tag and fields."""
        self._write(form(tag, list(fields)), fields, stack)

    def definition(self, node: Definition, stack: list[Any]) -> None:
        """Write the definition that the walk is about."""
        values = {**node.__dict__, **node.args.__dict__}
        if isinstance(node, ast.Lambda):
            values["body"] = [node.body]
        self._write(_DEFINITIONS[type(node)], values, stack)

    def _write(self, way: Form, values: dict[str, Any], stack: list[Any]) -> None:
        """Write fields as a form says; those that are empty are left out, as older Pythons do."""
        head, fields = way
        self.out.append(head)
        push, get = stack.append, values.get
        push(")")
        for name, label, has_statements in fields:
            value = get(name)
            if value is None:
                continue
            if isinstance(value, ast.AST):
                push(value)
                push(label)
            elif isinstance(value, list):
                items = cast("list[Any]", value)
                if has_statements:
                    items = self._effective(items)
                if items:
                    push("]")
                    stack += [i if isinstance(i, ast.AST) else scalar(i) for i in items[::-1]]
                    push(f"{label}[{len(items)} ")
            else:
                push(label + scalar(value))

    def _effective(self, items: list[Any]) -> list[Any]:
        """Return the list without the statements that do nothing, its imports in order."""
        found: list[Any] = []
        imports = 0
        for item in items:
            if isinstance(item, ast.AnnAssign) and item.value is None and item.simple:
                if id(item) not in self._typed and isinstance(item.target, ast.Name):
                    self._declared.add(item.target.id)
                    continue
            elif isinstance(item, ast.Pass) or (
                isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
            ):
                continue
            imports += isinstance(item, IMPORTS)
            found.append(item)
        return sorted_imports(found) if imports > 1 else found

    def name(self, node: ast.Name, _stack: list[Any]) -> None:
        """Write a name; the definition's own is told by its place."""
        name = node.id
        if id(node) not in self._quiet:
            self.chains.add((name,))
        if type(node.ctx) is ast.Store:
            self._stored.add(name)
        self.out.append("(Self)" if name == self.own_name else f"(Name {len(name)}:{name})")

    def attribute(self, node: ast.Attribute, stack: list[Any]) -> None:
        """Write an attribute, and a dotted name at once."""
        if node.attr in READERS:
            self.reads.add(node.attr)
        self.escapes |= node.attr in NAMESPACES
        chain = chain_of(node)
        if chain is None:
            self.generic(node, stack)
            return
        if id(node) not in self._quiet:
            self.chains.add(chain)
        root, *attributes = chain
        text = "(Self)" if root == self.own_name else f"(Name {len(root)}:{root})"
        for attribute in attributes:
            if attribute in READERS:
                self.reads.add(attribute)
            text = f"(Attribute attr={len(attribute)}:{attribute}value={text})"
        self.out.append(text)

    def constant(self, node: ast.Constant, _stack: list[Any]) -> None:
        """Write a constant with its type."""
        value: object = node.value
        if isinstance(value, str) and value in READERS:
            self.reads.add(value)
        self.out.append(f"(Constant {scalar(value)})")

    def call(self, node: ast.Call, stack: list[Any]) -> None:
        """Write a call; `getattr` and imports by a constant name are what they stand for."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in READERS:
            self.reads.add(called)
        self.reads.update(one.arg for one in node.keywords if one.arg in READERS)
        if called in {"getattr", "hasattr"} and len(node.args) > 1:
            self._named_attribute(node.args[0], node.args[1])
        elif called in _IMPORTERS and node.args:
            self._import_by_name(node.args[0])
            self.named.update(computed_import(node))
        elif called in _EVALUATORS and isinstance(node.func, ast.Name) and node.args:
            self._evaluate(node)
        elif called in {"query", "eval"} and node.args:
            self.quoted.update(names_in_query(node.args[0]))
        elif called == "get" and node.args:
            self._look_up(node.func, node.args[0])
        elif called == "globals" and id(node) not in self._quiet:
            self.escapes = True
        self.generic(node, stack)

    def _named_attribute(self, owner: ast.expr, key: ast.expr) -> None:
        """Note an attribute that is asked for by a constant name."""
        chain, name = chain_of(owner), text_of(key)
        if chain is not None and name is not None:
            self.chains.add((*chain, name))
            self._quiet.add(id(owner))
        elif name is not None and is_own_module(owner):
            self.forced.add((name,))
            self._quiet.add(id(owner))

    def _evaluate(self, node: ast.Call) -> None:
        """Note the names in code given as a text; one put together at run time may mean any."""
        text = text_of(node.args[0])
        self.quoted.update(names_in_expression(text or ""))
        self.escapes |= text is None and len(node.args) + len(node.keywords) == 1

    def _import_by_name(self, key: ast.expr) -> None:
        module, chain = text_of(key), chain_of(key)
        if module is not None:
            self.imports.append(BodyImport("", module))
        elif chain is not None and chain != ("__name__",):
            self.named.add(chain)

    def _look_up(self, base: ast.AST, key: ast.AST) -> None:
        """Note what is looked up in `globals()` by a constant name."""
        base = base.value if isinstance(base, ast.Attribute) else base
        name = text_of(key)
        if isinstance(base, ast.Call) and chain_of(base.func) == ("globals",) and name is not None:
            self.forced.add((name,))
            self._quiet.add(id(base))

    def subscript(self, node: ast.Subscript, stack: list[Any]) -> None:
        """Write a subscript; `globals()["name"]` is a global name."""
        self._look_up(node.value, node.slice)
        if chain_of(node.value) in {("sys", "modules"), ("modules",)}:
            self._import_by_name(node.slice)
            if is_own_module(node) and id(node) not in self._quiet:
                self.escapes = True
        self.generic(node, stack)

    def joined(self, node: ast.JoinedStr, stack: list[Any]) -> None:
        """Write an f-string: neighbouring texts are one, and one without fields is a text."""
        parts: list[ast.expr | str] = []
        text = ""
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += str(value.value)
                continue
            if text:
                parts.append(f"(Constant {scalar(text)})")
            text = ""
            parts.append(value)
        if text or not parts:
            parts.append(f"(Constant {scalar(text)})")
        if len(parts) > 1 or not isinstance(parts[0], str):
            self.out.append(f"(JoinedStr {len(parts)} ")
            stack.append(")")
        stack.extend(reversed(parts))

    def delete(self, node: ast.Delete, stack: list[Any]) -> None:
        """Write a deletion; parentheses around its targets mean nothing."""
        targets: list[ast.expr] = []
        pending = list(reversed(node.targets))
        while pending:
            target = pending.pop()
            if isinstance(target, (ast.Tuple, ast.List)):
                pending.extend(reversed(target.elts))
            else:
                targets.append(target)
        self.fields("Delete", {"targets": targets}, stack)

    def annotated(self, node: ast.AnnAssign, stack: list[Any]) -> None:
        """Write an annotated assignment; in a function the annotation is never looked at."""
        if id(node) in self._typed or not node.simple:
            self.generic(node, stack)
        else:
            self.fields("Assign", {"targets": [node.target], "value": node.value}, stack)

    def documented(self, node: ast.AST, stack: list[Any]) -> None:
        """Write a nested function or class, its docstring aside."""
        self.docs.append(docstring_of(node))
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if not isinstance(statement, _FUNCTIONS):
                    self._typed.update(
                        id(n) for n in ast.walk(statement) if isinstance(n, ast.AnnAssign)
                    )
        self.generic(node, stack)

    def imported(self, node: ast.Import, stack: list[Any]) -> None:
        """Write an import."""
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            self.imports.append(BodyImport(bound, alias.name, top=alias.asname is None))
        self.generic(node, stack)

    def import_from(self, node: ast.ImportFrom, stack: list[Any]) -> None:
        """Write an import of names."""
        for alias in node.names:
            bound = alias.asname or alias.name
            self.imports.append(BodyImport(bound, node.module or "", alias.name, node.level))
        self.generic(node, stack)


_SPECIAL: dict[Any, Any] = {
    **dict.fromkeys(WORDS, _Walk.word),
    ast.arg: _Walk.parameter,
    ast.Name: _Walk.name,
    ast.Attribute: _Walk.attribute,
    ast.Constant: _Walk.constant,
    ast.Call: _Walk.call,
    ast.Subscript: _Walk.subscript,
    ast.JoinedStr: _Walk.joined,
    ast.Delete: _Walk.delete,
    ast.AnnAssign: _Walk.annotated,
    ast.FunctionDef: _Walk.documented,
    ast.AsyncFunctionDef: _Walk.documented,
    ast.ClassDef: _Walk.documented,
    ast.Import: _Walk.imported,
    ast.ImportFrom: _Walk.import_from,
}
