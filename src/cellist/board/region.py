"""A few lines at the foot of a terminal that are drawn over and over, without garbling the rest.

The streams stay what they are; only the `write` of those that are a terminal is watched while the
lines are shown. Whoever writes finds the lines gone, and they come back below once the writer has
ended its line. A prompt of `input`, and so of the debugger, takes them away until it is answered.
"""

import builtins
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TextIO

_UP_AND_CLEAR = "\x1b[{}A\r\x1b[J"


class Region:
    """The lines. `draw` them as often as you like, `close` takes them away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._height = 0
        self._at_start = True
        """Whether the cursor is where a line begins."""
        self._asking = 0
        self._is_open = True
        self._undo: list[Callable[[], None]] = []
        self._write: Callable[[str], Any] = stream.write
        for one in {id(found): found for found in (stream, sys.stdout, sys.stderr)}.values():
            if is_terminal(one):
                self._watch_writes(one)
        self._watch_input()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of those shown before."""
        with self._lock:
            if not self._is_open or self._asking or not self._at_start:
                return
            self._emit(self._erasing() + "".join(f"{line}\n" for line in lines))
            self._height = len(lines)

    def close(self) -> None:
        """Take the lines away for good."""
        with self._lock:
            if self._is_open:
                self._erase()
                self._is_open = False
                for undo in self._undo:
                    undo()

    def _erasing(self) -> str:
        return _UP_AND_CLEAR.format(self._height) if self._height else ""

    def _erase(self) -> None:
        if self._height:
            self._emit(self._erasing())
            self._height = 0

    def _emit(self, text: str) -> None:
        try:
            self._write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            self._is_open = False

    def _watch_writes(self, stream: Any) -> None:
        old = stream.write
        own: Any = getattr(stream, "__dict__", {}).get("write")

        def write(text: str) -> Any:
            if self._is_open:
                with self._lock:
                    self._erase()
                    if text:
                        self._at_start = text.endswith("\n")
                    return old(text)
            return old(text)

        try:
            stream.write = write
        except (AttributeError, TypeError):
            return  # it takes no attributes; its text may mix with the lines

        def undo() -> None:
            if stream.__dict__.get("write") is not write:
                return  # somebody came after us; what is left passes everything on
            if own is None:
                del stream.write
            else:
                stream.write = own

        self._undo.append(undo)

    def _watch_input(self) -> None:
        old = builtins.input

        def ask(*args: Any, **kwargs: Any) -> str:
            with self._lock:
                self._erase()
                self._asking += 1
            try:
                return old(*args, **kwargs)
            finally:
                with self._lock:
                    self._asking -= 1
                    self._at_start = True

        builtins.input = ask

        def undo() -> None:
            if builtins.input is ask:
                builtins.input = old

        self._undo.append(undo)


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at a stream as it is written."""
    try:
        return bool(stream.isatty())
    except Exception:  # closed, or a stream of the user's own making
        return False
