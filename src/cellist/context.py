"""Which run is going on here: run contexts, the `tags` context manager, and taking it elsewhere.

The present run is a context variable. It follows awaits and submitted tasks by itself; a thread
or a process that you start yourself gets it through `with_context`.
"""

from cellist.carried import hydrated_context, serialize_context, with_context
from cellist.run_contexts import (
    EngineContext,
    FlowRunContext,
    RunContext,
    TagsContext,
    TaskRunContext,
    get_run_context,
    tags,
)

__all__ = [
    "EngineContext",
    "FlowRunContext",
    "RunContext",
    "TagsContext",
    "TaskRunContext",
    "get_run_context",
    "hydrated_context",
    "serialize_context",
    "tags",
    "with_context",
]
