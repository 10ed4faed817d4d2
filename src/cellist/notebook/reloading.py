"""Tasks and flows under IPython's autoreload.

Autoreload puts the code of an edited module into the functions and classes that were imported from
it before the edit. A task is neither: one that was imported by name would go on with its own old
code, defaults and options, and with the new code of its helpers, which is the code of no version of
the file. So a rule joins those that autoreload has for functions, classes and properties.
"""

import sys
from typing import Any

from cellist.flows import Flow
from cellist.tasks import Task

_MODULE = "IPython.extensions.autoreload"


def follow_autoreload() -> None:
    """Have autoreload bring tasks and flows up to date as well, if it was loaded."""
    rules: Any = getattr(sys.modules.get(_MODULE), "UPDATE_RULES", None)
    if rules is not None and _RULE not in rules:
        rules.append(_RULE)


def leave_autoreload() -> None:
    """Undo `follow_autoreload`."""
    rules: Any = getattr(sys.modules.get(_MODULE), "UPDATE_RULES", None)
    if rules is not None and _RULE in rules:
        rules.remove(_RULE)


def _are_definitions(old: Any, new: Any) -> bool:
    return type(old) is type(new) and isinstance(old, Task | Flow)


def _take_over(old: Any, new: Any) -> None:
    """Make a definition what another one is. Its runs that go on keep the plan they have."""
    if old is not new:
        old.__dict__ = dict(new.__dict__)


_RULE = (_are_definitions, _take_over)

__all__ = ["follow_autoreload", "leave_autoreload"]
