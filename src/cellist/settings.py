"""Settings: read from the environment and from `temporary_settings`, at run time.

Each setting has a name such as `tasks_default_retries`. Its environment variable is
`CELLIST_TASKS_DEFAULT_RETRIES`; where that is absent, Prefect's variable of the same name is
honoured. `PREFECT_*` and `CELLIST_*` names can be imported from here for `temporary_settings`.

The environment is looked at when a run starts that has no parent, so an option set in a later
cell counts from the next call on, and a task call inside a flow does not pay for the look.
"""

import logging
import os
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from cellist.caching.packages import OTHERS, Versions, versions_of
from cellist.exceptions import ConfigurationError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    message = "expected one of 1, 0, true, false, yes, no, on, off"
    raise ValueError(message)


def _delays(text: str) -> float | list[float]:
    numbers = [float(part) for part in text.strip().strip("[]").split(",") if part.strip()]
    return numbers if "," in text else numbers[0] if numbers else 0.0


def _whole(text: str) -> int:
    return int(text)


def _level(text: str) -> str:
    word = text.strip().upper()
    if word.isdecimal() or word in logging.getLevelNamesMapping():
        return word
    message = "expected a level such as DEBUG, INFO, WARNING or ERROR, or a number"
    raise ValueError(message)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _cache_mode(text: str) -> str:
    word = text.strip().lower()
    if word in {"on", "refresh", "readonly", "off"}:
        return word
    try:
        return "on" if _flag(word or "on") else "off"
    except ValueError:
        message = "expected one of on, refresh, readonly, off"
        raise ValueError(message) from None


def _versions(text: str) -> Versions:
    """Return what `minor` or `minor, pandas=exact` says about the versions that count."""
    words = [part.partition("=") for part in _names(text)]
    pairs = tuple((name.strip(), word.strip()) for name, mark, word in words if mark)
    others = [name.strip() for name, mark, _ in words if not mark]
    if len(others) > 1 or not words:
        message = "expected one word for all libraries, and others as in 'minor, pandas=exact'"
        raise ValueError(message)
    if not pairs:
        return versions_of(others[0])
    return versions_of((*pairs, *((OTHERS, word) for word in others)))


def _size(text: str) -> int | None:
    found = re.fullmatch(r"(\d+\.?\d*)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None:
        _complain(f"CELLIST_RESULTS_BUDGET={text!r} is no size such as 500MB; the default is used.")
        return None
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix or " "))


def _store(text: str) -> str:
    return _choice("CELLIST_STORE", text, ("auto", "index", "files"))


def _paths(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(os.pathsep) if part)


def _ui(text: str) -> str:
    return _choice("CELLIST_UI", text, ("auto", "widget", "html", "text", "off"))


def _choice(variable: str, text: str, words: tuple[str, ...]) -> str:
    """Return the word, or the first with a warning."""
    word = text.strip().lower()
    if word in words:
        return word
    _complain(f"{variable}={text!r} is not one of {', '.join(words)}; {words[0]} is used.")
    return words[0]


def _complain(message: str) -> None:
    """Warn: how things are shown or kept must not keep anybody's code from running."""
    warnings.warn(message, stacklevel=3)


def _replay(text: str) -> str:
    return _choice("CELLIST_REPLAY", text, ("auto", "on", "off"))


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
    "tasks_default_retries": _whole,
    "tasks_default_retry_delay_seconds": _delays,
    "tasks_refresh_cache": _flag,
    "tasks_default_no_cache": _flag,
    "tasks_disable_caching": _flag,
    "tasks_hints": _flag,
    "tasks_default_persist_result": _flag,
    "tasks_strict": _flag,
    "tasks_versions": _versions,
    "tasks_runner_thread_pool_max_workers": _whole,
    "tasks_runner_process_pool_max_workers": _whole,
    "flows_default_retries": _whole,
    "flows_default_retry_delay_seconds": _delays,
    "tasks_require_flow_for_submit": _flag,
    "results_default_serializer": str,
    "results_budget": _size,
    "store": _store,
    "logging_level": _level,
    "logging_log_prints": _flag,
    "logging_extra_loggers": _names,
    "debug_mode": _flag,
    "cache": _cache_mode,
    "history": _flag,
    "bundles": _paths,
    "replay": _replay,
    "ui": _ui,
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
    "replay",
    "results_budget",
    "store",
    "tasks_hints",
    "tasks_require_flow_for_submit",
    "tasks_strict",
    "tasks_versions",
    "ui",
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
        values = {**_read(), **_Cache.overrides}
        _Cache.active = Settings(**values)
        _Cache.given = frozenset(values)
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
                message = f"The environment variable {variable}={text!r} is not usable: {error}."
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
