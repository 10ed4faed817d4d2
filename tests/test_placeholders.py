"""A placeholder keeps its origin through what is done with it, and never pretends to be a value."""

import copy
import math
import operator
from pathlib import Path
from typing import Any

import pytest

from cellist.exceptions import FlowVisualizationError
from cellist.placeholders import Origin, Placeholder, element_of, origin_of


def placeholder(number=1, name="load-0", *, is_many=False) -> Any:
    return Placeholder(Origin((number,), name, is_many))


BINARY = [
    operator.add, operator.sub, operator.mul, operator.matmul, operator.truediv, operator.floordiv,
    operator.mod, operator.pow, operator.lshift, operator.rshift, operator.and_, operator.or_,
    operator.xor, divmod, operator.eq, operator.ne, operator.lt, operator.le, operator.gt,
    operator.ge, operator.getitem,
]  # fmt: skip


@pytest.mark.parametrize("operate", BINARY)
def test_what_is_made_of_two_placeholders_comes_from_both(operate):
    made = operate(placeholder(1), placeholder(2, "fit-0"))
    assert origin_of(made).numbers == (1, 2)


@pytest.mark.parametrize("operate", BINARY[:14])
def test_a_placeholder_may_stand_on_the_right(operate):
    made = operate(object(), placeholder())
    assert origin_of(made).numbers == (1,)


@pytest.mark.parametrize(
    "operate", [operator.neg, operator.pos, operator.invert, abs, round, lambda x: round(x, 2)]
)
def test_what_is_made_of_one_placeholder_comes_from_it(operate):
    assert origin_of(operate(placeholder())).numbers == (1,)


@pytest.mark.parametrize(
    ("make", "expression"),
    [
        (lambda x: x.text, "load-0.text"),
        (lambda x: x["a"][0], "load-0['a'][0]"),
        (lambda x: x[1:2], "load-0[…]"),
        (lambda x: x.head(), "load-0.head()"),
        (lambda x: x.head(3, by="a"), "load-0.head(…)"),
        (lambda x: x + 1, "(load-0 + 1)"),
        (lambda x: 1 - x, "(1 - load-0)"),
        (lambda x: x % 2 == 0, "((load-0 % 2) == 0)"),
        (lambda x: -x, "-load-0"),
        (lambda x: next(iter(x)), "an element of load-0"),
        (lambda x: Path("a") / x, "(… / load-0)"),
    ],
)
def test_an_expression_reads_like_the_code(make, expression):
    made = make(placeholder())
    assert origin_of(made).expression == expression
    assert str(made) == repr(made) == f"{made:>99}" == f"<placeholder of {expression}>"


def test_a_long_expression_is_cut():
    made = placeholder()
    for _ in range(1000):
        made = made.more
    assert len(origin_of(made).expression) == 60


def test_what_is_put_into_a_placeholder_is_part_of_it():
    frame, other, key = placeholder(1), placeholder(2), placeholder(3)
    frame["total"] = other + 1
    frame.name = key
    frame += 1
    assert origin_of(frame).numbers == (1, 2, 3)


def test_an_element_stands_for_many():
    assert not origin_of(placeholder()).is_many
    (element,) = placeholder()
    assert origin_of(element).is_many
    assert origin_of(element.text + 1).is_many
    assert origin_of(element_of(element)).numbers == (1,)


@pytest.mark.parametrize(
    ("use", "unknown"),
    [
        (bool, "whether it is true"),
        (len, "its length"),
        (lambda x: 1 in x, "what is in it"),
        (int, "its number"),
        (float, "its number"),
        (complex, "its number"),
        (math.sqrt, "its number"),
        (range, "its number"),
        (lambda x: 1 if x > 2 else 0, "whether it is true"),
    ],
)
def test_nothing_is_made_up(use, unknown):
    with pytest.raises(FlowVisualizationError, match=rf"load-0.*{unknown}.*viz_return_value"):
        use(placeholder())


def test_placeholders_are_told_apart_and_copied_as_themselves():
    one, other = placeholder(), placeholder()
    assert {one: 1, other: 2}[one] == 1
    assert copy.copy(one) is one
    assert copy.deepcopy([one])[0] is one


@pytest.mark.parametrize("name", ["_repr_html_", "__array__", "_private", "__wrapped__"])
def test_a_placeholder_pretends_to_no_protocol(name):
    assert not hasattr(placeholder(), name)
