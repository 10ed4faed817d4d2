"""Facts that modules show as attributes, computed when asked for, or set by the environment."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Facts = Mapping[str, Callable[[], Any]]


def _as_list(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_CASTS: dict[type, Callable[[str], Any]] = {
    bool: lambda text: text.strip().lower() in {"1", "true", "yes", "on"},
    datetime: _as_moment,
    dict: json.loads,
    float: float,
    int: int,
    list: _as_list,
}


def fact(module: str, facts: Facts, name: str) -> Any:
    """Return one of the facts, or what a variable of the environment says instead.

    Text is turned into the type the value would have. Raises `AttributeError` for an unknown
    name, and `ValueError` naming the variable if its text cannot be of that type.
    """
    subject = module.rpartition(".")[2].upper()
    for prefix in ("CELLIST", "PREFECT"):
        variable = f"{prefix}__RUNTIME__{subject}__{name.upper()}"
        text = None if name.startswith("__") else os.environ.get(variable)
        if text is not None:
            return _cast(variable, text, facts[name]() if name in facts else None)
    if name not in facts:
        message = f"module {module!r} has no attribute {name!r}; it has {', '.join(facts)}"
        raise AttributeError(message)
    return facts[name]()


def _cast(variable: str, text: str, real: Any) -> Any:
    cast = next((make for kind, make in _CASTS.items() if isinstance(real, kind)), str)
    try:
        return cast(text)
    except ValueError as error:
        kind = type(real).__name__
        message = f"The environment variable {variable}={text!r} is no {kind}: {error}"
        raise ValueError(message) from None
