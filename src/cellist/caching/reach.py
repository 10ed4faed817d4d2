"""What a piece of code reaches: the parts of functions, classes, modules and wrappers.

A part is a labelled value: a global a function reads, a closure cell, a default, a base class, an
entry of a class. Names are resolved now, when a key is made, and never when a task is decorated.
A dotted name leads through modules to what it means (`helpers.clean` to the function); a module
that is used in any other way escapes, and then its loaded namespace counts, not its file.
Nothing here computes digests; `closures` does, from these parts.
"""

import builtins
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, cast

from cellist.caching.additions import addition, additions_in
from cellist.caching.body_imports import (
    MISSING,
    LibraryName,
    attribute_of,
    imported,
    library_of,
)
from cellist.caching.code_text import CodeText
from cellist.caching.packages import home_of_globals, home_of_module
from cellist.caching.tree_parts import BodyImport, Chain


class Part(NamedTuple):
    """A value that code reaches. `kind` is as in `Component`, or `inner` for mere structure."""

    kind: str
    name: str
    value: Any
    chain: Chain = ()
    shown: str = ""
    """What users call it, where that is not its name."""


class Reference(NamedTuple):
    """A name in a function's code: where its root is found, and the attributes behind it."""

    where: str
    root: str
    attributes: Chain
    cell: int = 0
    source: BodyImport | None = None
    label: str = ""
    """What the root is called among several imports that bind one name."""


def plan_of(code: CodeType, known: CodeText, *, annotations: bool) -> tuple[Reference, ...]:
    """Return the names the code of a function refers to, sorted; locals are left out."""
    shape = known.shape
    cells = {name: index for index, name in enumerate(code.co_freevars)}
    imports = _by_bound_name(shape.imports)
    chains = shape.chains | shape.annotations if annotations else shape.chains
    found: set[Reference] = set()
    used: set[str] = set()
    for chain in chains:
        root, attributes = chain[0], chain[1:]
        used.add(root)
        if root in cells:
            found.add(Reference("cell", root, attributes, cells[root]))
        elif root in known.global_names or (root,) in shape.annotations:
            found.add(Reference("global", root, attributes))
        if root in imports:
            for item in _imports_of(chain, imports[root]):
                label = item.path if len(imports[root]) > 1 else ""
                found.add(Reference("import", root, attributes, 0, item, label))
    found.update(Reference("cell", name, (), cells[name]) for name in cells if name not in used)
    found.update(Reference("global", name, ()) for name in known.global_names if name not in used)
    found.update(Reference("global", chain[0], chain[1:]) for chain in shape.forced)
    local = {*code.co_varnames, *code.co_cellvars, *cells}
    found.update(Reference("global", q[0], q[1:]) for q in shape.quoted if q[0] not in local)
    found.update(_named_import(q) for q in shape.named if q[0] and q[0] not in local)
    found.update(_added(kind, name) for kind, name in additions_in(code))
    if shape.escapes:
        found.add(Reference("module", "globals()", ()))
    for item in shape.imports:
        if item.bound not in used:  # imported for its effect, or by a constant name
            found.add(Reference("import", item.bound, (), 0, item, "" if item.bound else item.path))
    return tuple(sorted(found, key=_order))


def _added(kind: str, name: str) -> Reference:
    return Reference("added", kind, (name,))


def _named_import(chain: Chain) -> Reference:
    return Reference("named import", chain[0], chain[1:], label=f"import_module({chain[0]})")


def _by_bound_name(items: Iterable[BodyImport]) -> dict[str, list[BodyImport]]:
    found: dict[str, list[BodyImport]] = {}
    for item in dict.fromkeys(items):
        if item.bound:
            found.setdefault(item.bound, []).append(item)
    return found


def _imports_of(chain: Chain, items: Sequence[BodyImport]) -> Iterator[BodyImport]:
    """Yield the imports in a body that may give a dotted name its meaning.

    `import a.b` and `import a.c` both bind `a`, and lead on by different ways.
    """
    dotted = ".".join(chain) + "."
    whole = [item for item in items if item.top]
    leading = [item for item in whole if dotted.startswith(item.module + ".")]
    yield from leading or whole
    yield from (item for item in items if not item.top)


def label_of(reference: Reference, followed: Chain) -> str:
    """Return what a reference is called, followed as far as it leads."""
    return ".".join((reference.label or reference.root, *followed))


def _order(reference: Reference) -> tuple[Any, ...]:
    source = reference.source
    return (
        reference.where,
        reference.root,
        reference.attributes,
        (source.module, source.attribute or "", source.level) if source else (),
        reference.label,
    )


def resolve(function: FunctionType, reference: Reference) -> tuple[Any, Chain]:
    """Return what a reference means now, and the attributes that were followed to it."""
    if reference.where in {"global", "named import"}:
        if reference.root in PLACES:  # where a module lies is not what it does
            return LibraryName("builtins", reference.root), reference.attributes
        value = function.__globals__.get(reference.root, MISSING)
        if value is MISSING:
            value = builtins.__dict__.get(reference.root, MISSING)
    elif reference.where == "added":
        return addition(reference.root, reference.attributes[0], MISSING), reference.attributes
    elif reference.where == "module":
        name = str(function.__globals__.get("__name__"))
        return sys.modules.get(name, MISSING), ()
    elif reference.where == "cell":
        value = cell_value((function.__closure__ or ())[reference.cell])
    else:
        item = cast("BodyImport", reference.source)
        return _resolve_import(item, function.__globals__, reference.attributes)
    if reference.where == "named import":
        name = follow(value, reference.attributes)[0]
        item = BodyImport("", name if isinstance(name, str) else "")
        return _resolve_import(item, function.__globals__, ())[0], reference.attributes
    return follow(value, reference.attributes)


def _resolve_import(
    item: BodyImport, namespace: Mapping[str, Any], attributes: Chain
) -> tuple[Any, Chain]:
    """Return what an import in a body means, and the attributes that were followed to it.

    What it means of a library is told by the spelling: the key must not depend on whether somebody
    has imported the library already, since at the latest the run does.
    """
    library = library_of(item)
    if library is None or library.module.partition(".")[0] in sys.modules:
        found = follow(imported(item, namespace), attributes)
        is_named = type(found[0]) is LibraryName
        if library is None or (not is_named and _is_of_the_user(found[0])):
            return found
    path = ".".join(filter(None, (library.name, *attributes)))
    return LibraryName(library.module, path), attributes


def follow(value: Any, attributes: Chain) -> tuple[Any, Chain]:
    """Walk attributes through modules; stop at the first thing that is no module.

    What a library's module holds is that library's, and counts by name: `os.environ` and
    `random.random` are not data of the user's. What the user put there is followed.
    """
    module: ModuleType | None = None
    for position, attribute in enumerate(attributes):
        if type(value) is LibraryName:
            return LibraryName(value.module, ".".join((value.name, *attributes))), attributes
        if not isinstance(value, ModuleType) or attribute == "__dict__":
            return _by_name(module, value, attributes[:position]), attributes[:position]
        module = value
        value = attribute_of(value, attribute)
    return _by_name(module, value, attributes), attributes


def _by_name(module: ModuleType | None, value: Any, attributes: Chain) -> Any:
    if module is None or home_of_module(module.__name__).tracked or _is_of_the_user(value):
        return value
    return LibraryName(module.__name__, attributes[-1])


def _is_of_the_user(value: Any) -> bool:
    if type(value) is FunctionType:
        return home_of_globals(value.__globals__).tracked
    if isinstance(value, ModuleType):
        return home_of_module(value.__name__).tracked
    if isinstance(value, type):
        return home_of_module(value.__module__).tracked
    return is_cellist(value)


def cell_value(cell: Any) -> Any:
    """Return what a closure cell holds now."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def function_extras(function: FunctionType, *, defaults: bool) -> Iterator[Part]:
    """Yield what a function carries besides its code: defaults and attributes."""
    given = function.__defaults__ if defaults else None
    if given:
        code = function.__code__
        names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
        for name, value in zip(names, given, strict=False):
            yield Part("default", name, value)
    if defaults:
        for name, value in sorted((function.__kwdefaults__ or {}).items()):
            yield Part("default", name, value)
    for name, value in sorted(function.__dict__.items()):
        if name not in _FUNCTION_MARKS and not name.startswith("__cellist"):
            yield Part("inner", name, value)


PLACES = frozenset({"__file__", "__path__", "__spec__", "__loader__", "__cached__"})
_FUNCTION_MARKS = frozenset(
    {
        *("__isabstractmethod__", "__signature__", "__no_type_check__"),
        *("__final__", "__override__"),
    }
)
_SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open", "display"})
_SHELL_HISTORY = r"_{1,3}|_i{1,3}|_i?\d+|_[iod]h|_exit_code|_sh"


def module_parts(module: ModuleType) -> Iterator[Part]:
    """Yield the loaded namespace of a module that escapes."""
    is_main = module.__name__ == "__main__"
    for name, value in sorted(module.__dict__.items()):
        if name.startswith("__") and name.endswith("__"):
            continue
        if is_main and (name in _SHELL_NAMES or re.fullmatch(_SHELL_HISTORY, name)):
            continue
        yield Part("global", name, value)


def is_function(value: Any) -> bool:
    """Whether the value is a function written in Python, and no proxy of one."""
    return type(value) is types.FunctionType


def is_cellist(value: Any) -> bool:
    """Whether the value is a thing of cellist's own: it counts as nothing, or as its function."""
    module = type(value).__module__
    return module == "cellist" or module.startswith("cellist.")
