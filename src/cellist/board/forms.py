"""Forms on a board: what open pauses ask for, and what came of an answer.

kernel → page   {kind: "forms", forms: [...]}        all that are open, whenever that changes
{kind: "reply", token, text, errors} what became of an answer
page → kernel   {kind: "answer", run, token, values} what was filled in, texts by field
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cellist.drawing.markup import clipped

Answer = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Takes what was filled in, and returns what is wrong with it by field, nothing if it fits."""

_GONE = "This is answered already, or the flow is over."
_LONGEST = 2_000


class Forms:
    """The open forms of one board."""

    def __init__(self) -> None:
        self._forms: dict[str, tuple[dict[str, Any], Answer]] = {}
        self._lock = threading.Lock()

    def open(self, run: str, form: dict[str, Any], answer: Answer) -> None:
        """Add a form for a run, given by its id in hex."""
        with self._lock:
            self._forms[run] = ({**form, "run": run}, answer)

    def close(self, run: str) -> None:
        """Take the form of a run away."""
        with self._lock:
            self._forms.pop(run, None)

    def message(self) -> dict[str, Any]:
        """Return what the page is told."""
        with self._lock:
            return {"kind": "forms", "forms": [form for form, _ in self._forms.values()]}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return not self._forms

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over an answer from the page, and return the reply."""
        run, values = message.get("run"), message.get("values")
        _, answer = self._forms.get(run if isinstance(run, str) else "", (None, None))
        reply: dict[str, Any] = {"kind": "reply", "token": message.get("token")}
        if answer is None or not isinstance(values, Mapping):
            return {**reply, "text": _GONE, "errors": {}}
        errors = answer(values)  # pyright: ignore[reportUnknownArgumentType] - from JSON; each value is checked
        shown = {name: clipped(text, _LONGEST) for name, text in errors.items()}
        return {**reply, "text": "Not accepted yet." if errors else "Resumed.", "errors": shown}
