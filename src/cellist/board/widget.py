"""The screen of a board in Jupyter: the widget, and the record under a display id of its own.

Two outputs, because that is the only scheme that survives everything: a saved notebook opened
without a kernel, trusted or not, shows the record and no dead widget. The only module of the
board that imports IPython, ipywidgets and anywidget, and only when a board is shown.
"""

import contextvars
import json
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from cellist.board.assets import board_css, board_js

KEPT = 40
"""Boards that are over and still answer a reloaded page; older ones show their record instead."""

IN_ITS_PLACE = "The live board of these runs was here; what follows is its record."
"""What stands where a page cannot show widgets: in an untrusted notebook, on GitHub."""

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
Receive = Callable[[dict[str, Any]], None]
_retired: "deque[JupyterScreen]" = deque()


class NoLiveBoard(Exception):
    """The widget cannot be made here; the message says why, for people."""


def _new_widget(ident: str) -> Any:
    try:
        return _widget_class()(ident=ident)
    except Exception as error:
        message = (
            f"No live board, only this record: its widget could not be made "
            f"({type(error).__name__}: {error}). `pip install -U anywidget ipywidgets` may help."
        )
        raise NoLiveBoard(message) from error


@cache
def _widget_class() -> Any:
    """Return the class of the live view. It has no state but its record's id."""
    import anywidget
    import traitlets

    class BoardWidget(anywidget.AnyWidget):
        _esm = board_js()
        _css = board_css()
        ident = traitlets.Unicode().tag(sync=True)

    return BoardWidget


def _encodable(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without lone surrogates, which Jupyter cannot encode."""
    return json.loads(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))


def _publish(data: dict[str, Any], **how: Any) -> None:
    """Display data in the cell that the current context belongs to."""
    import IPython.display

    cast("Any", IPython.display).publish_display_data(data, **how)


class JupyterScreen:
    """Shows one board in the cell it was opened from, also from other threads and later."""

    def __init__(self) -> None:
        self._widget: Any = None  # ipywidgets has no types
        self._transient: dict[str, str] = {}
        self._context = contextvars.copy_context()
        self.answers_while_blocked = False
        """Whether clicks are handled in a subshell, beside code that blocks the main thread."""

    def open(self, html: str, text: str, receive: Receive | None, ident: str) -> None:
        """Display the widget, if `receive` is given, and the record, in the calling context.

        Raises `NoLiveBoard`, and then shows nothing, if the widget cannot be made.
        """
        if receive is not None:
            self._widget = _new_widget(ident)

            def hand_over(_widget: object, content: dict[str, Any], _buffers: object) -> None:
                receive(content)

            self._widget.on_msg(hand_over)
            _leave_cells_alone(self._widget)
            self.answers_while_blocked = _answer_while_blocked(self._widget)
        self._transient = {"display_id": f"cellist-{ident}"}
        self.open_again(html, text)

    def open_again(self, html: str, text: str) -> None:
        """Display the same widget and record in the calling context."""
        self._context = contextvars.copy_context()
        if self._widget is not None:
            view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
            _publish({_WIDGET_VIEW: view, "text/plain": IN_ITS_PLACE})
        _publish({"text/html": html, "text/plain": text}, transient=self._transient)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the pages that show the widget."""
        if self._widget is None:
            return
        try:
            self._context.run(self._widget.send, message)
        except UnicodeEncodeError:
            self._context.run(self._widget.send, _encodable(message))

    def record(self, html: str, text: str) -> None:
        """Replace the record where it was displayed."""
        data = {"text/html": html, "text/plain": text}
        self._context.run(_publish, data, transient=self._transient, update=True)

    def retire(self) -> None:
        """Keep the widget for questions of reloaded pages, but not for ever."""
        if self._widget is None:
            return
        _retired.append(self)
        while len(_retired) > KEPT:
            old = _retired.popleft()
            old._widget.close()
            old._widget = None


def _leave_cells_alone(widget: Any) -> None:
    """Take messages of the page without the events that `comm` triggers around each of them.

    They are those of a cell that begins and ends. In a subshell that is beside a cell that runs,
    and at its end matplotlib shows and closes all figures, also one that the cell draws just now.
    """
    comm = widget.comm
    if hasattr(comm, "_msg_callback"):

        def handle_msg(message: dict[str, Any]) -> None:
            callback: Callable[[dict[str, Any]], None] | None = comm._msg_callback
            if callback is not None:
                callback(message)

        comm.handle_msg = handle_msg


def _answer_while_blocked(widget: Any) -> bool:
    """Have clicks handled in the subshell that the page sends them to; whether there may be one.

    ipykernel 7.4 would bring them back to the main thread, where they wait as long as a
    synchronous body runs. Nothing here touches the loop of that thread, so a subshell will do.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = _where_it_was_sent
        return True
    return bool(getattr(getattr(comm, "kernel", None), "_supports_kernel_subshells", False))


def _where_it_was_sent(_data: object, subshell: str | None) -> str | None:
    return subshell
