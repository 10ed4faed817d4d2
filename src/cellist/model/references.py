"""A value that stays where it was computed until somebody here asks for it."""

import threading
from collections.abc import Callable
from typing import Any

_NOT_HERE: Any = object()


class Reference:
    """Stands for a value that a cluster keeps; `value` fetches it, once.

    `handle` is the cluster's own handle of it and `home` the pool that knows what to do with it.
    """

    __slots__ = ("__weakref__", "_fetch", "_lock", "_value", "handle", "home", "preview")

    def __init__(
        self, handle: Any, home: Any, preview: str | None, fetch: Callable[[Any], Any]
    ) -> None:
        self.handle = handle
        self.home = home
        self.preview = preview
        """What the value looks like, in a line."""
        self._fetch: Callable[[Any], Any] | None = fetch
        self._value: Any = _NOT_HERE
        self._lock = threading.Lock()

    @property
    def is_here(self) -> bool:
        """Whether the value was fetched."""
        return self._value is not _NOT_HERE

    @property
    def value(self) -> Any:
        """The value. Raises `CrashedRun` if the cluster has lost it."""
        if self._value is _NOT_HERE:
            with self._lock:
                if self._fetch is not None:
                    self._value = self._fetch(self.handle)
                    self._fetch = None
        return self._value

    def __repr__(self) -> str:
        return self.preview or "a value on the cluster"


class Absent:
    """Stands among the arguments of a run for a value that is not here, to be shown."""

    __slots__ = ("preview",)

    def __init__(self, preview: str | None) -> None:
        self.preview = preview

    def __repr__(self) -> str:
        return self.preview or "a value on the cluster"
