"""The plan of a task: its options resolved under the settings in force when it is called."""

from typing import Any

from cellist.annotated import counted_parameters
from cellist.cache_policies import NONE
from cellist.caching.result_places import place_of
from cellist.caching.serializers import Serializer, serializer_of
from cellist.definitions import collecting, naming_for
from cellist.dependencies import Depending
from cellist.engine.plan import Plan
from cellist.key_requests import PLAIN, Terms
from cellist.model.annotations import NOT_SET
from cellist.model.reasons import Reason
from cellist.model.retries import Delays, check_delays
from cellist.persistence import CachePlan, Keeping, Storage
from cellist.results import storage_of
from cellist.settings import Settings
from cellist.taskkeys import storage_key_for

_OFF = {
    code: Reason("off", code, f"ran: {text}")
    for code, text in {
        "no_cache": "caching is off (cache_policy=NO_CACHE)",
        "disabled": "caching is off (CELLIST_TASKS_DISABLE_CACHING)",
        "switched_off": "caching is off (CELLIST_CACHE=off)",
        "default_off": "caching is off (CELLIST_TASKS_DEFAULT_NO_CACHE)",
        "not_persisted": "caching is off (persist_result=False)",
        "not_persisted_by_default": "caching is off (CELLIST_TASKS_DEFAULT_PERSIST_RESULT)",
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
        keeping=keeping_of(task),
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
    persist = (
        now.tasks_default_persist_result if task.persist_result is None else task.persist_result
    )
    off = (
        (now.tasks_disable_caching, "disabled"),
        (now.cache == "off", "switched_off"),
        (task.isgenerator, "generator"),
        (task.persist_result is False, "not_persisted"),
        (persist is False, "not_persisted_by_default"),
        (not explicit and now.tasks_default_no_cache, "default_off"),
        (storage_key is None and (policy is None or policy == NONE), "no_cache"),
    )
    for applies, code in off:
        if applies:
            return _OFF[code]
    refresh = task.refresh_cache
    policy = policy or NONE
    storage: Storage | None = task.stored_in
    key_storage = policy.key_storage
    if task.depends_on:
        policy = Depending(policy, task.depends_on, str(getattr(task.fn, "__module__", "")))
    return CachePlan(
        task.fn,
        task.identity,
        policy,
        explicit=explicit,
        expiration=task.expiration,
        refresh=now.cache == "refresh"
        or bool(now.tasks_refresh_cache if refresh is None else refresh),
        storage_key=storage_key,
        persist=persist,
        storage=storage,
        serializer=_serializer_of(task),
        in_memory=_stays_in_memory(task),
        key_place=place_of(key_storage, "key_storage") if key_storage is not None else None,
        isolation=policy.isolation_level,
        lock_manager=policy.lock_manager,
        version=task.version,
        readonly=now.cache == "readonly",
        terms=_terms_of(task, now),
        replay=task.replay,
    )


def _terms_of(task: Any, now: Settings) -> Terms:
    terms = Terms(
        task.versions,
        now.tasks_strict if task.strict is None else task.strict,
        counted_parameters(task.fn, task.shape.signature),
        task.shape.rest,
    )
    return PLAIN if terms == PLAIN else terms


def keep_options(owner: Any, given: dict[str, Any], described: str) -> None:
    """Check the options about results that tasks and flows share, and set them on the owner.

    Who says where results lie or what they become wants them kept. Raises `TypeError` or
    `ValueError` naming the owner.
    """
    owner.result_storage = given["result_storage"]
    owner.stored_in = storage_of(given["result_storage"], described)
    chosen = given["result_serializer"]
    owner.result_serializer = chosen
    owner.serializer = serializer_of(chosen, described) if chosen is not None else None
    owner.cache_result_in_memory = bool(given["cache_result_in_memory"])
    persist = given["persist_result"]
    if persist is NOT_SET:
        persist = None
    if persist is None and (owner.stored_in is not None or chosen is not None):
        persist = True
    owner.persist_result = persist


def keeping_of(owner: Any) -> Keeping | None:
    """Return what a task or flow says about the results of what runs inside it, if anything."""
    persist: bool | None = owner.persist_result
    keeping = Keeping(
        persist,
        owner.stored_in,
        _serializer_of(owner),
        _stays_in_memory(owner),
        persist_by=f"{owner.noun} `{owner.name}`" if persist is False else "",
    )
    return None if keeping == _NOTHING_SAID else keeping


_NOTHING_SAID = Keeping()


def _serializer_of(owner: Any) -> Serializer | None:
    storage: Storage | None = owner.stored_in
    return owner.serializer or (storage.serializer if storage is not None else None)


def _stays_in_memory(owner: Any) -> bool:
    storage: Storage | None = owner.stored_in
    return owner.cache_result_in_memory and (storage is None or storage.in_memory)
