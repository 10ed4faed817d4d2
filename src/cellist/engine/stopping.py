"""What is raised in code that is stopped. Loaded when first needed: it is made with asyncio."""

from asyncio import CancelledError


class CodeStopped(CancelledError):
    """Raised inside user code that was asked to stop: by a cancel or by its time limit."""


class ScopeTimeout(CodeStopped):
    """Raised by the alarm inside code whose time is up. `scope` is whose time."""

    scope: object = None
