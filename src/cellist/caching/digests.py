"""One canonical digest per value: equal values agree everywhere, different values differ.

A digest does not depend on the process, the hash seed, object identity, interning, sharing, set
order, memory layout or the history of a value, so a value restored from the store has the digest
of the fresh one. It does depend on types, dtypes, the order of dict entries, names and units.
What has no stable digest (a lock, an open file, a generator, a figure, a bare `object()`) is
refused with the path to the culprit; nothing is ever guessed, sampled, pickled or shown by
`repr`.

How: `encoding` turns atoms and flat containers into bytes; `rules` knows the standard library and
takes other objects apart through `__reduce_ex__`; `array_digests`, `arrow_digests` and
`frame_digests` know the libraries of data. A rule is a function that returns a token, or a
generator that yields `(step, child)` and is sent the child's token. One loop here drives the
generators on a stack of its own, so depth is bounded by memory and not by the interpreter.

Sharing and cycles: each object is digested once per `Digester`. An object met again inside itself
is encoded by its distance up the stack; whatever refers above itself is not remembered for other
places, because its token holds only there.

**Code.** Functions, classes, modules, partials, bound methods, and the class of every instance
that is not handled by a rule of its own, are digested by a hook::

    hook(thing: object, digester: Digester) -> bytes

It returns bytes that identify the code, of any length, and may call `digester.token(value, name)`
for data that code reaches (closure cells, globals, defaults): sharing, cycles and the path of a
refusal then work across code and data. It is called once per thing and `Digester`. A class of an
installed library should be told by its name alone or with the library's version, which is the
hook's decision. `cellist.caching.source` installs its own with `set_code_digest`, and is imported
with the package, so that no value has another digest before.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from blake3 import blake3

from cellist.caching import rules
from cellist.caching.encoding import ATOMS, FLAT, digest_of, leaf, node, quick
from cellist.caching.refusals import Refusal, refused
from cellist.caching.webs import web_token
from cellist.exceptions import ConfigurationError

__all__ = ["SCHEMA", "CodeHook", "Digester", "digest_value", "hasher", "set_code_digest"]

SCHEMA = 1
"""Number of this encoding. Raise it with any change that alters a digest; it belongs in keys."""

_MAX_DEPTH = 500_000
_MAX_REVISITS = 5_000
_NOWHERE = 1 << 60

CodeHook = Callable[[object, "Digester"], bytes]
F = TypeVar("F", bound=Callable[..., Any])

_hook: CodeHook  # installed by `caching.source`


def set_code_digest(hook: CodeHook) -> None:
    """Install what digests functions, classes and modules; see the module's text."""
    global _hook  # noqa: PLW0603 - one hook per process, installed by `caching.source`
    _hook = hook


def digest_value(value: object, name: str = "value") -> str:
    """Return the digest of a value as 64 hex digits.

    `name` is what the value is called in messages, such as the name of an argument. Raises
    `HashError` with the path to what has no stable digest.
    """
    encode = ATOMS.get(type(value))
    token = quick(value) if encode is None else encode(value)
    if token is None:
        return Digester().digest(value, name)
    return token[1:].hex() if token[0] == 35 else blake3(token).hexdigest()


def hasher(kind: type | str) -> Callable[[F], F]:
    """Register a function that says what a type's instances are equal by.

    The function gets an instance and returns anything with a digest, such as a tuple of ids and
    revisions; it holds for subclasses, too. `kind` may be a string such as `"pkg.mod.Scene"`,
    then nothing is imported. A `__cellist_key__` method of the type goes first. Raises
    `ConfigurationError` for the types cellist itself is built on, such as `int` or `list`.
    """
    if isinstance(kind, str) and "." not in kind:
        message = f"hasher({kind!r}): give the type or its full name, such as 'package.{kind}'."
        raise ConfigurationError(message)
    if not isinstance(kind, str | type):  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
        message = f"hasher() needs a type or its full name, not {type(kind).__name__}."
        raise ConfigurationError(message)
    if kind in ATOMS or kind in FLAT or kind is object:
        message = f"hasher({kind.__name__}) would change every digest; register a type of your own."
        raise ConfigurationError(message)

    def register(function: F) -> F:
        rules.register(kind, function)
        return function

    return register


class _Web(BaseException):
    """A value has cycles with too many ways through them to walk each."""


class _Frame:
    """One object being taken apart: its rule, where it is, and what was known outside it."""

    __slots__ = ("child", "low", "number", "rule", "step", "tangled", "value")

    def __init__(
        self, rule: rules.Rule, value: object, low: int, number: int, tangled: int
    ) -> None:
        self.rule = rule
        self.value = value
        self.low = low
        self.number = number
        self.tangled = tangled
        self.step = ""
        self.child: object = None


class Digester:
    """One traversal: what was digested once is not digested again.

    Use one for values that belong together, such as the arguments of a call, and drop it: it
    keeps the values alive, and it does not notice when they change. `code` replaces the installed
    hook for functions, classes and modules. Not for use by two threads at once.
    """

    __slots__ = (
        "_active", "_code", "_cyclic", "_keep", "_local", "_low", "_memo", "_number", "_revisits",
        "_tangled",
    )  # fmt: skip

    def __init__(self, code: CodeHook | None = None) -> None:
        self._code = code or _hook
        self._memo: dict[int, bytes] = {}
        """Tokens that hold anywhere, by id."""
        self._cyclic: dict[int, tuple[bytes, frozenset[int]]] = {}
        """Tokens of objects with cycles through them, which hold unless a member is active."""
        self._local: dict[int, tuple[int, int, bytes]] = {}
        """Tokens of objects within a cycle, which hold for siblings: parent, lowest, token."""
        self._keep: list[object] = []
        """Everything whose id is used, so that no id is given away again."""
        self._active: dict[int, tuple[int, bool]] = {}
        """Objects being taken apart, outermost first: depth, whether told by a user's key."""
        self._low = _NOWHERE
        """Smallest depth referred to since the present object began."""
        self._tangled: list[int] = []
        self._number = 0
        self._revisits = 0

    def digest(self, value: object, name: str = "value") -> str:
        """Return the digest of a value as 64 hex digits. Raises `HashError`."""
        return digest_of(self.token(value, name)).hex()

    def token(self, value: object, name: str = "value") -> bytes:
        """Return the value's self-delimiting token, at most 64 bytes. Raises `HashError`.

        Within a code hook, `name` is the next piece of the path, such as `clean.LIMIT`.
        """
        result = quick(value)
        if result is not None:
            return result
        stack: list[_Frame] = []
        before, low, tangled = len(self._active), self._low, len(self._tangled)
        try:
            return self._run(value, stack)
        except _Web:
            del stack[:]
            if before:  # the outermost value is the web, or holds it
                raise
            self._forget()
            return self._web(value, name)
        except Exception as error:
            self._low = low
            del self._tangled[tangled:]
            path = name + "".join([frame.step for frame in stack])
            raise refused(error, path, self._culprit(stack, value), name) from error
        finally:
            self._restore(before)

    def _restore(self, depth: int) -> None:
        while len(self._active) > depth:
            self._active.popitem()

    def _culprit(self, stack: list[_Frame], value: object) -> object:
        """Return what the failing step was about: the child last yielded, or its parent."""
        if not stack:
            return value
        return stack[-1].child if stack[-1].step else stack[-1].value

    def _run(self, value: object, stack: list[_Frame]) -> bytes:
        """Drive the rules of a value and of everything in it."""
        result = self._enter(value, stack)
        while stack:
            frame = stack[-1]
            frame.step = ""
            try:
                frame.step, child = frame.rule.send(result)  # type: ignore[arg-type] - None starts it
            except StopIteration as stop:
                stack.pop()
                result = self._leave(frame, stop.value, stack)
                continue
            frame.child = child
            result = quick(child)
            if result is None:
                result = self._enter(child, stack)
        assert result is not None
        return result

    def _enter(self, value: object, stack: list[_Frame]) -> bytes | None:
        """Return the token of a value if it is at hand, else start on it and return `None`."""
        key = id(value)
        known = self._memo.get(key)
        if known is not None:
            return known
        depth = len(self._active)
        seen = self._active.get(key)
        if seen is not None:
            return self._back_reference(seen, depth)
        if self._local or self._cyclic:
            known = self._known_in_cycle(key, stack[-1].number if stack else -1)
            if known is not None:
                return known
        if depth >= _MAX_DEPTH:
            message = f"is nested more than {_MAX_DEPTH} levels deep"
            raise Refusal(message)
        started, keyed = rules.start(value, self._code_rule)
        if isinstance(started, bytes):
            if started[0] == 35:
                self._memo[key] = started
                self._keep.append(value)
            return started
        self._number += 1
        stack.append(_Frame(started, value, self._low, self._number, len(self._tangled)))
        self._active[key] = (depth, keyed)
        self._low = _NOWHERE
        return None

    def _back_reference(self, seen: tuple[int, bool], depth: int) -> bytes:
        above, keyed = seen
        if keyed:
            message = "is part of its own key"
            raise Refusal(message)
        self._low = min(self._low, above)
        return b"^" + (depth - above).to_bytes(4, "little")

    def _known_in_cycle(self, key: int, parent: int) -> bytes | None:
        cyclic = self._cyclic.get(key)
        if cyclic is not None and cyclic[1].isdisjoint(self._active):
            return cyclic[0]
        local = self._local.get(key)
        if local is None:
            return None
        if local[0] == parent:
            self._low = min(self._low, local[1])
            return local[2]
        self._revisits += 1
        if self._revisits > _MAX_REVISITS:
            raise _Web
        return None

    def _leave(self, frame: _Frame, token: bytes, stack: list[_Frame]) -> bytes:
        """Record a finished object as far as its token holds."""
        key = id(frame.value)
        del self._active[key]
        self._keep.append(frame.value)
        depth, low = len(self._active), self._low
        if low < depth:  # it refers above itself
            self._low = min(frame.low, low)
            self._tangled.append(key)
            self._local[key] = (stack[-1].number if stack else -2, low, token)
            return token
        self._low = frame.low
        if low == depth:
            self._cyclic[key] = (token, frozenset(self._tangled[frame.tangled :]))
            del self._tangled[frame.tangled :]
        else:
            self._memo[key] = token
        return token

    def _forget(self) -> None:
        """Drop what was learnt within the cycles of a value whose walk was given up."""
        self._active.clear()
        self._cyclic.clear()
        self._local.clear()
        self._tangled.clear()
        self._low = _NOWHERE
        self._revisits = 0

    def _web(self, value: object, name: str) -> bytes:
        """Return the token of a value whose cycles are too many to walk."""
        if isinstance(value, rules.CODE_TYPES):
            raise refused(Refusal("reaches a web of objects that reaches it"), name, value, name)
        current = value

        def look(part: object) -> "bytes | rules.Rule":
            nonlocal current
            current = part
            known = quick(part) or self._memo.get(id(part))
            if known is not None:
                return known
            if isinstance(part, rules.CODE_TYPES):
                return self.token(part, name)
            started, keyed = rules.start(part, self._code_rule)
            if keyed:
                message = "has a key of its own making and is part of a web of objects"
                raise Refusal(message)
            return started

        try:
            token = web_token(value, look)
        except Exception as error:
            raise refused(error, name, current, name) from error
        self._memo[id(value)] = token
        self._keep.append(value)
        return token

    def _code_rule(self, thing: object) -> rules.Rule:
        """Rule of functions, classes and modules, which the hook knows."""
        return node("code", leaf(b"b", bytes(self._code(thing, self))))
        yield  # a rule is a generator, so that the thing is active while the hook looks into it
