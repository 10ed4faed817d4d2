"""What the code of a cell reads, binds, deletes and changes in place, found without running it.

Inputs are the names that may be read before they are certainly bound: flow-sensitive over
branches, loops that may run no time, `try` with its handlers, `match`, walrus and comprehension
scopes. Reading one too many costs a needless run; missing one would give a wrong result, so every
doubt counts as a read. What a function refers to counts as read once anything runs that might call
it: functions defined one after the other may call each other.

A `with` block is taken to run to its end, unless its manager is one that may swallow exceptions.
What hides names from any reader (`exec`, `globals`, star imports, magics) is listed in `hidden`:
such a cell cannot be keyed.
"""

import ast
from collections.abc import Iterable

from cellist.notebook import scopes
from cellist.notebook.expressions import NOTHING, Bound, CellNames, ExpressionWalk

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def names_of(tree: ast.Module, knowledge: scopes.Knowledge = scopes.BY_NAME) -> CellNames:
    """Return the names of a cell's code, IPython's syntax already turned into Python's.

    `knowledge` says what a `with` or a class statement may do besides what is written.
    """
    walk = _Walk(knowledge)
    after = walk.block(tree.body, NOTHING)
    walk.flush(NOTHING if after is None else after)
    walk.found.certain = after
    return walk.found


def evaluated_by(definition: ast.stmt) -> set[str]:
    """Return the names that a definition reads when it is executed, not when it is called."""
    walk = _DefinitionWalk(scopes.BY_NAME)
    walk.block([definition], NOTHING)
    return set(walk.found.reads)


class _Walk(ExpressionWalk):
    """Walks statements in the order they run, with what is certainly bound so far."""

    def __init__(self, knowledge: scopes.Knowledge, *, in_class: bool = False) -> None:
        super().__init__(in_class=in_class)
        self._knowledge = knowledge

    # -- statements: each returns what is certainly bound after it, None if nothing comes after --

    def block(self, body: Iterable[ast.stmt], bound: Bound) -> Bound | None:
        """Walk statements one after the other."""
        after: Bound | None = bound
        for statement in body:
            if after is None:
                return None  # never reached
            after = self.statement(statement, after)
        return after

    def nested(self, body: Iterable[ast.stmt], bound: Bound) -> Bound | None:
        """Walk a block that may not be run; what it defines last may be called by what follows."""
        after = self.block(body, bound)
        if after is not None:
            self.flush(after)
        return after

    def statement(self, node: ast.stmt, bound: Bound) -> Bound | None:
        """Walk one statement."""
        if not self._is_calm(node):
            self.flush(bound)
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            return method(node, bound)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                bound = self.expression(child, bound)
        return bound

    def _is_calm(self, node: ast.stmt) -> bool:
        """Whether no function that was defined before can be called by the statement."""
        match node:
            case ast.Assign(value=value, targets=targets):
                named = all(isinstance(target, ast.Name) for target in targets)
            case ast.AnnAssign(value=ast.expr() as value, target=target):
                named = isinstance(target, ast.Name) and scopes.is_inert(node.annotation)
            case ast.Expr(value=ast.Constant()):
                return True
            case _:
                return isinstance(node, (*_FUNCTIONS, ast.Import, ast.ImportFrom, ast.Pass))
        if isinstance(value, ast.Lambda):
            return named and not scopes.evaluated_now(value)
        return named and self._knowledge.is_calm(value) and not self._calls_own(value)

    def _calls_own(self, value: ast.expr) -> bool:
        """Whether an expression calls a name that the cell binds, unless it imports it."""
        roots = {
            root.id
            for node in ast.walk(value)
            if isinstance(node, ast.Call) and (root := scopes.root_of(node.func)) is not None
        }
        return any(
            root in self.found.assigned
            or not all(
                isinstance(made, ast.Import | ast.ImportFrom)
                for made in self.found.definitions.get(root, ())
            )
            for root in roots
        )

    def _return(self, node: ast.Return, bound: Bound) -> None:
        if node.value is not None:
            self.expression(node.value, bound)

    def _raise(self, node: ast.Raise, bound: Bound) -> None:
        for part in (node.exc, node.cause):
            if part is not None:
                bound = self.expression(part, bound)

    def _break(self, node: ast.Break, bound: Bound) -> None:
        del node, bound

    def _continue(self, node: ast.Continue, bound: Bound) -> None:
        del node, bound

    def _global(self, node: ast.Global, bound: Bound) -> Bound:
        self.globals.update(node.names)
        return bound - set(node.names) if self.in_class else bound

    def _assert(self, node: ast.Assert, bound: Bound) -> Bound:
        bound = self.expression(node.test, bound)
        if node.msg is not None:
            self.expression(node.msg, bound)
        return bound

    def _assign(self, node: ast.Assign, bound: Bound) -> Bound:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                for part in scopes.evaluated_now(function):
                    bound = self.expression(part, bound)
                self.later(function)
                return self.bind(name, node.lineno, bound, node)
            case ast.Assign(targets=[ast.Name(id=name)]) if scopes.makes_type(name, node.value):
                return self.bind(name, node.lineno, self.expression(node.value, bound), node)
            case _:
                bound = self.expression(node.value, bound)
        for target in node.targets:
            bound = self.target(target, bound)
        return bound

    def _annassign(self, node: ast.AnnAssign, bound: Bound) -> Bound:
        self.expression(node.annotation, bound)
        if node.value is None:
            return bound
        return self.target(node.target, self.expression(node.value, bound))

    def _augassign(self, node: ast.AugAssign, bound: Bound) -> Bound:
        if isinstance(node.target, ast.Name):
            self.read(node.target.id, node.lineno, bound)
            if node.target.id not in bound:
                self.changed(node.target)  # a list or an array grows in place
            return self.target(node.target, self.expression(node.value, bound))
        return self.expression(node.value, self.target(node.target, bound))

    def _typealias(self, node: ast.stmt, bound: Bound) -> Bound:
        self.expression(getattr(node, "value"), bound)  # noqa: B009 - unknown before Python 3.12
        return self.target(getattr(node, "name"), bound)  # noqa: B009 - the same

    def _delete(self, node: ast.Delete, bound: Bound) -> Bound:
        for target in node.targets:
            bound = self._forget(target, bound)
        return bound

    def _forget(self, target: ast.expr, bound: Bound) -> Bound:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                bound = self._forget(part, bound)
            return bound
        if not isinstance(target, ast.Name):
            return self.target(target, bound)
        self.read(target.id, target.lineno, bound)
        self.found.deletes.setdefault(target.id, target.lineno)
        return bound - {target.id}

    def _if(self, node: ast.If, bound: Bound) -> Bound | None:
        bound = self.expression(node.test, bound)
        return _either(self.nested(node.body, bound), self.nested(node.orelse, bound))

    def _for(self, node: ast.For | ast.AsyncFor, bound: Bound) -> Bound:
        bound = self.expression(node.iter, bound)
        self.nested(node.body, self.target(node.target, bound))
        self.nested(node.orelse, bound)
        return bound

    def _asyncfor(self, node: ast.AsyncFor, bound: Bound) -> Bound:
        self.found.awaits = True
        return self._for(node, bound)

    def _while(self, node: ast.While, bound: Bound) -> Bound:
        bound = self.expression(node.test, bound)
        self.nested(node.body, bound)
        self.nested(node.orelse, bound)
        return bound

    def _with(self, node: ast.With | ast.AsyncWith, bound: Bound) -> Bound | None:
        goes_on = False
        kept = bound
        for item in node.items:
            bound = self.expression(item.context_expr, bound)
            if not goes_on:  # what a later manager raises, an earlier one may swallow
                goes_on = self._knowledge.swallows(item.context_expr)
                kept = bound
            if item.optional_vars is not None:
                bound = self.target(item.optional_vars, bound)
        after = self.nested(node.body, bound)
        return kept if goes_on else after

    def _asyncwith(self, node: ast.AsyncWith, bound: Bound) -> Bound | None:
        self.found.awaits = True
        return self._with(node, bound)

    def _try(self, node: ast.Try, bound: Bound) -> Bound | None:
        after = self.nested(node.body, bound)
        if after is not None:
            after = self.nested(node.orelse, after)
        for handler in node.handlers:
            inner = bound if handler.type is None else self.expression(handler.type, bound)
            if handler.name is not None:
                inner = self.bind(handler.name, handler.lineno, inner)
            ended = self.nested(handler.body, inner)
            if ended is not None and handler.name is not None:
                ended -= {handler.name}  # Python deletes it
            after = _either(after, ended)
        final = self.nested(node.finalbody, bound)
        if final is None or after is None:
            return None
        return after | final

    _trystar = _try

    def _match(self, node: ast.Match, bound: Bound) -> Bound | None:
        bound = self.expression(node.subject, bound)
        last = node.cases[-1]
        fits = last.guard is None and _fits_all(last.pattern)
        after: Bound | None = None if fits else bound
        for case in node.cases:
            inner = self._pattern(case.pattern, bound)
            if case.guard is not None:
                inner = self.expression(case.guard, inner)
            after = _either(after, self.nested(case.body, inner))
        return after

    def _pattern(self, pattern: ast.pattern, bound: Bound) -> Bound:
        parts = list(ast.walk(pattern))
        for part in parts:  # values are compared before any name is captured
            if isinstance(part, ast.expr):
                self.expression(part, bound)
        for part in parts:
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(part, ast.pattern) and isinstance(name, str):
                bound = self.bind(name, part.lineno, bound)
        return bound

    def _import(self, node: ast.Import | ast.ImportFrom, bound: Bound) -> Bound:
        for alias in node.names:
            if alias.name == "*":
                self.found.hidden.setdefault("import *", node.lineno)
                continue
            name = alias.asname or alias.name.split(".")[0]
            bound = self.bind(name, node.lineno, bound, _only(node, alias))
        return bound

    _importfrom = _import

    def _functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, bound: Bound) -> Bound:
        parts = scopes.evaluated_now(node)
        if not all(map(scopes.is_inert, parts)):
            self.flush(bound)  # it may call what was defined before
        for part in parts:
            bound = self.expression(part, bound)
        self.later(node)
        if not all(
            scopes.called_name(one) in scopes.CALM_FOR_FUNCTIONS for one in node.decorator_list
        ):
            self.flush(bound)  # a decorator may call the function at once
        return self.bind(node.name, node.lineno, bound, node)

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef, bound: Bound) -> Bound:
        parts = [*node.decorator_list, *node.bases, *(word.value for word in node.keywords)]
        for part in parts:
            bound = self.expression(part, bound)
        inner = type(self)(self._knowledge, in_class=True)
        inner.block(node.body, NOTHING)
        found = inner.found
        for name, line in found.reads.items():  # it does not see what a class around it binds
            self.read(name, line, NOTHING if self.in_class else bound)
        self.found.hidden.update(found.hidden)
        for name, line in found.binds.items():
            if name in inner.globals:
                self.found.binds.setdefault(name, line)
                self.found.assigned.add(name)
        self.waiting += inner.waiting
        if self._knowledge.calls_methods(node):
            self.flush(bound)  # a base, a metaclass or a decorator may call methods at once
        return self.bind(node.name, node.lineno, bound, node)


class _DefinitionWalk(_Walk):
    """Leaves out what functions read once they are called."""

    def flush(self, bound: Bound) -> None:
        """Let functions wait for ever."""
        del bound


def _fits_all(pattern: ast.pattern) -> bool:
    """Whether a pattern fits any value, as `_` does."""
    if isinstance(pattern, ast.MatchOr):
        return any(map(_fits_all, pattern.patterns))
    if not isinstance(pattern, ast.MatchAs):
        return False
    return pattern.pattern is None or _fits_all(pattern.pattern)


def _either(one: Bound | None, other: Bound | None) -> Bound | None:
    """Return what is certainly bound after one of two ways; an end in between is none."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _only(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    """Return an import of one name of several."""
    one = (
        ast.Import([alias])
        if isinstance(node, ast.Import)
        else ast.ImportFrom(node.module, [alias], node.level)
    )
    return ast.copy_location(one, node)
