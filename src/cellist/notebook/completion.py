"""What the Tab key offers after `%cellist`: its commands, then the names that a command takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellist.flows import Flow
from cellist.model.locations import SUFFIX
from cellist.notebook.commands import COMMANDS
from cellist.session import get_session
from cellist.tasks import Task

KEY = "%cellist"
_STORED = frozenset({"accept", "bundle", "clear", "refresh", "why"})
"""Commands that take names of tasks and of `%%task` cells that have results."""
_FILES = frozenset({"bundle", "trust", "untrust"})


def complete(shell: Any, event: Any) -> list[str]:
    """Return what may stand at the cursor of a line; IPython keeps what begins like the word."""
    before = event.text_until_cursor.split()
    if before and not event.text_until_cursor[-1].isspace():
        del before[-1]  # the word that is being written
    if len(before) < 2:
        return sorted(COMMANDS)
    return sorted(_names(before[1], len(before) == 2, shell.user_ns))


def _names(verb: str, is_first: bool, names: Mapping[str, Any]) -> set[str]:
    """Return what a command takes, as its first word or a later one."""
    found: set[str] = set()
    kinds = {"plan": (Flow,), "why": (Task, Flow)}.get(verb, (Task,) if verb in _STORED else ())
    if verb in _FILES and is_first:
        return {path.name for path in Path.cwd().glob(f"*{SUFFIX}")}
    if kinds:
        found = {name for name, value in names.items() if isinstance(value, kinds)}
    if verb in _STORED:
        found |= {str(entry["task"]) for entry in get_session().store.entries()}
    return found


__all__ = ["KEY", "complete"]
