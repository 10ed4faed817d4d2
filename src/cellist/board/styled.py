"""The text board in colour, by rich, where that is installed.

rich knows what a terminal can do: how wide characters are, how many colours there are, and that
`NO_COLOR` or a dumb terminal wants none.
"""

import importlib
import io
import os
from typing import Any, TextIO

from cellist.board.palette import LOOKS
from cellist.board.summary import heading, lines_of, rest_of
from cellist.board.view import View

_STYLES = {
    "failed": "red",
    "crashed": "magenta",
    "waiting": "yellow",
    "paused": "yellow",
    "running": "blue",
    "completed": "green",
    "cached": "magenta",
}


class Styler:
    """Renders boards for one stream. Raises `ImportError` where rich is not installed."""

    def __init__(self, stream: TextIO) -> None:
        console: Any = importlib.import_module("rich.console")
        self._table: Any = importlib.import_module("rich.table").Table
        self._text: Any = importlib.import_module("rich.text").Text
        seen = console.Console(file=stream)
        self.can_redraw: bool = seen.is_terminal and not seen.is_dumb_terminal
        """Whether lines may be drawn anew in their place."""
        self._make: Any = console.Console
        self._colors: str | None = seen.color_system

    def lines(self, view: View, width: int, elapsed: str = "") -> list[str]:
        """Return the board as lines for the stream: of runs that go on, none wider than `width`."""
        view.read()
        first = heading(view)
        took = f" in {first.took}" if first.took else f" {elapsed}" if elapsed else ""
        head = self._text.assemble(
            (first.name, "bold"),
            ": ",
            (f"{LOOKS[first.look].icon} {first.state}", _STYLES.get(first.look, "")),
            took + (f" · {first.why}" if first.why else ""),
            no_wrap=bool(elapsed),
            overflow="ellipsis" if elapsed else "fold",
        )
        table = self._table.grid(padding=(0, 2, 0, 0), expand=True)
        rows = [
            (
                self._text(f"  {line.name}"),
                self._text(f"{LOOKS[line.look].icon} {line.state}", _STYLES.get(line.look, "")),
                self._text(line.took, "dim"),
                self._text(line.why, "dim"),
            )
            for line in lines_of(view)
        ]
        for column, side in enumerate(("left", "left", "right")):
            wide = max((row[column].cell_len for row in rows), default=0)
            table.add_column(justify=side, no_wrap=True, width=wide)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            table.add_row(*row)
        out = io.StringIO()
        paper = self._make(
            file=out,
            width=width,
            force_terminal=True,
            color_system=self._colors,
            no_color="NO_COLOR" in os.environ,
            highlight=False,
            emoji=False,
            markup=False,
        )
        paper.print(head, soft_wrap=not elapsed)
        if table.row_count:
            paper.print(table)
        if rest_of(view):
            paper.print(self._text(f"  {rest_of(view)}", "dim"))
        return [line.rstrip() for line in out.getvalue().splitlines()]
