"""SPEC 11.3: cache policies, their algebra, and what their keys depend on."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellist import flow, task
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
    FlowParameters,
    Inputs,
    RunId,
    TaskSource,
)
from cellist.tasks import task_input_hash
from tests.spec.observe import Calls

NAMES = ["a", "b", "c"]


def key_fn(context: Any, parameters: dict[str, Any]) -> str:
    return "key"


BASES: list[Any] = [INPUTS, TASK_SOURCE, RUN_ID, FLOW_PARAMETERS, NO_CACHE]
atoms = st.one_of(
    st.sampled_from(BASES),
    st.sampled_from(NAMES).map(lambda name: INPUTS - name),
    st.just(CacheKeyFnPolicy(key_fn)),
)
policies = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, st.sampled_from(NAMES)).map(lambda pair: pair[0] - pair[1]),
    ),
    max_leaves=6,
)


def key_of(policy: Any, **inputs: Any) -> Any:
    """The key under which a task with this policy would look, seen from outside: its hits."""

    @task(cache_policy=policy, name="keyed")
    def keyed(a: int, b: int = 0, c: int = 0) -> str:
        return f"{a} {b} {c}"

    state = keyed(**inputs, return_state=True)
    return state.state_details.cache_key


def members(policy: Any) -> list[Any]:
    return list(policy.policies) if isinstance(policy, CompoundCachePolicy) else [policy]


class TestAlgebra:
    @given(policies, policies, policies)
    @settings(max_examples=150)
    def test_associative(self, p: Any, q: Any, r: Any) -> None:
        assert (p + q) + r == p + (q + r)

    @given(policies)
    def test_no_cache_is_the_identity(self, p: Any) -> None:
        assert p + NO_CACHE == p
        assert NO_CACHE + p == p

    @given(policies, policies)
    def test_flat_and_one_inputs_placed_last(self, p: Any, q: Any) -> None:
        parts = members(p + q)
        assert not any(isinstance(part, CompoundCachePolicy) for part in parts)
        inputs = [part for part in parts if isinstance(part, Inputs)]
        assert len(inputs) <= 1
        if inputs and len(parts) > 1:
            assert parts[-1] is inputs[0]

    @given(st.lists(st.sampled_from(NAMES), max_size=3), st.lists(st.sampled_from(NAMES)))
    def test_exclusions_are_merged(self, left: list[str], right: list[str]) -> None:
        p: Any = INPUTS
        for name in left:
            p = p - name
        q: Any = INPUTS
        for name in right:
            q = q - name
        (both,) = members(p + q)
        assert set(both.exclude) == {*left, *right}

    @given(policies, st.sampled_from(NAMES), st.sampled_from(NAMES))
    def test_exclusion_commutes_and_is_idempotent(self, p: Any, x: str, y: str) -> None:
        assert set_of(p - x - y) == set_of(p - y - x)
        assert set_of(p - x - x) == set_of(p - x)

    @given(policies, st.sampled_from(NAMES))
    def test_exclusion_is_nothing_without_inputs(self, p: Any, x: str) -> None:
        if not any(isinstance(part, Inputs) for part in members(p)):
            assert p - x == p

    @given(policies, policies)
    def test_operands_are_left_as_they_are(self, p: Any, q: Any) -> None:
        before = (repr(p), repr(q))
        _ = (p + q, p - "a", q - "b")
        assert (repr(p), repr(q)) == before

    def test_exclusion_of_a_sum(self) -> None:
        policy = (INPUTS + TASK_SOURCE) - "x"
        (inputs,) = [part for part in members(policy) if isinstance(part, Inputs)]
        assert list(inputs.exclude) == ["x"]
        merged = INPUTS + (INPUTS - "x")
        assert list(members(merged)[0].exclude) == ["x"]

    @pytest.mark.parametrize("wrong", [3, None, ["x"], INPUTS])
    def test_only_names_can_be_left_out(self, wrong: Any) -> None:
        with pytest.raises(TypeError):
            _ = INPUTS - wrong

    @pytest.mark.parametrize("wrong", ["x", 3, key_fn])
    def test_only_policies_can_be_added(self, wrong: Any) -> None:
        with pytest.raises(TypeError):
            _ = INPUTS + wrong

    def test_classes(self) -> None:
        for policy, kind in [
            (INPUTS, Inputs),
            (TASK_SOURCE, TaskSource),
            (RUN_ID, RunId),
            (FLOW_PARAMETERS, FlowParameters),
            (INPUTS + RUN_ID, CompoundCachePolicy),
            (DEFAULT, CachePolicy),
            (NO_CACHE, CachePolicy),
        ]:
            assert isinstance(policy, kind)
        assert NONE == NO_CACHE
        assert Inputs(exclude=["x"]) == INPUTS - "x"
        assert Inputs() == INPUTS

    def test_default_is_inputs_and_source(self) -> None:
        assert {type(part) for part in members(DEFAULT)} == {Inputs, TaskSource}

    def test_conflicts(self, tmp_path: Path) -> None:
        one: Any = INPUTS.configure(key_storage=tmp_path / "one")
        two: Any = TASK_SOURCE.configure(key_storage=tmp_path / "two")
        with pytest.raises(ValueError, match="key_storage"):
            _ = one + two
        assert (one + TASK_SOURCE).key_storage == tmp_path / "one"

    def test_configure_survives(self, tmp_path: Path) -> None:
        one: Any = INPUTS.configure(key_storage=tmp_path)
        assert INPUTS.key_storage is None
        assert (one - "x").key_storage == tmp_path
        assert ((one + TASK_SOURCE) - "x").key_storage == tmp_path


def set_of(policy: Any) -> set[Any]:
    return {(type(part), frozenset(getattr(part, "exclude", ()) or ())) for part in members(policy)}


def counted(policy: Any, **options: Any) -> tuple[Any, Calls]:
    calls = Calls()

    def counted(a: Any = 0, b: Any = 0) -> Any:
        calls((a, b))
        return f"{a} {b}"

    return task(counted, cache_policy=policy, **options), calls


class TestKeys:
    def test_inputs(self) -> None:
        t, calls = counted(INPUTS)
        assert [t(1, 2), t(1, 2), t(a=1, b=2), t(2, 2)] == ["1 2"] * 3 + ["2 2"]
        assert len(calls) == 2

    def test_defaults_are_inputs(self) -> None:
        t, calls = counted(INPUTS)
        assert t(1) == t(1, 0) == t(1, b=0)
        assert len(calls) == 1

    def test_exclusion(self) -> None:
        t, calls = counted(INPUTS - "b")
        assert t(1, 2) == t(1, 3) == "1 2"
        t(2, 2)
        assert len(calls) == 2

    def test_inputs_alone_of_a_task_without_parameters(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t() -> int:
            return calls()

        t()
        t()
        assert len(calls) == 2

    def test_two_tasks_do_not_share_inputs_keys(self) -> None:
        """Q6."""

        @task(cache_policy=INPUTS)
        def one(x: int) -> str:
            return f"one {x}"

        @task(cache_policy=INPUTS)
        def two(x: int) -> str:
            return f"two {x}"

        assert (one(1), two(1), one(1), two(1)) == ("one 1", "two 1", "one 1", "two 1")

    def test_unless_they_are_told_to(self) -> None:
        shared = INPUTS.configure(shared=True)

        @task(cache_policy=shared)
        def one(x: int) -> str:
            return f"one {x}"

        @task(cache_policy=shared)
        def two(x: int) -> str:
            return f"two {x}"

        assert (one(1), two(1)) == ("one 1", "one 1")

    def test_or_have_a_key_function(self) -> None:
        one = task(lambda x: f"one {x}", cache_key_fn=lambda _, p: f"shared-{p['x']}")
        two = task(lambda x: f"two {x}", cache_key_fn=lambda _, p: f"shared-{p['x']}")
        assert (one(1), two(1), two(2)) == ("one 1", "one 1", "two 2")

    def test_source(self) -> None:
        t = task(lambda a: f"{a}", cache_policy=TASK_SOURCE)
        assert t(1) == t(2) == "1"

    def test_run_id(self) -> None:
        t, calls = counted(RUN_ID)

        @flow
        def f() -> Any:
            return t(1), t(2)

        assert f() == ("1 0", "1 0")
        assert len(calls) == 1
        f()
        assert len(calls) == 2
        t(1)
        t(1)
        assert len(calls) == 4

    def test_run_id_and_inputs(self) -> None:
        t, calls = counted(RUN_ID + INPUTS)

        @flow
        def f() -> Any:
            return t(1), t(1), t(2)

        assert f() == ("1 0", "1 0", "2 0")
        assert len(calls) == 2

    def test_flow_parameters(self) -> None:
        t, calls = counted(FLOW_PARAMETERS)

        @flow
        def f(n: int) -> Any:
            return t(calls)  # what the task is given does not count

        f(1)
        f(1)
        assert len(calls) == 1
        f(2)
        assert len(calls) == 2
        t(1)
        t(1)
        assert len(calls) == 4

    def test_no_cache(self) -> None:
        for policy in (NO_CACHE, NONE, None):
            t, calls = counted(policy)
            t(1)
            t(1)
            assert len(calls) == 2

    def test_sum_of_nothing_is_nothing(self) -> None:
        t, calls = counted(NO_CACHE + FLOW_PARAMETERS)
        t(1)
        t(1)
        assert len(calls) == 2

    def test_missing_members_are_left_out(self) -> None:
        t, calls = counted(FLOW_PARAMETERS + INPUTS)
        t(1)
        t(1)
        assert len(calls) == 1

    def test_default_is_on_and_across_flow_runs(self) -> None:
        @task
        def t(x: int) -> int:
            return x + 1

        @flow
        def f() -> Any:
            return [t(1, return_state=True).name]

        assert f() == ["Completed"]
        assert f() == ["Cached"]
        assert t(1, return_state=True).name == "Cached"
        assert t.submit(1, return_state=True).name == "Cached"

    def test_none_is_not_kept_by_default_but_with_a_policy(self) -> None:
        calls = Calls()

        def nothing(x: int) -> None:
            calls(x)

        default = task(nothing)
        default(1)
        default(1)
        assert len(calls) == 2
        explicit = task(nothing, cache_policy=INPUTS)
        explicit(1)
        explicit(1)
        assert len(calls) == 3


class TestKeyFunctions:
    @pytest.mark.parametrize("key", [4, "4", 0, "", 1.5, True, (1, 2)])
    def test_any_value_is_a_key(self, key: Any) -> None:
        """Q7: text is made of it."""
        t, calls = counted(None, cache_key_fn=lambda *_: key)
        t(1)
        assert t(2) == "1 0"
        assert len(calls) == 1

    def test_an_int_is_its_text(self) -> None:
        one, _ = counted(None, cache_key_fn=lambda *_: 4)
        two, calls = counted(None, cache_key_fn=lambda *_: "4")
        one(1)
        assert two(2) == "1 0"
        assert len(calls) == 0

    def test_none_is_no_key(self) -> None:
        t, calls = counted(None, cache_key_fn=lambda *_: None)
        t(1)
        t(1)
        assert len(calls) == 2

    def test_arguments(self) -> None:
        seen: list[Any] = []

        def key(context: Any, parameters: dict[str, Any]) -> str:
            seen.append((context.task.name, context.task_run.name, parameters))
            return "k"

        t, _ = counted(None, cache_key_fn=key, name="named")
        t(1, b=2)
        assert seen == [("named", "named", {"a": 1, "b": 2})]

    def test_errors_turn_caching_off_for_the_call(self) -> None:
        def key(context: Any, parameters: dict[str, Any]) -> str:
            raise RuntimeError("in the key")

        t, calls = counted(None, cache_key_fn=key)
        with pytest.warns(UserWarning, match="in the key") as caught:
            assert [t(1) for _ in range(2)] == ["1 0"] * 2
        assert len(calls) == 2
        assert len(caught) == 1

    def test_as_a_policy(self) -> None:
        t, calls = counted(CacheKeyFnPolicy(key_fn))
        t(1)
        assert t(2) == "1 0"
        assert len(calls) == 1
        both, _ = counted(CacheKeyFnPolicy(key_fn) + INPUTS)
        assert (both(1), both(2)) == ("1 0", "2 0")

    def test_the_sums_of_the_document(self) -> None:
        """[2, 2] and [1, 3] share an entry, [2, 3] does not; the function runs on every call."""
        asked, ran = Calls(), Calls()

        def key(context: Any, parameters: dict[str, Any]) -> int:
            asked()
            return sum(parameters["nums"])

        @task(cache_key_fn=key)
        def total(nums: list[int]) -> int:
            ran()
            return sum(nums)

        assert [total([2, 2]), total([1, 3]), total([2, 3])] == [4, 4, 5]
        assert (len(asked), len(ran)) == (3, 2)

    def test_task_input_hash(self) -> None:
        def plus(x: int) -> int:
            return x + 1

        def minus(x: int) -> int:
            return x - 1

        def names_of(fn: Any, *inputs: int) -> list[str]:
            t = task(fn, cache_key_fn=task_input_hash)
            return [t(x, return_state=True).name for x in inputs]

        assert names_of(plus, 1, 1, 2, 1) == ["Completed", "Cached", "Completed", "Cached"]
        assert names_of(minus, 1, 1) == ["Completed", "Cached"]
        assert task(minus, cache_key_fn=task_input_hash)(1) == 0

    def test_both_given(self) -> None:
        """The compound has a key for every pair that differs."""
        seen = {
            key_of(policy, a=a, b=b)
            for policy, a, b in itertools.product([INPUTS, INPUTS - "b"], [1, 2], [1, 2])
        }
        assert None not in seen
        assert len(seen) >= 4
