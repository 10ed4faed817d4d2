"""What a task is said to depend on (`depends_on=`), as a part of its cache key beside its policy.

So it counts with every policy, also with one that leaves the task's code out.
"""

from typing import Any, cast

from cellist.cache_policies import CachePolicy, CompoundCachePolicy, Inputs
from cellist.caching.declared import DECLARED_KINDS
from cellist.caching.packages import versions_of
from cellist.caching.source import Owner, SourceClosure, closure_of_dependencies
from cellist.definitions import check_flag
from cellist.key_requests import DEPENDED, Components, KeyRequest
from cellist.model.reasons import Component

_RECHECKED = DECLARED_KINDS | {"function", "class", "global", "closure", "default", "extra"}


def check_depends_on(given: Any, owner: str) -> tuple[Any, ...]:
    """Return what a task depends on. Raises `TypeError` unless it is a list."""
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):  # the order of a set is another in each process
        message = (
            f"`depends_on` of {owner} must be a list of functions, classes, modules, values, "
            f"File, Folder or Env, got {given!r:.60}. Write it in brackets: depends_on=[...]."
        )
        raise TypeError(message)
    return tuple(cast("list[Any]", given))


def keep_key_options(task: Any, given: dict[str, Any], owner: str) -> None:
    """Check the options that say more about keys than the policy, and set them on a task.

    Raises `TypeError` or `ValueError` naming the task.
    """
    task.depends_on = check_depends_on(given["depends_on"], owner)
    for flag in ("strict", "refresh_cache", "replay"):
        check_flag(given[flag], flag, owner)
    task.strict = given["strict"]
    task.versions = None
    if given["versions"] is not None:
        try:
            task.versions = versions_of(given["versions"])
        except (TypeError, ValueError) as error:
            message = f"{error} It is an option of {owner}."
            raise type(error)(message) from None
    _check_exclusions(task, owner)
    if task.depends_on and given["result_storage_key"] is not None:
        message = (
            f"{owner[0].upper()}{owner[1:]} has a `result_storage_key`, which is the whole key, so "
            "`depends_on` could not count. Leave one of the two out."
        )
        raise ValueError(message)


def _check_exclusions(task: Any, owner: str) -> None:
    """Raise `ValueError` if a task's policy leaves out a parameter that the function has not."""
    if task.shape.rest is not None:  # any name may come as a keyword
        return
    names = task.shape.names
    unknown = [name for name in _left_out(task.cache_policy) if name not in names]
    if unknown:
        message = (
            f"The cache policy of {owner} leaves out {', '.join(map(repr, unknown))}, but the "
            f"function has no such parameter. It has {', '.join(map(repr, names)) or 'none'}."
        )
        raise ValueError(message)


def _left_out(policy: CachePolicy | None) -> list[str]:
    """Return the names of the inputs that a policy leaves out."""
    if isinstance(policy, Inputs):
        return policy.exclude
    members = policy.policies if isinstance(policy, CompoundCachePolicy) else ()
    return [name for member in members for name in _left_out(member)]


class Depending(CachePolicy):
    """Another policy, and what the task depends on besides. Gives no key where that gives none."""

    def __init__(self, policy: CachePolicy, depends_on: tuple[Any, ...], scope: str) -> None:
        super().__init__(
            key_storage=policy.key_storage,
            isolation_level=policy.isolation_level,
            lock_manager=policy.lock_manager,
        )
        self.policy = policy
        self.depends_on = depends_on
        self.owner = Owner(scope)

    def components(self, request: KeyRequest) -> Components | None:
        """Return the components of the policy, and one for all that is depended on."""
        request.is_alone = False
        found = self.policy.components(request)
        if not found:
            return None
        request.raw_key = None  # what a function of the user gave is one part of the key now
        closure = self._closure(request)
        request.met(closure, request.depended)
        return [*found, Component(*DEPENDED, closure.digest)]

    def recheck(self, request: KeyRequest) -> Components:
        """Return what is depended on as it is now, with what the policy gives."""
        found = self.policy.recheck(request)
        parts = [one for one in self._closure(request).components if one.kind in _RECHECKED]
        return _together(found, parts)

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Put what is depended on in the place of its digest."""
        own = [one for one in components if one[:2] == DEPENDED]
        others = [one for one in components if one[:2] != DEPENDED]
        described = self.policy.describe(request, others)
        return _together(described, request.opened(own))

    def _closure(self, request: KeyRequest) -> SourceClosure:
        return closure_of_dependencies(
            self.owner,
            self.depends_on,
            versions=request.versions(),
            strict=request.terms.strict,
        )


def _together(found: Components, parts: Components) -> Components:
    """Return all components; what the code reaches by itself, too, is not said twice."""
    known = {(one.kind, one.name): one.digest for one in found}
    added: Components = []
    for one in parts:
        digest = known.get((one.kind, one.name))
        if digest is None:
            added.append(one)
        elif digest != one.digest:
            added.append(one._replace(name=f"{one.name} of depends_on"))
    return [*found, *added]
