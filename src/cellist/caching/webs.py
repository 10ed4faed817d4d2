"""Digests of objects that refer to each other in so many ways that walking every way is hopeless.

A grid whose cells know their neighbours has more paths than anyone can walk. Here each object is
looked at once and then coloured in rounds: its colour is what its rule makes of the colours of
its parts. When a round splits no class further, two objects of one colour are equal by value
(bisimilar). The token holds the root's colour and how all colours follow from each other; two
values with the same token are equal in that sense, too. No order of visits plays a part.
"""

from collections.abc import Callable, Generator
from typing import Any

from cellist.caching.encoding import digest_of, node
from cellist.caching.refusals import Refusal

Rule = Generator[tuple[str, Any], bytes, bytes]
Open = Callable[[Any], "bytes | Rule"]

_MAX_WORK = 5_000_000
_BLANK = b"?"
_TOO_MUCH = "is part of a web of objects that is too large to be told apart"


class _Web:
    """The objects of a web, each with its parts: a token, or the id of another object."""

    def __init__(self, start: Open) -> None:
        self._open = start
        self.objects: dict[int, Any] = {}
        self.parts: dict[int, list[bytes | int]] = {}
        self._keep: list[Any] = []

    def explore(self, root: Any) -> None:
        """Find all objects from the root on that have no token of their own."""
        waiting = [root]
        while waiting:
            value = waiting.pop()
            key = id(value)
            if key in self.objects:
                continue
            self.objects[key] = value
            parts = self.parts[key] = []
            if len(self.objects) > _MAX_WORK // 10:
                raise Refusal(_TOO_MUCH)
            for child in self._children(value):
                found = self._open(child)
                if isinstance(found, bytes):
                    parts.append(found)
                else:
                    found.close()
                    parts.append(id(child))
                    self._keep.append(child)
                    waiting.append(child)

    def _children(self, value: Any) -> Generator[Any, None, None]:
        rule = self._open(value)
        assert not isinstance(rule, bytes)
        try:
            _, child = next(rule)
            while True:
                yield child
                _, child = rule.send(_BLANK)
        except StopIteration:
            return

    def colour(self, key: int, colours: dict[int, bytes]) -> bytes:
        """Return what the rule of an object makes of the present colours of its parts."""
        rule = self._open(self.objects[key])
        assert not isinstance(rule, bytes)
        try:
            next(rule)
            for part in self.parts[key]:
                rule.send(part if isinstance(part, bytes) else colours[part])
        except StopIteration as stop:
            return b"#" + digest_of(stop.value)
        message = "changes while it is looked at"
        raise Refusal(message)


def web_token(root: Any, start: Open) -> bytes:
    """Return the token of a value that is a web.

    `start` returns the token of a value that has one outside the web, or its rule, anew at each
    call. Raises `Refusal` when the web is too large.
    """
    web = _Web(start)
    web.explore(root)
    colours = dict.fromkeys(web.objects, _BLANK)
    classes = 1
    work = 0
    while True:
        work += len(web.objects)
        if work > _MAX_WORK:
            raise Refusal(_TOO_MUCH)
        following = {key: web.colour(key, colours) for key in web.objects}
        found = len(set(following.values()))
        if found == classes:
            pairs = sorted({before + following[key] for key, before in colours.items()})
            return node("web", following[id(root)], *pairs)
        colours, classes = following, found
