"""SPEC 5.1 and 5.3: futures inside of arguments, annotations, and the links that are recorded."""

import copy
import dataclasses
import enum
import pickle
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest.mock import MagicMock
from uuid import UUID

import pydantic
import pytest

import cellist
from cellist import flow, opaque, quote, task, unmapped
from cellist.annotations import freeze
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import PrefectException
from cellist.futures import PrefectFuture
from cellist.states import Completed, State


@task(cache_policy=NO_CACHE)
def make(x: Any = 1) -> Any:
    return x


@task(cache_policy=NO_CACHE)
def give(x: Any) -> Any:
    return [x]  # in a list, so that the caller resolves nothing


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0
    checked: int = dataclasses.field(default=0, init=False)

    def __post_init__(self) -> None:
        self.checked += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    x: Any
    y: int = 0


class Colour(enum.Enum):
    RED = 1


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is what is tested


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    x: Any = None
    y: int = 3
    _own: str = pydantic.PrivateAttr("initial")

    @classmethod
    def marked(cls, **fields: Any) -> "Open":
        made = cls(**fields)
        made._own = "kept"
        return made


class Typed(NamedTuple):
    a: Any
    b: int


SHAPES: list[tuple[str, Callable[[Any], Any]]] = [
    ("bare", lambda v: v),
    ("list", lambda v: [v]),
    ("tuple", lambda v: (0, v)),
    ("set", lambda v: {v}),
    ("dict value", lambda v: {"k": v}),
    ("dict key", lambda v: {v: "k"}),
    ("deep", lambda v: [{"k": ({"j": [v]},)}]),
    ("named tuple", lambda v: Pair(v, 2)),
    ("typed named tuple", lambda v: Typed(v, 2)),
    ("dataclass", Point),
    ("frozen dataclass", Frozen),
    ("dataclass in dataclass", lambda v: Point([Point(v)])),
    ("model", lambda v: Model(x=v)),
    ("model in list", lambda v: [Model(x=[v])]),
    ("model with more fields", lambda v: Open.marked(x=1, more=[v])),
    ("model with a private attribute", lambda v: Open.marked(x=v)),
    ("ordered dict", lambda v: OrderedDict(k=v)),
    ("default dict", lambda v: defaultdict(list, k=v)),
    ("mixed", lambda v: [1, v, "a", {"z": v}]),
]


class TestShapes:
    @pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
    @pytest.mark.parametrize("kind", ["future", "state"])
    def test_resolved_in_place(self, name: str, shape: Callable[[Any], Any], kind: str) -> None:
        @flow
        def f() -> Any:
            source: Any = make.submit(7) if kind == "future" else make(7, return_state=True)
            return give(shape(source)), give.submit(shape(source)).result()

        expected = shape(7)
        for (got,) in f():
            assert type(got) is type(expected)
            assert got == expected
            if isinstance(got, pydantic.BaseModel):
                assert got.model_fields_set == expected.model_fields_set

    @pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
    def test_identity_is_kept_where_nothing_is_inside(
        self, name: str, shape: Callable[[Any], Any]
    ) -> None:
        given = shape("value")

        @task(cache_policy=NO_CACHE)
        def same(x: Any) -> bool:
            return x is given

        assert same(given)
        assert same.submit(given).result()

    @pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
    def test_the_callers_object_is_not_changed(
        self, name: str, shape: Callable[[Any], Any]
    ) -> None:
        @flow
        def f() -> None:
            future = make.submit(7)
            given, untouched = shape(future), shape(future)
            give(given)
            if name not in {"ordered dict", "default dict"}:
                assert repr(given) == repr(untouched)

        f()

    @pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
    def test_flow_parameters(self, name: str, shape: Callable[[Any], Any]) -> None:
        @flow
        def child(x: Any) -> Any:
            return [x]

        @flow
        def parent() -> Any:
            return child(shape(make.submit(7)))

        assert parent() == [shape(7)]

    def test_only_the_changed_containers_are_rebuilt(self) -> None:
        untouched = [1, 2]

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> bool:
            return x[0] is untouched

        @flow
        def f() -> Any:
            return t([untouched, make.submit()])

        assert f()

    def test_post_init_runs_for_the_rebuilt(self) -> None:
        @flow
        def f() -> Any:
            return give(Point(make.submit(3)))

        (point,) = f()
        assert (point.x, point.checked) == (3, 1)

    def test_fields_that_no_constructor_takes(self) -> None:
        @dataclasses.dataclass(frozen=True)
        class Set:
            x: Any
            later: Any = dataclasses.field(init=False, default=None)

        @flow
        def f() -> Any:
            given = Set(make.submit(3))
            object.__setattr__(given, "later", [make.submit(4)])
            return give(given)

        (got,) = f()
        assert (got.x, got.later) == (3, [4])

    @pytest.mark.parametrize("way", ["direct", "submit", "flow"])
    def test_what_cannot_be_rebuilt_is_named(self, way: str) -> None:
        class Picky(list[Any]):
            def __init__(self, items: Any) -> None:
                super().__init__(items)
                if 7 in self:
                    raise OSError("no sevens")

        @flow
        def child(a: Any, *, b: Any) -> None:
            del a, b

        @flow
        def parent() -> None:
            given = Picky([make.submit(7)])
            call = {"direct": give, "submit": give.submit, "flow": child}[way]
            done = call(1, b=given) if way == "flow" else call(given)
            if way == "submit":
                done.result()

        with pytest.raises(PrefectException, match=r"parameter '[xb]'.*no sevens.*quote") as caught:
            parent()
        assert isinstance(caught.value.__cause__, OSError)

    def test_models_are_not_validated_again(self) -> None:
        class Strict(pydantic.BaseModel):
            x: Any
            y: Any = None

            @pydantic.field_validator("x")
            @classmethod
            def no_number(cls, value: Any) -> Any:
                assert not isinstance(value, int)
                return value

        @flow
        def f() -> Any:
            return give(Strict(x=make.submit(3)))

        assert f()[0].x == 3

    def test_cycles(self) -> None:
        loop: list[Any] = [1]
        loop.append(loop)

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> bool:
            return x is loop and x[1] is x

        assert t(loop)

    def test_shared_parts_are_resolved_each(self) -> None:
        """A shared sub-collection is resolved in every place (#18433)."""

        @flow
        def f() -> Any:
            shared = [make.submit(5)]
            return give({"a": shared, "b": shared})

        assert f() == [{"a": [5], "b": [5]}]

    def test_depth_has_no_limit(self) -> None:
        @flow
        def f() -> Any:
            deep: Any = make.submit(5)
            for _ in range(100):
                deep = [deep]
            return give(deep)

        value: Any = f()
        for _ in range(101):
            (value,) = value
        assert value == 5

    def test_not_traversed(self) -> None:
        class Holder:
            def __init__(self, x: Any) -> None:
                self.x = x

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> Any:
            return isinstance(x.x, PrefectFuture)

        def numbers() -> Iterator[int]:
            yield from (1, 2)

        @task(cache_policy=NO_CACHE)
        def drain(x: Any) -> list[int]:
            return list(x)

        @flow
        def f() -> Any:
            return t(Holder(make.submit())), drain(numbers())

        assert f() == (True, [1, 2])

    def test_mocks_pass_unharmed(self) -> None:
        mock = MagicMock()

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> bool:
            return x is mock

        assert t(mock)
        assert t.submit([mock], wait_for=[]).state is not None

    def test_keyword_and_positional_collectors(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(*args: Any, **kwargs: Any) -> Any:
            return [args, kwargs]

        @flow
        def f() -> Any:
            return t(make.submit(1), [make.submit(2)], k=make.submit(3))

        assert f() == [(1, [2]), {"k": 3}]

    def test_run_records_are_refused(self) -> None:
        @task(cache_policy=NO_CACHE)
        def own() -> Any:
            context: Any = cellist.get_run_context()
            return [context.task_run]

        (run,) = own()
        with pytest.raises(PrefectException):
            give(run)
        assert give(opaque(run))[0] is run


class TestAnnotations:
    def test_one_tuples(self) -> None:
        for annotation in (quote, opaque, cellist.allow_failure, unmapped, freeze):
            made: Any = annotation(3)
            assert made.unwrap() == 3
            assert made.value == 3
            assert made.rewrap(4) == annotation(4)
            assert type(made.rewrap(4)) is annotation
            assert made == annotation(3)
        assert quote(3) != opaque(3)

    @pytest.mark.parametrize("annotation", [quote, opaque, unmapped, cellist.allow_failure, freeze])
    @pytest.mark.parametrize(
        "again", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))]
    )
    def test_copies_are_equal(self, annotation: Any, again: Any) -> None:
        copied = again(annotation([1]))
        assert copied == annotation([1])
        assert type(copied) is annotation

    def test_unmapped_is_always_the_value(self) -> None:
        five: Any = unmapped(5)
        assert (five[0], five[99]) == (5, 5)

    @pytest.mark.parametrize("annotation", [quote, opaque, unmapped, cellist.allow_failure])
    def test_the_body_gets_the_bare_value(self, annotation: Any) -> None:
        given = [1]

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> bool:
            return x is given

        assert t(annotation(given))
        assert t.submit(annotation(given)).result()

    @pytest.mark.parametrize("annotation", [quote, opaque, unmapped, cellist.allow_failure])
    def test_flows_get_the_bare_value(self, annotation: Any) -> None:
        @flow
        def f(x: Any) -> Any:
            return [x]

        assert f(annotation(3)) == [3]

    def test_quote_leaves_futures_and_links_nothing(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> Any:
            return isinstance(x, PrefectFuture) or isinstance(x[0], PrefectFuture)

        @flow
        def f() -> Any:
            future = make.submit()
            return t(quote(future)), t(quote([future]))

        assert f() == (True, True)
        for run in checked.of("t"):
            assert not run.task_inputs.get("x")

    def test_opaque_resolves_the_top_only(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> str:
            return type(x[0] if isinstance(x, list) else x).__name__

        @flow
        def f() -> Any:
            future = make.submit(1)
            return t(opaque(future)), "Future" in t(opaque([future]))

        assert f() == ("int", True)

    def test_of_states(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> bool:
            return isinstance(x, State)

        assert t(quote(Completed(data=1)))
        assert not t(Completed(data=1))


class TestLinks:
    """5.3: who depends on whom, by parameter."""

    def links(self, run: Any, name: str) -> set[UUID]:
        return {link.id for link in run.task_inputs.get(name, [])}

    def test_every_parameter_has_an_entry(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t(a: Any, b: Any = 2) -> None: ...

        @flow
        def f() -> None:
            t(make.submit(), wait_for=[make.submit()])

        f()
        run = checked.one("t")
        assert set(run.task_inputs) >= {"a", "wait_for"}
        assert not run.task_inputs.get("b")

    @pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
    def test_futures_and_states_in_any_shape(
        self, name: str, shape: Callable[[Any], Any], checked: Any
    ) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> None: ...

        @flow
        def f() -> None:
            t(shape(make.submit(7)))
            t(shape(make(7, return_state=True)))

        f()
        sources = [run.id for run in checked.of("make")]
        assert [self.links(run, "x") for run in checked.of("t")] == [{id_} for id_ in sources]

    def test_kind_of_link(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> None: ...

        @flow
        def f() -> None:
            t(make.submit())

        f()
        (link,) = checked.one("t").task_inputs["x"]
        assert link.input_type == "task_run"
        assert link.id == checked.one("make").id

    def test_plain_results_are_linked(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def rows() -> list[dict[str, Any]]:
            return [{"a": object()}, {"b": object()}]

        @task(cache_policy=NO_CACHE)
        def use(x: Any) -> None: ...

        @flow
        def f() -> None:
            whole = rows()
            use(whole)
            use(whole[0])

        f()
        source = checked.one("rows").id
        assert [self.links(run, "x") for run in checked.of("use")] == [{source}, {source}]

    @pytest.mark.parametrize(
        "value",
        [True, None, 3, 10**5, 1.5, "text", "", b"b", ..., NotImplemented, (1, 2), (), Colour.RED],
    )
    def test_no_phantom_edges(self, value: Any, checked: Any) -> None:
        """Q28: values that may be the same object by chance link nothing."""

        @task(cache_policy=NO_CACHE)
        def one() -> Any:
            return value

        @task(cache_policy=NO_CACHE)
        def use(x: Any) -> None: ...

        @flow
        def f() -> None:
            one()
            use(value)
            use([value])

        f()
        assert [self.links(run, "x") for run in checked.of("use")] == [set(), set()]

    def test_recycled_ids_link_nothing(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def one(i: int) -> Any:
            return [i]

        @task(cache_policy=NO_CACHE)
        def use(x: Any) -> None: ...

        @flow
        def f() -> None:
            for i in range(50):
                one(i)  # dropped at once
                use([i, i])

        f()
        assert all(not self.links(run, "x") for run in checked.of("use"))

    def test_one_object_from_two_tasks_is_linked_once_each(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def use(x: Any, y: Any) -> None: ...

        @flow
        def f() -> None:
            future = make.submit()
            use([future, future, {"k": future}], future)

        f()
        run = checked.one("use")
        assert len(run.task_inputs["x"]) == 1
        assert len(run.task_inputs["y"]) == 1

    def test_parents(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def child() -> None: ...

        @task(cache_policy=NO_CACHE)
        def parent() -> None:
            child()
            child.submit().wait()

        @flow
        def f() -> None:
            parent()

        f()
        of_parent = checked.one("parent").id
        for run in checked.of("child"):
            assert self.links(run, "__parents__") == {of_parent}
        assert not self.links(checked.one("parent"), "__parents__")

    def test_outside_flows_only_the_parent(self, checked: Any) -> None:
        @task(cache_policy=NO_CACHE)
        def use(x: Any) -> None: ...

        use(make([1]))
        assert not self.links(checked.one("use"), "x")
