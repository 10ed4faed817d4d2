"""Methods as tasks and flows, in every order of decorators, through class, subclass, instance."""

from enum import Enum
from typing import Any

import pydantic
import pytest

from cellist import Task, flow, task
from cellist.cache_policies import NO_CACHE
from cellist.classmethods import expect_classmethod

work: Any = task(cache_policy=NO_CACHE)


class Base:
    label = "Base"

    def __init__(self, name: str = "") -> None:
        self.name = name

    @work
    def own(self, x: int) -> Any:
        return self.name, x

    @classmethod
    @work
    def outside(cls, x: int) -> Any:
        return cls.label, x

    @work
    @classmethod
    def inside(cls, x: int) -> Any:
        return cls.label, x

    @staticmethod
    @work
    def static_outside(x: int) -> Any:
        return "static", x

    @work
    @staticmethod
    def static_inside(x: int) -> Any:
        return "static", x

    @classmethod
    @flow
    def whole(cls, x: int) -> Any:
        return cls.outside(x)


class Derived(Base):
    label = "Derived"


class Empty(Base):
    """An instance that is false must be bound all the same."""

    def __len__(self) -> int:
        return 0


CLASS_METHODS = ["outside", "inside"]
ACCESS = {
    "class": (Base, "Base"),
    "subclass": (Derived, "Derived"),
    "instance": (Base("b"), "Base"),
    "instance of subclass": (Derived("d"), "Derived"),
    "false instance": (Empty(), "Base"),
}


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("name", CLASS_METHODS)
def test_class_methods(name: str, access: str) -> None:
    owner, label = ACCESS[access]
    method = getattr(owner, name)
    assert isinstance(method, Task)
    assert method(1) == (label, 1)
    assert method.submit(1).result() == (label, 1)
    assert method.map([1, 2]).result() == [(label, 1), (label, 2)]
    assert method(1, return_state=True).result() == (label, 1)
    assert method.with_options(name="other").submit(1).result() == (label, 1)
    assert method.fn(Base, 1) == ("Base", 1)


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("name", ["static_outside", "static_inside"])
def test_static_methods(name: str, access: str) -> None:
    method = getattr(ACCESS[access][0], name)
    assert method(1) == method.submit(1).result() == ("static", 1)
    assert method.map([1]).result() == [("static", 1)]


def test_instances_are_bound_independently() -> None:
    a, b, empty = Base("a"), Base("b"), Empty("e")
    bound = [a.own, b.own, empty.own]
    assert [method(1) for method in bound] == [("a", 1), ("b", 1), ("e", 1)]
    assert [method.submit(1).result() for method in bound] == [("a", 1), ("b", 1), ("e", 1)]
    assert Base.own(a, 2) == Base.own.submit(a, 2).result() == ("a", 2)


def test_flows_as_class_methods() -> None:
    assert Base.whole(1) == Base().whole(1) == ("Base", 1)
    assert Derived.whole(1) == ("Derived", 1)
    text: Any = "2"  # which the flow makes a number
    assert Derived.whole.with_options(name="other")(text) == ("Derived", 2)


def test_nothing_is_left_in_the_class() -> None:
    assert [name for name in vars(Base) if "cellist" in name] == []


def test_classes_with_a_metaclass_of_their_own() -> None:
    class Kind(Enum):
        ONE = 1

        @classmethod
        @work
        def first(cls) -> Any:
            return next(iter(cls))

    class Model(pydantic.BaseModel):
        x: int = 0

        @classmethod
        @work
        def made(cls, x: int) -> Any:
            return cls(x=x)

    assert list(Kind) == [Kind.ONE]
    assert Kind.first() is Kind.first.submit().result() is Kind.ONE
    assert Model.made(3).x == Model.made.submit(3).result().x == 3
    assert set(Model.model_fields) == {"x"}


def test_a_function_that_happens_to_take_cls_is_left_alone() -> None:
    def plain(cls: int) -> int:
        return cls

    made = task(plain)
    expect_classmethod(made)
    assert made(3) == 3
    assert "__cellist" not in "".join(locals())
