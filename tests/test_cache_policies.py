"""The algebra of cache policies, and what they are configured with."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist import task
from cellist.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
    CompoundCachePolicy,
    Inputs,
)
from cellist.locking.filesystem import FileSystemLockManager
from cellist.locking.memory import MemoryLockManager
from cellist.model.isolation import IsolationLevel

CONFIGURED = ("key_storage", "lock_manager", "isolation_level")


def key_one(context: Any, parameters: dict[str, Any]) -> str:
    return "one"


@dataclass
class Own(CachePolicy):
    """A policy of a user's own."""

    salt: str = "s"

    def compute_key(self, *args: Any, **kwargs: Any) -> str | None:
        return self.salt


class Plain(CachePolicy):
    """One that is no dataclass and calls no constructor of ours."""

    def __init__(self) -> None:
        self.salt = "s"


bases = st.sampled_from(
    [INPUTS, INPUTS - "a", INPUTS - "b", INPUTS.configure(shared=True), TASK_SOURCE, RUN_ID,
     FLOW_PARAMETERS, NO_CACHE, NONE, CacheKeyFnPolicy(cache_key_fn=key_one), Own()]
)  # fmt: skip
configurations = st.fixed_dictionaries(
    {},
    optional={
        "key_storage": st.just("/keys"),
        "lock_manager": st.just(MemoryLockManager()),
        "isolation_level": st.just(IsolationLevel.SERIALIZABLE),
    },
)
policies = st.builds(lambda base, how: base.configure(**how), bases, configurations)
sums = st.lists(policies, min_size=1, max_size=4).map(
    lambda members: [*itertools.accumulate(members, lambda left, right: left + right)][-1]
)


def config(policy: CachePolicy) -> list[Any]:
    return [getattr(policy, name) for name in CONFIGURED]


def members(policy: CachePolicy) -> list[CachePolicy]:
    return policy.policies if isinstance(policy, CompoundCachePolicy) else [policy]


@given(sums, sums, sums)
def test_sums_are_associative(a: CachePolicy, b: CachePolicy, c: CachePolicy) -> None:
    assert (a + b) + c == a + (b + c)


@given(sums, st.sampled_from([NO_CACHE, NONE]))
def test_no_cache_is_the_identity(policy: CachePolicy, nothing: CachePolicy) -> None:
    assert policy + nothing == policy
    assert nothing + policy == policy


@given(sums, sums)
def test_exclusions_merge_and_sums_are_flat(a: CachePolicy, b: CachePolicy) -> None:
    both = members(a + b)
    inputs = [one for one in both if isinstance(one, Inputs)]
    before = [one for one in (*members(a), *members(b)) if isinstance(one, Inputs)]
    assert not any(isinstance(one, CompoundCachePolicy) for one in both)
    assert len(inputs) == min(1, len(before))
    if inputs:
        assert both[-1] is inputs[0]
        assert inputs[0].exclude == sorted({name for one in before for name in one.exclude})
        assert inputs[0].shared == all(one.shared for one in before)


@given(sums, sums)
def test_configuration_survives_sums_and_differences(a: CachePolicy, b: CachePolicy) -> None:
    assert config(a - "x") == config(a)
    want = [mine or other for mine, other in zip(config(a), config(b), strict=True)]
    assert config(a + b) == want


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("key_storage", "/one", "/two"),
        ("isolation_level", IsolationLevel.SERIALIZABLE, IsolationLevel.READ_COMMITTED),
        ("lock_manager", FileSystemLockManager("/one"), FileSystemLockManager("/two")),
    ],
)
def test_conflicts(name: str, one: Any, two: Any) -> None:
    left, right = INPUTS.configure(**{name: one}), TASK_SOURCE.configure(**{name: two})
    with pytest.raises(ValueError, match=name):
        _ = left + right
    with pytest.raises(ValueError, match=name):
        CompoundCachePolicy(policies=[left, right])
    with pytest.raises(ValueError, match=name):
        _ = (left + RUN_ID) + (right + RUN_ID)
    same = left + TASK_SOURCE.configure(**{name: one})
    assert getattr(same, name) == one
    assert all(config(member) == [None] * 3 for member in members(same))


def test_equal_lock_managers_do_not_conflict() -> None:
    managers = [FileSystemLockManager(Path("/locks")) for _ in range(2)]
    total = INPUTS.configure(lock_manager=managers[0]) + RUN_ID.configure(lock_manager=managers[1])
    assert total.lock_manager == managers[0]


@pytest.mark.parametrize("policy", [INPUTS, DEFAULT, NO_CACHE, RUN_ID, Own("t"), Plain()])
def test_configure_gives_a_copy(policy: CachePolicy) -> None:
    changed = policy.configure(key_storage="/keys")
    assert type(changed) is type(policy)
    assert (changed.key_storage, policy.key_storage) == ("/keys", None)
    again = changed.configure(isolation_level=IsolationLevel.SERIALIZABLE)
    assert again.key_storage == "/keys"
    assert again.isolation_level is IsolationLevel.SERIALIZABLE
    if isinstance(policy, (Own, Plain)):
        assert vars(again)["salt"] == policy.salt
    excluding = again - "x"
    assert config(excluding) == config(again)


def test_copies_share_no_lists() -> None:
    changed = (INPUTS - "a").configure(key_storage="/keys")
    changed.exclude.append("b")
    assert (INPUTS - "a").exclude == ["a"]
    assert INPUTS.exclude == []


def test_what_cannot_be_configured(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="key_storage"):
        INPUTS.configure(key_storage=5)
    with pytest.raises(TypeError, match="lock_manager"):
        INPUTS.configure(lock_manager="file")
    with pytest.raises(ValueError, match="chaos"):
        INPUTS.configure(isolation_level="chaos")  # type: ignore[arg-type] - wrong on purpose
    with (
        diskcache.Cache(tmp_path / "d", disk=diskcache.JSONDisk) as other,
        pytest.raises(TypeError, match="JSONDisk"),
    ):
        INPUTS.configure(key_storage=other)


def test_operands_are_checked() -> None:
    with pytest.raises(TypeError, match="name of a parameter"):
        INPUTS - 5  # type: ignore[operator] - wrong on purpose
    with pytest.raises(TypeError, match="name of a parameter"):
        TASK_SOURCE - None  # type: ignore[operator] - wrong on purpose
    with pytest.raises(TypeError):
        INPUTS + 5  # type: ignore[operator] - wrong on purpose
    assert (TASK_SOURCE - "x") == TASK_SOURCE
    assert NO_CACHE == NONE


@pytest.mark.usefixtures("recorder")
def test_a_failing_member_leaves_no_partial_key() -> None:
    def broken(context: Any, parameters: dict[str, Any]) -> str:
        raise ZeroDivisionError

    policy = INPUTS + CacheKeyFnPolicy(cache_key_fn=broken)
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        state = task(lambda n: n, cache_policy=policy)(1, return_state=True)
    assert (state.why.outcome, state.state_details.cache_key) == ("off", None)


@pytest.mark.usefixtures("recorder")
def test_a_policy_of_ones_own_is_used_and_adds_up() -> None:
    calls: list[int] = []

    class Parity(CachePolicy):
        def compute_key(
            self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: Any, **kwargs: Any
        ) -> str | None:
            return "even" if inputs["n"] % 2 == 0 else None

    def work(n: int) -> int:
        calls.append(n)
        return n

    t = task(work, cache_policy=Parity())
    assert [t(n) for n in (2, 4, 3, 3)] == [2, 2, 3, 3]
    assert len(calls) == 3
    both = task(work, cache_policy=Parity() + (INPUTS - "n"))
    assert [both(n) for n in (2, 4)] == [2, 2]


@pytest.mark.parametrize(
    ("policy", "changes"),
    [
        (INPUTS, {"inputs"}),
        (INPUTS - "x", set()),
        (FLOW_PARAMETERS, {"flow_parameters"}),
        (DEFAULT, {"inputs"}),
        (INPUTS + FLOW_PARAMETERS + RUN_ID, {"inputs", "flow_parameters"}),
        (CacheKeyFnPolicy(cache_key_fn=lambda _, inputs: inputs.get("x")), {"inputs"}),
        (TASK_SOURCE, None),
        (RUN_ID, None),
        (TASK_SOURCE + RUN_ID, None),
        (NO_CACHE, None),
        (CompoundCachePolicy(), None),
    ],
)
def test_a_key_can_be_asked_for_without_a_run(
    policy: CachePolicy, changes: set[str] | None
) -> None:
    plain: dict[str, Any] = {"inputs": {"x": 1}, "flow_parameters": {"p": 1}}
    key = policy.compute_key(task_ctx=None, **plain)
    assert (key is None) == (changes is None)
    assert policy.compute_key(task_ctx=None, **plain) == key
    for name in plain:
        other = policy.compute_key(task_ctx=None, **{**plain, name: {"x": 2}})
        assert (other != key) == (name in (changes or ()))


@pytest.mark.parametrize("policy", [INPUTS, FLOW_PARAMETERS, DEFAULT, INPUTS + FLOW_PARAMETERS])
def test_without_anything_to_count_there_is_no_key(policy: CachePolicy) -> None:
    nothing: Any = None
    assert policy.compute_key(task_ctx=None, inputs=nothing, flow_parameters=nothing) is None
