"""How each kind of state looks: one icon, one word, one colour, always shown together.

A look is what a person tells apart at a glance, so there are fewer of them than state names:
"TimedOut" looks like any failure and differs by its word. The live board takes icon, word and
code from here and its colours from `static/board.css` (themes need several per look); the static
record has no stylesheet and takes `ink` from here. Tests check that both know every look.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `code` is its letter where many runs are sent as one string."""

    key: str
    icon: str
    word: str
    code: str
    ink: str
    is_over: bool

    @property
    def told(self) -> tuple[str, str, str, bool]:
        """What the page is told of it."""
        return self.icon, self.word, self.code, self.is_over


_ALL = (
    Look("failed", "✕", "failed", "f", "#c0341d", is_over=True),
    Look("crashed", "⊗", "crashed", "x", "#a3195b", is_over=True),
    Look("waiting", "↻", "waiting to retry", "w", "#a85b00", is_over=False),
    Look("paused", "‖", "paused", "u", "#806600", is_over=False),
    Look("cancelling", "⊖", "cancelling", "l", "#5f6875", is_over=False),
    Look("running", "►", "running", "r", "#0b68b4", is_over=False),
    Look("scheduled", "◷", "scheduled", "s", "#5f6875", is_over=False),
    Look("pending", "○", "pending", "p", "#6a7380", is_over=False),
    Look("completed", "✓", "completed", "d", "#177a52", is_over=True),
    Look("cached", "◆", "reused", "c", "#7446bd", is_over=True),
    Look("cancelled", "⊘", "cancelled", "n", "#5f6875", is_over=True),
    Look("skipped", "⊝", "not run", "k", "#6a7380", is_over=True),
    Look("superseded", "⤾", "retried with its flow", "t", "#6a7380", is_over=True),
)

LOOKS: dict[str, Look] = {look.key: look for look in _ALL}
"""All looks, in the order of what deserves attention first."""

OVER = frozenset(look.key for look in _ALL if look.is_over)
"""Looks of runs that will not change any more."""

TROUBLE = frozenset({"failed", "crashed"})
"""Looks that mean somebody has to act."""

PAPER = "#ffffff"
"""Drawn behind the static picture, so that it is readable on light and on dark pages."""
TEXT = "#24292f"
MUTED = "#5f6875"
RULE = "#d0d7de"
