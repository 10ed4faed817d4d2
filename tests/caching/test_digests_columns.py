"""Columns of Arrow, polars and pandas are what they hold, not what they were cut from."""

import datetime as dt
import decimal
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cellist.caching.digests import digest_value

ARROWS = {
    "int": pa.array([1, None, 3, 4, 5]),
    "full": pa.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "bool": pa.array([True, None, False, True, True]),
    "string": pa.array(["a", None, "ccc", "", "e"]),
    "full string": pa.array(["a", "bb", "ccc", "", "e"]),
    "large string": pa.array(["a", None, "ccc", "", "e"], pa.large_string()),
    "view": pa.array(["a", None, "a string too long to be inlined", "", "e"], pa.string_view()),
    "binary": pa.array([b"a", None, b"ccc", b"", b"e"]),
    "fixed binary": pa.array([b"ab", None, b"cd", b"ef", b"gh"], pa.binary(2)),
    "list": pa.array([[1], None, [2, 3], [], [4]]),
    "list of strings": pa.array([["a"], None, ["b", None], [], ["d"]]),
    "fixed list": pa.array([[1, 2], None, [3, 4], [5, 6], [7, 8]], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"x": 1, "y": "a"}, None, {"x": 3, "y": None}, {"x": 4}, {"x": 5}]),
    "map": pa.array(
        [[("a", 1)], None, [], [("b", 2)], [("c", 3)]], pa.map_(pa.string(), pa.int8())
    ),
    "decimal": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("2.5")] + [None] * 2),
    "timestamp": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None, None, None, None]),
    "half": pa.array(np.arange(5, dtype=np.float16)),
    "dictionary": pa.array(["a", None, "b", "a", "b"]).dictionary_encode(),
    "null": pa.nulls(5),
    "run end": pa.RunEndEncodedArray.from_arrays([2, 5], ["a", None]),
}


@pytest.mark.parametrize("values", ARROWS.values(), ids=ARROWS)
def test_a_slice_of_arrow_data_is_what_a_fresh_array_is(values: Any) -> None:
    plain = values.to_pylist()
    for first, last in ((0, 5), (1, 4), (2, 5), (0, 0)):
        part = values[first:last]
        fresh = (
            pa.array(plain[first:last], values.type) if "run_end" not in str(values.type) else None
        )
        if fresh is not None and not pa.types.is_dictionary(values.type):
            assert digest_value(part) == digest_value(fresh)
        assert digest_value(pickle.loads(pickle.dumps(part))) == digest_value(part)
        chunked = pa.chunked_array(
            [values[first : (first + last) // 2], values[(first + last) // 2 : last]]
        )
        assert digest_value(chunked) == digest_value(pa.chunked_array([part]))
    if plain[0] != plain[1]:
        assert digest_value(values[:2]) != digest_value(values[1:3])


COLUMNS: dict[str, Any] = {
    "int": pl.Series("a", [1, None, 3]),
    "wide int": pl.Series("a", [2**100, None, 3], dtype=pl.Int128),
    "text": pl.Series("a", ["x", None, "z"]),
    "category": pl.Series("a", ["x", None, "z"], dtype=pl.Categorical),
    "enum": pl.Series("a", ["x", None, "z"], dtype=pl.Enum(["x", "y", "z"])),
    "list": pl.Series("a", [[1], None, [2, 3]]),
    "fixed list": pl.Series("a", [[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int8, 2)),
    "struct": pl.Series("a", [{"x": 1}, {"x": None}, {"x": 3}]),
    "time": pl.Series("a", [dt.datetime(2020, 1, 1), None, dt.datetime(2021, 1, 1)]),  # noqa: DTZ001 - naive on purpose
    "decimal": pl.Series("a", [decimal.Decimal("1.5"), None, decimal.Decimal(2)]),
    "object": pl.Series("a", [{1, 2}, None, "x"], dtype=pl.Object),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_polars_column_is_its_dtype_name_and_content(column: Any) -> None:
    expected = digest_value(column)
    assert digest_value(column.clone()) == expected
    pieces = (
        pl.concat([column[:1], column[1:]], rechunk=False) if column.dtype != pl.Object else column
    )
    assert digest_value(pieces) == expected
    assert digest_value(column.rename("b")) != expected
    assert digest_value(column.reverse() if column.dtype != pl.Object else column[:1]) != expected


def test_every_kind_of_column_survives_a_copy_and_shows_a_change() -> None:
    columns: dict[str, Any] = {
        "int": [1, 2],
        "object": [1, "a"],
        "str": ["x", None],
        "zone": pd.to_datetime(["2020", "2021"], utc=True),
        "span": pd.to_timedelta([1, 2]),
        "category": pd.Categorical(["u", "v"], ordered=True),
        "Int64": pd.array([1, None], dtype="Int64"),
        "Float64": pd.array([1.5, None], dtype="Float64"),
        "boolean": pd.array([True, None], dtype="boolean"),
        "sparse": pd.arrays.SparseArray([0, 1]),
        "period": pd.period_range("2020", periods=2, freq="M"),
        "interval": pd.interval_range(0, 2),
        "string": pd.array(["a", None], dtype="string"),
        "python": pd.array(["a", None], dtype="string[python]"),
        "arrow": pd.array([1, 2], dtype="int64[pyarrow]"),
        "arrow list": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    }
    for name, values in columns.items():
        frame = pd.DataFrame({name: values})
        expected = digest_value(frame)
        assert digest_value(frame.copy()) == expected
        assert digest_value(frame.iloc[[0, 1]].reset_index(drop=True)) == expected
        assert digest_value(pickle.loads(pickle.dumps(frame))) == expected
        assert digest_value(frame.iloc[[1, 0]].reset_index(drop=True)) != expected
