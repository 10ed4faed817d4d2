"""Keys a task is known by: `task_key`, `result_storage_key` templates, `task_input_hash`."""

from collections.abc import Callable
from typing import Any

from cellist.cache_policies import KeyRequest
from cellist.caching.digests import digest_value
from cellist.caching.source import closure_of

_SHOWN_DIGITS = 8


def task_key_of(task: Any) -> str:
    """Return `<name>-<digest>` of a task: stable across kernels, files, cells and positions.

    The digest covers the code of the task and what it reaches. Where no digest can be made, a
    function of C code without a name of its own, the qualified name alone is the key.
    """
    last = task.identity.split(".")[-1]
    try:
        digest = closure_of(task.fn).digest
    except Exception:
        digest = digest_value(task.identity)
    return f"{last}-{digest[:_SHOWN_DIGITS]}"


def storage_key_for(template: str | None) -> Callable[[KeyRequest], str] | None:
    """Return what fills a `result_storage_key` template for a call."""
    if template is None:
        return None

    def key(request: KeyRequest) -> str:
        context = request.make_context()
        return template.format(parameters=request.arguments, task_run=context.task_run)

    return key


def task_input_hash(context: Any, parameters: dict[str, Any]) -> str | None:
    """Return a key of the task's code and its arguments; for `cache_key_fn=task_input_hash`.

    Raises `HashError` naming the argument that has no stable digest.
    """
    named = tuple((name, digest_value(value, name)) for name, value in parameters.items())
    return digest_value((context.task.task_key, named))


def source_digest(fn: Any) -> str | None:
    """Return a short digest of a function's code and what it reaches, `None` if there is none."""
    try:
        return closure_of(fn).digest[: 2 * _SHOWN_DIGITS]
    except Exception:
        return None
