"""What a digest promises of arrays, frames, images and models: content, dtype and labels count."""

import copy
import io
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from cellist.caching.digests import digest_value
from cellist.exceptions import HashError

GRID = np.arange(6.0).reshape(2, 3)
SQUARE = np.arange(9).reshape(3, 3)
PADDED = np.dtype([("a", "u1"), ("b", "f8")], align=True)
STRING = np.dtypes.StringDType()


def _padded(garbage: int) -> Any:
    raw = np.full(3 * PADDED.itemsize, garbage, np.uint8).view(PADDED)
    raw["a"], raw["b"] = 1, 2.0
    return raw


def _memmap(values: Any, folder: Path) -> Any:
    found = np.memmap(folder / "m", values.dtype, "w+", shape=values.shape)
    found[:] = values
    return found


def _one_in_many(n: int, value: float) -> Any:
    found = np.zeros(n)
    found[n // 3] = value
    return found


def _drawn(n: int) -> Any:
    generator = np.random.default_rng(0)
    generator.random(n)
    return generator


class Frame(pd.DataFrame):
    _metadata = ["unit"]

    @property
    def _constructor(self) -> Any:
        return Frame


class Signal(np.ndarray):
    def __new__(cls, rate: int) -> Any:
        found: Any = np.zeros(3).view(cls)
        found.rate = rate
        return found


def _with_parquet(frame: Any) -> tuple[Any, Any]:
    return frame, _parquet(frame)


def _frame(unit: str) -> Frame:
    found = Frame({"a": [1]})
    found.unit = unit
    return found


def _blocks(piecewise: bool) -> pd.DataFrame:
    if not piecewise:
        return pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [0.5, 1.5]})
    found = pd.DataFrame({"a": [1, 2]})
    found["c"] = [0.5, 1.5]
    found.insert(1, "b", [3, 4])
    return found


def _attrs(**attrs: Any) -> Any:
    found: Any = pd.DataFrame({"a": [1]})
    found.attrs = attrs
    return found


def _named(frame: pd.DataFrame, name: Any) -> pd.DataFrame:
    return frame.rename_axis(name)


def _parquet(frame: pd.DataFrame) -> pd.DataFrame:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return pd.read_parquet(buffer)


def _under_nulls(garbage: int) -> Any:
    values = np.array([1, garbage, 3])
    return pa.Array.from_buffers(
        pa.int64(), 3, [pa.py_buffer(bytes([0b101])), pa.py_buffer(values.tobytes())]
    )


CATEGORIES = ["x", "y"]
AGREE: dict[str, Any] = {
    "C and F order": lambda: (GRID, np.asfortranarray(GRID)),
    "view and copy": lambda: (np.arange(20)[::2], np.arange(20)[::2].copy()),
    "reversed": lambda: (SQUARE[::-1], SQUARE[::-1].copy()),
    "large F order": lambda: (
        np.arange(2_000_000).reshape(1000, 2000).T,
        np.arange(2_000_000).reshape(1000, 2000).T.copy(),
    ),
    "names of one dtype": lambda: (
        np.zeros(2, "q"),
        np.zeros(2, "l" if np.dtype("l").itemsize == 8 else "q"),
    ),
    "read-only": lambda: (GRID, np.frombuffer(GRID.tobytes()).reshape(2, 3)),
    "padding": lambda: (_padded(0), _padded(255)),
    "long double": lambda: (np.array([1.5], np.longdouble), np.array([3], np.longdouble) / 2),
    "objects": lambda: (np.array(["a", [1]], object), np.array(["a", [1]], object)),
    "strings": lambda: (np.array(["a", "b" * 40], STRING), np.array(["a", "b" * 40], STRING)),
    "what a mask hides": lambda: (
        np.ma.array([1, 2, 3], mask=[False, True, False]),
        np.ma.array([1, 9, 3], mask=[False, True, False]),
    ),
    "no mask": lambda: (np.ma.array([1, 2]), np.ma.array([1, 2], mask=[False, False])),
    "scalar nan": lambda: (np.float64("nan"), -np.float64("nan")),
    "shared scalar": lambda: ([np.float64(1)] * 2, [np.float64(1), np.float64(1)]),
    "generators": lambda: (_drawn(3), _drawn(3)),
    "blocks": lambda: (_blocks(True), _blocks(False)),
    "frame of a matrix": lambda: (
        pd.DataFrame(GRID),
        pd.DataFrame({i: GRID[:, i] for i in range(3)})[[0, 1, 2]].set_axis(range(3), axis=1),
    ),
    "sliced": lambda: (
        pd.DataFrame({"a": range(9), "b": list("abcdefghi")})[2:5],
        pd.DataFrame({"a": [2, 3, 4], "b": list("cde")}, index=pd.RangeIndex(2, 5)),
    ),
    "filtered": lambda: (
        pd.DataFrame({"a": [1, 2, 3]})[lambda d: d.a > 1].reset_index(drop=True),
        pd.DataFrame({"a": [2, 3]}),
    ),
    "after parquet": lambda: _with_parquet(
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    ),
    "levels in use": lambda: (
        pd.MultiIndex.from_product([[1, 2], ["a"]])[:1],
        pd.MultiIndex.from_product([[1], ["a"]]),
    ),
    "under nulls": lambda: (_under_nulls(7), _under_nulls(8)),
    "chunks": lambda: (pa.chunked_array([[1], [2, 3]]), pa.chunked_array([[1, 2, 3]])),
    "no chunks": lambda: (pa.chunked_array([], pa.string()), pa.chunked_array([[]], pa.string())),
    "polars slice": lambda: (pl.Series("a", ["x", "y", "z"])[1:], pl.Series("a", ["y", "z"])),
    "polars chunks": lambda: (
        pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False),
        pl.DataFrame({"a": [1, 2]}),
    ),
    "sparse": lambda: (sp.csr_matrix(SQUARE), pickle.loads(pickle.dumps(sp.csr_matrix(SQUARE)))),
    "dok": lambda: (
        sp.dok_array([[1, 2], [0, 3]]),
        sp.dok_array([[1, 2], [0, 3]]).tocsr().todok(),
    ),
    "image": lambda: (Image.new("RGB", (2, 3), "red"), Image.new("RGB", (2, 3), "#f00")),
}
DIFFER: dict[str, Any] = {
    "shape": lambda: (GRID, GRID.reshape(3, 2)),
    "transposed": lambda: (SQUARE, SQUARE.T),
    "dtype": lambda: (np.zeros(8, "u1"), np.zeros(1, "f8")),
    "bits": lambda: (np.zeros(2, "i4"), np.zeros(2, "f4")),
    "byte order": lambda: (np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
    "unit": lambda: (np.array([1], "M8[s]"), np.array([1], "M8[ms]")),
    "array and list": lambda: (np.array([1]), [1]),
    "scalar, array, number": lambda: (np.int64(1), np.array(1)),
    "scalar and number": lambda: (np.float64(1), 1.0),
    "scalar widths": lambda: (np.float32(1), np.float64(1)),
    "np.True_ and True": lambda: (np.True_, True),
    "empty shapes": lambda: (np.zeros((0, 2)), np.zeros((2, 0))),
    "objects": lambda: (np.array(["a", "b-c"], object), np.array(["a-b", "c"], object)),
    "object and str": lambda: (np.array(["a"], object), np.array(["a"])),
    "strings": lambda: (np.array(["a" * 40], STRING), np.array(["b" * 40], STRING)),
    "mask": lambda: (
        np.ma.array([1, 0], mask=[False, True]),
        np.ma.array([1, 0], mask=[False, False]),
    ),
    "masked and not": lambda: (np.ma.array([1]), np.array([1])),
    "one of 600,000": lambda: (_one_in_many(600_000, 1), _one_in_many(600_000, 2)),
    "field names": lambda: (np.zeros(1, [("a", "i4")]), np.zeros(1, [("b", "i4")])),
    "field values": lambda: (np.array([(1, 2)], "i4,i4"), np.array([(1, 3)], "i4,i4")),
    "metadata": lambda: (np.zeros(1, np.dtype("i4", metadata={"a": 1})), np.zeros(1, "i4")),
    "subclass": lambda: (Signal(1), np.zeros(3)),
    "subclass attribute": lambda: (Signal(1), Signal(2)),
    "generator": lambda: (_drawn(3), _drawn(4)),
    "long and int64": lambda: (np.dtype("q"), np.dtype("i4")),
    "dtypes": lambda: (np.dtype("i4"), np.dtype("i8")),
    "ufuncs": lambda: (np.add, np.multiply),
    "column name": lambda: (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    "column order": lambda: (
        pd.DataFrame({"a": [1], "b": [1]}),
        pd.DataFrame({"b": [1], "a": [1]}),
    ),
    "column dtype": lambda: (pd.DataFrame({"a": [1, 0]}), pd.DataFrame({"a": [True, False]})),
    "empty dtypes": lambda: (
        pd.DataFrame({"a": np.zeros(0)}),
        pd.DataFrame({"a": np.zeros(0, "i4")}),
    ),
    "attrs": lambda: (_attrs(unit="m"), _attrs(unit="km")),
    "index name": lambda: (
        _named(pd.DataFrame({"a": [1]}), "i"),
        _named(pd.DataFrame({"a": [1]}), "j"),
    ),
    "index kind": lambda: (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=pd.Index([0]))),
    "columns name": lambda: (
        pd.DataFrame({"a": [1]}),
        pd.DataFrame({"a": [1]}).rename_axis(columns="c"),
    ),
    "level names": lambda: (
        pd.MultiIndex.from_product([[1], [2]], names=["a", "b"]),
        pd.MultiIndex.from_product([[1], [2]], names=["b", "a"]),
    ),
    "category order": lambda: (
        pd.Categorical(["x"], CATEGORIES),
        pd.Categorical(["x"], CATEGORIES[::-1]),
    ),
    "categories in use": lambda: (pd.Categorical(["x"], CATEGORIES), pd.Categorical(["x"])),
    "ordered": lambda: (pd.Categorical(["x"]), pd.Categorical(["x"], ordered=True)),
    "series name": lambda: (pd.Series([1], name="a"), pd.Series([1], name="b")),
    "series and frame": lambda: (pd.Series([1], name="a"), pd.DataFrame({"a": [1]})),
    "series and index": lambda: (pd.Series([1]), pd.Index([1])),
    "nan and None": lambda: (
        pd.Series([1, None], dtype=object),
        pd.Series([1, float("nan")], dtype=object),
    ),
    "NA and None": lambda: (
        pd.Series([1, None], dtype=object),
        pd.Series([1, pd.NA], dtype=object),
    ),
    "nullable and not": lambda: (pd.Series([1], dtype="Int64"), pd.Series([1], dtype="int64")),
    "missing": lambda: (pd.Series([1, None], dtype="Int64"), pd.Series([1, 1], dtype="Int64")),
    "str and object": lambda: (pd.Series(["a"], dtype="str"), pd.Series(["a"], dtype=object)),
    "one cell": lambda: (
        pd.DataFrame({"a": range(60_000)}),
        pd.DataFrame({"a": [*range(59_999), 1]}),
    ),
    "zones": lambda: (
        pd.Series(pd.to_datetime(["2020"], utc=True)),
        pd.Series(pd.to_datetime(["2020"])),
    ),
    "units of time": lambda: (pd.Timestamp(0, unit="s"), pd.Timestamp(0, unit="s").as_unit("ns")),
    "timestamps": lambda: (pd.Timestamp(0), pd.Timestamp(1)),
    "NaT and NA": lambda: (pd.NaT, pd.NA),
    "frame subclass": lambda: (Frame({"a": [1]}), pd.DataFrame({"a": [1]})),
    "frame subclass metadata": lambda: (_frame("m"), _frame("km")),
    "periods": lambda: (pd.Period("2020-01", "M"), pd.Period("2020-01-01", "D")),
    "interval side": lambda: (pd.Interval(0, 1), pd.Interval(0, 1, closed="both")),
    "frequency": lambda: (
        pd.date_range("2020-01-01", periods=2, freq="D"),
        pd.to_datetime(["2020-01-01", "2020-01-02"]),
    ),
    "polars column name": lambda: (pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]})),
    "polars dtype": lambda: (pl.Series([1]), pl.Series([1], dtype=pl.Int8)),
    "polars null": lambda: (pl.Series([1, None]), pl.Series([1, 0])),
    "polars enum": lambda: (
        pl.Series(["x"], dtype=pl.Enum(["x", "y"])),
        pl.Series(["x"], dtype=pl.Enum(["x", "z"])),
    ),
    "arrow slices": lambda: (pa.array([1, 2, 3])[0:2], pa.array([1, 2, 3])[1:3]),
    "arrow null": lambda: (pa.array([1, None]), pa.array([1, 0])),
    "arrow string split": lambda: (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
    "arrow list split": lambda: (pa.array([[1, 2], [3]]), pa.array([[1], [2, 3]])),
    "arrow empty and null list": lambda: (pa.array([[1], []]), pa.array([[1], None])),
    "arrow struct null": lambda: (
        pa.array([{"x": None}]),
        pa.array([None], pa.struct({"x": pa.null()})),
    ),
    "arrow type": lambda: (pa.array([1]), pa.array([1], pa.int32())),
    "arrow schema metadata": lambda: (
        pa.table({"a": [1]}),
        pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}),
    ),
    "arrow table and batch": lambda: (pa.table({"a": [1]}), pa.record_batch({"a": [1]})),
    "arrow column name": lambda: (pa.table({"a": [1]}), pa.table({"b": [1]})),
    "sparse format": lambda: (sp.csr_matrix(SQUARE), sp.csc_matrix(SQUARE)),
    "sparse kind": lambda: (sp.csr_matrix(SQUARE), sp.csr_array(SQUARE)),
    "sparse value": lambda: (sp.csr_matrix(SQUARE), sp.csr_matrix(SQUARE * 2)),
    "sparse shape": lambda: (sp.csr_matrix((2, 3)), sp.csr_matrix((2, 4))),
    "image size": lambda: (Image.new("L", (2, 3)), Image.new("L", (3, 2))),
    "image pixel": lambda: (Image.new("L", (2, 3)), Image.new("L", (2, 3), 1)),
    "image mode": lambda: (Image.new("L", (2, 3)), Image.new("P", (2, 3))),
    "image palette": lambda: (
        Image.new("RGB", (2, 2), "red").quantize(2),
        Image.new("RGB", (2, 2), "blue").quantize(2),
    ),
    "fitted": lambda: (LinearRegression(), LinearRegression().fit(GRID, [1, 2])),
    "parameter": lambda: (LinearRegression(), LinearRegression(fit_intercept=False)),
}


@pytest.mark.parametrize("make", AGREE.values(), ids=AGREE)
def test_equal_values_agree(make: Any) -> None:
    first, second = make()
    assert digest_value(first) == digest_value(second)
    assert digest_value({"k": [first]}) == digest_value({"k": [second]})


@pytest.mark.parametrize("make", DIFFER.values(), ids=DIFFER)
def test_different_values_differ(make: Any) -> None:
    first, second = make()
    assert digest_value(first) != digest_value(second)
    assert digest_value({"k": [first]}) != digest_value({"k": [second]})


# numpy itself loses the attributes of a subclass and, in a pickle, the metadata of a dtype.
LOST = {"subclass", "subclass attribute", "metadata"}
KEPT = {name: make for name, make in (AGREE | DIFFER).items() if name not in LOST}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
def test_a_restored_value_has_the_digest_of_the_fresh_one(make: Any) -> None:
    for value in make():
        expected = digest_value(value)
        assert digest_value(copy.deepcopy(value)) == expected
        assert digest_value(pickle.loads(pickle.dumps(value, 5))) == expected


def test_a_memory_map_is_the_array_it_holds(tmp_path: Path) -> None:
    mapped = _memmap(GRID, tmp_path)
    assert digest_value(mapped) == digest_value(GRID)
    mapped[0, 0] = 9
    assert digest_value(mapped) != digest_value(GRID)
    mapped._mmap.close()


def test_a_restored_forest_is_the_forest() -> None:
    features = np.random.default_rng(0).random((40, 3))
    forest = RandomForestClassifier(4, random_state=0).fit(features, features[:, 0] > 0.5)
    assert digest_value(pickle.loads(pickle.dumps(forest))) == digest_value(forest)
    other = RandomForestClassifier(4, random_state=1).fit(features, features[:, 0] > 0.5)
    assert digest_value(other) != digest_value(forest)


def test_a_refusal_in_a_frame_names_the_column() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [None, threading.Lock()]})
    with pytest.raises(HashError) as caught:
        digest_value({"df": frame}, "cfg")
    assert caught.value.path == "cfg['df']['b'][1]"


def test_figures_and_plans_are_refused() -> None:
    from matplotlib.figure import Figure

    with pytest.raises(HashError, match="figure"):
        digest_value(Figure())
    with pytest.raises(HashError, match="collect"):
        digest_value(pl.LazyFrame({"a": [1]}))


def test_the_rules_import_no_library() -> None:
    code = (
        "import sys\nfrom cellist.caching.digests import digest_value\n"
        "digest_value([1, {2: (3.5, {4})}])\n"
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_DTYPES = st.sampled_from(["i1", "u2", "<i8", ">f4", "f8", "?", "c8", "U3", "M8[s]", "O"])


@given(_DTYPES, st.lists(st.integers(1, 4), max_size=3), st.data())
def test_layouts_of_one_array_agree_and_one_element_differs(
    dtype: str, shape: list[int], data: st.DataObject
) -> None:
    size = int(np.prod(shape))
    values = np.arange(size).astype(dtype).reshape(shape)
    expected = digest_value(values)
    axes = data.draw(st.permutations(range(len(shape))))
    strange = values.transpose(axes).copy().transpose(np.argsort(axes)) if shape else values.copy()
    assert digest_value(strange) == expected
    assert digest_value(values.repeat(2).reshape(-1)[::2].reshape(shape)) == expected
    changed = values.copy()
    at = data.draw(st.integers(0, size - 1))
    changed.flat[at] = np.array(
        1 if changed.dtype == bool and not changed.flat[at] else 0 if changed.dtype == bool else 77
    ).astype(dtype)
    assert digest_value(changed) != expected
