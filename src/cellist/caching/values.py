"""Digests of the data that code reaches, with the code inside them told apart.

A list of functions is data whose digest depends on code, and that code may use the list again. So
code inside a value is not digested on the spot: the value's digest holds a stand-in for it, and
what it is stands beside as an edge to a node of its own. Data of which some part has no stable
digest (a configuration with a socket in it) counts with all the parts that have one; the others
count as their types and are named.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from blake3 import blake3

from cellist.caching.digests import Digester
from cellist.caching.encoding import digest_of, quick
from cellist.exceptions import HashError

Shallow = Callable[[Any], tuple[bytes, bool]]

_DEPTH = 6
_CACHES = frozenset({"weakref.WeakKeyDictionary", "weakref.WeakValueDictionary", "weakref.WeakSet"})
_NAMESPACES = frozenset({"SimpleNamespace", "Namespace"})


class Signature(NamedTuple):
    """What a value amounts to: its digest, the code in it, and what could not be digested."""

    digest: bytes
    codes: tuple[tuple[str, Any], ...] = ()
    untracked: tuple[str, ...] = ()
    whole: bool = True
    """Whether the value has a digest; else only the parts that have one count."""


class _Collected:
    """The code met while a value is digested."""

    def __init__(self, shallow: Shallow) -> None:
        self.shallow = shallow
        self.codes: list[tuple[str, Any]] = []
        self._seen: set[int] = set()
        self._count: dict[bytes, int] = {}

    def __call__(self, thing: object, _digester: Digester) -> bytes:
        """Stand in for a function, class or module; the hook of a digester."""
        token, follow = self.shallow(thing)
        if follow and id(thing) not in self._seen:
            self._seen.add(id(thing))
            number = self._count.get(token, 0)
            self._count[token] = number + 1
            self.codes.append((f"{token.hex()}#{number}", thing))
        return token


def signature_of(value: Any, name: str, shallow: Shallow) -> Signature:
    """Return the signature of any value; nothing is refused.

    `shallow` gives what stands for a piece of code in a digest, and whether it is to be followed.
    """
    token = quick(value)
    if token is not None:
        return Signature(digest_of(token))
    collected = _Collected(shallow)
    try:
        found = digest_of(Digester(code=collected).token(value, name))
        return Signature(found, tuple(collected.codes))
    except HashError:
        collected = _Collected(shallow)
        salvage = _Salvage(collected)
        found = blake3(salvage.token(value, name, 0)).digest()
        return Signature(found, tuple(collected.codes), tuple(salvage.untracked), False)


class _Salvage:
    """Digests what it can of a value that has no digest as a whole.

    Each object is looked at once for each level it occurs at, and told down to the last level,
    whatever leads back to it: what comes of it depends neither on sharing nor on the way there.
    """

    def __init__(self, collected: _Collected) -> None:
        self.collected = collected
        self._digester = Digester(code=collected)
        self._tokens: dict[tuple[int, int], bytes] = {}
        self._refused: set[int] = set()
        self._untracked: dict[int, str] = {}
        self._cut: dict[int, str] = {}
        """What was met on the last level: not tracked if it is met nowhere else."""
        self._keep: list[object] = []
        """Whatever is known by its id, so that no id is given away again."""

    @property
    def untracked(self) -> list[str]:
        """Paths to what has no digest, the shortest of each."""
        told = {key for key, depth in self._tokens if depth < _DEPTH}
        cut = [path for key, path in self._cut.items() if key not in told]
        return [*self._untracked.values(), *cut]

    def token(self, value: object, path: str, depth: int) -> bytes:
        """Return the digest of a value, or one of its parts and the types of the others."""
        key = id(value)
        if key not in self._refused:
            try:
                return self._digester.token(value, path)
            except HashError:
                self._refused.add(key)
                self._keep.append(value)
        known = self._tokens.get((key, depth))
        if known is None:
            known = self._tokens[key, depth] = self._of_parts(value, path, depth)
        return known

    def _of_parts(self, value: object, path: str, depth: int) -> bytes:
        kind = type(value)
        label = f"{kind.__module__}.{kind.__qualname__}"
        if depth >= _DEPTH:
            self._cut.setdefault(id(value), path)
            return label.encode()
        parts = self._parts(value, path, depth)
        if parts is None:
            if kind is not object and label not in _CACHES:  # a bare object() is a mere mark
                shortest = self._untracked.get(id(value), path)
                self._untracked[id(value)] = min(shortest, path, key=len)
            return label.encode()
        own, _ = self.collected.shallow(kind)
        if kind.__module__ != "builtins":
            own = self.collected(kind, Digester())
        return blake3(own + b"".join(blake3(part).digest() for part in parts)).digest()

    def _parts(self, given: object, path: str, depth: int) -> list[bytes] | None:
        """Return the tokens of a container's or an object's parts, None if it has none."""
        value: Any = given
        found: list[bytes] = []
        if isinstance(given, dict):
            for key, item in value.items():
                found.append(self.token(key, f"{path} key", depth + 1))
                found.append(self.token(item, f"{path}[{key!r:.40}]", depth + 1))
            return found
        if isinstance(given, (list, tuple)):
            return [self.token(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        if isinstance(given, (set, frozenset)):
            return sorted(self.token(item, f"{path}{{}}", depth + 1) for item in value)
        state: Any = getattr(value, "__dict__", None)
        own = type(given).__name__ in _NAMESPACES or self.collected.shallow(type(given))[1]
        if type(state) is not dict or not own:
            return None
        for name, item in sorted(cast("dict[str, Any]", state).items()):
            found += [name.encode(), self.token(item, f"{path}.{name}", depth + 1)]
        return found
