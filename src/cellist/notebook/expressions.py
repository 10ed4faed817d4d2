"""What expressions read, in the order Python evaluates them, and the names noted of a cell."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from cellist.notebook import scopes

_HIDING = {"exec", "eval", "globals", "input", "get_ipython"}
_HIDING_BARE = {"locals", "vars", "dir"}
"""Hiding only without an argument."""
HARMLESS_MAGICS = frozenset({"matplotlib", "config"})
"""Line magics that hide no names; they are run again on a hit."""
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Bound = frozenset[str]
"""What is certainly bound so far."""
Lines = dict[str, int]
NOTHING: Bound = frozenset()


def _lines() -> Lines:
    return {}


@dataclass
class CellNames:
    """The names of a cell, each with the line of its first mention, in the order of mention."""

    reads: Lines = field(default_factory=_lines)
    """Names it may read before it has certainly bound them."""
    binds: Lines = field(default_factory=_lines)
    """Names it may bind."""
    certain: Bound | None = None
    """Names that are certainly bound at its end, `None` if it does not get there."""
    deletes: Lines = field(default_factory=_lines)
    changes: Lines = field(default_factory=_lines)
    """Inputs it visibly changes in place, such as `df` in `df["a"] = 1`."""
    mentions: Lines = field(default_factory=_lines)
    """Words in texts that look variables up by name, as in `df.query("a > @limit")`."""
    unwritten: Bound | None = None
    """What is certainly bound wherever such a text comes from elsewhere, as in `df.query(rule)`.

    `None` if there is no such call.
    """
    words: set[str] = field(default_factory=set[str])
    """The words in all texts of the cell."""
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict[str, list[ast.stmt]])
    """Functions, `name = lambda`, classes and imports by the name they bind."""
    assigned: set[str] = field(default_factory=set[str])
    """Names that are bound by something else than a definition."""
    hidden: Lines = field(default_factory=_lines)
    """What keeps names from being seen, such as `exec()`."""
    awaits: bool = False

    def doubtful(self) -> set[str]:
        """Return the names it may bind or leave as they are, and does not read."""
        if self.certain is None:
            return set()
        return self.binds.keys() - self.certain - self.reads.keys()


class ExpressionWalk:
    """Walks expressions and notes what they read; the base of the walk over statements."""

    def __init__(self, *, in_class: bool = False) -> None:
        self.found = CellNames()
        self.waiting: list[tuple[set[str], int]] = []
        """Free names of functions just defined; they are read when anything else runs."""
        self.globals: set[str] = set()
        """Names a class body declares global."""
        self.in_class = in_class
        """Functions and comprehensions in a class do not see the names it binds."""

    def expression(self, node: ast.expr, bound: Bound) -> Bound:  # noqa: C901 - one case a kind
        """Note what an expression reads, in the order Python evaluates it."""
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self.read(name, node.lineno, bound)
                if name in _HIDING:
                    self.found.hidden.setdefault(f"{name}()", node.lineno)
            case ast.NamedExpr(target=target, value=value):
                bound = self.target(target, self.expression(value, bound))
            case ast.Lambda():
                for part in scopes.evaluated_now(node):
                    bound = self.expression(part, bound)
                self.later(node)
                self.flush(bound)  # it may be called before the statement ends
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                bound = self._comprehension(node, bound)
            case ast.BoolOp(values=values):
                bound = self._maybe(self.expression(values[0], bound), values[1:])
            case ast.Compare(left=left, comparators=[first, *rest]):
                bound = self.expression(first, self.expression(left, bound))
                bound = self._maybe(bound, rest)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                bound = self.expression(test, bound)
                bound = self.expression(body, bound) & self.expression(orelse, bound)
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method)
            ):
                self._note_magic(node, method)
            case _:
                self._note_special(node, bound)
                for child in scopes.in_order(node):
                    bound = self.expression(child, bound)
        return bound

    def _maybe(self, bound: Bound, values: Iterable[ast.expr]) -> Bound:
        """Evaluate expressions that may not be reached; what they bind is not certain."""
        inner = bound
        for value in values:
            inner = self.expression(value, inner)
        return bound

    def _comprehension(self, node: _Comprehension, bound: Bound) -> Bound:
        bound = self.expression(node.generators[0].iter, bound)
        inner = NOTHING if self.in_class else bound
        for index, generator in enumerate(node.generators):
            self.found.awaits |= bool(generator.is_async)
            if index:
                inner = self.expression(generator.iter, inner)
            names = [part for part in ast.walk(generator.target) if isinstance(part, ast.Name)]
            for name in names:
                if isinstance(name.ctx, ast.Load):
                    self.expression(name, inner)
            inner |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
            for condition in generator.ifs:
                inner = self.expression(condition, inner)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            inner = self.expression(part, inner)
        return bound

    def _note_magic(self, node: ast.Call, method: str) -> None:
        """Note what IPython made of a magic or a command: its text hides names."""
        first = node.args[0] if node.args else None
        text = str(first.value) if isinstance(first, ast.Constant) else ""
        if not (method == "run_line_magic" and text in HARMLESS_MAGICS):
            shown = f"%{text}" if "magic" in method else f"!{text[:20]}"
            self.found.hidden.setdefault(shown, node.lineno)

    def _note_special(self, node: ast.expr, bound: Bound) -> None:
        """Note awaits, words in texts that are looked up, and what hides names."""
        hidden = self.found.hidden
        match node:
            case ast.Await():
                self.found.awaits = True
            case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name in _HIDING_BARE:
                hidden.setdefault(f"{name}()", node.lineno)
            case ast.Call():
                for word in scopes.words_in_texts(node):
                    if word not in bound:
                        self.found.mentions.setdefault(word, node.lineno)
                if scopes.looks_up_unwritten(node):
                    before = self.found.unwritten
                    self.found.unwritten = bound if before is None else before & bound
            case ast.Constant(value=str() as text):
                self.found.words |= scopes.words_of(text)
            case _:
                pass

    def target(self, node: ast.expr, bound: Bound) -> Bound:
        """Note what is assigned to and return what is bound with it."""
        match node:
            case ast.Name(id=name):
                return self.bind(name, node.lineno, bound)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    bound = self.target(part, bound)
                return bound
            case ast.Starred(value=value):
                return self.target(value, bound)
            case _:
                root = scopes.root_of(node)
                if root is not None and root.id not in bound:
                    self.changed(root)
                for child in scopes.in_order(node):
                    bound = self.expression(child, bound)
                return bound

    def bind(self, name: str, line: int, bound: Bound, definition: ast.stmt | None = None) -> Bound:
        """Note a binding and return what is bound with it."""
        self.found.binds.setdefault(name, line)
        if definition is None:
            self.found.assigned.add(name)
        else:
            self.found.definitions.setdefault(name, []).append(definition)
        return bound | {name}

    def read(self, name: str, line: int, bound: Bound) -> None:
        """Note a read, unless the cell has certainly bound the name before."""
        if name not in bound:
            self.found.reads.setdefault(name, line)

    def changed(self, node: ast.Name) -> None:
        """Note that an input is visibly changed in place."""
        self.found.changes.setdefault(node.id, node.lineno)

    def later(self, node: scopes.Function) -> None:
        """Note a function that will run later, if at all."""
        free, written = scopes.free_names(node)
        for name in sorted(free & _HIDING):
            self.found.hidden.setdefault(f"{name}()", node.lineno)
        for name in sorted(written):
            self.found.binds.setdefault(name, node.lineno)
            self.found.assigned.add(name)
            self.globals.add(name)
        self.waiting.append((free, node.lineno))

    def flush(self, bound: Bound) -> None:
        """Read what functions defined so far refer to: from here on they may be called."""
        waiting, self.waiting = self.waiting, []
        for free, line in waiting:
            for name in sorted(free):
                self.read(name, line, NOTHING if self.in_class else bound)
