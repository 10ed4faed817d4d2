"""One call that needs a cache key, and what keys are made of: named components."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from blake3 import blake3

from cellist.caching.digests import digest_value
from cellist.caching.source import closure_of
from cellist.model.previews import short
from cellist.model.reasons import Component

Components = list[Component]
_KEY_VERSION = "cellist-key 2"


@dataclass(slots=True)
class KeyRequest:
    """One call that needs a key: what it calls, with what, inside which run."""

    fn: Callable[..., Any]
    identity: str
    """What the task is called across kernels: its qualified name."""
    arguments: dict[str, Any]
    flow_parameters: dict[str, Any] | None
    flow_run_id: str | None
    task_run_id: str
    make_context: Callable[[], Any]
    """Makes the `TaskRunContext` that functions of the user get."""
    closures: dict[str, Sequence[Component]] = field(default_factory=dict[str, Sequence[Component]])
    """The parts of each source closure met, by its digest."""
    notes: list[str] = field(default_factory=list[str])
    has_source: bool = False
    """Whether the code of the task is in the key."""
    is_alone: bool = True
    """Whether one policy makes the whole key."""
    raw_key: str | None = None
    """A key given by a function of the user, used as it is."""


def join(components: Iterable[Component]) -> str:
    """Return the key that stands for named components: 64 hex digits."""
    parts = sorted(
        f"{len(kind)}:{kind}{len(name)}:{name}{len(digest)}:{digest}"
        for kind, name, digest, _ in components
    )  # the lengths tell where each part ends, so that no two keys read the same
    parts.append(_KEY_VERSION)
    return blake3("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def with_texts(components: Components, kind: str, values: dict[str, Any]) -> Components:
    """Return the components with short forms of the values of one kind."""
    return [
        Component(kind, one.name, one.digest, short(values[one.name]))
        if one.kind == kind and one.name in values
        else one
        for one in components
    ]


@lru_cache(maxsize=1024)
def _named_task(identity: str) -> Component:
    return Component("task", "task", digest_value(identity))


def task_component(request: KeyRequest) -> Component:
    """Return what tells one task from another.

    With the source in the key a name is enough. Without it the module counts, what a partial has
    bound, and the text of a lambda, since all lambdas have one name.
    """
    if request.has_source:
        return _named_task(request.identity)
    parts = [request.identity]
    fn: Any = request.fn
    while isinstance(fn, partial):
        parts.append(digest_value((fn.args, tuple(fn.keywords.items())), "partial"))
        fn = fn.func
    module = getattr(fn, "__module__", None)
    if module not in (None, "__main__"):
        parts.append(str(module))
    if "<lambda>" in request.identity:
        own = [one.digest for one in closure_of(fn).components if one.kind == "source"]
        parts.extend(own)
    return _named_task("|".join(parts))
