"""Binding a call without `inspect` gives what `inspect` gives, and refuses what it refuses."""

import functools
import inspect
from inspect import Parameter
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cellist.engine.plan import Shape
from cellist.exceptions import ParameterBindError

KINDS = [
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
    Parameter.KEYWORD_ONLY,
    Parameter.VAR_KEYWORD,
]
NAMES = "abcdef"


@st.composite
def signatures(draw) -> inspect.Signature:
    kinds = sorted(draw(st.lists(st.sampled_from(KINDS), max_size=len(NAMES))))
    parameters: list[Parameter] = []
    has_default = False
    for name, kind in zip(NAMES, kinds, strict=False):
        if kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            if all(one.kind is not kind for one in parameters):
                parameters.append(Parameter(name, kind))
            continue
        optional = draw(st.booleans())
        if kind is not Parameter.KEYWORD_ONLY:
            optional = has_default = optional or has_default
        default = f"default of {name}" if optional else Parameter.empty
        parameters.append(Parameter(name, kind, default=default))
    return inspect.Signature(parameters)


PLAIN = inspect.signature(lambda a, b=2, *, c=3: None)


@given(
    signatures(),
    st.lists(st.integers(), max_size=6).map(tuple),
    st.dictionaries(st.sampled_from([*NAMES, "unknown"]), st.integers(), max_size=4),
)
@example(PLAIN, (1,), {})
@example(PLAIN, (), {"c": 5, "a": 1})
@example(PLAIN, (1,), {"a": 1})
@example(PLAIN, (1, 2, 3), {})
def test_binding_is_that_of_inspect(signature, args, kwargs) -> None:
    shape = Shape(signature)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(ParameterBindError):
            shape.bind(args, kwargs)
        return
    bound.apply_defaults()
    found = shape.bind(args, kwargs)
    assert list(found.items()) == list(bound.arguments.items())


def test_bound_arguments_are_the_callers_own_dictionary() -> None:
    shape = Shape(PLAIN)
    shape.bind((1,), {})["a"] = "changed"
    assert shape.bind((1,), {}) == {"a": 1, "b": 2, "c": 3}


def test_a_shape_follows_its_function() -> None:
    def first(a):
        return a

    def second(b, c=[]):  # noqa: B006 - what is meant here
        return b, c

    shape = Shape(inspect.signature(first), "task 'first'", first)
    assert shape.bind((1,), {}) == {"a": 1}
    first.__code__, first.__defaults__ = second.__code__, second.__defaults__
    shape.check((1, 2), {})
    assert shape.bind((1,), {}) == {"b": 1, "c": []}
    assert shape.is_renewed


@pytest.mark.parametrize("fn", [len, functools.partial(max, 1), object()])
def test_what_is_no_function_has_the_shape_it_had(fn) -> None:
    shape = Shape(PLAIN, fn=fn)
    shape.check((1,), {})
    assert not shape.is_renewed


def test_a_wrong_name_is_named_and_annotations_are_left_out() -> None:
    def load(path: Annotated[str, "a file"], rows: int = 5) -> None: ...

    with pytest.raises(ParameterBindError) as caught:
        Shape(inspect.signature(load), "task 'load'").bind((), {"pfad": 1})
    told = "got an unexpected keyword argument 'pfad'. It takes (path, rows=5), the call gave"
    assert told in str(caught.value)
