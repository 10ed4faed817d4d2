"""Keys a task is known by: `task_key`, `result_storage_key` templates, `task_input_hash`."""

from collections.abc import Callable, Collection
from typing import Any

from cellist import runtime
from cellist.caching.digests import digest_value
from cellist.caching.source import closure_of
from cellist.engine.execution import current
from cellist.key_requests import KeyRequest
from cellist.model.reasons import CODE_KINDS

_SHOWN_DIGITS = 8


def task_key_of(task: Any) -> str:
    """Return `<name>-<digest>` of a task: stable across kernels, files, cells and positions.

    The digest covers the task's own code and not what it reaches: a task keeps its key while the
    data it reads change. For a function of C code it is that of the qualified name.
    """
    last = task.identity.split(".")[-1]
    digest = _code_digest(task.fn, {"source"}) or digest_value(task.identity)
    return f"{last}-{digest[:_SHOWN_DIGITS]}"


def _code_digest(fn: Any, kinds: Collection[str]) -> str | None:
    """Return one digest of the parts of a closure that are of some kinds, `None` without any."""
    try:
        parts = [part[:3] for part in closure_of(fn).components if part.kind in kinds]
    except Exception:
        return None
    return digest_value(tuple(sorted(parts))) if parts else None


def storage_key_for(template: str | None) -> Callable[[KeyRequest], str] | None:
    """Return what fills a `result_storage_key` template for a call.

    `flow_run` and `task_run` are those of `cellist.runtime`.
    """
    if template is None:
        return None

    def key(request: KeyRequest) -> str:
        before = current.get()
        current.set(request.make_context().execution)  # the cache may work in another thread
        try:
            return template.format(
                parameters=request.arguments, flow_run=runtime.flow_run, task_run=runtime.task_run
            )
        finally:
            current.set(before)

    return key


def task_input_hash(context: Any, parameters: dict[str, Any]) -> str | None:
    """Return a key of the task's code and its arguments; for `cache_key_fn=task_input_hash`.

    Helpers and library versions count, data that the code reads does not: that is what sets this
    apart from `INPUTS + TASK_SOURCE`. Raises `HashError` naming an argument without a digest.
    """
    named = tuple((name, digest_value(value, name)) for name, value in parameters.items())
    task = context.task
    return digest_value((task.identity, code_digest(task.fn), named))


def code_digest(fn: Any) -> str | None:
    """Return a digest of a function's code with helpers and library versions, but no data."""
    return _code_digest(fn, CODE_KINDS | {"package"})


def code_parts(fn: Any) -> dict[str, str]:
    """Return short digests of the parts of a task's code by their labels, as far as known.

    Those of two processes tell in what their code of one task differs.
    """
    try:
        found = closure_of(fn).components
    except Exception:
        return {}
    return {one.label: one.digest[: 2 * _SHOWN_DIGITS] for one in found if one.kind in CODE_KINDS}


def source_digest(fn: Any) -> str | None:
    """Return a short digest of a function's code and what it reaches, `None` if there is none."""
    try:
        return closure_of(fn).digest[: 2 * _SHOWN_DIGITS]
    except Exception:
        return None
