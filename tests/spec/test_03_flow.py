"""SPEC 3: what `@flow` accepts, and what it does with parameters."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

import pydantic
import pytest

import cellist
from cellist import flow, task
from cellist.exceptions import InvalidNameError, ParameterBindError, ParameterTypeError
from cellist.flows import Flow
from cellist.states import Completed, Failed
from cellist.task_runners import (
    ConcurrentTaskRunner,
    SequentialTaskRunner,
    ThreadPoolTaskRunner,
)
from tests.spec.observe import Hooks, make_flow, trail


def my_job(x: int = 1) -> int:
    """Do it."""
    return x * 2


class TestMaking:
    @pytest.mark.parametrize(
        "made",
        [
            flow(my_job),
            flow()(my_job),
            flow(name="my-job")(my_job),
            flow(my_job, retries=1),
            Flow(my_job),
            Flow(fn=my_job),
        ],
    )
    def test_all_forms_make_a_flow(self, made: Any) -> None:
        assert isinstance(made, Flow)
        assert made.fn is my_job
        assert made.name == "my-job"
        assert made(4) == 8

    def test_lambda_is_unknown_lambda(self) -> None:
        assert flow(lambda: 1).name == "unknown-lambda"

    def test_description(self) -> None:
        assert flow(my_job).description == "Do it."
        assert flow(description="d")(my_job).description == "d"

    def test_name_of_the_wrong_type(self) -> None:
        with pytest.raises(TypeError, match="name"):
            make_flow(name=3)(my_job)

    @pytest.mark.parametrize("character", list("/%&><"))
    def test_names_with_special_characters(self, character: str) -> None:
        with pytest.raises(InvalidNameError):
            flow(name=f"a{character}b")(my_job)
        with pytest.raises(ValueError):
            flow(name=f"a{character}b")(my_job)

    def test_version_given_or_of_the_source(self) -> None:
        assert flow(version="3")(my_job).version == "3"
        made = flow(my_job).version
        assert made
        namespace: dict[str, Any] = {"flow": flow}
        source = "@flow\ndef f(x):\n    return x\n"
        exec(compile(source, "<cell 1>", "exec"), namespace)
        one = namespace["f"].version
        exec(compile("\n\n" + source, "<cell 2>", "exec"), namespace)
        assert namespace["f"].version == one
        exec(compile(source + "    1\n", "<cell 3>", "exec"), namespace)
        assert one is not None

    def test_attributes(self) -> None:
        f: Any = flow(my_job)
        assert (f.retries, f.isasync, f.isgenerator) == (0, False, False)
        assert f.timeout_seconds is None
        assert f.should_validate_parameters is True
        assert flow(validate_parameters=False)(my_job).should_validate_parameters is False
        assert f.__name__ == "my_job"
        assert f.__wrapped__ is my_job
        assert inspect.signature(f) == inspect.signature(my_job)

    def test_parameter_schema(self) -> None:
        @flow
        def f(x: int, y: str = "a") -> None: ...

        schema: Any = f.parameters
        schema = schema if isinstance(schema, Mapping) else schema.model_dump()
        assert set(schema["properties"]) == {"x", "y"}
        assert schema["required"] == ["x"]
        assert schema["properties"]["x"]["type"] == "integer"
        assert schema["properties"]["y"]["default"] == "a"

    def test_validate_parameters_method(self) -> None:
        @flow
        def f(x: int, y: list[int]) -> None: ...

        assert f.validate_parameters({"x": "5", "y": ("1", 2)}) == {"x": 5, "y": [1, 2]}
        with pytest.raises(ParameterTypeError):
            f.validate_parameters({"x": "five", "y": []})

    def test_serialize_parameters_method(self) -> None:
        @dataclass
        class Point:
            x: int

        @flow
        def f(**kwargs: Any) -> None: ...

        given = {"a": 1, "when": date(2026, 1, 2), "p": Point(3)}
        assert f.serialize_parameters(given) == {"a": 1, "when": "2026-01-02", "p": {"x": 3}}

    @pytest.mark.parametrize(
        "kind", ["on_running", "on_completion", "on_failure", "on_cancellation", "on_crashed"]
    )
    def test_hook_options(self, kind: str) -> None:
        def one(*_: Any) -> None: ...

        def two(*_: Any) -> None: ...

        f = make_flow(**{kind: [one]})(my_job)
        assert getattr(f, kind)(two) is two
        assert getattr(f, f"{kind}_hooks") == [one, two]
        with pytest.raises(TypeError, match=kind):
            make_flow(**{kind: one})(my_job)
        with pytest.raises(TypeError, match=kind):
            make_flow(**{kind: ["x"]})(my_job)


class TestRunners:
    @pytest.mark.parametrize(
        ("runner", "kind"),
        [
            (ThreadPoolTaskRunner, ThreadPoolTaskRunner),
            (ThreadPoolTaskRunner(max_workers=2), ThreadPoolTaskRunner),
            (ConcurrentTaskRunner(), ThreadPoolTaskRunner),
            (SequentialTaskRunner, SequentialTaskRunner),
            (SequentialTaskRunner(), SequentialTaskRunner),
        ],
    )
    def test_class_or_instance(self, runner: Any, kind: type) -> None:
        @task
        def one() -> int:
            return 1

        @flow(task_runner=runner)
        def f() -> int:
            return one.submit().result()

        assert isinstance(f.task_runner, kind)
        assert f() == 1
        assert f() == 1

    def test_default(self) -> None:
        assert isinstance(flow(my_job).task_runner, ThreadPoolTaskRunner)

    def test_wrong_type(self) -> None:
        with pytest.raises(TypeError, match="task_runner"):
            make_flow(task_runner="threads")(my_job)


class TestRunNames:
    def run_name(self, **options: Any) -> str:
        @make_flow(**options)
        def f(x: int = 3, when: date = date(2026, 11, 25)) -> Any:
            return cellist.runtime.flow_run.name

        return f()

    def test_default_is_a_slug(self) -> None:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", self.run_name())
        assert len({self.run_name() for _ in range(10)}) > 5

    def test_template(self) -> None:
        name = self.run_name(flow_run_name="run-{x}-{when:%A}", name="daily")
        assert name == "run-3-Wednesday"

    def test_template_sees_validated_parameters(self) -> None:
        @flow(flow_run_name="run-{x}")
        def f(x: int) -> Any:
            return cellist.runtime.flow_run.name

        text: Any = "007"
        assert f(text) == "run-7"

    def test_callable(self) -> None:
        def name() -> str:
            return (
                f"{cellist.runtime.flow_run.flow_name}-{cellist.runtime.flow_run.parameters['x']}"
            )

        assert self.run_name(flow_run_name=name) == "f-3"

    def test_callable_with_parameters(self) -> None:
        def name(parameters: dict[str, Any]) -> str:
            return f"x={parameters['x']}"

        assert self.run_name(flow_run_name=name) == "x=3"

    @pytest.mark.parametrize(
        ("bad", "error"),
        [("{nope}", KeyError), (lambda: 3, TypeError), (lambda: 1 / 0, ZeroDivisionError)],
    )
    def test_bad_names_fail_the_run(self, bad: Any, error: type[Exception]) -> None:
        ran: list[int] = []

        @flow(flow_run_name=bad)
        def f() -> None:
            ran.append(1)

        with pytest.raises(error):
            f()
        state = f(return_state=True)
        assert state.is_failed()
        assert ran == []

    def test_wrong_type(self) -> None:
        with pytest.raises(TypeError, match="flow_run_name"):
            make_flow(flow_run_name=3)(my_job)


class TestWithOptions:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("name", "n"),
            ("description", "d"),
            ("version", "9"),
            ("retries", 3),
            ("retry_delay_seconds", 2),
            ("timeout_seconds", 3.0),
            ("flow_run_name", "x"),
            ("log_prints", True),
            ("persist_result", True),
        ],
    )
    def test_each_option(self, option: str, value: Any) -> None:
        before = flow(my_job)
        after = before.with_options(**{option: value})
        assert getattr(after, option) == value
        assert getattr(before, option) != value
        assert after.fn is my_job
        assert getattr(after.with_options(task_runner=SequentialTaskRunner()), option) == value

    def test_validation_can_be_switched(self) -> None:
        assert not flow(my_job).with_options(validate_parameters=False).should_validate_parameters

    def test_retry_forms_of_tasks(self) -> None:
        """Lists and callables are accepted for flows as well."""
        runs: list[int] = []

        @flow(retries=2, retry_delay_seconds=[0.001, 0.002])
        def f() -> int:
            runs.append(1)
            if len(runs) < 3:
                raise ValueError
            return len(runs)

        assert f() == 3


class TestBinding:
    BAD: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((), {}),
        ((1, 2, 3), {}),
        ((1,), {"x": 2}),
        ((1,), {"nope": 2}),
    )

    @pytest.mark.parametrize(("args", "kwargs"), BAD)
    @pytest.mark.parametrize("decorator", [task, flow])
    @pytest.mark.parametrize("how", ["call", "return_state", "submit"])
    def test_no_run_is_created(
        self, args: Any, kwargs: Any, decorator: Any, how: str, checked: Any
    ) -> None:
        @decorator
        def f(x: int, y: int = 1) -> None: ...

        def call() -> Any:
            if how == "submit":
                return f.submit(*args, **kwargs)
            return f(*args, return_state=how == "return_state", **kwargs)

        if how == "submit" and decorator is flow:
            return
        with pytest.raises(ParameterBindError):
            call()
        with pytest.raises(TypeError, match=r"x|nope|too many"):
            call()
        assert checked.runs == []

    @pytest.mark.parametrize("decorator", [task, flow])
    def test_all_kinds_of_parameters(self, decorator: Any) -> None:
        @decorator
        def f(a: int, /, b: int, *args: int, c: int = 3, **kwargs: int) -> Any:
            return a, b, args, c, kwargs

        assert f(1, 2) == (1, 2, (), 3, {})
        assert f(1, 2, 4, 5, c=6, d=7) == (1, 2, (4, 5), 6, {"d": 7})
        assert f(1, b=2, a=9) == (1, 2, (), 3, {"a": 9})

    def test_async_bind_error_is_immediate_or_on_await(self) -> None:
        @flow
        async def f(x: int) -> None: ...

        call: Any = f
        with pytest.raises(ParameterBindError):
            call()


class Model(pydantic.BaseModel):
    x: int
    y: str = "a"


class TestValidation:
    @pytest.mark.parametrize(
        ("hint", "given", "received"),
        [
            (int, "5", 5),
            (float, "1.5", 1.5),
            (bool, "true", True),
            (list[int], ("1", 2), [1, 2]),
            (dict[str, int], {"a": "1"}, {"a": 1}),
            (int | None, None, None),
            (Model, {"x": "3"}, Model(x=3)),
            (Model, Model(x=1), Model(x=1)),
            (list[Model], [{"x": 1}], [Model(x=1)]),
            (date, "2026-01-02", date(2026, 1, 2)),
            (timedelta, 3, timedelta(seconds=3)),
            (set[int], [1, 1], {1}),
            (Any, "5", "5"),
            (inspect.Parameter.empty, "5", "5"),
        ],
    )
    def test_coercion(self, hint: Any, given: Any, received: Any) -> None:
        def f(x: Any) -> Any:
            return Completed(data=[x])

        f.__annotations__ = {} if hint is inspect.Parameter.empty else {"x": hint}
        (value,) = flow(f)(given)
        assert value == received
        assert type(value) is type(received)

    def test_string_annotations(self) -> None:
        namespace: dict[str, Any] = {"flow": flow, "Model": Model}
        exec(
            "from __future__ import annotations\n@flow\ndef f(x: int, m: Model):\n    return x, m",
            namespace,
        )
        assert namespace["f"]("5", {"x": 1}) == (5, Model(x=1))

    def test_a_string_annotation_that_cannot_be_resolved_leaves_the_others(self) -> None:
        namespace: dict[str, Any] = {"flow": flow, "Model": Model}
        exec("@flow\ndef f(x: 'int', m: 'Model', n: 'Nowhere'):\n    return x, m, n", namespace)
        assert namespace["f"]("5", {"x": 1}, "6") == (5, Model(x=1), "6")

    @pytest.mark.parametrize(
        ("hint", "default", "received", "limits"),
        [
            (int, lambda: pydantic.Field(default=5, ge=3), 5, True),
            (int, lambda: pydantic.Field(default_factory=lambda: 4, ge=3), 4, True),
            (Annotated[int, pydantic.Field(ge=3)], lambda: pydantic.Field(default=7), 7, True),
            (list[int], lambda: pydantic.Field(default_factory=list), [], False),
            (inspect.Parameter.empty, lambda: pydantic.Field(default="a"), "a", False),
        ],
    )
    def test_defaults_given_as_fields(
        self, hint: Any, default: Any, received: Any, limits: bool
    ) -> None:
        def f(x: Any = default()) -> Any:  # noqa: B008 - as users write it
            return Completed(data=[x])

        f.__annotations__ = {} if hint is inspect.Parameter.empty else {"x": hint}
        made = flow(f)
        assert made() == [received]
        assert made.parameters["required"] == []
        if limits:
            assert made("9") == [9]
            with pytest.raises(ParameterTypeError, match="greater than or equal to 3"):
                made(1)

    def test_a_field_without_a_default_is_required(self) -> None:
        needed: Any = pydantic.Field(description="d")

        @flow
        def f(x: int = needed) -> Any:
            return x

        with pytest.raises(ParameterTypeError, match="x: Field required"):
            f()
        assert f(3) == 3
        assert f.parameters["required"] == ["x"]
        assert f.parameters["properties"]["x"]["description"] == "d"

    def test_arbitrary_types(self) -> None:
        class Odd: ...

        @flow
        def f(x: Odd) -> Any:
            return x

        odd, wrong = Odd(), make_flow
        assert f(odd) is odd
        with pytest.raises(ParameterTypeError):
            f(wrong)

    def test_failure_goes_straight_to_failed(self) -> None:
        ran: list[int] = []
        hooks = Hooks()

        @flow(on_running=[hooks("running")], on_failure=[hooks("failure")], retries=2)
        def f(x: int) -> None:
            ran.append(1)

        bad: Any = "no number"
        with pytest.raises(ParameterTypeError, match="x"):
            f(bad)
        state = f(bad, return_state=True)
        assert trail(state) == ["Pending", "Failed"]
        assert state.message is not None
        assert state.message.startswith(
            "Validation of flow parameters failed with error: ParameterTypeError: "
        )
        with pytest.raises(ParameterTypeError):
            state.result()
        assert ran == []
        assert "running" not in hooks.labels

    def test_switched_off(self) -> None:
        @flow(validate_parameters=False)
        def f(x: int) -> Any:
            return x

        given: Any = "5"
        assert f(given) == "5"

    def test_identity_of_unannotated_arguments(self) -> None:
        given: list[int] = [1]

        plain = flow(lambda x: x is given)

        @flow
        def annotated(x: list[int]) -> bool:
            return x is given

        assert plain(given)
        assert not annotated(given)

    def test_tasks_do_not_validate(self) -> None:
        @task
        def t(x: int) -> Any:
            return x

        given: Any = "5"
        assert t(given) == "5"

    def test_futures_are_resolved_first(self) -> None:
        @task
        def text() -> str:
            return "5"

        @flow
        def child(x: int, many: list[int]) -> Any:
            return x, many

        @flow
        def parent() -> Any:
            future: Any = text.submit()
            return child(future, [future, "6"])

        assert parent() == (5, [5, 6])

    def test_var_arguments(self) -> None:
        @flow
        def f(*args: int, **kwargs: float) -> Any:
            return args, kwargs

        given: Any = "1"
        assert f(given, k=given) == ((1,), {"k": 1.0})


class TestReturnState:
    def test_gives_the_final_state(self) -> None:
        state = flow(my_job)(3, return_state=True)
        assert state.is_completed()
        assert state.result() == 6

    def test_never_raises(self) -> None:
        @flow
        def f() -> None:
            raise KeyError("k")

        state = f(return_state=True)
        assert state.is_failed()
        with pytest.raises(KeyError):
            state.result()
        assert isinstance(state.result(raise_on_failure=False), KeyError)

    def test_user_states(self) -> None:
        @flow
        def good() -> Any:
            return Completed(message="m", data=3, name="Skipped")

        @flow
        def bad() -> Any:
            return Failed(message="no good")

        assert good() == 3
        state = good(return_state=True)
        assert (state.name, state.message, state.result()) == ("Skipped", "m", 3)
        with pytest.raises(cellist.exceptions.FailedRun, match="no good"):
            bad()
        assert bad(return_state=True).message == "no good"
