"""What a flow keeps of its attempts, so that its retry runs only what is missing.

What completed in one attempt of a flow run serves the next ones, whether its result is stored or
not: a retry goes on where the run failed. A call is the same call if the task's code, its inputs
and the data it reads are the same, apart from what it only notes something in. Within one
attempt a task runs as often as it is called: each result serves one call of a later attempt.

When the flow run has failed for good, what it kept serves a retry by hand (`cellist.retry`), which
is another run of the flow.

What no cache would keep (tasks with `NO_CACHE`, those that return `None`, `persist_result=False`)
may ask about the world or change it. So it is served only if it had no part in the failure, as far
as can be seen: not if the flow's own code raised, which may have judged it, and not if a run that
failed was given its value. What asked which run it is part of is never served.
"""

import ast
import re
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from threading import Lock
from typing import Any

from cellist.caching.digests import digest_value
from cellist.caching.formats import Encoded, atom_size, decode, encode
from cellist.caching.parsing import parse
from cellist.caching.source import closure_of
from cellist.engine.commands import Held, Ok
from cellist.engine.execution import Execution
from cellist.engine.inputs import parts
from cellist.exceptions import HashError, SerializationError, UnfinishedRun
from cellist.model.reasons import CODE_KINDS, Reason
from cellist.model.runs import Run
from cellist.narrowed import Narrowed
from cellist.taskkeys import code_digest

_MOST = 256 * 2**20
"""Bytes kept for one flow run; larger results are left to the store."""


_DATA = frozenset({"global", "closure", "default"})


class _Kept:
    """The result of one run: as bytes unless nothing can change it."""

    __slots__ = ("attempt", "encoded", "is_cached", "made", "original", "suspect", "value")

    def __init__(
        self, attempt: int, value: Any, encoded: Encoded | None, is_cached: bool, made: str
    ) -> None:
        self.attempt = attempt
        self.made = made
        """In which attempt or run, for the reason."""
        self.value = value if encoded is None else None
        self.encoded = encoded
        self.is_cached = is_cached
        """Whether a cache would keep it as well."""
        self.original: Any = None
        self.suspect = False
        """Whether a run that failed was given the value."""

    def fresh(self) -> Any:
        """Return the value, shared with nobody."""
        encoded = self.encoded
        if encoded is None:
            return self.value
        return decode(encoded.format, encoded.meta, encoded.parts, private=False)


class Attempts:
    """Results of the runs inside one flow run, by call and attempt."""

    def __init__(
        self,
        run: Run,
        outer: "Attempts | None" = None,
        before: "Attempts | None" = None,
        only: Narrowed | None = None,
    ) -> None:
        self._only = only
        self.run = run
        """The flow run whose attempts count."""
        self._outer = outer
        """Those of a flow around it, which may be at a later attempt."""
        self._kept: dict[str, deque[_Kept]] = before.left() if before is not None else {}
        self._keys: dict[int, str] = {}
        """Of runs that go on, by number: inputs may be changed in place meanwhile."""
        self._errors: list[BaseException] = []
        self._judged = before is not None and before._judged
        """Whether the flow's own code raised in the attempt before."""
        self._size = before._size if before is not None else 0
        self._lock = Lock()
        if only is not None:
            only.begin(run)

    @property
    def is_narrowed(self) -> bool:
        """Whether only one run inside is retried."""
        return self._only is not None or (self._outer is not None and self._outer.is_narrowed)

    def recall(self, x: Execution) -> Ok | Held | None:
        """Return what an earlier attempt got for this call, and say so in the run's reason."""
        held = self._only.end_of(x) if self._only is not None else None
        if held is not None:
            return held
        x.asked = False  # by functions that name the run
        key = _key(x)
        if key is None:
            return None
        with self._lock:
            kept = self._take(key)
            if kept is None:
                self._keys[x.run.number] = key
            else:
                made, kept.made = kept.made, self._here()
                kept.attempt = self.run.attempts
                self._kept[key].append(kept)  # for the attempt after this one
                x.run.why = Reason("hit", "attempt", f"reused from {made}")
                return Ok(kept.fresh())
        found = self._outer.recall(x) if self._outer is not None else None
        if isinstance(found, Ok):
            self._keep(x, found.value)
        return found

    def _here(self) -> str:
        return f"attempt {self.run.attempts} of flow run {self.run.name!r}"

    def left(self) -> dict[str, deque[_Kept]]:
        """Return what a later run of the flow may reuse, and keep nothing."""
        with self._lock:
            left, self._kept = self._kept, {}
        for kept in (one for several in left.values() for one in several):
            kept.attempt = 0
        return left

    def put(self, key: str, value: Any, *, is_cached: bool, original: Any = None) -> None:
        """Keep a result for later attempts, unless it cannot be kept or is too large."""
        encoded = None
        if atom_size(value) is None:
            try:
                encoded = encode(value)
            except SerializationError:
                return  # such a task runs again
            if self._size + encoded.size > _MOST:
                return
            encoded = encoded.owned()
        with self._lock:
            self._size += encoded.size if encoded is not None else 0
            kept = _Kept(self.run.attempts, value, encoded, is_cached, self._here())
            kept.original = original
            self._kept.setdefault(key, deque()).append(kept)

    def _take(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        while kept and kept[0].attempt < self.run.attempts:
            first = kept.popleft()
            if first.is_cached or not (self._judged or first.suspect):
                return first
        return None

    def keep(self, x: Execution, value: Any) -> None:
        """Keep what a run of the present attempt gave."""
        self._keep(x, value)
        if self._outer is not None:
            self._outer.keep(x, value)

    def _keep(self, x: Execution, value: Any) -> None:
        key = self._keys.pop(x.run.number, None)
        if key is None or x.asked:
            return
        is_cached = _is_cached(x, value)
        self.put(key, value, is_cached=is_cached, original=None if is_cached else value)

    def failed(self, x: Execution, error: BaseException) -> None:
        """Note that a run inside the flow failed, and what it was given."""
        self._keys.pop(x.run.number, None)
        given: set[int] = set()
        for value in (*x.args, *x.kwargs.values()):
            given.add(id(value))
            given.update(id(part) for part in parts(value))
        with self._lock:
            self._errors.append(error)
            for kept in self._all():
                if kept.original is not None and id(kept.original) in given:
                    kept.suspect = True
        if self._outer is not None:
            self._outer.failed(x, error)

    def ended(self, x: Execution, error: BaseException) -> None:
        """Note that an attempt of the flow run has failed; `error` is what its code raised."""
        if x.run is not self.run:
            return  # a flow without retries inside
        with self._lock:
            self._judged = is_own(error, self._errors)
            self._errors.clear()
            self._keys.clear()

    def close(self, x: Execution) -> None:
        """Note that the flow run has ended."""
        if self._only is not None and x.run is self.run:
            self._only.end()

    def _all(self) -> Iterator[_Kept]:
        for kept in self._kept.values():
            yield from kept


def is_own(error: BaseException, inner: Iterable[BaseException]) -> bool:
    """Whether a flow's own code raised an error, and not a run inside that failed or never ran."""
    return not isinstance(error, UnfinishedRun) and all(error is not one for one in inner)


def _is_cached(x: Execution, value: Any) -> bool:
    """Whether a cache would keep the value, too; of child flows all but those told not to."""
    if x.plan.is_flow:
        return x.definition.persist_result is not False
    cache: Any = x.plan.cache
    return cache.__class__ is not Reason and (value is not None or cache.explicit)


def _key(x: Execution) -> str | None:
    """Return what tells calls apart, `None` if an input has no stable digest."""
    try:
        return call_key(called(x.definition), x.bound())
    except HashError:
        return None


def called(definition: Any) -> tuple[Any, ...]:
    """Return what is called: its name, its code and the data it reads."""
    fn: Any = definition.fn
    return definition.identity, code_digest(fn), values_read(fn)


def call_key(what: tuple[Any, ...], bound: dict[str, Any]) -> str:
    """Return what tells a call from others, given what is called and the arguments by name.

    Raises `HashError` if one of them has no stable digest.
    """
    inputs = tuple((name, digest_value(value, name)) for name, value in bound.items())
    return digest_value((*what, inputs))


def values_read(fn: Any) -> tuple[tuple[str, ...], ...]:
    """Return the data that the code reads for their value, as they are now, by kind and name.

    What it only notes something in (`calls.append(x)`, `counts["a"] += 1`) tells no calls apart.
    """
    parts = closure_of(fn).components
    codes = [part for part in parts if part.kind in CODE_KINDS]
    owners = {"", *(part.name for part in codes)}
    read: set[str] = set()
    for part in codes:
        if not part.text:  # no source to be had: everything counts
            owners.clear()
        read |= names_read(part.text)
    found: list[tuple[str, ...]] = []
    for part in sorted(parts):
        owner, _, name = part.name.rpartition(".")  # `clean.seen` is what the helper `clean` reads
        is_noted = part.kind != "default" and owner in owners and name not in read
        if part.kind in _DATA and not is_noted:
            found.append(part[:3])
    return tuple(found)


@lru_cache(maxsize=1024)
def names_read(code: str) -> frozenset[str]:
    """Return the names whose value code uses, and not only to note something in them."""
    try:
        tree = parse(textwrap.dedent(code))
    except SyntaxError:
        return frozenset(re.findall(r"\w+", code))
    noted = {id(name) for node in ast.walk(tree) for name in _noted(node)}
    loads = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return frozenset(node.id for node in loads if id(node) not in noted)


def _noted(node: ast.AST) -> Iterator[ast.Name]:
    """Yield the names at the root of what a statement changes or calls without using the value."""
    match node:
        case ast.Expr(value=ast.Call(func=target) | ast.Await(value=ast.Call(func=target))):
            targets = [target]
        case ast.Assign(targets=targets):
            pass
        case ast.AugAssign(target=target):
            targets = [target]
        case _:
            return
    for one in targets:
        root: ast.expr = one
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Name):
            yield root
