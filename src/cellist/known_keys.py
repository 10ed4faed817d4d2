"""The keys of earlier calls: the same plain arguments and the same code have the same key.

To make a key takes longer than to look a result up. So a task whose key is made of its inputs and
its source, and nothing else, keeps in mind which keys it had. Only arguments that nothing can
change are compared, with their types: `1`, `True` and `1.0` are equal, but not the same.
"""

from collections.abc import Iterable
from typing import Any, cast

from cellist.cache_policies import CachePolicy, CompoundCachePolicy, Inputs, TaskSource
from cellist.caching.source import SourceClosure
from cellist.key_requests import PLAIN, KeyRequest, Terms
from cellist.model.reasons import Component

_PLAIN = frozenset({int, bool, type(None)})
_MOST = 2048
_LONGEST = 200
"""Characters of a text or digits of a number, about, that are kept in mind."""
_LARGEST = 1 << 600

Call = tuple[Any, ...]
Made = tuple[str, list[Component]]
"""A key and what it is made of."""


class KnownKeys:
    """The keys of the latest calls of one task, as long as its code is what it was."""

    __slots__ = ("_inputs", "_known", "_said", "_source")

    def __init__(self, source: TaskSource, inputs: Inputs) -> None:
        self._source = source
        self._inputs = inputs
        self._said: tuple[Any, ...] = ()
        """What the policy said about the inputs: it may be changed."""
        self._known: tuple[SourceClosure, dict[Call, Made]] | None = None
        """The code and the keys made with it; both change at once."""

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

    def find(self, call: Call, request: KeyRequest) -> Made | None:
        """Return the key of a call and what it is made of, if it is known, and prepare the request.

        Raises what the policy would.
        """
        closure = request.closure(self._source.versions)
        said = (self._inputs.shared, *self._inputs.exclude)
        known = self._known
        if known is None or known[0] is not closure or said != self._said:
            self._said = said
            self._known = closure, {}
            return None
        made = known[1].get(call)
        if made is not None:
            request.is_alone = False
            request.has_source = request.has_inputs = True
            request.met(closure, request.closures)
        return made

    def add(self, call: Call, request: KeyRequest, made: Made) -> None:
        """Keep the key of a call in mind, unless the code has changed meanwhile."""
        known = self._known
        if known is not None and request.closures.keys() == {known[0].digest}:
            if len(known[1]) >= _MOST:
                known[1].clear()
            known[1][call] = made


def call_of(values: Iterable[Any]) -> Call | None:
    """Return what tells a call from others, `None` if an argument is not plain or is large."""
    call: list[Any] = []
    for value in values:
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


__all__ = ["Call", "KnownKeys", "Made", "call_of"]
