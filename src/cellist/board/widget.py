"""The screen of a board in Jupyter: the widget, and the record under a display id of its own.

Two outputs, because that is the only scheme that survives everything: a saved notebook opened
without a kernel, trusted or not, shows the record and no dead widget. The only module of the
board that imports IPython, ipywidgets and anywidget, so importing it is left to `Board.show`.
"""

import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from IPython.display import publish_display_data

from cellist.board.assets import board_css, board_js

KEPT = 40
"""Boards that are over and still answer a reloaded page; older ones show their record instead."""

Receive = Callable[[dict[str, Any]], None]
_retired: "deque[JupyterScreen]" = deque()


class BoardWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types for its base
    """The live view. It has no state but its record's id: everything comes as messages."""

    _esm = board_js()
    _css = board_css()
    ident = traitlets.Unicode().tag(sync=True)

    def __repr__(self) -> str:
        return "cellist board"


class JupyterScreen:
    """Shows one board in the cell it was opened from, also from other threads and later."""

    def __init__(self) -> None:
        self._widget: BoardWidget | None = None
        self._transient: dict[str, str] = {}
        self._context = contextvars.copy_context()

    def open(self, html: str, text: str, receive: Receive | None, ident: str) -> None:
        """Display the widget, if `receive` is given, and the record."""
        self._context = contextvars.copy_context()
        if receive is not None:
            self._widget = BoardWidget(ident=ident)
            self._widget.on_msg(lambda _widget, content, _buffers: receive(content))
            bundle: Any = self._widget._repr_mimebundle_()
            data = bundle[0] if isinstance(bundle, tuple) else bundle
            publish_display_data(data)
        self._transient = {"display_id": f"cellist-{ident}"}
        publish_display_data({"text/html": html, "text/plain": text}, transient=self._transient)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the pages that show the widget."""
        if self._widget is not None:
            self._context.run(self._widget.send, message)

    def record(self, html: str, text: str) -> None:
        """Replace the record where it was displayed."""
        data = {"text/html": html, "text/plain": text}
        self._context.run(
            publish_display_data, data, transient=self._transient, update=True
        )

    def retire(self) -> None:
        """Keep the widget for questions of reloaded pages, but not for ever."""
        if self._widget is None:
            return
        _retired.append(self)
        while len(_retired) > KEPT:
            old = _retired.popleft()
            if old._widget is not None:
                old._widget.close()
                old._widget = None
