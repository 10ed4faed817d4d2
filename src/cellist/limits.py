"""Limits: how much may happen at a time, or per second, in this kernel.

    limits.set("db", 2)                     `with concurrency("db")` lets two in at a time
    limits.set_tag("db", 1)                 one task run tagged `db` at a time
    limits.set_rate("api", per_second=5)    `rate_limit("api")` lets five through per second
    limits.show()                           all limits, what is in use and who waits

A tag is limited by the limit `tag:<tag>`, so `limits.set("tag:db", 1)` is the same as
`limits.set_tag("db", 1)`. A run takes a slot for each of its tags that has a limit before it starts
running and waits in AwaitingConcurrencySlot if there is none; it gives them back when it ends and
while it waits for a retry. A task run inside another that holds a slot of the same tag uses that
slot, one inner run at a time.

A limit can be changed at any time. Raising one wakes who waits; lowering one stops nobody; what
waits for more than there is now fails.

Limits hold within one kernel and are gone when it ends, unless they are made with `shared=True`:
    limits.set("db", 2, shared=True)        two at a time in all kernels of the project together
Such a limit is kept in the project's `.cellist/` folder until it is removed, and counts in every
kernel that works there, without being set in each. Slots are leases: those of a kernel that is
gone are free at once on the same machine, else when the lease ends. Who waits is woken at once by
another kernel of the same machine; kernels take turns, and within a kernel the first comes first.
A limit that a kernel has set for itself counts there instead of a shared one of the same name.
"""

import sqlite3
from importlib import import_module
from typing import Any

from cellist.engine.limits import LimitInfo
from cellist.exceptions import ConfigurationError, ObjectNotFound
from cellist.session import get_session


def set(name: str, limit: int, *, shared: bool | None = None) -> None:  # noqa: A001 - read as `limits.set`
    """Let at most `limit` slots of `name` be in use at a time. 0 lets nothing run.

    `shared` says whether it counts in all kernels of the project; by default it stays what it is,
    and a new one counts in this kernel only. Raises `TypeError` or `ValueError` unless the name is
    text and the limit a whole number >= 0, and `ConfigurationError` if it cannot be shared.
    """
    _set(_checked_name(name), _checked_count(name, limit), 0.0, shared)


def set_tag(tag: str, limit: int, *, shared: bool | None = None) -> None:
    """Let at most `limit` task runs with this tag run at a time. 0 makes them fail.

    `shared` is as for `set`, and so is what is raised.
    """
    set(f"tag:{_checked_name(tag)}", limit, shared=shared)


def set_rate(name: str, per_second: float, limit: int = 1, *, shared: bool | None = None) -> None:
    """Let slots of `name` come back at a rate, with at most `limit` in use at a moment.

    With a limit of 1 what happens is evenly spaced; a higher one allows bursts of that size. The
    slots come back by time alone, whatever takes them. `shared` is as for `set`. Raises `TypeError`
    or `ValueError` unless `per_second` is a number > 0 and `limit` a whole number >= 0, and
    `ConfigurationError` if it cannot be shared.
    """
    is_number = isinstance(per_second, (int, float)) and not isinstance(per_second, bool)  # pyright: ignore[reportUnnecessaryIsInstance] - users may not check types
    if not is_number or not 0 < per_second < float("inf"):
        message = f"`per_second` of limit {name!r} must be a number > 0, got {per_second!r}."
        raise ValueError(message) if is_number else TypeError(message)
    count = _checked_count(name, limit)
    _set(_checked_name(name), count, float(per_second), shared)


def _set(name: str, limit: int, per_second: float, shared: bool | None) -> None:
    limits = get_session().limits
    if not (shared is None or isinstance(shared, bool)):  # pyright: ignore[reportUnnecessaryIsInstance] - users may not check types
        message = f"`shared` of limit {name!r} must be True, False or None, got {shared!r}."
        raise TypeError(message)
    try:
        limits.set(name, limit, per_second, shared)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(name, error) from None


def _unusable(name: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"Limit {name!r} cannot be shared with other kernels: the folder for it cannot be used "
        f"({error}). Make that writable, or leave `shared=True` out."
    )


def remove(name: str) -> None:
    """Take a limit away and let everybody go on who waits for it; a shared one in all kernels.

    Raises `ObjectNotFound` naming the limits there are if there is no such limit, and
    `ConfigurationError` if it is shared and the folder it is kept in cannot be used.
    """
    try:
        is_gone = get_session().limits.remove(_checked_name(name))
    except (OSError, sqlite3.Error) as error:
        raise _unusable(name, error) from None
    if not is_gone:
        known = ", ".join(repr(one.name) for one in table()) or "none"
        raise ObjectNotFound(f"There is no limit {name!r}. The limits are: {known}.")


def table() -> list[LimitInfo]:
    """Return all limits by name: the slots there are, in use, by whom, and how many wait."""
    return get_session().limits.table()


def show() -> Any:
    """Return `table` as a DataFrame."""
    pd: Any = import_module("pandas")  # heavy, and untyped
    return pd.DataFrame(table(), columns=pd.Index(LimitInfo._fields))


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        message = f"The name of a limit must be text, got {name!r}."
        raise TypeError(message)
    if not name or name == "tag:":
        message = f"The name of a limit must not be empty, got {name!r}."
        raise ValueError(message)
    return name


def _checked_count(name: Any, limit: Any) -> int:
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        return limit
    message = f"Limit {name!r} must be a whole number >= 0, got {limit!r}."
    raise ValueError(message) if isinstance(limit, int) else TypeError(message)


__all__ = ["LimitInfo", "remove", "set", "set_rate", "set_tag", "show", "table"]
