"""Frozen digests: a change of any of them empties every user's cache and needs a new `SCHEMA`.

To add vectors: `python tests/caching/test_digests_vectors.py` prints the file anew.
"""

import datetime as dt
import decimal
import fractions
import json
import pathlib
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from PIL import Image

from cellist.caching.digests import SCHEMA, digest_value

FILE = Path(__file__).with_name("vectors.json")


def _cycle() -> list[Any]:
    found: list[Any] = [1]
    found.append({"back": found})
    return found


def _union() -> Any:
    codes, offsets = pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32())
    return pa.UnionArray.from_dense(codes, offsets, [pa.array([1, 2]), pa.array(["a"])])


def values() -> dict[str, Any]:
    """Values whose digests do not depend on the version of a library or on code."""
    atoms: list[Any] = [None, True, 0, -1, 255, 2**70, 0.0, -0.0, 1e300, 1j, "", "é", b"\0", ...]
    named = {f"atom {index}": atom for index, atom in enumerate(atoms)}
    return named | {
        "nan": float("nan"),
        "long text": "cellist " * 20,
        "surrogate": "\ud800",
        "list": [1, "a", None],
        "tuple": (1, "a", None),
        "ints": list(range(100)),
        "floats": [index / 7 for index in range(100)],
        "strings": [str(index) for index in range(100)],
        "bools": [True, False] * 50,
        "dict": {"b": 1, "a": [2.5, {"c": (3,)}]},
        "long dict": {str(index): index for index in range(100)},
        "set": {1, "a", None, (2, 3)},
        "long set": set(range(100)),
        "frozenset": frozenset("abc"),
        "nested": [[[[["deep"]]]]] * 40,
        "cycle": _cycle(),
        "moment": dt.datetime(2020, 2, 29, 12, 30, 15, 250, tzinfo=dt.UTC),
        "day": dt.date(2020, 2, 29),
        "span": dt.timedelta(1, 2, 3),
        "decimal": decimal.Decimal("1.00"),
        "fraction": fractions.Fraction(1, 3),
        "uuid": uuid.UUID(int=7),
        "path": pathlib.Path("data/raw.csv"),
        "pattern": re.compile("a+", re.IGNORECASE),
        "range": range(1, 10, 2),
        "array": np.arange(12, dtype="<f4").reshape(3, 4),
        "large array": np.arange(200_000, dtype="<i8"),
        "object array": np.array(["a", 1, None], dtype=object),
        "records": np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
        "scalar": np.float32(1.5),
        "masked": np.ma.array([1, 2], mask=[False, True]),
        "frame": pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": pd.Categorical(["u", "v"])}),
        "texts": pd.DataFrame({"t": pd.array(["a", None], dtype="string[pyarrow]")}),
        "series": pd.Series([1, None], name="n", dtype="Int64"),
        "times": pd.Series(pd.to_datetime(["2020-01-01"], utc=True).as_unit("ns")),
        "polars": pl.Series("s", ["a", None]).to_arrow(),
        "arrow": pa.table({"a": [1, None], "b": ["x", "y"], "c": [[1], None]}),
        "python strings": pd.Series(["a", None], dtype="string[python]"),
        "missing None": np.array(["a", None], np.dtypes.StringDType(na_object=None)),
        "rows of lists": sp.lil_array((2, 2), dtype="<i4"),
        "matrix by keys": sp.dok_array(np.eye(2)),
        "union": _union(),
        "image": Image.new("RGB", (2, 3), "red"),
    }


def _frozen() -> dict[str, str]:
    return json.loads(FILE.read_text(encoding="utf-8"))["digests"]


def test_the_file_is_of_this_schema() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8"))["schema"] == SCHEMA
    assert set(_frozen()) == set(values())


@pytest.mark.parametrize("name", values())
def test_a_digest_is_what_it_was(name: str) -> None:
    assert digest_value(values()[name], name) == _frozen()[name]


if __name__ == "__main__":
    told = {name: digest_value(value, name) for name, value in values().items()}
    print(json.dumps({"schema": SCHEMA, "digests": told}, indent=1))
