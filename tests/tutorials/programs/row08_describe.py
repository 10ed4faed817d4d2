"""What a task says about itself: name, description, tags, version, and its other options."""

from datetime import timedelta
from typing import Any

from cellist import task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE


# %%
@task(
    name="Weigh a parcel",
    description="Puts it on the scales.",
    tags=["post", "daily"],
    version="1.2",
    timeout_seconds=30,
    retries=2,
    retry_delay_seconds=5,
    cache_policy=INPUTS,
    cache_expiration=timedelta(days=1),
    task_run_name="weigh-{parcel}",
    log_prints=True,
    persist_result=True,
)
def weigh(parcel: str) -> int:
    """Not shown: there is a description."""
    return len(parcel)


@task
def stamp(parcel: str) -> str:
    """Put a stamp on it.

    Not on the address.
    """
    return f"{parcel}!"


# %%
print(weigh.name, "-", weigh.description)
# > Weigh a parcel - Puts it on the scales.
print(stamp.name, "-", stamp.description)
# > stamp - Put a stamp on it.
# >
# > Not on the address.
assert weigh.tags == {"post", "daily"}
assert weigh.version == "1.2"
assert isinstance(weigh.timeout_seconds, float)
assert (weigh.timeout_seconds, weigh.retries, weigh.retry_delay_seconds) == (30.0, 2, 5)
assert weigh.cache_expiration == timedelta(days=1)
assert weigh.log_prints is True
assert weigh.persist_result is True
assert (weigh.cache_policy, stamp.cache_policy) == (INPUTS, DEFAULT)

# %%
# A copy with other options; the first stays as it is.
quick = weigh.with_options(name="Guess", timeout_seconds=1, tags=["rough"], retries=0)
assert (quick.name, quick.timeout_seconds, quick.retries) == ("Guess", 1.0, 0)
assert quick.tags == {"rough"}
assert quick.fn is weigh.fn
assert quick.description == "Puts it on the scales."
assert (weigh.name, weigh.timeout_seconds, weigh.retries) == ("Weigh a parcel", 30.0, 2)
assert weigh.with_options(cache_policy=NO_CACHE).cache_policy == NO_CACHE
assert quick("box") == weigh("box") == 3

# %%
# What cannot be used is refused when the task is made.
unusable: list[dict[str, Any]] = [
    {"retry_delay_seconds": (1, 2)},
    {"retry_jitter_factor": -1},
    {"retry_condition_fn": "always"},
    {"task_run_name": 7},
    {"on_failure": "not a list"},
]
for wrong in unusable:
    try:
        task(stamp.fn, **wrong)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, next(iter(wrong)) in str(error))
    else:
        raise AssertionError(wrong)
# > TypeError True
# > ValueError True
# > TypeError True
# > TypeError True
# > TypeError True
