"""Settings: read from the environment and from `temporary_settings`, at run time.

Each setting has a name such as `tasks_default_retries`. Its environment variable is
`CELLIST_TASKS_DEFAULT_RETRIES`; where that is absent, Prefect's variable of the same name is
honoured. `PREFECT_*` and `CELLIST_*` names can be imported from here for `temporary_settings`.

The environment is looked at when a run starts that has no parent, so an option set in a later
cell counts from the next call on, and a task call inside a flow does not pay for the look.
"""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from cellist import setting_values as values
from cellist.caching.packages import Versions
from cellist.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Durations are seconds, sizes bytes."""

    tasks_default_retries: int = 0
    tasks_default_retry_delay_seconds: float | list[float] = 0.0
    tasks_refresh_cache: bool = False
    tasks_default_no_cache: bool = False
    tasks_disable_caching: bool = False
    tasks_hints: bool = True
    tasks_default_persist_result: bool | None = None
    tasks_strict: bool = False
    tasks_versions: Versions = "minor"
    tasks_runner_thread_pool_max_workers: int | None = None
    tasks_runner_process_pool_max_workers: int | None = None
    flows_default_retries: int = 0
    flows_default_retry_delay_seconds: float | list[float] = 0.0
    tasks_require_flow_for_submit: bool = False
    tasks_delivery: str = "at_least_once"
    tasks_max_deliveries: int = 5
    tasks_scheduling_delete_failed_submissions: bool = True
    worker_lease_seconds: float = 30.0
    worker_grace_seconds: float = 10.0
    results_default_serializer: str | None = None
    results_budget: int | None = None
    store: str = "auto"
    logging_level: str = "INFO"
    logging_log_prints: bool = False
    logging_extra_loggers: tuple[str, ...] = ()
    debug_mode: bool = False
    cache: str = "on"
    """`refresh`: all compute anew; `readonly`: nothing is kept; `off`: nothing is looked up."""
    history: bool = True
    bundles: tuple[str, ...] = ()
    replay: str = "auto"
    ui: str = "auto"
    inputs: str | None = None
    """A JSON file with answers for pauses that nobody is there to answer."""

    def __getattr__(self, section: str) -> "Section":
        """Return the settings of a section, as in `settings.tasks.default_retries`."""
        return Section(self, "").__getattr__(section)


class Section:
    """The settings whose names begin alike."""

    __slots__ = ("_prefix", "_settings")

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._settings = settings
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        known = Settings.__dataclass_fields__
        if full in known:
            return getattr(self._settings, full)
        if name.startswith("_") or not any(one.startswith(f"{full}_") for one in known):
            message = f"There is no setting {full!r}. The settings are: {', '.join(known)}."
            raise AttributeError(message)
        return Section(self._settings, f"{full}_")

    def __dir__(self) -> list[str]:
        names = [name.removeprefix(self._prefix) for name in Settings.__dataclass_fields__]
        return [name for name in names if name != self._prefix and hasattr(self, name)]


_PARSERS: dict[str, Callable[[str], Any]] = {
    "tasks_default_retries": values.whole,
    "tasks_default_retry_delay_seconds": values.delays,
    "tasks_refresh_cache": values.flag,
    "tasks_default_no_cache": values.flag,
    "tasks_disable_caching": values.flag,
    "tasks_hints": values.flag,
    "tasks_default_persist_result": values.flag,
    "tasks_strict": values.flag,
    "tasks_versions": values.versions,
    "tasks_runner_thread_pool_max_workers": values.whole,
    "tasks_runner_process_pool_max_workers": values.whole,
    "flows_default_retries": values.whole,
    "flows_default_retry_delay_seconds": values.delays,
    "tasks_require_flow_for_submit": values.flag,
    "tasks_delivery": values.delivery,
    "tasks_max_deliveries": values.whole,
    "tasks_scheduling_delete_failed_submissions": values.flag,
    "worker_lease_seconds": values.seconds,
    "worker_grace_seconds": values.seconds,
    "results_default_serializer": str,
    "results_budget": values.size,
    "store": values.store,
    "logging_level": values.level,
    "logging_log_prints": values.flag,
    "logging_extra_loggers": values.names,
    "debug_mode": values.flag,
    "cache": values.cache_mode,
    "history": values.flag,
    "inputs": str,
    "bundles": values.paths,
    "replay": values.replay,
    "ui": values.ui,
}

_ALIASES = {  # the older names have the section in the singular
    name.upper().replace("S_", "_", 1): name
    for name in _PARSERS
    if name.startswith(("tasks_", "flows_"))
}
_OWN_ONLY = {
    "bundles",
    "cache",
    "history",
    "inputs",
    "replay",
    "results_budget",
    "store",
    "tasks_delivery",
    "tasks_hints",
    "tasks_max_deliveries",
    "tasks_require_flow_for_submit",
    "tasks_strict",
    "tasks_versions",
    "ui",
    "worker_grace_seconds",
    "worker_lease_seconds",
}


def _sources(name: str) -> list[str]:
    upper = name.upper()
    found = [f"CELLIST_{upper}"]
    if name not in _OWN_ONLY:
        found.append(f"PREFECT_{upper}")
        found += [f"PREFECT_{old}" for old, new in _ALIASES.items() if new == name]
    return found


_VARIABLES = {name: _sources(name) for name in _PARSERS}


class _Cache:
    seen: tuple[Any, ...] | None = None
    overrides: Mapping[str, Any] = {}
    active: Settings = Settings()
    given: frozenset[str] = frozenset()
    listeners: tuple[Callable[[Settings], object], ...] = ()


def _look() -> tuple[Any, ...]:
    """Return the values of all variables, in any form that tells whether they have changed.

    `os.environ` decodes names and values and raises for each absent one inside, which takes 50 µs
    here; the dictionary that it keeps is asked instead where there is one.
    """
    raw: Any = getattr(os.environ, "_data", None)
    if raw is None:
        return tuple(map(os.environ.get, _NAMES))
    return tuple(map(raw.get, _KEYS))


_NAMES = tuple(variable for variables in _VARIABLES.values() for variable in variables)
_KEYS = tuple(map(getattr(os.environ, "encodekey", str), _NAMES))


def refresh() -> Settings:
    """Look at the environment again and return the settings in force.

    Raises `ConfigurationError` naming the variable that cannot be understood.
    """
    seen = _look()
    if seen != _Cache.seen:
        found = {**_read(), **_Cache.overrides}
        _Cache.active = Settings(**found)
        _Cache.given = frozenset(found)
        _Cache.seen = seen
        for listener in _Cache.listeners:
            listener(_Cache.active)
    return _Cache.active


def active() -> Settings:
    """Return the settings as of the last look at the environment."""
    return _Cache.active


def given() -> frozenset[str]:
    """Return the names of the settings that somebody has set, as of the last look."""
    return _Cache.given


def overrides() -> Mapping[str, Any]:
    """Return what `temporary_settings` has changed."""
    return _Cache.overrides


def on_change(listener: Callable[[Settings], object]) -> None:
    """Call `listener(settings)` now, and whenever a look shows that something has changed."""
    _Cache.listeners = (*_Cache.listeners, listener)
    listener(_Cache.active)


def get_current_settings() -> Settings:
    """Return the settings in force now."""
    return refresh()


def _read() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, variables in _VARIABLES.items():
        for variable in variables:
            text = os.environ.get(variable)
            if text is None:
                continue
            try:
                values[name] = _PARSERS[name](text)
            except ValueError as error:
                problem = str(error).removesuffix(".")
                message = f"The environment variable {variable}={text!r} is not usable: {problem}."
                raise ConfigurationError(message) from None
            break
    return values


@contextmanager
def temporary_settings(
    updates: Mapping[Any, Any] | None = None,
    set_defaults: Mapping[Any, Any] | None = None,
    restore_defaults: Iterable[Any] | None = None,
    **named: Any,
) -> Generator[Settings]:
    """Change settings within a `with` block, for the whole process.

    Keys are the names exported here (`CELLIST_TASKS_REFRESH_CACHE`), their text, or field names.
    `set_defaults` counts for what nobody has set; what `restore_defaults` names has its default.
    Raises `ConfigurationError` for an unknown name.
    """
    before_overrides = _Cache.overrides
    refresh()
    restored = {_field(key): getattr(_DEFAULTS, _field(key)) for key in restore_defaults or ()}
    changed = dict(_changed(key, value) for key, value in {**(updates or {}), **named}.items())
    fallen_back = dict(_changed(key, value) for key, value in (set_defaults or {}).items())
    for name in (fallen_back.keys() & _Cache.given) - restored.keys():
        del fallen_back[name]
    _Cache.overrides = {**before_overrides, **restored, **fallen_back, **changed}
    _Cache.seen = None
    try:
        yield refresh()
    finally:
        _Cache.overrides = before_overrides
        _Cache.seen = None
        refresh()


def _changed(key: Any, value: Any) -> tuple[str, Any]:
    """Return field and value of one change; text is understood as in the environment."""
    name = _field(key)
    if isinstance(value, str):
        try:
            value = _PARSERS[name](value)
        except ValueError as error:
            message = f"The setting {str(key)!r} cannot be {value!r}: {error}."
            raise ConfigurationError(message) from None
    return name, value


def _field(key: Any) -> str:
    text = str(key)
    for prefix in ("CELLIST_", "PREFECT_"):
        text = text.removeprefix(prefix)
    name = _ALIASES.get(text, text.lower())
    if name not in _PARSERS:
        known = ", ".join(field.name for field in fields(Settings))
        message = f"There is no setting {str(key)!r}. The settings are: {known}."
        raise ConfigurationError(message)
    return name


_DEFAULTS = Settings()


class Setting(str):
    """The name of a setting, as `temporary_settings` takes it."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name as text."""
        return str(self)

    def value(self) -> Any:
        """Return the value in force now."""
        return getattr(refresh(), _field(self))


def __getattr__(name: str) -> Setting:
    """Return the setting's own name, so that `from cellist.settings import CELLIST_UI` works."""
    if name.startswith(("CELLIST_", "PREFECT_")):
        try:
            _field(name)
        except ConfigurationError as error:
            raise AttributeError(str(error)) from None
        return Setting(name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
