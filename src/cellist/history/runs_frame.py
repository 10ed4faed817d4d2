"""The DataFrame of `runs()`: an ordinary one, that shows states, times and durations for people.

Imported with pandas, when such a frame is asked for.
"""

from importlib import import_module
from typing import Any

pd: Any = import_module("pandas")  # its types are only partly known


class RunsFrame(pd.DataFrame):
    """Runs, one a line. What it holds is plain data; only what it looks like is its own."""

    @property
    def _constructor(self) -> Any:
        return RunsFrame

    def __repr__(self) -> str:
        return repr(self._for_people())

    def _repr_html_(self) -> str | None:
        return self._for_people()._repr_html_()

    def _for_people(self) -> Any:
        plain: Any = pd.DataFrame(self)
        try:
            return import_module("cellist.board.frames").for_people(plain)
        except (AttributeError, TypeError, ValueError):  # columns of other kinds, by the same names
            return plain


__all__ = ["RunsFrame"]
