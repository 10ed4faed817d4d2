"""Previews are short, say what a value is, and never run a user's code."""

import enum
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cellist.model.previews import LIMIT, short


class Loud:
    def __repr__(self) -> str:
        raise AssertionError

    __str__ = __len__ = __iter__ = __bool__ = __hash__ = __eq__ = __repr__  # type: ignore[assignment] - none may be called


class Loudest(list):
    __repr__ = __len__ = __iter__ = Loud.__repr__  # type: ignore[assignment] - none may be called


class LoudPath(type(Path())):
    __str__ = __fspath__ = Loud.__repr__  # type: ignore[assignment] - as above


class Colour(enum.Enum):
    RED = 1


SHOWN: list[tuple[Any, str]] = [
    (1, "1"),
    (None, "None"),
    ("a'b", '"a\'b"'),
    (2**300, "int of 301 bits"),
    ([], "[]"),
    ((1,), "(1,)"),
    ([1, 2, 3], "[1, 2, 3]"),
    ([1, 2, 3, 4], "list of 4: [1, 2, 3, …]"),
    ({"a": 1}, "{'a': 1}"),
    (set(), "set()"),
    ({1}, "{1}"),
    ([[1, 2]], "[list(2)]"),
    (Colour.RED, "Colour.RED"),
    (Path("a/b"), f"{type(Path()).__name__}('a/b')"),
    (np.zeros((3, 4)), "ndarray(3, 4) float64"),
    (np.float64(1.5), "float64(1.5)"),
    (pd.DataFrame(np.zeros((336_776, 19))), "DataFrame 336776×19"),
    (pd.Series([1], name="n"), "Series 'n' of 1 int64"),
    (pl.DataFrame({"a": [1, 2]}), "DataFrame 2×1"),
    (Image.new("RGB", (2, 3)), "Image 2×3 RGB"),
    (int, "class int"),
    (short, "function short"),
]


@pytest.mark.parametrize(("value", "shown"), SHOWN)
def test_a_preview_says_what_a_value_is(value: Any, shown: str) -> None:
    assert short(value) == shown


@pytest.mark.parametrize(
    "value", [Loud(), [Loud()], {"a": Loud()}, Loudest([1]), (Loudest(),), LoudPath("a")]
)
def test_no_code_of_a_users_type_runs(value: Any) -> None:
    assert "Loud" in short(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**7,
        b"x" * 10**7,
        list(range(10**6)),
        ["long text " * 9] * 5,
        {"k" * 90: "v" * 90, 2: 3},
        {index: index for index in range(10**6)},
        type("N" * 300, (), {})(),
    ],
)
def test_large_values_are_shown_short_and_at_once(value: Any) -> None:
    start = time.thread_time()
    assert 0 < len(short(value)) <= LIMIT
    assert time.thread_time() - start < 0.05


anything = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
)


@given(anything)
def test_every_preview_is_one_short_line(value: Any) -> None:
    shown = short(value)
    assert 0 < len(shown) <= LIMIT
    assert "\n" not in shown


def test_nothing_is_imported() -> None:
    code = (
        "import sys, cellist.model.previews as p\nbefore = set(sys.modules)\n"
        "p.short([1, {2: object()}]); p.short(object()); print(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
