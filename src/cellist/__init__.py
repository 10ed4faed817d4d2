"""cellist: orchestration that lives inside a Jupyter kernel.

Decorate plain functions with `@task` and `@flow`, or put `%%flow` on a cell after
`%load_ext cellist`. Names are loaded when first used, so that importing the package is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cellist import compat as _compat
from cellist.model import environment as _environment

if TYPE_CHECKING:
    from cellist import context as context
    from cellist import limits as limits
    from cellist import runtime as runtime
    from cellist.annotations import allow_failure as allow_failure
    from cellist.annotations import opaque as opaque
    from cellist.annotations import quote as quote
    from cellist.annotations import unmapped as unmapped
    from cellist.api import cache as cache
    from cellist.api import cancel as cancel
    from cellist.api import compare as compare
    from cellist.api import run as run
    from cellist.api import runs as runs
    from cellist.api import why as why
    from cellist.caching.digests import hasher as hasher
    from cellist.context import get_run_context as get_run_context
    from cellist.context import tags as tags
    from cellist.declarations import Env as Env
    from cellist.declarations import File as File
    from cellist.declarations import Folder as Folder
    from cellist.flow_runs import apause_flow_run as apause_flow_run
    from cellist.flow_runs import aresume_flow_run as aresume_flow_run
    from cellist.flow_runs import asuspend_flow_run as asuspend_flow_run
    from cellist.flow_runs import pause_flow_run as pause_flow_run
    from cellist.flow_runs import resume_flow_run as resume_flow_run
    from cellist.flow_runs import suspend_flow_run as suspend_flow_run
    from cellist.flows import Flow as Flow
    from cellist.flows import flow as flow
    from cellist.logging import get_run_logger as get_run_logger
    from cellist.notebook.explorer import show as show
    from cellist.overrule import accept as accept
    from cellist.overrule import decisions as decisions
    from cellist.overrule import refresh as refresh
    from cellist.planning import plan as plan
    from cellist.progressing import progress as progress
    from cellist.recovery import resume as resume
    from cellist.recovery import retry as retry
    from cellist.share.exchange import bundle as bundle
    from cellist.share.exchange import trust as trust
    from cellist.share.exchange import untrust as untrust
    from cellist.states import State as State
    from cellist.task_worker import aserve as aserve
    from cellist.task_worker import serve as serve
    from cellist.tasks import Task as Task
    from cellist.tasks import task as task
    from cellist.transactions import Transaction as Transaction
    from cellist.worker.browser import queue as queue

__version__ = "0.1.0"

_HOMES = {
    "Env": "cellist.declarations",
    "File": "cellist.declarations",
    "Flow": "cellist.flows",
    "Folder": "cellist.declarations",
    "State": "cellist.states",
    "Task": "cellist.tasks",
    "Transaction": "cellist.transactions",
    "accept": "cellist.overrule",
    "aserve": "cellist.task_worker",
    "allow_failure": "cellist.annotations",
    "apause_flow_run": "cellist.flow_runs",
    "aresume_flow_run": "cellist.flow_runs",
    "asuspend_flow_run": "cellist.flow_runs",
    "bundle": "cellist.share.exchange",
    "cache": "cellist.api",
    "cancel": "cellist.api",
    "compare": "cellist.api",
    "decisions": "cellist.overrule",
    "flow": "cellist.flows",
    "get_run_context": "cellist.context",
    "get_run_logger": "cellist.logging",
    "hasher": "cellist.caching.digests",
    "opaque": "cellist.annotations",
    "pause_flow_run": "cellist.flow_runs",
    "plan": "cellist.planning",
    "progress": "cellist.progressing",
    "queue": "cellist.worker.browser",
    "quote": "cellist.annotations",
    "refresh": "cellist.overrule",
    "resume": "cellist.recovery",
    "resume_flow_run": "cellist.flow_runs",
    "retry": "cellist.recovery",
    "run": "cellist.api",
    "runs": "cellist.api",
    "serve": "cellist.task_worker",
    "show": "cellist.notebook.explorer",
    "suspend_flow_run": "cellist.flow_runs",
    "tags": "cellist.context",
    "task": "cellist.tasks",
    "trust": "cellist.share.exchange",
    "unmapped": "cellist.annotations",
    "untrust": "cellist.share.exchange",
    "why": "cellist.api",
}
_MODULES = {
    "annotations",
    "cache_policies",
    "concurrency",
    "context",
    "declarations",
    "exceptions",
    "flow_runs",
    "flows",
    "futures",
    "input",
    "limits",
    "logging",
    "objects",
    "runtime",
    "settings",
    "states",
    "task_runners",
    "task_worker",
    "tasks",
    "testing",
    "transactions",
    *(name for name in _compat.ALIASES if "." not in name),
}
"""Modules that `import cellist` makes reachable as attributes, as `import prefect` does."""

__all__ = [
    "Env",
    "File",
    "Flow",
    "Folder",
    "State",
    "Task",
    "Transaction",
    "__version__",
    "accept",
    "allow_failure",
    "apause_flow_run",
    "aresume_flow_run",
    "aserve",
    "asuspend_flow_run",
    "bundle",
    "cache",
    "cancel",
    "compare",
    "context",
    "decisions",
    "flow",
    "get_run_context",
    "get_run_logger",
    "hasher",
    "limits",
    "opaque",
    "pause_flow_run",
    "plan",
    "progress",
    "queue",
    "quote",
    "refresh",
    "resume",
    "resume_flow_run",
    "retry",
    "run",
    "runs",
    "runtime",
    "serve",
    "show",
    "suspend_flow_run",
    "tags",
    "task",
    "trust",
    "unmapped",
    "untrust",
    "why",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"cellist.{name}")
    else:
        message = _compat.absence(name) or f"module 'cellist' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: Any) -> None:
    """Register the magics and the board; called by `%load_ext cellist`."""
    importlib.import_module("cellist.notebook.extension").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Undo what loading did; called by `%unload_ext cellist`."""
    importlib.import_module("cellist.notebook.extension").unload(shell)


_compat.install()
_environment.note()  # before user code can change it
