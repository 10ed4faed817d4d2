"""`@classmethod` above `@task`: the order in which Python hands out a plain method.

Up to Python 3.12 `classmethod` asks what it wraps to bind itself. From 3.13 on it makes a plain
method of the class instead: calling it works, but its `submit` knows nothing of the class. So a
task or flow that is made in a class body leaves a notice there. When the class exists, the notice
takes itself away and puts the task in the place of the `classmethod` around it: a task that was
made of a class method binds itself (`Task.__get__`). It is done in all versions alike.
"""

import copy
import inspect
from types import FrameType
from typing import Any

from cellist.engine.errors import own_frame


class _Notice:
    """Is told by Python when the class it lies in has been made."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __set_name__(self, owner: type, name: str) -> None:
        delattr(owner, name)
        wrapped = [
            key
            for key, value in vars(owner).items()
            if isinstance(value, classmethod) and value.__func__ is self._made  # pyright: ignore[reportUnknownMemberType] - of whatever signature
        ]
        for key in wrapped:
            bound = copy.copy(self._made)
            bound.isclassmethod = True
            setattr(owner, key, bound)


def expect_classmethod(made: Any) -> None:
    """Leave a notice in the class body whose code makes this task or flow, if there is one."""
    names = made.shape.positional
    if not names or names[0] != "cls" or made.isclassmethod:
        return
    body = _class_body(made.fn)
    if body is not None:
        body[f"__cellist_{id(made)}__"] = _Notice(made)


def _class_body(fn: Any) -> dict[str, Any] | None:
    """Return the namespace of the class body that is being executed, if the function is of it."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and own_frame(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return None
    names: dict[str, Any] = frame.f_locals
    inside = f"{names.get('__qualname__')}.{getattr(fn, '__name__', '')}"
    is_body = "__module__" in names and inside == getattr(fn, "__qualname__", None)
    return names if is_body else None
