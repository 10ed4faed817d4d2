"""What a cell does to the process besides its names: environment, directory, settings of libraries.

Nothing of it comes back on a hit, so it is compared before and after a run, as far as that is
cheap, and a cell that changes some of it is not kept.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any, cast

_Facts = dict[str, Any]
_OF_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__", "__name__", "__doc__")
_NOT_SETTINGS = frozenset({"backend", "backend_fallback", "interactive"})
"""What matplotlib sets of itself when the first figure is drawn."""
_THREAD = "a thread that runs on"
"""One that has ended meanwhile is no effect of the cell."""
_UNSET: Any = object()
_NUMPY = {
    "edgeitems": "3", "threshold": "1000", "floatmode": "'maxprec'", "precision": "8",
    "suppress": "False", "linewidth": "75", "nanstr": "'nan'", "infstr": "'inf'", "sign": "'-'",
    "formatter": "None", "legacy": "False", "override_repr": "None", "divide": "'warn'",
    "over": "'warn'", "under": "'ignore'", "invalid": "'warn'",
}  # fmt: skip
"""What the options of numpy are before anybody sets them."""
_SAID_BY = {
    "environment variable": ("environ", "putenv", "unsetenv", "setenv", "load_dotenv"),
    "warnings filter": ("filterwarnings", "simplefilter", "resetwarnings"),
    "the logger": (
        "setLevel", "addHandler", "removeHandler", "disabled", "propagate", "handlers",
        "dictConfig", "fileConfig", "disable",
    ),
}  # fmt: skip
"""Importing a library does these, too, and is done again on a hit: the cell must name them."""


def facts() -> _Facts:
    """Return what can be compared later: what is shared by all cells, by the words for it."""
    found: _Facts = {}
    for collect in (_process, _matplotlib, _pandas, _numpy, _logging):
        with suppress(Exception):  # a library that is half imported or not as expected has no say
            found.update(collect())
    return found


def changed(before: _Facts, after: _Facts, names: frozenset[str]) -> list[str]:
    """Return in words what differs; `names` are the names and attributes in the cell's code."""
    differing = [key for key in after if key in before and before[key] != after[key]]
    differing += [key for key in before if key not in after and not key.startswith(_THREAD)]
    differing += [key for key in after if key not in before and _is_unlike_default(key, after)]
    told: list[str] = []
    for key in differing:
        words = key.partition(":")[0]
        needed = next((said for what, said in _SAID_BY.items() if words.startswith(what)), None)
        if needed is None or not names.isdisjoint(needed):
            told.append(key.replace(":", " ", 1) if ":" in key else key)
    return told


def _is_unlike_default(key: str, after: _Facts) -> bool:
    """Whether a fact that was not there before is an effect: a new variable, a changed setting.

    Settings of a library that was imported meanwhile are compared with its defaults.
    """
    words, _, name = key.partition(":")
    defaults = DEFAULTS.get(words)
    if defaults is None:
        return words in ("environment variable", _THREAD)
    try:
        return defaults().get(name, after[key]) != after[key]
    except Exception:
        return False


def of_function(function: FunctionType) -> list[tuple[str, Any]]:
    """Return what can be compared later of a function: that which can be set."""
    set_by_name = [(name, getattr(function, name)) for name in _OF_FUNCTION]
    return [*list(vars(function).items()), *set_by_name]


def is_same(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> bool:
    """Whether nothing of a function was set meanwhile."""
    return len(before) == len(after) and all(
        name == other and value is now
        for (name, value), (other, now) in zip(before, after, strict=True)
    )


def _process() -> _Facts:
    found: _Facts = {f"environment variable:{key}": value for key, value in os.environ.items()}
    try:
        found["the working directory"] = Path.cwd()
    except OSError:
        found["the working directory"] = None
    found["sys.path"] = list(sys.path)
    found["warnings filter"] = list(warnings.filters)
    own = ("cellist", "IPython")
    for one in threading.enumerate():
        is_users = not one.daemon or _is_of_notebook(one)
        if is_users and not one.name.startswith(own):
            found[f"{_THREAD}:{one.name}"] = one.ident
    decimal: Any = sys.modules.get("decimal")
    if decimal is not None:
        context = decimal.getcontext()
        found["the decimal context"] = context.prec, context.rounding
    found["the recursion limit"] = sys.getrecursionlimit()
    return found


def _is_of_notebook(thread: threading.Thread) -> bool:
    """Whether a thread runs what the notebook defines; daemons are mostly a library's."""
    target: Any = getattr(thread, "_target", None) or getattr(thread, "function", None)
    return "__main__" in (getattr(target, "__module__", None), type(thread).__module__)


def _matplotlib() -> _Facts:
    module: Any = sys.modules.get("matplotlib")
    found: _Facts = {}
    if module is not None:
        found = {
            f"rcParams:{key}": _frozen(value)
            for key, value in _plain_items(module.rcParams)
            if key not in _NOT_SETTINGS
        }
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    found["open figures of pyplot"] = pyplot.get_fignums() if pyplot is not None else []
    return found


def _pandas() -> _Facts:
    config: Any = sys.modules.get("pandas._config.config")
    if config is None:
        return {}
    return {f"pandas option:{key}": _frozen(value) for key, value in _flat(config._global_config)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _flat(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def _numpy() -> _Facts:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "get_printoptions"):
        return {}
    options = {**numpy.get_printoptions(), **numpy.geterr()}
    return {f"numpy option:{key}": _frozen(value) for key, value in options.items()}


def _logging() -> _Facts:
    root = logging.getLogger()
    found: _Facts = {"the root logger": (root.level, tuple(map(id, root.handlers)), root.disabled)}
    for name, one in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(one, logging.Logger):
            handlers = tuple(map(id, one.handlers))
            found[f"the logger:{name}"] = (one.level, handlers, one.disabled, one.propagate)
    return found


def _plain_items(settings: Any) -> Iterable[tuple[str, Any]]:
    """Return the items of `rcParams` without its own look-up, which may load a backend."""
    return dict[str, Any].items(settings)


def _frozen(value: Any) -> str:
    return repr(value)


def _default_rc() -> Mapping[str, Any]:
    module: Any = sys.modules["matplotlib"]
    return {key: _frozen(value) for key, value in _plain_items(module.rcParamsOrig)}


def _default_pandas() -> Mapping[str, Any]:
    config: Any = sys.modules["pandas._config.config"]
    return {key: _frozen(option.defval) for key, option in config._registered_options.items()}


def _default_numpy() -> Mapping[str, Any]:
    return _NUMPY


def _default_loggers() -> Mapping[str, Any]:
    names = logging.Logger.manager.loggerDict
    return dict.fromkeys(names, (logging.NOTSET, (), False, True))


DEFAULTS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "rcParams": _default_rc,
    "pandas option": _default_pandas,
    "numpy option": _default_numpy,
    "the logger": _default_loggers,
}


def unlike_default(facts: Mapping[str, Any], words: str) -> _Facts:
    """Return the settings of a library, of all these facts, that are not as they are by default."""
    found = {
        key.partition(":")[2]: value
        for key, value in facts.items()
        if key.partition(":")[0] == words
    }
    try:
        defaults = DEFAULTS[words]()
    except Exception:
        return found
    return {name: value for name, value in found.items() if defaults.get(name, _UNSET) != value}
