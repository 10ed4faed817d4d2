"""SPEC 2: what `@task` accepts, what it makes of it, and what it refuses at definition."""

import functools
import inspect
import threading
from datetime import timedelta
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE, TASK_SOURCE, CacheKeyFnPolicy
from cellist.exceptions import ReservedArgumentError
from cellist.tasks import Task, exponential_backoff
from tests.spec.observe import make_task, trail


def double(x: int = 1) -> int:
    """Twice the number.

    Not more.
    """
    return x * 2


class Doubler:
    """Doubles."""

    def __call__(self, x: int) -> int:
        return x * 2


class TestMaking:
    @pytest.mark.parametrize(
        "made",
        [
            task(double),
            task()(double),
            task(name="double")(double),
            task(double, retries=2),
            Task(double),
            Task(fn=double),
            Task(double, name="double", retries=1),
        ],
    )
    def test_all_forms_make_a_task(self, made: Any) -> None:
        assert isinstance(made, Task)
        assert made.fn is double
        assert made.name == "double"
        assert made(4) == 8

    def test_options_are_keyword_only(self) -> None:
        with pytest.raises(TypeError):
            make_task(double, "a name")

    def test_an_unknown_option_is_a_type_error_that_names_it(self) -> None:
        with pytest.raises(TypeError, match="retrys"):
            make_task(retrys=3)(double)

    def test_what_is_no_callable_is_refused(self) -> None:
        with pytest.raises(TypeError, match="callable"):
            make_task(3)


class TestNames:
    @pytest.mark.parametrize(
        ("fn", "name"),
        [
            (double, "double"),
            (lambda x: x, "<lambda>"),
            (Doubler(), "Doubler"),
        ],
    )
    def test_default_name(self, fn: Any, name: str) -> None:
        assert task(fn).name == name

    def test_a_partial_is_named_after_something(self) -> None:
        assert task(functools.partial(double, 3)).name in {"partial", "double"}

    def test_name_given(self) -> None:
        assert task(name="other")(double).name == "other"

    def test_description_is_the_dedented_docstring(self) -> None:
        assert task(double).description == "Twice the number.\n\nNot more."
        assert task(description="given")(double).description == "given"
        assert task(lambda: 1).description is None


DEFAULTS = {
    "description": "Twice the number.\n\nNot more.",
    "version": None,
    "tags": set(),
    "cache_key_fn": None,
    "cache_expiration": None,
    "retries": 0,
    "retry_jitter_factor": None,
    "retry_condition_fn": None,
    "timeout_seconds": None,
    "persist_result": None,
    "result_storage": None,
    "result_serializer": None,
    "result_storage_key": None,
    "cache_result_in_memory": True,
    "task_run_name": None,
    "viz_return_value": None,
    "on_running_hooks": [],
    "on_completion_hooks": [],
    "on_failure_hooks": [],
    "on_commit_hooks": [],
    "on_rollback_hooks": [],
    "isasync": False,
    "isgenerator": False,
}


@pytest.mark.parametrize("option", DEFAULTS)
def test_default_of_each_option(option: str) -> None:
    assert getattr(task(double), option) == DEFAULTS[option]


GIVEN: dict[str, Any] = {
    "name": "n",
    "description": "d",
    "version": "1.2",
    "tags": {"a"},
    "cache_expiration": timedelta(minutes=1),
    "retries": 3,
    "retry_delay_seconds": [1, 2],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": lambda *_: True,
    "timeout_seconds": 5.0,
    "persist_result": True,
    "result_storage_key": "key",
    "result_serializer": "json",
    "cache_result_in_memory": False,
    "log_prints": True,
    "refresh_cache": True,
    "task_run_name": "run",
    "viz_return_value": 42,
    "cache_policy": INPUTS,
}


@pytest.mark.parametrize("option", GIVEN)
def test_each_option_given_is_an_attribute(option: str) -> None:
    assert getattr(make_task(**{option: GIVEN[option]})(double), option) == GIVEN[option]


class TestTags:
    def test_stored_as_a_set(self) -> None:
        assert task(tags=["b", "a", "b"])(double).tags == {"a", "b"}
        assert isinstance(task(tags=["b"])(double).tags, (set, frozenset))

    def test_the_run_has_those_of_the_task_and_of_the_context(self) -> None:
        @task(tags=["own"], cache_policy=NO_CACHE)
        def run_tags() -> set[str]:
            return set(cellist.runtime.task_run.tags)

        with cellist.tags("outer"):
            assert run_tags() == {"own", "outer"}
        assert run_tags() == {"own"}


def test_version_is_on_the_run() -> None:
    @task(version="7", cache_policy=NO_CACHE)
    def version() -> Any:
        context: Any = cellist.get_run_context()
        return context.task_run.task_version

    assert version() == "7"


BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"task_run_name": 3}, TypeError, "string or callable for 'task_run_name'; got int instead"),
    ({"retries": 2, "retry_delay_seconds": (1, 2)}, TypeError, "retry_delay_seconds"),
    ({"retries": 2, "retry_delay_seconds": "10"}, TypeError, "retry_delay_seconds"),
    ({"retries": 60, "retry_delay_seconds": [1] * 51}, ValueError, "50"),
    ({"retry_jitter_factor": -0.1}, ValueError, "`retry_jitter_factor` must be >= 0"),
    ({"retry_condition_fn": "yes"}, TypeError, "`retry_condition_fn` to be callable, got str"),
    ({"on_running": lambda *_: None}, TypeError, "on_running"),
    ({"on_completion": lambda *_: None}, TypeError, "on_completion"),
    ({"on_failure": lambda *_: None}, TypeError, "on_failure"),
    ({"on_running": ["x"]}, TypeError, "on_running"),
    ({"on_completion": [None]}, TypeError, "on_completion"),
    ({"on_failure": [1]}, TypeError, "on_failure"),
]


@pytest.mark.parametrize(("options", "error", "match"), BAD_OPTIONS)
def test_bad_options_are_refused_at_definition(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        make_task(**options)(double)


class TestRetryOptions:
    def test_a_list_of_fifty_is_fine(self) -> None:
        assert task(retries=50, retry_delay_seconds=[1] * 50)(double).retries == 50

    def test_a_callable_is_called_once_at_definition_with_the_retries(self) -> None:
        asked: list[int] = []

        def delays(retries: int) -> list[float]:
            asked.append(retries)
            return [0.0] * retries

        t = task(retries=3, retry_delay_seconds=delays)(double)
        assert asked == [3]
        assert t.retry_delay_seconds == [0.0, 0.0, 0.0]
        t()
        t()
        assert asked == [3]

    @pytest.mark.parametrize(
        ("factor", "retries", "delays"),
        [(10, 3, [10, 20, 40]), (0.5, 1, [0.5]), (1, 0, []), (2, 5, [2, 4, 8, 16, 32])],
    )
    def test_exponential_backoff(self, factor: float, retries: int, delays: list[float]) -> None:
        assert exponential_backoff(factor)(retries) == delays

    def test_exponential_backoff_stops_at_fifty(self) -> None:
        assert len(exponential_backoff(1)(100)) == 50

    def test_exponential_backoff_as_option(self) -> None:
        t = task(retries=3, retry_delay_seconds=exponential_backoff(10))(double)
        assert t.retry_delay_seconds == [10, 20, 40]

    @pytest.mark.parametrize(("given", "kept"), [(3, 3.0), (0.25, 0.25), (0, None), (None, None)])
    def test_timeout_is_a_float_and_zero_is_none(self, given: Any, kept: float | None) -> None:
        t = task(timeout_seconds=given, cache_policy=NO_CACHE)(double)
        assert t.timeout_seconds == kept
        assert t() == 2


class TestHookDecorators:
    @pytest.mark.parametrize(
        "kind", ["on_running", "on_completion", "on_failure", "on_commit", "on_rollback"]
    )
    def test_appends_and_returns_the_function(self, kind: str) -> None:
        def given(*_: Any) -> None: ...

        def added(*_: Any) -> None: ...

        t = make_task(**{kind: [given]})(double)
        assert getattr(t, kind)(added) is added
        assert getattr(t, f"{kind}_hooks") == [given, added]

    def test_what_is_not_callable_is_refused(self) -> None:
        with pytest.raises(TypeError):
            make_task(double).on_failure("not callable")


def key_fn(context: Any, parameters: dict[str, Any]) -> str:
    return "key"


#: SPEC 2.2: the options, and the policy and persist_result the task then has.
RESOLUTION: list[tuple[dict[str, Any], Any, bool | None]] = [
    ({}, DEFAULT, None),
    ({"cache_policy": INPUTS}, INPUTS, True),
    ({"cache_policy": NO_CACHE}, NO_CACHE, None),
    ({"cache_policy": INPUTS + TASK_SOURCE}, INPUTS + TASK_SOURCE, True),
    ({"result_storage_key": "k"}, None, True),
    ({"result_storage_key": "k", "cache_policy": INPUTS}, None, True),
    ({"persist_result": False}, NO_CACHE, False),
    ({"persist_result": True}, DEFAULT, True),
    ({"result_serializer": "json"}, DEFAULT, True),
]


class TestResolutionOfCaching:
    @pytest.mark.parametrize(("options", "policy", "persisted"), RESOLUTION)
    def test_table(self, options: dict[str, Any], policy: Any, persisted: bool | None) -> None:
        t = make_task(**options)(double)
        assert t.cache_policy == policy
        assert t.persist_result is persisted

    def test_a_key_function_becomes_a_policy(self) -> None:
        t = task(cache_key_fn=key_fn)(double)
        assert isinstance(t.cache_policy, CacheKeyFnPolicy)
        assert t.cache_policy.cache_key_fn is key_fn
        assert t.persist_result is True

    def test_a_key_function_wins_over_a_policy_and_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        t = task(cache_key_fn=key_fn, cache_policy=INPUTS)(double)
        assert isinstance(t.cache_policy, CacheKeyFnPolicy)
        assert "cache_key_fn" in caplog.text

    def test_no_persistence_turns_an_explicit_policy_off_and_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        t = task(persist_result=False, cache_policy=INPUTS)(double)
        assert t.cache_policy == NO_CACHE
        assert "persist_result" in caplog.text

    def test_explicit_none_means_no_key(self) -> None:
        runs: list[int] = []

        @task(cache_policy=None)
        def noted(x: int) -> int:
            runs.append(x)
            return x

        assert noted.cache_policy is None
        assert (noted(1), noted(1)) == (1, 1)
        assert runs == [1, 1]


class TestSettings:
    """Read when the task runs, also when they were set after it was defined (Q33)."""

    def test_default_retries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs: list[int] = []

        @task(cache_policy=NO_CACHE)
        def flaky() -> int:
            runs.append(1)
            if len(runs) < 3:
                raise ValueError("again")
            return len(runs)

        monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "2")
        assert flaky() == 3

    def test_explicit_zero_beats_the_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "2")
        runs: list[int] = []

        @task(retries=0, cache_policy=NO_CACHE)
        def broken() -> None:
            runs.append(1)
            raise ValueError

        with pytest.raises(ValueError):
            broken()
        assert runs == [1]

    def test_default_delays_as_a_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRY_DELAY_SECONDS", "0.001,0.002")
        monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "2")

        @task(cache_policy=NO_CACHE)
        def broken() -> None:
            raise ValueError

        state = broken(return_state=True)
        assert trail(state) == [
            *("Pending", "Running", "AwaitingRetry", "Retrying"),
            *("AwaitingRetry", "Retrying", "Failed"),
        ]

    def test_disable_caching_beats_explicit_policies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELLIST_TASKS_DISABLE_CACHING", "1")
        runs: list[int] = []

        @task(cache_policy=INPUTS)
        def noted(x: int) -> int:
            runs.append(x)
            return x

        assert [noted(1), noted(1)] == [1, 1]
        assert runs == [1, 1]

    def test_default_no_cache_spares_explicit_policies(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CELLIST_TASKS_DEFAULT_NO_CACHE", "1")
        plain = task(double)
        plain(3)
        assert plain(3, return_state=True).name == "Completed"
        explicit = task(cache_policy=INPUTS)(double)
        explicit(3)
        assert explicit(3, return_state=True).name == "Cached"


class TestWithOptions:
    @pytest.mark.parametrize("option", GIVEN)
    def test_each_option_can_be_replaced(self, option: str) -> None:
        before = task(double)
        old = getattr(before, option)
        after = before.with_options(**{option: GIVEN[option]})
        assert after is not before
        assert after.fn is double
        assert getattr(after, option) == GIVEN[option]
        assert getattr(before, option) == old

    @pytest.mark.parametrize("option", GIVEN)
    def test_each_option_is_kept_when_another_changes(self, option: str) -> None:
        other = {"retries": 7} if option != "retries" else {"name": "other"}
        after = make_task(**{option: GIVEN[option]})(double).with_options(**other)
        assert getattr(after, option) == GIVEN[option]

    @pytest.mark.parametrize(
        ("option", "old", "cleared", "value"),
        [
            ("tags", ["a"], [], set()),
            ("description", "d", "", ""),
            ("cache_expiration", timedelta(1), None, None),
            ("timeout_seconds", 3, None, None),
            ("timeout_seconds", 3, 0, None),
            ("retries", 3, 0, 0),
            ("retry_jitter_factor", 0.5, None, None),
            ("retry_condition_fn", lambda *_: True, None, None),
            ("task_run_name", "n", None, None),
            ("cache_key_fn", key_fn, None, None),
            ("viz_return_value", 3, None, None),
            ("version", "1", None, None),
            ("persist_result", True, None, None),
            ("log_prints", True, False, False),
            ("cache_result_in_memory", False, True, True),
        ],
    )
    def test_each_option_can_be_cleared(
        self, option: str, old: Any, cleared: Any, value: Any
    ) -> None:
        after = make_task(**{option: old})(double).with_options(**{option: cleared})
        assert getattr(after, option) == value

    @pytest.mark.parametrize(
        "kind", ["on_running", "on_completion", "on_failure", "on_commit", "on_rollback"]
    )
    def test_hooks_replace_and_are_kept(self, kind: str) -> None:
        def old(*_: Any) -> None: ...

        def new(*_: Any) -> None: ...

        t = make_task(**{kind: [old]})(double)
        again: Any = t.with_options
        assert getattr(again(name="x"), f"{kind}_hooks") == [old]
        assert getattr(again(**{kind: [new]}), f"{kind}_hooks") == [new]
        assert getattr(again(**{kind: []}), f"{kind}_hooks") == []
        copy = t.with_options(name="x")
        getattr(copy, kind)(new)
        assert getattr(t, f"{kind}_hooks") == [old]

    def test_tags_replace(self) -> None:
        assert task(tags=["a"])(double).with_options(tags=["b"]).tags == {"b"}

    def test_bad_options_are_refused_here_too(self) -> None:
        with pytest.raises(ValueError):
            task(double).with_options(retry_jitter_factor=-1)
        with pytest.raises(TypeError):
            make_task(double).with_options(on_failure="x")

    def test_clearing_the_key_function_brings_the_default_policy_back(self) -> None:
        assert task(cache_key_fn=key_fn)(double).with_options(cache_key_fn=None).cache_policy == (
            DEFAULT
        )

    def test_of_a_bound_method_stays_bound(self) -> None:
        class K:
            @task
            def me(self) -> int:
                return id(self)

        k = K()
        assert k.me.with_options(name="other")() == id(k)


class TestKinds:
    @pytest.mark.parametrize(
        "fn", [double, lambda x: x * 2, functools.partial(lambda y, x: x * y, 2), Doubler()]
    )
    def test_callables(self, fn: Any) -> None:
        t = task(fn)
        assert t(4) == 8

        @flow
        def f() -> Any:
            return t.submit(4).result()

        assert f() == 8

    @pytest.mark.parametrize(("fn", "args", "value"), [(len, ([1, 2],), 2), (sum, ([1, 2],), 3)])
    def test_builtins(self, fn: Any, args: Any, value: int) -> None:
        t = task(fn)
        assert t(*args) == value
        assert t(*args, return_state=True).name == "Cached"
        assert t.name == fn.__name__

    def test_partial_with_keywords(self) -> None:
        t = task(functools.partial(double, x=21))
        assert t() == 42

    def test_flags(self) -> None:
        async def coroutine() -> None: ...

        def generator() -> Any:
            yield 1

        async def async_generator() -> Any:
            yield 1

        flags = [
            (t.isasync, t.isgenerator)
            for t in (task(double), task(coroutine), task(generator), task(async_generator))
        ]
        assert flags == [(False, False), (True, False), (False, True), (True, True)]

    @pytest.mark.parametrize("decorator", [task, flow])
    @pytest.mark.parametrize("name", ["return_state", "wait_for"])
    def test_reserved_parameters(self, decorator: Any, name: str) -> None:
        namespace: dict[str, Any] = {}
        exec(f"def fn(x, {name}=None): ...", namespace)
        with pytest.raises(ReservedArgumentError, match=name):
            decorator(namespace["fn"])
        with pytest.raises(TypeError):
            decorator(namespace["fn"])

    async def test_async_callable_object(self) -> None:
        class Later:
            async def __call__(self, x: int) -> int:
                return x + 1

        t = task(Later())
        assert t.isasync
        assert await t(1) == 2

    async def test_async_partial(self) -> None:
        async def add(x: int, y: int) -> int:
            return x + y

        t = task(functools.partial(add, 1))
        assert t.isasync
        assert await t(2) == 3


class K:
    """One method of each form; each gives what it was bound to and its argument."""

    @task(cache_policy=NO_CACHE)
    def method(self, x: int) -> Any:
        return type(self).__name__, x

    @classmethod
    @task(cache_policy=NO_CACHE)
    def class_then_task(cls, x: int) -> Any:
        return cls.__name__, x

    @task(cache_policy=NO_CACHE)
    @classmethod
    def task_then_class(cls, x: int) -> Any:
        return cls.__name__, x

    @staticmethod
    @task(cache_policy=NO_CACHE)
    def static_then_task(x: int) -> Any:
        return "K", x

    @task(cache_policy=NO_CACHE)
    @staticmethod
    def task_then_static(x: int) -> Any:
        return "K", x


FORMS = ["method", "class_then_task", "task_then_class", "static_then_task", "task_then_static"]


class TestBinding:
    """The matrix of SPEC 2.4, all green."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("via", ["instance", "class"])
    @pytest.mark.parametrize("how", ["call", "submit", "map", "state"])
    def test_matrix(self, form: str, via: str, how: str) -> None:
        k: Any = K()
        bound: Any = getattr(k if via == "instance" else K, form)
        args = (k,) if via == "class" and form == "method" else ()

        @flow
        def f() -> Any:
            if how == "call":
                return bound(*args, 3)
            if how == "submit":
                return bound.submit(*args, 3).result()
            if how == "state":
                return bound(*args, 3, return_state=True).result()
            return bound.map(*args, [3]).result()[0]

        for _ in range(2):  # Prefect's forms fail the second time
            assert f() == ("K", 3)

    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_is_a_task(self, form: str) -> None:
        assert isinstance(getattr(K(), form), Task)
        assert isinstance(getattr(K, form), Task)
        assert getattr(K(), form).name == form

    def test_flags(self) -> None:
        assert K().method.ismethod
        assert K.task_then_class.isclassmethod
        assert K.task_then_static.isstaticmethod

    def test_inheritance(self) -> None:
        class Child(K): ...

        assert Child().method(1) == ("Child", 1)
        assert Child.class_then_task(1) == ("Child", 1)
        assert Child.task_then_class(1) == ("Child", 1)
        assert K.task_then_class(1) == ("K", 1)

    def test_two_instances_do_not_share_a_binding(self) -> None:
        class Box:
            def __init__(self, value: int) -> None:
                self.value = value

            @task
            def get(self) -> int:
                return self.value

        a, b = Box(1), Box(2)
        get_a, get_b = a.get, b.get
        assert (get_a(), get_b(), get_a()) == (1, 2, 1)
        assert Box.get(b) == 2

    def test_falsy_instances_are_bound(self) -> None:
        class Empty:
            def __len__(self) -> int:
                return 0

            @task(cache_policy=NO_CACHE)
            def size(self) -> int:
                return len(self)

        assert Empty().size() == 0
        assert Empty().size.submit().result() == 0

    def test_from_many_threads(self) -> None:
        class Box:
            def __init__(self, value: int) -> None:
                self.value = value

            @task(cache_policy=NO_CACHE)
            def get(self) -> int:
                return self.value

        boxes = [Box(i) for i in range(8)]
        wrong: list[int] = []

        def check(box: Box) -> None:
            wrong.extend(box.value for _ in range(20) if box.get() != box.value)

        threads = [threading.Thread(target=check, args=(box,)) for box in boxes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_self_is_a_parameter(self) -> None:
        class Box:
            label = "seven"

            @task(task_run_name="box-{self.label}", cache_policy=NO_CACHE)
            def name(self) -> Any:
                return cellist.runtime.task_run.name, set(cellist.runtime.task_run.parameters)

        assert Box().name() == ("box-seven", {"self"})

    def test_flows_as_methods(self) -> None:
        class Job:
            base = 10

            @flow
            def run(self, x: int) -> int:
                return self.base + x

            @classmethod
            @flow
            def of_class(cls, x: int) -> int:
                return cls.base + x

            @staticmethod
            @flow
            def free(x: int) -> int:
                return x

        assert Job().run(1) == 11
        assert (Job.of_class(1), Job().of_class(1)) == (11, 11)
        assert (Job.free(1), Job().free(1)) == (1, 1)

    async def test_async_method(self) -> None:
        class Box:
            value = 3

            @task
            async def get(self, x: int) -> int:
                return self.value + x

        assert await Box().get(1) == 4


def compiled(source: str, filename: str, **names: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = {"task": task, "__name__": "__main__", **names}
    exec(compile(source, filename, "exec"), namespace)
    return namespace


class TestTaskKey:
    SOURCE = "@task\ndef work(x):\n    return x + 1\n"

    def test_position_and_file_do_not_count(self) -> None:
        one = compiled(self.SOURCE, "<cell 1>")["work"].task_key
        two = compiled("\n\n\n" + self.SOURCE, "<cell 2>")["work"].task_key
        assert one == two

    def test_name_tags_version_do_not_count(self) -> None:
        options = "@task(name='other', tags=['t'], version='3')"
        one = compiled(self.SOURCE, "<cell 1>")["work"].task_key
        two = compiled(self.SOURCE.replace("@task", options), "<cell 2>")["work"].task_key
        assert one == two

    def test_code_counts(self) -> None:
        one = compiled(self.SOURCE, "<cell 1>")["work"].task_key
        two = compiled(self.SOURCE.replace("+ 1", "+ 2"), "<cell 1>")["work"].task_key
        assert one != two

    def test_begins_with_the_name_of_the_function(self) -> None:
        assert task(double).task_key.startswith("double-")
        assert "Doubler" in task(Doubler()).task_key


class TestAttributes:
    def test_looks_like_the_function(self) -> None:
        t: Any = task(double)
        assert t.__name__ == "double"
        assert t.__doc__ == double.__doc__
        assert t.__wrapped__ is double
        assert t.__module__ == __name__
        assert inspect.signature(t) == inspect.signature(double)

    def test_source_code(self) -> None:
        assert "return x * 2" in str(task(double).source_code)

    def test_fn_runs_without_a_run(self) -> None:
        @task
        def inside() -> bool:
            return cellist.context.TaskRunContext.get() is None

        assert inside.fn()
        assert not inside()
        assert len(cellist.runs()) == 1
