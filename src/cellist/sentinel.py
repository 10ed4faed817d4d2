"""What a run does that its cache key does not say: chance, the clock, files nobody declared.

None of it is sound: a library may read a file in C, or draw from a generator of its own. So what
is seen is a hint in the reason, stored with the result and told again with every hit, and never
decides anything.

Two things are looked at. The text of the task and its helpers says what they call
(`sentinel_texts`). And while the run lasts, Python's audit hook tells of the files that are opened
in its context, and the global random generators are compared before and after, unless the task is
so quick that this would cost more than the task itself. An audit hook cannot be taken away again,
so it is set with the first run whose result is to be kept, and from then on costs half a
microsecond for each thing Python audits.

No call raises: a fault here costs hints, never a run or its result.
"""

import os
import random
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from weakref import ref

from cellist import settings
from cellist.cache_notes import Note
from cellist.caching.declared import declared_in
from cellist.caching.reasons import Known, noting
from cellist.engine.execution import Execution, current
from cellist.model.locations import home
from cellist.model.reasons import CODE_KINDS, Component
from cellist.model.runs import Run
from cellist.sentinel_texts import Habits, habits_of

_QUICK = 0.002
"""Seconds: of a task that took less, the generators are only looked at if its text names them."""
_MOST = 3
_MOST_KNOWN = 500
_CODE = (".py", ".pyc", ".pyi", ".so", ".pyd", ".dll", ".dylib")
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/")
_WRITING = os.O_WRONLY | os.O_RDWR


class Seen:
    """What has been seen of one run so far."""

    __slots__ = (
        "__weakref__",
        "habits",
        "read",
        "reused",
        "run",
        "session",
        "states",
        "was_alone",
        "written",
    )

    def __init__(self, x: Execution, habits: Habits, states: tuple[Any, ...] | None) -> None:
        self.run: Run = x.run
        self.session = x.services
        self.habits = habits
        self.states = states
        self.read: dict[str, None] = {}
        self.reused: dict[str, None] = {}
        """Hints of the results that were reused inside the run."""
        self.written: set[str] = set()
        self.was_alone = True
        """Whether no other run is watched meanwhile, which may have drawn as well."""
        for key, reference in list(_watched.items()):
            other = reference()
            # A run that fails is not told of here, nor one whose session is over.
            if other is None:
                _watched.pop(key, None)
            elif other.session is self.session and not other.run.is_final:
                self.was_alone = other.was_alone = False
        _watched[id(self)] = ref(self)


_watched: "dict[int, ref[Seen]]" = {}
_is_listening = False


def watch(x: Execution, note: Note, known: list[Known]) -> None:
    """Begin to watch a run that is about to compute what is not in the store."""
    if not settings.active().tasks_hints:
        return
    with suppress(Exception):  # such as NumPy half imported by another thread
        _listen()
        habits = _habits(note)
        is_quick = bool(known) and (known[0].header.get("seconds") or 0.0) < _QUICK
        is_random = habits.draws or not (is_quick or habits.seeds)
        note.seen = Seen(x, habits, _states() if is_random and not habits.seeds else None)


def tell(x: Execution, note: Note) -> list[str]:
    """End the watch, put the hints into the reason of the run, and return them."""
    seen: Seen | None = note.seen
    if seen is None:
        return []
    note.seen = None
    _watched.pop(id(seen), None)
    hints = [*seen.habits.hints, *seen.reused]
    with suppress(Exception):  # such as a working directory that is gone
        hints += _observed(seen, note)
    hints = list(dict.fromkeys(hints))
    if hints:
        x.run.why = noting(x.run.why, hints)
    return hints


def _observed(seen: Seen, note: Note) -> Iterator[str]:
    """Yield what was seen while the run lasted."""
    if seen.states is not None and (seen.was_alone or seen.habits.draws):
        drawn = _drawn(seen.states, _states())
        if drawn:
            yield (
                f"drew from {drawn} without a seed: what it drew is kept; "
                "seed a generator of its own, or pass one"
            )
    files = _undeclared(seen, note) if seen.read else []
    if files:
        named = ", ".join(f"`{name}`" for name in files[:_MOST])
        named += f" and {len(files) - _MOST} more" if len(files) > _MOST else ""
        which, it = ("content is", "it") if len(files) == 1 else ("contents are", "them")
        yield f"reads {named}, whose {which} not in the key: declare {it} with `File`"


def pass_on(x: Execution, hints: Iterable[str]) -> None:
    """Let the runs around one that was reused have its hints: its result is part of theirs."""
    above = x.parent
    while above is not None:
        note: Note | None = above.cache_note
        seen: Seen | None = None if note is None else note.seen
        if seen is not None:
            seen.reused.update(dict.fromkeys(hints))
        above = above.parent


# -- what the code says --


def _habits(note: Note) -> Habits:
    """Return what the code says; it is the same for all calls with plain arguments."""
    closures = note.call.closures
    if not note.call.is_plain or len(closures) != 1:
        return _habits_in(note.components)
    digest = next(iter(closures))
    known = _known_habits.get(digest)
    if known is None:
        if len(_known_habits) > _MOST_KNOWN:
            _known_habits.clear()
        known = _known_habits[digest] = _habits_in(note.components)
    return known


_known_habits: dict[str, Habits] = {}
"""By the digest of the closure of the code."""


def _habits_in(components: Collection[Component]) -> Habits:
    texts = tuple(one.text for one in components if one.kind in CODE_KINDS)
    declared = declared_in(components)
    variables = frozenset(name for kind, name in declared if kind == "environment variable")
    return habits_of(texts, variables)


# -- chance --


def _states() -> tuple[Any, ...]:
    """Return what tells whether somebody has drawn: cheap to keep, and changed by every draw."""
    found: list[Any] = [random.getstate()]
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        state = numpy.get_state(legacy=False)
        inner = state.get("state", state)
        found.append((str(inner.get("pos")), bytes(inner.get("key", b"")), state.get("has_gauss")))
    return tuple(found)


def _drawn(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    names = ("`random`", "`numpy.random`")
    changed = [name for name, old, new in zip(names, before, after, strict=False) if old != new]
    return " and ".join(changed)


# -- files --


def _listen() -> None:
    global _is_listening  # noqa: PLW0603 - a process has one list of audit hooks
    if not _is_listening:
        _is_listening = True
        sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event != "open":
        return
    try:
        x = current.get()
        if x is not None and type(args[0]) is str:
            _note_open(x, *args)
    except Exception:  # noqa: S110 - an exception here would fail the user's `open`
        pass


def _note_open(x: Execution | None, path: str, mode: str | None, flags: int) -> None:
    is_writing = bool(flags & _WRITING) and not (mode and "r" in mode)
    while x is not None:
        note: Note | None = x.cache_note
        seen: Seen | None = None if note is None else note.seen
        if seen is not None and is_writing:
            seen.written.add(os.path.abspath(path))  # noqa: PTH100 - may run at every open
        elif seen is not None:
            seen.read[path] = None
        x = x.parent


def _undeclared(seen: Seen, note: Note) -> list[str]:
    named = [(kind, os.path.abspath(name)) for kind, name in declared_in(note.components)]  # noqa: PTH100 - texts as they are
    declared = {name for kind, name in named if kind == "file"}
    folders = tuple(name + os.sep for kind, name in named if kind == "folder")
    here = os.getcwd() + os.sep  # noqa: PTH109 - as above
    found: list[str] = []
    for name in list(seen.read):  # a thread it left may still open some
        path = os.path.abspath(name)  # noqa: PTH100 - as above
        if path in declared or path in seen.written or path.startswith(folders):
            continue
        if is_data(path):
            found.append(path.removeprefix(here))
    return list(dict.fromkeys(found))


def is_data(path: str) -> bool:
    """Whether a file is the user's data, and not code, a library's own, settings or the system."""
    if path.endswith(_CODE) or path.startswith((*_SYSTEM, *_library_places())):
        return False
    return f"{os.sep}." not in path


@lru_cache(maxsize=1)
def _library_places() -> tuple[str, ...]:
    places = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    try:
        places.add(str(home()))
    except OSError:
        pass
    return tuple(place.rstrip(os.sep) + os.sep for place in places if place)
