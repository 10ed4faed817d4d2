"""The keys of earlier calls: the same plain arguments and the same code have the same key.

To make a key takes longer than to look a result up. So a task whose key is made of its inputs and
its source, and nothing else, keeps in mind which keys it had. Only arguments that nothing can
change are compared, with their types: `1`, `True` and `1.0` are equal, but not the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from cellist import settings
from cellist.cache_policies import CachePolicy, CompoundCachePolicy, Inputs, TaskSource
from cellist.caching.source import Kept, kept_closure
from cellist.key_requests import PLAIN, KeyRequest, Terms, notes_of, parts_of_key
from cellist.model.reasons import Component

_PLAIN = frozenset({int, bool, type(None)})
_MOST = 2**15
"""Keys of a task, each about 300 bytes."""
_LONGEST = 200
"""Characters of a text or digits of a number, about, that are kept in mind."""
_LARGEST = 1 << 600

Call = tuple[Any, ...]


class Standing(NamedTuple):
    """What is known of a task as long as its code, and what was asked of it, are what they were."""

    kept: Kept
    versions: tuple[Any, Any]
    """What the policy and the setting said of versions."""
    shared: bool
    exclude: list[str]
    notes: tuple[str, ...]
    """What is to be said of each call."""
    packages: tuple[tuple[str, str], ...]
    """The installed libraries that the code reaches, with their exact versions."""
    fixed: list[Component]
    """The parts of each key besides the arguments."""
    parts: list[str]
    """The same as they go into a key."""
    opened: list[Component]
    """The same with the parts of the code in the place of its digest."""
    closures: dict[str, Sequence[Component]]
    """The parts of the code, by its digest."""
    made: dict[Call, str]
    """The keys of calls; not what they are made of, which a hit has no need of."""


class KnownKeys:
    """The keys of the latest calls of one task, as long as its code is what it was."""

    __slots__ = ("_inputs", "_source", "_standing")

    def __init__(self, source: TaskSource, inputs: Inputs) -> None:
        self._source = source
        self._inputs = inputs
        self._standing: Standing | None = None

    @staticmethod
    def of(policy: CachePolicy, terms: Terms, version: str | None) -> "KnownKeys | None":
        """Return room for the keys of a task, `None` if its keys are made of more than is known."""
        if type(policy) is not CompoundCachePolicy or terms is not PLAIN or version is not None:
            return None
        members = {type(one): one for one in policy.policies}
        source, inputs = members.get(TaskSource), members.get(Inputs)
        if len(policy.policies) != len(members) or len(members) != len((source, inputs)):
            return None
        if isinstance(source, TaskSource) and isinstance(inputs, Inputs):
            return KnownKeys(source, inputs)
        return None

    def standing(self, fn: Any) -> Standing | None:
        """Return what is known of the task, if the code and all else is what it was."""
        known = self._standing
        return known if known is not None and self._holds(known, fn) else None

    def keep(self, known: Standing, call: Call, key: str) -> None:
        """Keep the key of a call in mind."""
        if len(known.made) >= _MOST:
            known.made.clear()
        known.made[call] = key

    def stands(self, fn: Any, closures: Mapping[str, Any]) -> bool:
        """Whether the code is still what it was when a key was made with these closures.

        `False` says nothing.
        """
        known = self._standing
        return (
            known is not None and known.kept.closure.digest in closures and self._holds(known, fn)
        )

    def _holds(self, known: Standing, fn: Any) -> bool:
        """Whether all is as it was; the policy may have been changed as well as the code."""
        inputs = self._inputs
        return (
            known.versions == (self._source.versions, settings.active().tasks_versions)
            and known.exclude == inputs.exclude
            and known.shared is inputs.shared
            and known.kept.unchanged(fn, ())
        )

    def add(
        self,
        fn: Any,
        call: Call,
        request: KeyRequest,
        key: str,
        components: Sequence[Component],
    ) -> None:
        """Keep in mind what the first key that was made with some code tells of others."""
        kept = kept_closure(fn)
        if kept is None or request.closures.keys() != {kept.closure.digest}:
            return
        known, inputs = self._standing, self._inputs
        versions = self._source.versions, settings.active().tasks_versions
        said = versions, inputs.shared, inputs.exclude
        if known is None or known.kept is not kept or (known.versions, *known[2:4]) != said:
            notes = tuple(notes_of(kept.closure))
            exclude = list(inputs.exclude)
            fixed = [one for one in components if one.kind != "argument"]
            opened = request.opened(fixed)
            packages = kept.closure.packages
            known = self._standing = Standing(
                kept,
                versions,
                inputs.shared,
                exclude,
                notes,
                packages,
                fixed,
                parts_of_key(fixed),
                opened,
                dict(request.closures),
                {},
            )
        self.keep(known, call, key)


def call_of(args: Iterable[Any], *, named: bool = False) -> Call | None:
    """Return what tells a call from others, `None` if an argument is not plain or is large.

    `args` are the positional arguments of a call without others, or if `named`, all of its
    arguments in the order of the parameters, defaults filled in.
    """
    call: list[Any] = [None] if named else []
    for value in args:
        kind = cast("Any", type(value))
        if kind in _PLAIN:
            if kind is int and not -_LARGEST < value < _LARGEST:
                return None
            call += kind, value
        elif kind is str and len(value) <= _LONGEST:
            call += kind, value
        elif kind is float:
            call += kind, value.hex()  # 0.0 and -0.0 are equal, NaN equals nothing
        else:
            return None
    return tuple(call)


__all__ = ["Call", "KnownKeys", "Standing", "call_of"]
