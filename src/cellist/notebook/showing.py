"""Record what a cell shows while everything is shown live, and show it again.

    with recording(shell) as shown:      prints, displays, figures and last values are noted
        ...
    events = shown.events()              plain data
    replay(shell, events)                the same outputs in the same order

What is noted, and of whom, is the matter of `cellist.recording`; here the display machinery of the
shell is tapped for it, and recorded displays are shown by it. `ShellFront` does that for tasks.
"""

import re
import sys
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from cellist.caching.shown import Event
from cellist.engine.execution import Execution, current_cell
from cellist.recording import (
    Recorder,
    close_cell,
    is_tapped,
    open_cell,
    recorders,
    recorders_of,
    tap,
    unrecorded,
    untap,
)


@contextmanager
def recording(shell: Any) -> Generator[Recorder]:
    """Record what is shown within the block by the code in it and by what it starts."""
    recorder = Recorder(current_cell.get())
    start(shell, recorder)
    try:
        yield recorder
    finally:
        close_cell(recorder)
        untap()


def start(shell: Any, recorder: Recorder) -> None:
    """Begin to record here; `close_cell` ends it, and the taps stay until the cell is over."""
    open_cell(recorder)
    tap_displays(shell)


# -- taps --


def tap_displays(shell: Any) -> None:
    """Put ourselves into the display machinery that is in use now."""
    hook: Any = shell.displayhook
    for owner, name, make in (
        (shell.display_pub, "publish", _publishing),
        (shell.display_pub, "clear_output", _clearing),
        (hook, "write_output_prompt", _quietly),
        (hook, "write_format_data", _showing_result),
        (hook, "finish_displayhook", _quietly),
    ):
        tap(owner, name, make)


def _publishing(old: Callable[..., Any]) -> Callable[..., Any]:
    def publish(data: dict[str, Any], metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        transient: dict[str, Any] = kwargs.get("transient") or {}
        for recorder in recorders():
            update = bool(kwargs.get("update"))
            recorder.display(data, metadata, transient.get("display_id"), update)
        with unrecorded():  # in a terminal a display is a print
            return old(data, metadata, *args, **kwargs)

    return publish


def _clearing(old: Callable[..., Any]) -> Callable[..., Any]:
    def clear_output(wait: bool = False) -> Any:
        for recorder in recorders():
            recorder.clear(wait)
        with unrecorded():
            return old(wait)

    return clear_output


def _showing_result(old: Callable[..., Any]) -> Callable[..., Any]:
    def write_format_data(format_dict: dict[str, Any], md_dict: Any = None) -> Any:
        for recorder in recorders():
            if recorder.streams is None:  # of a cell
                recorder.result(format_dict, md_dict)
            else:
                recorder.display(format_dict, md_dict, None, False)
        with unrecorded():
            return old(format_dict, md_dict)

    return write_format_data


def _quietly(old: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with unrecorded():
            return old(*args, **kwargs)

    return call


# -- replaying --


_MADE = re.compile("[0-9a-f]{32}")
"""What ids look like that IPython makes."""


class Nothing:
    """Stands for the value of a last expression that could not be kept."""


def replay(shell: Any, events: list[Event], value: Any = Nothing) -> dict[str, str]:
    """Show recorded outputs again, in order, under the present cell.

    `value` is what the last expression gave; it becomes `_` and `Out[n]`. Returns the new ids of
    displays that had ids made by IPython.
    """
    results = [event for event in events if event["kind"] == "result"]
    displays = Displays(shell)
    for event in events:
        if event["kind"] == "stream":
            stream = sys.stdout if event["name"] == "stdout" else sys.stderr
            stream.write(event["text"])
        elif event["kind"] == "result":
            _show_result(shell, event, value if event is results[-1] else Nothing)
        elif event["kind"] == "display":
            displays.show(event)
    return displays.ids


class Displays:
    """Shows the displays of one recording again, under new ids but for those the user chose."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.ids: dict[str, str] = {}
        """The new ids by the recorded ones."""

    def show(self, event: Event) -> None:
        """Show one display, or the update of an earlier display of the notebook."""
        kwargs: dict[str, Any] = {}
        display_id = event["id"]
        if display_id is not None:
            if not event["update"] and _MADE.fullmatch(display_id):
                # two displays of one recording may share an id
                display_id = self.ids.setdefault(display_id, uuid.uuid4().hex)
            kwargs = {"transient": {"display_id": display_id}, "update": event["update"]}
        self._shell.display_pub.publish(event["data"], event["metadata"], **kwargs)


def _show_result(shell: Any, bundle: dict[str, Any], value: Any) -> None:
    """Do what IPython's display hook does, with the recorded bundle for the value."""
    hook: Any = shell.displayhook
    if value is not Nothing:
        hook.check_for_underscore()
    hook.start_displayhook()
    hook.write_output_prompt()
    if value is not Nothing:
        hook.update_user_ns(value)
        hook.fill_exec_result(value)
    hook.write_format_data(bundle["data"], bundle["metadata"])
    if value is not Nothing:
        hook.log_output(bundle["data"])
    hook.finish_displayhook()


def _inline_backend(shell: Any) -> Any:
    """Return matplotlib's inline backend if it shows open figures after each cell."""
    backend: Any = sys.modules.get("matplotlib_inline.backend_inline")
    callbacks = getattr(shell.events, "callbacks", {}).get("post_execute", [])
    return backend if backend is not None and backend.flush_figures in callbacks else None


def flush_figures(shell: Any) -> None:
    """Show the figures that matplotlib's inline backend would show after the cell."""
    backend = _inline_backend(shell)
    if backend is not None:
        backend.flush_figures()


class ShellFront:
    """What tasks need of the shell for recording what they show, and for showing it again."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def watch(self) -> None:
        """Have displays noted."""
        if not is_tapped(self.shell.display_pub, "publish"):
            tap_displays(self.shell)

    def rest(self, live: Iterable[Execution] = ()) -> None:
        """Take all taps away unless something is being recorded, as one of the live runs may be."""
        is_recorded = any(x.cache_note is not None and x.cache_note.recorder for x in live)
        if not is_recorded:
            untap()

    def figures(self) -> Any:
        """Return which figures are open, for `note_figures`; `None` if there are none."""
        helpers: Any = sys.modules.get("matplotlib._pylab_helpers")
        return tuple(helpers.Gcf.figs.values()) if helpers is not None else None

    def note_figures(self, x: Execution, before: Any) -> None:
        """Note the figures a task leaves open, which the inline backend shows after the cell.

        They are drawn as they are now and not shown: the caller may go on with them.
        """
        helpers: Any = sys.modules.get("matplotlib._pylab_helpers")
        if helpers is None or _inline_backend(self.shell) is None:
            return
        for manager in list(helpers.Gcf.figs.values()):
            figure = manager.canvas.figure
            if any(manager is one for one in before or ()) or hasattr(figure, _NOTED):
                continue
            setattr(figure, _NOTED, True)  # of two runs that overlap, and of those around, one
            data, metadata = self.shell.display_formatter.format(figure)
            for recorder in recorders_of(x):
                recorder.display(data, metadata, None, False)

    def displays(self) -> Displays:
        """Return what shows the displays of one recording."""
        return Displays(self.shell)


_NOTED = "_cellist_noted"
