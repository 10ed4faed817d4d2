"""The search of the list, for runs that are only counted: which runs of a board fit.

The page searches what it lists by itself, by the same rules, and asks here for the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from cellist.board.rows import Row
from cellist.board.wording import attempt_text, error_line, why_line, word_now

_TEXT_LIMIT = 200
_CHOICES_LIMIT = 50


@dataclass(frozen=True)
class Search:
    """What is looked for: all of the words, and one of the looks and tags if there are some."""

    words: tuple[str, ...]
    looks: frozenset[str]
    tags: frozenset[str]

    @staticmethod
    def asked(message: dict[str, Any]) -> "Search":
        """Return what a message of the page asks for; what makes no sense in it is left out."""
        text = message.get("text")
        words = text[:_TEXT_LIMIT].lower().split() if isinstance(text, str) else []
        return Search(tuple(words), _texts(message.get("looks")), _texts(message.get("tags")))

    def among(self, rows: Iterable[Row]) -> list[Row]:
        """Return the runs that fit."""
        return [row for row in rows if self._fits(row)]

    def _fits(self, row: Row) -> bool:
        if self.looks and row.look not in self.looks:
            return False
        if self.tags and self.tags.isdisjoint(row.run.tags):
            return False
        if not self.words:
            return True
        whole = _said_of(row)
        return all(word in whole for word in self.words)


def _said_of(row: Row) -> str:
    """Return what is said of a run in the list, for comparison."""
    run = row.run
    inputs = (part for pair in (run.inputs or {}).items() for part in pair)
    known = (
        error_line(run),
        why_line(run, 300),
        attempt_text(run, row.look),
    )
    parts = [row.group.name, run.name, word_now(run), *run.tags, *inputs, *filter(None, known)]
    return "\n".join(parts).lower()


def _texts(value: object) -> frozenset[str]:
    found = cast("list[object]", value)[:_CHOICES_LIMIT] if isinstance(value, list) else []
    return frozenset(one for one in found if isinstance(one, str))
