"""Whose code is it: the user's, followed into, or an installed library's, known by its version?

Code of the user ("tracked") is what lives in `__main__`, in a cell or in a module whose file is not
where packages are installed, so an editable install is tracked. A library counts as the name and
the version of its distribution; the standard library and cellist itself count as nothing but the
names that are used of them, because a key holds on the next Python and the next cellist too.
"""

import contextlib
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from inspect import getmodulename
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib import metadata

STDLIB, OWN = "stdlib", "cellist"
_STANDARD = frozenset(sys.stdlib_module_names) | {"builtins"}
_NUMBERS = re.compile(r"v?(?:\d+!)?(\d+)(?:\.(\d+))?")
_INSTALLED_PARTS = frozenset({"site-packages", "dist-packages"})


class Home(NamedTuple):
    """Where code belongs. `tracked` code is followed; other code counts as `package`."""

    tracked: bool
    package: str = ""


_TRACKED = Home(tracked=True)


def home_of_globals(namespace: Mapping[str, Any]) -> Home:
    """Return whose code runs with this namespace as its globals."""
    name = namespace.get("__name__")
    if name is None or name == "__main__":
        return _TRACKED
    if not isinstance(name, str) or (name == "builtins" and "len" not in namespace):
        return _TRACKED  # made by exec() with globals of its own
    return _home(name, namespace.get("__file__"))


def home_of_module(name: str | None) -> Home:
    """Return whose code the module of this name is; no module at all is the user's doing."""
    if not name or name == "__main__":
        return _TRACKED
    module = sys.modules.get(name)
    if module is None:
        return _home_before_import(name)
    return _home(name, getattr(module, "__file__", None))


def _home_before_import(name: str) -> Home:
    """Return whose code a module is that nobody has imported yet."""
    top = name.partition(".")[0]
    try:
        spec = find_spec(top) if top not in sys.modules else None
    except (ImportError, ValueError):
        spec = None
    return _home(name, spec.origin if spec is not None and spec.has_location else None)


def home_of_path(name: str, path: str | None) -> Home:
    """Return whose code a module that is not loaded yet is, by where it lies."""
    return _home(name, path)


@cache
def _home(name: str, file: object) -> Home:
    top = name.partition(".")[0]
    if top == "cellist":
        return Home(tracked=False, package=OWN)
    if isinstance(file, str):
        path = _absolute(file)
        if _is_under(path, _installed_directories()) or _has_metadata(path, name):
            return Home(tracked=False, package=top)
        if top in _STANDARD and _is_under(path, _standard_directories()):
            return Home(tracked=False, package=STDLIB)
        if "-packages" in path and _INSTALLED_PARTS.intersection(Path(path).parts):
            return Home(tracked=False, package=top)
        return Home(tracked=not _is_under(path, _standard_directories()), package=top)
    if top in _STANDARD or top.lstrip("_") in _STANDARD:
        return Home(tracked=False, package=STDLIB)
    parent = sys.modules.get(top) if top != name else None
    if parent is not None and getattr(parent, "__file__", None):
        return _home(top, parent.__file__)
    return _TRACKED


def _is_under(path: str, directories: tuple[str, ...]) -> bool:
    return path.startswith(directories)


def _absolute(path: str) -> str:
    if path.startswith("/") and not any(map(path.__contains__, ("//", "/./"))):
        return path  # as most are; `pathlib` takes longer
    return str(Path.cwd() / path)  # links stay: an environment may link to another's packages


def _with_separator(paths: set[str | None]) -> tuple[str, ...]:
    found = {_absolute(path) for path in paths if path}
    found |= {str(Path(path).resolve()) for path in found}
    return tuple(path.rstrip(os.sep) + os.sep for path in found)


@cache
def _installed_directories() -> tuple[str, ...]:
    import site

    found: set[str | None] = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    with contextlib.suppress(Exception):  # a frozen or stripped-down Python has no site packages
        found |= {*site.getsitepackages(), site.getusersitepackages()}
    return _with_separator(found)


@cache
def _standard_directories() -> tuple[str, ...]:
    return _with_separator({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def _has_metadata(path: str, name: str) -> bool:
    """Whether the directory the module was imported from says it is an installed distribution.

    That is so for `pip install --target`; an editable install keeps its metadata elsewhere.
    """
    root, file = os.path.split(path)
    for _ in range(name.count(".") + file.startswith("__init__.")):
        root = os.path.dirname(root)  # noqa: PTH120 - fast
    return name.partition(".")[0] in _tops_installed_in(root)


@cache
def _tops_installed_in(root: str) -> frozenset[str]:
    try:
        if not any(entry.suffix == ".dist-info" for entry in Path(root).iterdir()):
            return frozenset()
    except OSError:
        return frozenset()
    from importlib import metadata  # late: it takes a tenth of the time to import cellist

    tops: set[str] = set()
    for distribution in metadata.distributions(path=[root]):
        tops.add(str(distribution.metadata["Name"] or "").replace("-", "_"))
        tops.update((distribution.read_text("top_level.txt") or "").split())
        for file in distribution.files or ():
            tops.add(file.parts[0].removesuffix(".py"))
    return frozenset(tops)


class Distribution(NamedTuple):
    """An installed distribution: its name and exact version."""

    name: str
    version: str


@cache
def distribution_of(top: str) -> Distribution:
    """Return the distribution that provides the top-level module `top`.

    A module without metadata is a distribution of its own name; its version is its `__version__`.
    """
    from importlib import metadata  # late: it takes a tenth of the time to import cellist

    found: metadata.Distribution | None = None
    try:
        found = metadata.distribution(top)
    except (metadata.PackageNotFoundError, ValueError):
        named = {str(one.metadata["Name"]) for one in _providers().get(top, ())}
        if named:
            found = metadata.distribution(min(named))
    module = sys.modules.get(top)
    stated = getattr(module, "__version__", None)
    if found is None:
        return Distribution(top, stated if isinstance(stated, str) else "")
    return Distribution(str(found.metadata["Name"] or top), found.version)


@cache
def _providers() -> "dict[str, list[metadata.Distribution]]":
    """Return which distributions provide each top-level module.

    `packages_distributions` says the same, but makes objects of all files of all distributions and
    reads their descriptions, which keeps the first digest waiting for a quarter of a second.
    """
    from importlib import metadata  # late: it takes a tenth of the time to import cellist

    found: dict[str, list[metadata.Distribution]] = {}
    for distribution in metadata.distributions():
        for top in _tops_of(distribution):
            found.setdefault(top, []).append(distribution)
    return found


def _tops_of(distribution: "metadata.Distribution") -> set[str]:
    """Return the top-level modules a distribution says it has, or else has files of."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return set(declared)
    record = distribution.read_text("RECORD")
    lines = record.splitlines() if record else [str(file) for file in distribution.files or ()]
    tops: set[str] = set()
    for line in lines:
        top, mark, _ = line.partition("/")
        tops.add(top if mark else getmodulename(top.partition(",")[0]) or "")
    return tops


Versions = str | tuple[tuple[str, str], ...]
"""How much of versions counts: one word for all libraries, or a word for some by name."""
OTHERS = "*"
"""Stands for the libraries that are not named."""
_WORDS = ("minor", "major", "exact", "off")


def versions_of(given: str | Mapping[str, str] | tuple[tuple[str, str], ...]) -> Versions:
    """Return how much of versions counts, from a word or a mapping of libraries to words.

    A library goes by the name it is installed or imported by, `*` is all the others, `minor` if
    that is not said. Raises `TypeError` or `ValueError` for anything else.
    """
    if isinstance(given, str):
        version_for_key("1.0", given)
        return given
    pairs: Any = given.items() if isinstance(given, Mapping) else given
    if not isinstance(given, (Mapping, tuple)):  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
        message = f"versions={given!r:.60} is neither one of {_listed()} nor a mapping to these."
        raise TypeError(message)
    for name, word in pairs:
        if word not in _WORDS:
            raise ValueError(f"versions[{name!r:.60}]={word!r:.60} is not one of {_listed()}.")
    return tuple(sorted((_normal(name), word) for name, word in pairs))


def policy_for(versions: Versions, *names: str) -> str:
    """Return how much of the version counts of a library that goes by these names."""
    if isinstance(versions, str):
        return versions
    words = dict(versions)
    for name in names:
        word = words.get(_normal(name))
        if word is not None:
            return word
    return words.get(OTHERS, "minor")


def _normal(name: str) -> str:
    """Return the name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed() -> str:
    return f"{', '.join(map(repr, _WORDS[:-1]))} and {_WORDS[-1]!r}"


def version_for_key(version: str, policy: str) -> str:
    """Return the part of a version that counts under `minor`, `major`, `exact` or `off`.

    Raises `ValueError` for another policy.
    """
    if policy == "exact":
        return version
    if policy == "off":
        return ""
    match = _NUMBERS.match(version)
    if policy == "major":
        return match[1] if match else version
    if policy == "minor":
        return f"{match[1]}.{match[2] or 0}" if match else version
    message = f"versions={policy!r} is not one of {_listed()}."
    raise ValueError(message)


def public_path(module: str | None, qualname: str) -> str:
    """Return how a library's object is called, without the modules that are its own business.

    `pathlib._local.Path` of one Python is `pathlib.Path` of the next, `_functools.partial` is
    `functools.partial`.
    """
    first, *rest = (module or "builtins").split(".")
    return ".".join([first.lstrip("_"), *(p for p in rest if not p.startswith("_")), qualname])
