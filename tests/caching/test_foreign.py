"""What is read of others: data, exactly; and of what only looks like data, nothing."""

import json
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching.foreign import decode_foreign
from cellist.caching.formats import DATA_ONLY, Encoded, encode, serialize
from cellist.caching.serializers import JSONSerializer

DATA = {
    "text": "text \ud800",
    "bytes": b"\0\1",
    "json": {"a": [1, None, 2.5, "x"]},
    "array": np.arange(6.0).reshape(2, 3),
    "booleans": np.array([True, False]),
    "times": np.array(["2026-01-01", "NaT"], "M8[ns]"),
    "texts": np.array(["a", "äö"]),
    "complex": np.array([1j]),
    "empty": np.empty((0, 3)),
    "scalar": np.array(5),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "frame": pd.DataFrame({"x": [1, 2], "t": ["a", None], "f": [True, False]}),
    "indexed": pd.DataFrame({"x": [1.0]}, index=pd.Index(["a"], name="i")),
    "series": pd.Series([1.5, float("nan")], name="s"),
    "no rows": pd.DataFrame({"x": np.array([], "f4")}),
    "dates": pd.DataFrame({"d": pd.to_datetime(["2026-01-01"])}),
}


@pytest.mark.parametrize("value", DATA.values(), ids=DATA)
def test_data_comes_back_as_it_was(value):
    encoded = encode(value)
    assert encoded.format in DATA_ONLY
    # as it comes out of a manifest
    meta = json.loads(json.dumps(encoded.meta))
    found = decode_foreign(encoded.format, meta, [bytes(encoded.parts[0])])
    if isinstance(value, pd.DataFrame | pd.Series):
        assert encoded.format == "arrow"
        assert type(found) is type(value)
        pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(value))
    elif isinstance(value, np.ndarray):
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(found, value)
    else:
        assert found == value


PICKLED = pickle.dumps({1, 2})
NOT_DATA = {
    "a pickle": Encoded("pickle", None, [PICKLED]),
    "an own serializer": serialize([1], JSONSerializer()),
    "a format of the future": Encoded("hdf5", None, [b""]),
    "two parts": Encoded("bytes", None, [b"", b""]),
    "no parts": Encoded("json", None, []),
    "no JSON": Encoded("json", None, [PICKLED]),
    "deep JSON": Encoded("json", None, [b"[" * 10**6]),
    "a number without end": Encoded("json", None, [b"9" * 10**6]),
}


def array(part=bytes(16), **said):
    meta = {"dtype": "<f8", "shape": [2], "order": "C", "writeable": True, **said}
    return Encoded("array", meta, [part])


NOT_DATA |= {
    "an array of objects": array(dtype="|O"),
    "an empty array of objects": array(b"", dtype="|O", shape=[0]),
    "an array of rows with objects": array(dtype="O,i8"),
    "a dtype that is a list": array(dtype=[["a", "|O"]]),
    "an array larger than its bytes": array(shape=[10**12]),
    "an array of nothing, many times": array(b"", dtype="<U0", shape=[10**12]),
    "a negative shape": array(shape=[-2]),
    "two negative sizes": array(shape=[-1, -2]),
    "a shape that is no list": array(shape=5),
    "no array, no description": Encoded("array", None, [b""]),
    "text beyond Unicode": array(b"\xff" * 4, dtype="<U1", shape=[1]),
    "an order that is none": array(order="X"),
}


def arrow(table, part=None, **options):
    sink = pa.BufferOutputStream()
    chosen = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_file(sink, table.schema, options=chosen) as writer:
        writer.write_table(table)
    names = [str(i) for i in range(table.num_columns)]
    columns = [{"dtype": "<i8"} for _ in names]
    index = {"range": [0, table.num_rows, 1], "name": None}
    meta = {"kind": "frame", "names": names, "label": "object", "name": None}
    meta |= {"columns": columns, "index": index}
    return Encoded("arrow", meta, [part or sink.getvalue().to_pybytes()])


class Extended(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.int64(), "tests.extended")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        raise AssertionError("code of a type was run")


def extended():
    kind = Extended()
    return pa.table({"0": pa.ExtensionArray.from_storage(kind, pa.array([1]))})


PLAIN = pa.table({"0": [1, 2]})
WHOLE = arrow(PLAIN).parts[0]
NOT_DATA |= {
    "compressed columns": arrow(pa.table({"0": [0] * 10**5}), compression="zstd"),
    "compressed columns, lz4": arrow(pa.table({"0": [0] * 10**5}), compression="lz4"),
    "a column of an extension type": arrow(extended()),
    "a column of bytes": arrow(pa.table({"0": [PICKLED]})),
    "a column of lists": arrow(pa.table({"0": [[1]]})),
    "a column of nothing": arrow(pa.table({"0": pa.nulls(5)})),
    "a dictionary": arrow(pa.table({"0": pa.array(["a"]).dictionary_encode()})),
    "an Arrow file cut short": arrow(PLAIN, WHOLE[:200]),
    "no Arrow file": arrow(PLAIN, PICKLED),
    "nothing": arrow(PLAIN, b"ARROW1\0\0"),
}


@pytest.mark.parametrize("encoded", NOT_DATA.values(), ids=NOT_DATA)
def test_what_is_not_plain_data_is_refused(encoded):
    with pytest.raises(Exception):  # noqa: B017 - any will do: each is a miss
        decode_foreign(encoded.format, encoded.meta, encoded.parts)


def test_the_plain_table_is_read():
    """So that what the table above refuses is refused for what its name says."""
    plain = arrow(PLAIN)
    frame = decode_foreign("arrow", plain.meta, plain.parts)
    assert frame["0"].tolist() == [1, 2]


def test_the_footer_of_an_arrow_file_is_not_read():
    good, other = bytes(WHOLE), bytes(arrow(pa.table({"0": [[1]]})).parts[0])
    footer = other[-10 - int.from_bytes(other[-10:-6], "little") :]
    mixed = good[: -10 - int.from_bytes(good[-10:-6], "little")] + footer
    frame = decode_foreign("arrow", arrow(PLAIN).meta, [mixed])
    assert frame["0"].tolist() == [1, 2]


@given(data=st.data())
def test_a_damaged_arrow_file_never_does_more_than_fail(data):
    raw = bytearray(arrow(pa.table({"0": [1, 2], "1": ["a", "bc"]})).parts[0])
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    meta = {
        "kind": "frame", "names": ["0", "1"], "label": "object", "name": None,
        "columns": [{"dtype": "<i8"}, {"text": ["pyarrow", "nan"]}],
        "index": {"range": [0, 2, 1], "name": None},
    }  # fmt: skip
    try:
        frame = decode_foreign("arrow", meta, [bytes(raw)])
    except Exception:
        return
    assert len(repr(frame)) < 10_000
