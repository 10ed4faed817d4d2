"""The plan of a task: its options resolved under the settings in force when it is called."""

from typing import Any

from cellist.cache_policies import NONE
from cellist.definitions import collecting, naming_for
from cellist.engine.plan import Plan
from cellist.model.reasons import Reason
from cellist.model.retries import Delays, check_delays
from cellist.results import CachePlan
from cellist.settings import Settings
from cellist.taskkeys import storage_key_for

_OFF = {
    code: Reason("off", code, f"ran: {text}")
    for code, text in {
        "no_cache": "caching is off (cache_policy=NO_CACHE)",
        "disabled": "caching is off (CELLIST_TASKS_DISABLE_CACHING)",
        "default_off": "caching is off (CELLIST_TASKS_DEFAULT_NO_CACHE)",
        "not_persisted": "caching is off (persist_result=False)",
        "generator": "it is a generator, which is not cached",
    }.items()
}


def plan_of_task(task: Any, now: Settings) -> Plan:
    """Return the plan of a task under these settings."""
    retries = now.tasks_default_retries if task.own_retries is None else task.own_retries
    return Plan(
        collecting(task.fn),
        task.shape,
        is_async=task.isasync,
        retries=retries,
        delays=delays_of(task, retries, task.own_delays, now.tasks_default_retry_delay_seconds),
        jitter=task.retry_jitter_factor,
        condition=task.retry_condition_fn,
        timeout=task.timeout_seconds,
        hooks=task.hooks(),
        naming=naming_for(task.task_run_name, "task_run_name"),
        cache=_cache_plan(task, now),
        tags=frozenset(task.tags),
        log_prints=task.log_prints,
        generator=task.fn if task.isgenerator else None,
    )


def delays_of(owner: Any, retries: int, given: Any, default: Delays) -> Delays:
    """Return the delays before retries: those given, else the default.

    A function of the number of retries is asked once more if that number comes from a setting.
    """
    asked = owner.options["retry_delay_seconds"]
    if given is None:
        return default
    if callable(asked) and owner.own_retries is None:
        return check_delays(asked, retries, f"{owner.noun} {owner.name!r}")
    return given


def _cache_plan(task: Any, now: Settings) -> CachePlan | Reason:
    policy = task.cache_policy
    storage_key = storage_key_for(task.result_storage_key)
    explicit = task.explicit_policy or storage_key is not None
    off = (
        (now.tasks_disable_caching, "disabled"),
        (task.isgenerator, "generator"),
        (task.persist_result is False, "not_persisted"),
        (not explicit and now.tasks_default_no_cache, "default_off"),
        (storage_key is None and (policy is None or policy == NONE), "no_cache"),
    )
    for applies, code in off:
        if applies:
            return _OFF[code]
    refresh = task.refresh_cache
    return CachePlan(
        task.fn,
        task.identity,
        policy or NONE,
        explicit=explicit,
        expiration=task.expiration,
        refresh=now.tasks_refresh_cache if refresh is None else refresh,
        storage_key=storage_key,
    )
