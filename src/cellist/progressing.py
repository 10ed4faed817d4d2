"""Tell how far a loop is: `for page in cellist.progress(pages): ...`.

The board, the text board and the record show it with the run whose code loops: done of total, rate
and time left. An item costs well under a microsecond, because it is only counted; see
`model.progress`. Loops of tqdm are shown alike (`tqdm_loops`).

Code that runs in another process (a process pool, Dask, Ray) may loop with it too: how far it is
comes here a few times a second.
"""

import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

from cellist.engine.execution import current
from cellist.model.progress import Bar, begin, end
from cellist.model.runs import Run

T = TypeVar("T")
_ITERABLE = ("__iter__", "__aiter__", "__getitem__")
_lock = threading.Lock()


class Progress(Generic[T]):
    """A loop that is counted. Iterate over it, with `for` or `async for`, or call `update`."""

    def __init__(
        self,
        iterable: Iterable[T] | AsyncIterable[T] | None,
        total: float | None,
        description: str,
        unit: str,
    ) -> None:
        self._iterable = iterable
        self._bar = Bar(_length(iterable) if total is None else total, description, unit)
        self._run: Run | None = None

    @property
    def description(self) -> str:
        """What is said before the numbers; may be set while the loop goes on."""
        return self._bar.description

    @description.setter
    def description(self, text: str) -> None:
        self._bar.description = text

    @property
    def total(self) -> float | None:
        """How many items there are, `None` if that is not known; may be set meanwhile."""
        return self._bar.total

    @total.setter
    def total(self, number: float | None) -> None:
        self._bar.total = number

    @property
    def done(self) -> float:
        """How many items are done."""
        return self._bar.done

    def __len__(self) -> int:
        return len(cast("Any", self._iterable))

    def __iter__(self) -> Iterator[T]:
        iterable = cast("Iterable[T]", self._iterable)
        return self._counted(iterable) if self._begin() else iter(iterable)

    def _counted(self, iterable: Iterable[T]) -> Iterator[T]:
        bar = self._bar
        done = bar.done
        try:
            for item in iterable:
                yield item
                done += 1
                bar.done = done
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        self._begin()
        bar = self._bar
        try:
            async for item in cast("AsyncIterable[T]", self._iterable):
                yield item
                bar.done += 1
        finally:
            self.close()

    def update(self, amount: float = 1) -> None:
        """Count what was done besides a loop: bytes of a download, a step of a solver."""
        if self._run is None:
            self._begin()
        with _lock:  # several threads may share what is done
            self._bar.done += amount

    def __enter__(self) -> "Progress[T]":
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say that no more is counted; a loop or a `with` block does so by itself."""
        if self._run is not None:
            end(self._run, self._bar)
            self._run = None

    def _begin(self) -> bool:
        """Show the loop with the run whose code this is; whether there is one."""
        execution = current.get()
        if execution is None:
            return False
        if self._run is None:
            last = self._bar
            self._bar = Bar(last.total, last.description, last.unit)
            self._run = execution.run
            begin(self._run, self._bar)
        return True


@overload
def progress(
    iterable: Iterable[T],
    total: float | None = None,
    description: str = "",
    *,
    unit: str = "",
) -> Progress[T]: ...
@overload
def progress(
    iterable: AsyncIterable[T],
    total: float | None = None,
    description: str = "",
    *,
    unit: str = "",
) -> Progress[T]: ...
@overload
def progress(
    iterable: None = None,
    total: float | None = None,
    description: str = "",
    *,
    unit: str = "",
) -> Progress[Any]: ...
def progress(
    iterable: Any = None,
    total: float | None = None,
    description: str = "",
    *,
    unit: str = "",
) -> Progress[Any]:
    """Return the iterable, with what is done of it shown on the board of the run that loops.

    `total` is how many items there are, by default the length of the iterable if it has one. A
    generator without it shows how many are done and how fast. `unit` names the items, such as
    "files"; "B" stands for bytes. Outside runs this counts nothing and shows nothing.

    Without an iterable, count yourself:

    ```python
    with cellist.progress(total=size, unit="B") as bar:
        for chunk in response:
            bar.update(len(chunk))
    ```

    Of nested loops each is shown, the outermost first. Raises `TypeError` for something that cannot
    be iterated over.
    """
    if iterable is not None and not any(hasattr(iterable, name) for name in _ITERABLE):
        message = (
            f"progress() was given a {type(iterable).__name__}, which cannot be iterated over. "
            f"Give it what the loop goes over, or only `total` and call `update`."
        )
        raise TypeError(message)
    return Progress(iterable, total, description, unit)


def _length(iterable: object) -> int | None:
    try:
        return len(cast("Any", iterable))
    except Exception:  # a generator has none; an object of the user's may fail to tell it
        return None


__all__ = ["Progress", "progress"]
