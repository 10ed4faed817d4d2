"""Frames go through Arrow only where they come back exactly."""

import math

import numpy as np
import pandas as pd
import pytest

from tests.caching.faulty import back


def frame():
    return pd.DataFrame(
        {
            "n": [1, 2, 3],
            "small": np.array([1, 2, 3], "u1"),
            "x": [0.5, math.nan, -0.0],
            "text": pd.array(["a", None, "ü"], dtype="str"),
            "at": pd.to_datetime(["2020-01-01", "NaT", "2021-01-01"]),
            "took": pd.to_timedelta([1, 2, 3], unit="s"),
            "ok": [True, False, True],
        }
    )


FRAMES = {
    "plain": frame(),
    "text index": frame().set_index("text"),
    "time index": frame().set_index("at"),
    "named": frame().rename_axis("row").rename_axis("col", axis=1),
    "no rows": frame().iloc[:0],
    "sliced": frame().iloc[1:],
    "nullable text": frame().assign(text=pd.array(["a", None, "b"], dtype="string")),
    "series": frame()["x"],
    "text series": frame()["text"],
}


def same_table(first, second):
    test = pd.testing.assert_series_equal if first.ndim == 1 else pd.testing.assert_frame_equal
    test(first, second, check_exact=True, check_freq=True, check_flags=True)
    assert first.index.equals(second.index)
    assert type(first.index) is type(second.index)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("private", [True, False])
def test_frames_go_through_arrow_and_come_back(name, private):
    kind, value = back(FRAMES[name], private=private)
    assert kind == "arrow"
    same_table(FRAMES[name], value)
    if value.ndim == 2:
        assert list(value.dtypes) == list(FRAMES[name].dtypes)
        assert value.columns.dtype == FRAMES[name].columns.dtype


@pytest.mark.parametrize("private", [True, False])
def test_a_restored_frame_can_be_changed(private):
    _, value = back(frame(), private=private)
    value.loc[0, "n"] = 9
    value.loc[0, "text"] = "new"
    value.loc[0, "x"] = 2.0
    value["more"] = 1
    assert value.loc[0, ["n", "text", "x", "more"]].tolist() == [9, "new", 2.0, 1]
    series = back(frame()["n"], private=private)[1]
    series.iloc[0] = 7
    assert series.tolist() == [7, 2, 3]


def test_the_bits_of_nans_survive_in_a_frame():
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], "u8").view("f8")
    value = back(pd.DataFrame({"x": odd}))[1]
    assert value["x"].to_numpy().tobytes() == odd.tobytes()


def with_attrs():
    table = frame()
    table.attrs["source"] = "x"
    return table


@pytest.mark.parametrize(
    "table",
    [
        frame().set_index(["n", "ok"]),
        frame().astype({"text": "category"}),
        frame().astype({"text": object}),
        frame().assign(n=frame()["n"].astype("Int64")),
        frame().assign(at=frame()["at"].dt.tz_localize("UTC")),
        frame().set_index(pd.date_range("2020", periods=3, freq="D")),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({1: [1]}),
        pd.DataFrame(),
        with_attrs(),
        pd.Series([1], name=("a", 1)),
    ],
    ids=[
        "multi-index", "category", "object", "nullable", "zone", "frequency", "duplicate names",
        "number as name", "empty", "attrs", "tuple as name",
    ],
)  # fmt: skip
def test_frames_arrow_would_change_are_pickled(table):
    kind, value = back(table)
    assert kind == "pickle"
    same_table(table, value)
    assert value.attrs == table.attrs
