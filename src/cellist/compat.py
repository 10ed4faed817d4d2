"""Prefect's deep module paths, and what is said of the parts of Prefect that are not here.

    from cellist.utilities.annotations import unmapped    # the same module as cellist.annotations

`ALIASES` maps each such path to the module it stands for, as `os.path` stands for `posixpath`. A
finder at the end of `sys.meta_path` serves them. It is asked only for names that nobody else
knows, so it costs nothing until an alias is imported, and an alias *is* its module: a monkeypatch,
`importlib.reload`, `dir` and pickles see one module, not a copy. (Lazy module objects in
`sys.modules` were the other way. They cannot be reloaded, are a second object that patches miss,
and stand in the table of loaded modules of everybody who imports cellist.)

A path below a plain module needs `__path__ = []` in that module, or Python does not ask at all.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HERE = __name__.rpartition(".")[0]

ALIASES: dict[str, str | None] = {
    "client": None,
    "client.schemas": "objects",
    "client.schemas.objects": "objects",
    "dask.client": "dask",
    "dask.task_runners": "dask",
    "dask.utils": "dask",
    "flow_engine": "exceptions",
    "logging.loggers": "logging",
    "ray.context": "ray",
    "ray.task_runners": "ray",
    "task_engine": "exceptions",
    "testing.utilities": "testing",
    "utilities": None,
    "utilities.annotations": "annotations",
}
"""Path below cellist → the module it stands for; `None` where only the paths below it matter."""

_PACKAGES = {"cellist_dask": "dask", "cellist_ray": "ray"}
"""What `prefect_dask` and `prefect_ray` become, once cellist is imported."""

_NO_SERVER = "cellist has no server: a flow runs where it is called"
_DEPLOY = f"{_NO_SERVER}. To run one on a schedule, call it from a script that cron starts."
_CLIENT = f"{_NO_SERVER}. `cellist.runs()` and `cellist.run(id)` read the history of runs."
_SHOW = "Show it with `IPython.display.display`: it appears under the cell and is kept with it."
_VALUES = "Keep it in a plain variable, a file or the environment, and pass it as a parameter."

ABSENT: dict[str, str] = {
    "artifacts": _SHOW,
    "automations": _NO_SERVER,
    "blocks": _VALUES,
    "client.orchestration": _CLIENT,
    "deploy": _DEPLOY,
    "deployments": _DEPLOY,
    "events": f"{_NO_SERVER}. Hooks such as `on_failure` are called when a run changes state.",
    "filesystems": "Give `CELLIST_HOME` a directory; results are kept there.",
    "get_client": _CLIENT,
    "server": _NO_SERVER,
    "variables": _VALUES,
    "workers": _NO_SERVER,
    **dict.fromkeys(
        (
            f"Flow.{a}{word}"
            for word in ("deploy", "serve", "to_deployment", "from_source")
            for a in ("", "a")
        ),
        _DEPLOY,
    ),
}
"""What Prefect has and cellist has not → why, and what to do instead."""


def absence(name: str, owner: str = _HERE) -> str | None:
    """Return what is to be said of a name that cellist leaves out; `None` for any other name."""
    advice = ABSENT.get(f"{owner}.{name}" if owner != _HERE else name)
    return advice and f"{owner} has no {name!r}. {advice}"


class Absent:
    """An attribute that Prefect's objects have and ours have not: to ask for it says why."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._message = absence(name, owner.__name__) or f"{owner.__name__} has no {name!r}."

    def __get__(self, instance: object, owner: type | None = None) -> "Absent":
        """Raise `AttributeError`, so that `hasattr` tells the truth."""
        if instance is None:
            return self
        raise AttributeError(self._message)


class AliasFinder:
    """Finds the modules of `ALIASES`, and says why those of `ABSENT` are not to be had.

    It is finder and loader without their base classes: `importlib.abc` takes 15 ms to import.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an alias. Raises `ImportError` for what cellist leaves out."""
        del path, target
        package, _, name = fullname.partition(".")
        if package in _PACKAGES:
            forwards: Any = self
            return ModuleSpec(fullname, forwards)
        if package != _HERE:
            return None
        if name in ALIASES:
            loader: Any = self
            return ModuleSpec(fullname, loader, is_package=_has_more_below(name))
        said = absence(name)
        if said is not None:
            # with another name than the one asked for, else `from cellist import x` swallows it
            raise ImportError(said, name=_HERE)
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module an alias stands for in its place; a package forwards to it."""
        alias = module.__name__
        package, _, below = alias.partition(".")
        target = _PACKAGES.get(package) or ALIASES[below]
        real = importlib.import_module(f"{_HERE}.{target}") if target is not None else None
        if not hasattr(module, "__path__"):
            assert real is not None  # what stands for nothing has paths below it
            sys.modules[alias] = real
            return

        def fetch(name: str) -> object:
            if f"{alias}.{name}".partition(".")[2] in ALIASES:
                return importlib.import_module(f"{alias}.{name}")
            if real is not None and not name.startswith("__"):
                return getattr(real, name)
            message = f"module {alias!r} has no attribute {name!r}"
            raise AttributeError(message)

        module.__getattr__ = fetch
        if real is not None:
            module.__dict__["__all__"] = list(real.__all__)


def _has_more_below(name: str) -> bool:
    return any(other.startswith(f"{name}.") for other in ALIASES)


def install() -> None:
    """Serve the aliases from now on; doing it twice is doing it once."""
    if not any(type(finder).__qualname__ == AliasFinder.__qualname__ for finder in sys.meta_path):
        sys.meta_path.append(AliasFinder())
