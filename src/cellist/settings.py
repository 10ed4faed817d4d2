"""Settings: read from the environment and from `temporary_settings`, at run time.

Each setting has a name such as `tasks_default_retries`. Its environment variable is
`CELLIST_TASKS_DEFAULT_RETRIES`; where that is absent, Prefect's variable of the same name is
honoured. `PREFECT_*` and `CELLIST_*` names can be imported from here for `temporary_settings`.

The environment is looked at when a run starts that has no parent, so an option set in a later
cell counts from the next call on, and a task call inside a flow does not pay for the look.
"""

import os
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

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


def _text(text: str) -> str:
    return text


def _ui(text: str) -> str:
    word = text.strip().lower()
    if word in {"auto", "widget", "html", "text", "off"}:
        return word
    # how things are shown must not keep anybody's code from running
    message = f"CELLIST_UI={text!r} is not one of auto, widget, html, text, off; auto is used."
    warnings.warn(message, stacklevel=2)
    return "auto"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Durations are seconds."""

    tasks_default_retries: int = 0
    tasks_default_retry_delay_seconds: float | list[float] = 0.0
    tasks_refresh_cache: bool = False
    tasks_default_no_cache: bool = False
    tasks_disable_caching: bool = False
    tasks_default_persist_result: bool | None = None
    tasks_runner_thread_pool_max_workers: int | None = None
    tasks_runner_process_pool_max_workers: int | None = None
    flows_default_retries: int = 0
    flows_default_retry_delay_seconds: float | list[float] = 0.0
    logging_level: str = "INFO"
    logging_log_prints: bool = False
    history: bool = True
    ui: str = "auto"


_PARSERS: dict[str, Callable[[str], Any]] = {
    "tasks_default_retries": _whole,
    "tasks_default_retry_delay_seconds": _delays,
    "tasks_refresh_cache": _flag,
    "tasks_default_no_cache": _flag,
    "tasks_disable_caching": _flag,
    "tasks_default_persist_result": _flag,
    "tasks_runner_thread_pool_max_workers": _whole,
    "tasks_runner_process_pool_max_workers": _whole,
    "flows_default_retries": _whole,
    "flows_default_retry_delay_seconds": _delays,
    "logging_level": _text,
    "logging_log_prints": _flag,
    "history": _flag,
    "ui": _ui,
}

_ALIASES = {
    "TASK_DEFAULT_RETRIES": "tasks_default_retries",
    "TASK_DEFAULT_RETRY_DELAY_SECONDS": "tasks_default_retry_delay_seconds",
    "FLOW_DEFAULT_RETRIES": "flows_default_retries",
    "FLOW_DEFAULT_RETRY_DELAY_SECONDS": "flows_default_retry_delay_seconds",
}
_OWN_ONLY = {"history", "ui"}


def _sources(name: str) -> list[str]:
    upper = name.upper()
    found = [f"CELLIST_{upper}"]
    if name not in _OWN_ONLY:
        found.append(f"PREFECT_{upper}")
        found += [f"PREFECT_{old}" for old, new in _ALIASES.items() if new == name]
    return found


_VARIABLES = {name: _sources(name) for name in _PARSERS}


class _Cache:
    seen: tuple[str | None, ...] | None = None
    overrides: Mapping[str, Any] = {}
    active: Settings = Settings()


def refresh() -> Settings:
    """Look at the environment again and return the settings in force.

    Raises `ConfigurationError` naming the variable that cannot be understood.
    """
    get = os.environ.get
    seen = tuple(get(variable) for names in _VARIABLES.values() for variable in names)
    if seen != _Cache.seen:
        _Cache.active = replace(_read(), **_Cache.overrides)
        _Cache.seen = seen
    return _Cache.active


def active() -> Settings:
    """Return the settings as of the last look at the environment."""
    return _Cache.active


def get_current_settings() -> Settings:
    """Return the settings in force now."""
    return refresh()


def _read() -> Settings:
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
    return Settings(**values)


@contextmanager
def temporary_settings(
    updates: Mapping[Any, Any] | None = None, **named: Any
) -> Generator[Settings]:
    """Change settings within a `with` block, for the whole process.

    Keys are the names exported here (`CELLIST_TASKS_REFRESH_CACHE`), their text, or field names.
    Raises `ConfigurationError` for an unknown name.
    """
    before_overrides = _Cache.overrides
    changed = dict(_changed(key, value) for key, value in {**(updates or {}), **named}.items())
    _Cache.overrides = {**before_overrides, **changed}
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


def __getattr__(name: str) -> str:
    """Return the setting's own name, so that `from cellist.settings import CELLIST_UI` works."""
    if name.startswith(("CELLIST_", "PREFECT_")):
        try:
            _field(name)
        except ConfigurationError as error:
            raise AttributeError(str(error)) from None
        return name
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
