"""The environment variables that a cell's code names count with their values, as files do.

`os.environ["MODE"]` and its like name one. Code that takes the environment in another way, such as
by a computed name or as a whole, depends on all of it, but for what every kernel has of its own.
"""

import ast
import os
import textwrap
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from cellist.caching.declared import component_of
from cellist.caching.parsing import parse
from cellist.declarations import Env
from cellist.model.reasons import CODE_KINDS, Component

ALL = "*"
_OF_KERNEL = (
    "JPY_", "JUPYTER", "IPYTHON", "KERNEL", "CELLIST_", "PYTEST_", "MPLBACKEND", "PYDEVD_",
    "VSCODE_", "COLUMNS", "LINES", "SHLVL", "PWD", "OLDPWD", "TERM", "_", "PYTHONHASHSEED",
    "GIT_PAGER", "PAGER", "CLICOLOR", "FORCE_COLOR", "KMP_", "SSH_", "XDG_", "DBUS_",
)  # fmt: skip
"""What variables begin with that differ from kernel to kernel, or that the kernel sets."""
_TAKING = frozenset({"get", "pop", "setdefault", "__getitem__"})
_ALL_TAKING = frozenset({"load_dotenv", "putenv", "unsetenv", "expandvars", "dotenv_values"})


def named_variables(parts: Iterable[Component]) -> list[Component]:
    """Return one component for each environment variable that the code of a key names."""
    texts = [part.text for part in parts if part.kind in CODE_KINDS]
    names = frozenset[str]().union(*map(_names, texts))
    found: list[Component] = []
    for name in sorted(names - {ALL}):
        component = component_of(Env(name))
        if component is not None:
            found.append(component._replace(digest=_digest(repr(os.environ.get(name)))))
    if ALL in names:
        whole = sorted(item for item in os.environ.items() if not item[0].startswith(_OF_KERNEL))
        text = f"{len(whole)} variables"
        found.append(Component("environment variable", ALL, _digest(repr(whole)), text))
    return found


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=1024)
def _names(text: str) -> frozenset[str]:
    """Return the variables that a piece of code names, `*` for all."""
    if "env" not in text and "expandvars" not in text:
        return frozenset()
    try:
        tree = parse(textwrap.dedent(text))
    except SyntaxError:
        return frozenset()
    found: set[str] = set()
    said: set[int] = set()
    """Where the environment is named in a way that says which variable is meant."""
    for node in ast.walk(tree):
        owner, key = _look_up(node)
        if key is not None:
            said.add(id(owner))
            found.add(_text(key))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in said:
            name = _last(node)
            if name in _ALL_TAKING or (name == "environ" and isinstance(node.ctx, ast.Load)):
                found.add(ALL)
    return frozenset(found)


def _look_up(node: ast.AST) -> tuple[ast.expr | None, ast.expr | None]:
    """Return the environment and the name of a variable that is looked up in it, if one is."""
    match node:
        case ast.Call(func=func, args=[first, *_]) if _last(func) == "getenv":
            return None, first
        case ast.Call(func=ast.Attribute(value=owner, attr=attr), args=[key, *_]):
            is_one = attr in _TAKING
        case ast.Subscript(value=owner, slice=key):
            is_one = True
        case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[owner]):
            is_one = True
        case _:
            return None, None
    return (owner, key) if is_one and _last(owner) == "environ" else (None, None)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as name) if name:
            return name
        case _:
            return ALL
