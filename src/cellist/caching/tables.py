"""pandas frames and series as Arrow files, where that is exact.

Arrow's own conversion of pandas loses or changes things: the frequency of an index, the bits of
NaNs, mixed objects, duplicate columns. Here a frame qualifies only if every column is of a kind
that comes back bit by bit: numbers, booleans, times without zone (as numbers, with their unit),
and pandas' text type. What makes the frame a pandas frame (names, index, dtypes) is kept as data
beside it and put back by our own code. Everything else is left to pickle.
"""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, cast

from cellist.caching.envelope import Bytes

_NUMBERS = r"[<|=](b1|[iu][1248]|f[48])"
_TIMES = r"<[Mm]8\[(s|ms|us|ns)\]"


class _NotExact(Exception):
    """The frame holds something that would not come back as it is."""


def encode(value: Any) -> tuple[Any, Bytes] | None:
    """Return what `decode` needs for a frame or series, or None if Arrow would not be exact."""
    pandas = sys.modules.get("pandas")
    kind = cast("Any", type(value))
    if pandas is None or kind not in (
        getattr(pandas, "DataFrame", None),
        getattr(pandas, "Series", None),
    ):
        return None
    try:
        meta, arrays = _take_apart(value, is_frame=kind is pandas.DataFrame)
    except _NotExact:
        return None
    pa: Any = import_module("pyarrow")
    table: Any = pa.Table.from_arrays(arrays, names=[str(i) for i in range(len(arrays))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return meta, memoryview(sink.getvalue())


def decode(meta: Any, part: Bytes) -> Any:
    """Return the frame or series, in memory of its own."""
    pa: Any = import_module("pyarrow")
    return restore(meta, pa.ipc.open_file(pa.py_buffer(part)).read_all())


def restore(meta: Any, table: Any) -> Any:
    """Return the frame or series whose columns are those of an Arrow table."""
    pd: Any = import_module("pandas")
    arrays: Iterator[Any] = iter(table.columns)
    columns = [_restore(spec, next(arrays)) for spec in meta["columns"]]
    index = _restore_index(meta["index"], arrays)
    if meta["kind"] == "series":
        return pd.Series(columns[0], index=index, name=meta["name"], copy=True)
    frame = pd.DataFrame(dict(enumerate(columns)), index=index, copy=True)
    frame.columns = pd.Index(meta["names"], dtype=_label_dtype(meta["label"]), name=meta["name"])
    return frame


def _take_apart(value: Any, *, is_frame: bool) -> tuple[dict[str, Any], list[Any]]:
    if value.attrs or not value.flags.allows_duplicate_labels:
        raise _NotExact
    arrays: list[Any] = []
    meta: dict[str, Any]
    if is_frame:
        names = value.columns
        if type(names).__name__ != "Index" or not names.is_unique or not _is_text(names):
            raise _NotExact
        meta = {"kind": "frame", "names": list(names), "label": _label_of(names.dtype)}
        meta["name"] = _label(names.name)
        columns = [value.iloc[:, i] for i in range(len(names))]
    else:
        meta = {"kind": "series", "name": _label(value.name)}
        columns = [value]
    meta["columns"] = [_convert(column.dtype, column, arrays) for column in columns]
    meta["index"] = _take_index(value.index, arrays)
    return meta, arrays


def _take_index(index: Any, arrays: list[Any]) -> dict[str, Any]:
    name = _label(index.name)
    kind = type(index).__name__
    if kind == "RangeIndex":
        return {"range": [index.start, index.stop, index.step], "name": name}
    if kind not in ("Index", "DatetimeIndex", "TimedeltaIndex") or getattr(index, "freq", None):
        raise _NotExact
    return {"column": _convert(index.dtype, index, arrays), "name": name}


def _restore_index(spec: dict[str, Any], arrays: Iterator[Any]) -> Any:
    pd: Any = import_module("pandas")
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=spec["name"])
    return pd.Index(_restore(spec["column"], next(arrays)), name=spec["name"])


def _convert(dtype: Any, column: Any, arrays: list[Any]) -> dict[str, Any]:
    """Add the column to the arrays and return what restores it."""
    pa: Any = import_module("pyarrow")
    text = getattr(dtype, "str", "")
    if isinstance(text, str) and (re.fullmatch(_NUMBERS, text) or re.fullmatch(_TIMES, text)):
        values = column.to_numpy()
        raw = values.view("i8") if re.fullmatch(_TIMES, text) else values
        arrays.append(pa.array(raw, from_pandas=False))  # NaN stays the number it is
        return {"dtype": text}
    if type(dtype).__name__ == "StringDtype":
        arrays.append(_one_chunk(pa.array(column.array, from_pandas=True)))
        return {"text": _label_of(dtype)}
    raise _NotExact


def _restore(spec: dict[str, Any], array: Any) -> Any:
    """Return the values of a column; they may lie in Arrow's memory, which cannot be written."""
    np: Any = import_module("numpy")
    if "text" in spec:
        return _label_dtype(spec["text"]).__from_arrow__(array)
    dtype = np.dtype(spec["dtype"])
    values = array.to_numpy()
    return values.view(dtype) if dtype.kind in "mM" else values


def _one_chunk(array: Any) -> Any:
    pa: Any = import_module("pyarrow")
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _is_text(names: Any) -> bool:
    return all(type(name) is str for name in names)


def _label(name: Any) -> str | None:
    """Return the name of an axis or series if it survives as JSON."""
    if name is not None and type(name) is not str:
        raise _NotExact
    return name


def _label_of(dtype: Any) -> Any:
    """Return what tells one text dtype from another: `object`, or storage and missing value."""
    if getattr(dtype, "kind", "") == "O" and type(dtype).__name__ == "ObjectDType":
        return "object"
    if type(dtype).__name__ != "StringDtype":
        raise _NotExact
    missing = getattr(dtype, "na_value", None)
    return [dtype.storage, "nan" if isinstance(missing, float) else "NA"]


def _label_dtype(label: Any) -> Any:
    pd: Any = import_module("pandas")
    if label == "object":
        return object
    storage, missing = label
    if missing == "NA":
        return pd.StringDtype(storage)
    return pd.StringDtype(storage, na_value=float("nan"))
