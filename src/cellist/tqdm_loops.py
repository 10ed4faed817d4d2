"""Show loops of tqdm on the board, without a change to the code that has them.

tqdm is not imported here. If it is there when the first run starts, its base class gets two
watched methods, `__init__` and `close`, which do all they did and note the bar with the run whose
code makes it; all flavours (`tqdm.auto`, `tqdm.notebook`, `tqdm.asyncio`) derive from that class.
If it is not there yet, an import hook waits for `tqdm.std`, does this, and goes. How far a loop is
is read from the bar itself when the board is drawn, so a loop of tqdm is as fast as before.

Outside runs nothing is noted. What tqdm prints is printed as ever, `disable=True` shows nothing.
"""

import functools
import importlib.machinery
import importlib.util
import sys
import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, cast

from cellist.engine.execution import current
from cellist.model.progress import Bar, begin, end
from cellist.model.runs import Run

_MODULE = "tqdm.std"


def watch() -> None:
    """Show loops of tqdm from now on. May be called often."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _watch_class(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:  # without its base class: `importlib.abc` takes long to import
    """Waits for the import of tqdm; finds nothing itself."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Have the others find tqdm, and its class watched once it is loaded."""
        del path, target
        if fullname != _MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_watch(module: ModuleType) -> None:
                load(module)
                _watch_class(module)

            cast("Any", spec.loader).exec_module = load_and_watch
        return spec


def _watch_class(module: ModuleType) -> None:
    """Watch the base class; a tqdm that is made otherwise than we know is left alone."""
    found: Any = getattr(module, "tqdm", None)
    if not isinstance(found, type) or hasattr(found, "_cellist_watched"):
        return
    kind: Any = found
    kind.__init__ = _watched(kind.__init__, _note)
    kind.close = _watched(kind.close, _forget)
    kind._cellist_watched = True


def _watched(method: Callable[..., Any], then: Callable[[Any], None]) -> Callable[..., Any]:
    """Return the method followed by a note of ours, whose faults concern nobody else."""

    @functools.wraps(method)
    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = method(self, *args, **kwargs)
        try:
            then(self)
        except Exception:
            self.__dict__.pop("_cellist_bar", None)  # a bar made otherwise than we know goes unseen
        return given

    return replaced


def _note(loop: Any) -> None:
    execution = current.get()
    if execution is None or loop.disable:
        return
    seen = weakref.ref(loop)

    def read(bar: Bar) -> None:
        found: Any = seen()
        if found is not None:
            bar.done = found.n
            bar.total = found.total
            bar.description = str(found.desc or "").removesuffix(": ")

    unit = str(getattr(loop, "unit", ""))
    bar = Bar(loop.total, "", "" if unit == "it" else unit, read)
    loop._cellist_bar = execution.run, bar
    begin(execution.run, bar)


def _forget(loop: Any) -> None:
    known: tuple[Run, Bar] | None = loop.__dict__.pop("_cellist_bar", None)
    if known is not None:
        end(*known)


__all__ = ["watch"]
