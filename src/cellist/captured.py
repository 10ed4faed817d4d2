"""What tells tasks of one name apart where their code does not count: what their functions hold.

A factory makes tasks of one qualified name, each with values of its own in a partial or in closure
variables. Those tell which task it is, as they are when the task is first called: what a function
notes in them later does not make another task of it.
"""

import threading
from functools import partial
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from cellist.caching.digests import digest_value
from cellist.caching.kinds import kind_of
from cellist.caching.reach import cell_value
from cellist.caching.source import closure_of
from cellist.exceptions import HashError

_lock = threading.Lock()
_known: "WeakKeyDictionary[FunctionType, tuple[str, ...]]" = WeakKeyDictionary()


def captured(fn: Any) -> tuple[str, ...]:
    """Return what tells a function from others of its name. Raises `HashError` for a partial.

    Its module, what a partial has bound, the text of a lambda, and what closure variables hold:
    data by its digest, or by its type if it has none, and code by its name, since it may be edited.
    """
    return tuple(_parts(fn, set()))


def _parts(fn: Any, around: set[int]) -> list[str]:
    parts: list[str] = []
    while isinstance(fn, partial):
        parts.append(digest_value((fn.args, tuple(fn.keywords.items())), "partial"))
        fn = fn.func
    module = getattr(fn, "__module__", None)
    if module not in (None, "__main__"):
        parts.append(str(module))
    if type(fn) is FunctionType and id(fn) not in around:
        known = _known.get(fn)
        if known is None:
            known = tuple(_held(fn, around | {id(fn)}))
            if not around:  # else it may leave out what is being looked at
                # Another thread may have been faster, and its run may have noted something since.
                with _lock:
                    known = _known.setdefault(fn, known)
        parts.extend(known)
    return parts


def _held(fn: FunctionType, around: set[int]) -> list[str]:
    parts: list[str] = []
    if "<lambda>" in fn.__qualname__:  # all of them have one name
        parts += [one.digest for one in closure_of(fn).components if one.kind == "source"]
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        parts.append(f"{name}={_told(cell_value(cell), name, around)}")
    return parts


def _told(value: Any, name: str, around: set[int]) -> str:
    kind = kind_of(value)
    if kind.what == "data":
        try:
            return digest_value(value, name)
        except HashError:
            return type(value).__qualname__
    code = kind.inner if kind.what == "task" else value
    called = getattr(code, "__qualname__", None) or type(code).__qualname__
    return digest_value((called, *_parts(code, around)))
