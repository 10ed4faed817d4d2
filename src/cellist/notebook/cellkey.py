"""The key of a cell task: its code with everything the code reads, as for any task.

A real function is made of the cell's body. Names that are inputs are global in it, names that the
cell certainly binds first are its own; its globals are the namespace as it is when the cell begins.
So the closure of a function (`caching.source`) finds helpers, what they read, values, modules and
versions. What has no stable digest raises: nothing may go unseen.

The function keeps the original objects. So its closure, found again after the run, tells whether an
input was changed in place, by whoever. What was only bound to another value is told apart by
binding the old one again for as long as it takes to look.
"""

import ast
import itertools
import linecache
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from types import FunctionType, ModuleType
from typing import Any, cast

from cellist import settings
from cellist.cache_policies import TaskSource
from cellist.caching.digests import digest_value
from cellist.caching.source import SourceClosure, closure_of
from cellist.model.reasons import Component
from cellist.notebook.definitions import is_harmless_magic
from cellist.notebook.expressions import CellNames
from cellist.notebook.files import named_files
from cellist.notebook.links import is_atom
from cellist.notebook.outputs import is_of_ipython
from cellist.notebook.scopes import words_of
from cellist.notebook.trees import copy_of
from cellist.notebook.variables import named_variables

_NAME = "__cellist_body__"
_SHOWN = "__cellist_shown__"
_VERSION = 1
_MOST_TEXTS = 1000
"""Texts of a list that are looked at for names."""
_DATA = frozenset({"global", "closure", "default", "class", "function"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_MISSING: Any = object()


def key_function(
    body: list[ast.stmt], names: CellNames, namespace: dict[str, Any], chosen: frozenset[str] | None
) -> Any:
    """Return the function that stands for the cell when its key is made; it is never called.

    `chosen` are the inputs that `--in` names, `None` for those that were found.
    """
    inputs = inputs_of(names, namespace) if chosen is None else sorted(chosen)
    if chosen is not None:
        kept = {*chosen, "__name__", "__builtins__"}
        namespace = {name: value for name, value in namespace.items() if name in kept}
    shaped: list[ast.stmt] = _Shaped().visit(ast.Module(copy_of(body), [])).body
    if shaped and isinstance(shaped[-1], ast.Expr):  # it is shown; a mere constant would not count
        shaped[-1] = ast.Assign([ast.Name(_SHOWN, ast.Store())], shaped[-1].value)
    told: list[ast.stmt] = [ast.Global(inputs)] if inputs else []
    named = {node.id for one in shaped for node in ast.walk(one) if isinstance(node, ast.Name)}
    told += [_expression(name) for name in inputs if name not in named]
    make = ast.AsyncFunctionDef if names.awaits else ast.FunctionDef
    function = make(_NAME, _no_arguments(), [*told, *shaped, ast.Pass()], [])
    function.returns = None
    if hasattr(ast, "TypeAlias"):  # Python 3.12
        function.type_params = []  # pyright: ignore[reportAttributeAccessIssue] - of newer Pythons
    text = ast.unparse(ast.fix_missing_locations(ast.Module([function], []))) + "\n"
    filename = f"<cellist cell {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    made: dict[str, Any] = {}
    exec(compile(text, filename, "exec", dont_inherit=True), made)  # noqa: S102 - it only defines the function
    return FunctionType(made[_NAME].__code__, namespace, _NAME)


def inputs_of(names: CellNames, namespace: Mapping[str, Any]) -> list[str]:
    """Return the names that count as inputs: those read, and those that texts speak of."""
    words = set(names.mentions)
    if names.unwritten is not None:  # any text of the cell or of an input may be the one
        words |= names.words.union(*(_words(namespace.get(name)) for name in names.reads))
        words -= names.unwritten - names.mentions.keys()
    return sorted({*names.reads, *(name for name in words if name in namespace)})


def _words(value: Any) -> set[str]:
    """Return the words of a text, or of the texts in a plain container."""
    if isinstance(value, str):
        return words_of(value)
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if not isinstance(value, (list, tuple)):
        return set()
    parts = itertools.islice(cast("list[Any]", value), _MOST_TEXTS)
    return set[str]().union(*(words_of(part) for part in parts if isinstance(part, str)))


def _no_arguments() -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def _expression(name: str) -> ast.stmt:
    return ast.Expr(ast.Name(name, ast.Load()))


class _Shaped(ast.NodeTransformer):
    """Makes statements of a module fit for a function that means the same to a key."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Take the annotation apart from the assignment: a global name may have none."""
        if not isinstance(node.target, ast.Name):
            return node
        told: list[ast.stmt] = [ast.Expr(node.annotation)]
        return told if node.value is None else [*told, ast.Assign([node.target], node.value)]

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Take a harmless magic as its text."""
        if not is_harmless_magic(node) or not isinstance(node.value, ast.Call):
            return node
        words = [str(one.value) for one in node.value.args if isinstance(one, ast.Constant)]
        text = " ".join(words)
        return ast.Assign([ast.Name("__cellist_magic__", ast.Store())], ast.Constant(text))

    def visit_Global(self, node: ast.Global) -> Any:
        """Drop a `global` at the top of a cell, where it says nothing."""
        return ast.copy_location(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """Take imports that no function may have as something that says as much."""
        if node.module == "__future__":
            text = ",".join(alias.name for alias in node.names)
            return ast.Assign([ast.Name("__cellist_future__", ast.Store())], ast.Constant(text))
        if node.names[0].name == "*" and node.module:
            return ast.Import([ast.alias(node.module, "__cellist_star__")])
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Leave functions and classes alone; they are what they are inside a function, too."""
        return node if isinstance(node, _SCOPES) else super().generic_visit(node)


class CellSource(TaskSource):
    """The cache policy of one execution of a cell: code, inputs, and options that change them."""

    warns = False

    def __init__(self, text: str, options: Sequence[Any], versions: Any = None) -> None:
        super().__init__(versions or settings.active().tasks_versions)
        self.text = text
        self.options = options
        self.closure: SourceClosure | None = None
        self.files: list[Component] = []
        """Files that the key was made from."""
        self.state: str | None = None
        """A digest of the surroundings, if a result of others has been found already."""
        self.refusal: str | None = None
        """Why the result is not to be kept, once that is known."""

    def components(self, request: Any) -> list[Component]:
        """Return the components of the cell's key. Raises `HashError` for what has no digest."""
        closure = closure_of(request.fn, versions=request.versions(self.versions), strict=True)
        self.closure = closure
        request.notes.extend(closure.notes)
        request.closures[closure.digest] = closure.components
        same = aliases(request.fn.__globals__, closure)
        options = digest_value((_VERSION, *self.options, same))
        self.files = named_files(closure.components, request.fn.__globals__)
        counted = [*self.files, *named_variables(closure.components)]
        if self.state is not None:
            counted.append(Component("policy", "surroundings", self.state))
        return [Component("source", "closure", closure.digest), self._own(options), *counted]

    def written(self, namespace: Mapping[str, Any]) -> list[str]:
        """Return the named files that are there now with another content, or are gone."""
        if self.closure is None:
            return []
        now = {one.name: one.digest for one in named_files(self.closure.components, namespace)}
        then = {one.name: one.digest for one in self.files}
        return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))

    def _own(self, digest: str) -> Component:
        said = zip(("--in", "--out", "--own", "--skip"), self.options, strict=False)
        text = " ".join(f"{option} {','.join(names)}" for option, names in said if names)
        return Component("policy", "%%task", digest, text or "without these options")

    def describe(self, request: Any, components: list[Component]) -> list[Component]:
        """Put the cell's own text in the place of the function made of it."""
        return [
            one._replace(name="cell", text=self.text)
            if one.kind == "source" and one.name == _NAME
            else one
            for one in super().describe(request, components)
        ]

    def recheck(self, request: Any) -> list[Component]:
        """Say whether the result may be kept: the cell has looked itself, and can say more."""
        del request
        return [] if self.refusal is None else [self._own("refused")]


def aliases(namespace: Mapping[str, Any], closure: SourceClosure) -> list[list[str]]:
    """Return the groups of inputs that are one and the same object: digests do not tell."""
    groups: dict[int, list[str]] = {}
    for name in global_names(closure.components):
        value = namespace.get(name)
        if not is_atom(value) and not isinstance(value, (ModuleType, type, FunctionType)):
            groups.setdefault(id(value), []).append(name)
    return sorted(sorted(names) for names in groups.values() if len(names) > 1)


def global_names(components: Iterable[Component]) -> set[str]:
    """Return the names of the notebook that components begin with."""
    found = {one.name.partition(".")[0].partition("[")[0] for one in components}
    return {name for name in found if name.isidentifier()}


def changed_inputs(
    function: Any,
    before: SourceClosure,
    then: Mapping[str, Any],
    namespace: MutableMapping[str, Any],
    versions: Any,
) -> list[str]:
    """Return what was changed in place of that which the key was made from.

    `then` is the notebook's namespace as it was, `namespace` the one of now. Names that mean
    something else now mean what they meant for as long as it takes to look; so call it on the main
    thread.
    """
    changes = changes_of(function, before, versions)
    rebound = {
        name: then.get(name, _MISSING)
        for name in {*then, *namespace}
        if then.get(name, _MISSING) is not namespace.get(name, _MISSING) and not is_of_ipython(name)
    }
    if changes and rebound:
        with _bound_as_before(namespace, rebound):
            changes = changes_of(function, before, versions)
    return sorted({one.name for one in changes})


def changes_of(function: Any, before: SourceClosure, versions: Any) -> list[Component]:
    """Return the data that a key was made from and that is something else now."""
    now = closure_of(function, versions=versions)
    known = {(one.kind, one.name): one.digest for one in before.components}
    found = [
        one
        for one in now.components
        if one.kind in _DATA and known.get((one.kind, one.name), one.digest) != one.digest
    ]
    # What became unlike anything that has a digest, such as a list with an open file in it.
    return found + [Component("global", name, "") for name in now.untracked]


@contextmanager
def _bound_as_before(namespace: MutableMapping[str, Any], values: Mapping[str, Any]) -> Any:
    now = {name: namespace.get(name, _MISSING) for name in values}
    _bind(namespace, values)
    try:
        yield
    finally:
        _bind(namespace, now)


def _bind(namespace: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is _MISSING:
            namespace.pop(name, None)
        else:
            namespace[name] = value


def unsafe_reads(names: CellNames, namespace: Mapping[str, Any]) -> list[str]:
    """Return the inputs that IPython changes with every cell, such as `_` and `Out`."""
    return [
        name
        for name in names.reads
        if is_of_ipython(name) and name not in {"exit", "quit", "get_ipython"} and name in namespace
    ]
