"""Values that differ, or agree, in what their pickle, their text or their `__dict__` hides."""

import collections
import copy
import datetime as dt
import decimal
import fractions
import functools
import io
import pathlib
import pickle
import typing
import weakref
from typing import Any

import attr
import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
import scipy.interpolate as interpolate
import scipy.sparse as sp
import scipy.special
from matplotlib.colors import Normalize
from numpy.polynomial import Polynomial
from PIL import Image
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KDTree, KNeighborsClassifier
from sklearn.utils import Bunch

from cellist.caching import formats
from cellist.caching.digests import digest_value
from cellist.exceptions import HashError, SerializationError

STRING = np.dtypes.StringDType
POINTS = np.arange(10.0).reshape(5, 2)
LINE = np.arange(5.0)


class Moment(dt.datetime):
    pass


class Day(dt.date):
    pass


class Span(dt.timedelta):
    pass


class Amount(decimal.Decimal):
    pass


class Ratio(fractions.Fraction):
    pass


class Place(pathlib.PurePosixPath):
    pass


class Tally(collections.Counter[str]):
    pass


class Groups(collections.defaultdict[str, int]):
    pass


class Matrix(sp.csr_array):
    pass


class Picture(Image.Image):
    pass


class Kept(collections.Counter[str]):
    """Says itself that its attributes are nobody's concern."""

    def __reduce__(self) -> Any:
        return Kept, (dict(self),)


class Model(pydantic.BaseModel):
    a: int

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.a


@attr.s(hash=True, cache_hash=True)
class Cached:
    a: Any = attr.ib()


def anything(**options: Any) -> Any:
    return options


def named(*, a: int = 0, b: int = 0) -> int:
    return a + b


def _with(value: Any, **attributes: Any) -> Any:
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def _used(value: Any, *uses: Any) -> Any:
    for use in uses:
        use(value)
    return value


def _caused(cause: BaseException) -> ValueError:
    error = ValueError("wrong")
    error.__cause__ = cause
    return error


def _animated(*shades: int, at: int = 0, form: str = "GIF") -> Any:
    frames = [Image.new("L", (2, 2), shade) for shade in shades]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    found = Image.open(io.BytesIO(file.getvalue()))
    found.seek(at)
    return found


def _dense(codes: list[int], offsets: list[int], *children: Any) -> Any:
    arrays = [pa.array(child) for child in children]
    return pa.UnionArray.from_dense(
        pa.array(codes, pa.int8()), pa.array(offsets, pa.int32()), arrays
    )


def _sparse_union(codes: list[int], *children: Any) -> Any:
    return pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), [pa.array(c) for c in children])


class Degrees(pa.ExtensionType):
    def __init__(self, zero: int) -> None:
        self.zero = zero
        super().__init__(pa.int64(), "tests.degrees")

    def __arrow_ext_serialize__(self) -> bytes:
        return str(self.zero).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, _storage: Any, serialized: bytes) -> Any:
        return cls(int(serialized))


def _noted(note: str) -> Any:
    return pa.struct([pa.field("a", pa.int8(), metadata={"unit": note})])


def _entries(*keys: tuple[int, int]) -> Any:
    found = sp.dok_array((2, 2))
    for key in keys:
        found[key] = 1.0
    return found


def _spline(garbage: float) -> Any:
    found = interpolate.UnivariateSpline(LINE, LINE)
    data = list(found._data)
    data[11] = np.full_like(data[11], garbage)
    found._data = tuple(data)
    return found


def _masked(fill: Any) -> Any:
    found: Any = np.ma.array([[1], None], mask=[False, True], dtype=object)
    found._fill_value = np.array("?", dtype=fill)
    return found


DIFFERENT: dict[str, tuple[Any, Any]] = {
    "attribute of a datetime": (_with(Moment(2020, 1, 1), a=1), _with(Moment(2020, 1, 1), a=2)),
    "attribute of a date": (_with(Day(2020, 1, 1), a=1), Day(2020, 1, 1)),
    "attribute of a timedelta": (_with(Span(1), a=1), _with(Span(1), a=2)),
    "attribute of a Decimal": (_with(Amount("1"), unit="m"), _with(Amount("1"), unit="s")),
    "attribute of a Fraction": (_with(Ratio(1, 2), a=1), _with(Ratio(1, 2), a=2)),
    "attribute of a path": (_with(Place("a"), tag=1), _with(Place("a"), tag=2)),
    "attribute of a Counter": (_with(Tally("a"), a=1), _with(Tally("a"), a=2)),
    "attribute of a defaultdict": (_with(Groups(int), a=1), _with(Groups(int), a=2)),
    "attribute of a matrix": (_with(sp.csr_array([[1]]), a=1), _with(sp.csr_array([[1]]), a=2)),
    "attribute of a subclass": (_with(Matrix([[1]]), a=1), _with(Matrix([[1]]), a=2)),
    "subclass of a matrix": (Matrix([[1]]), sp.csr_array([[1]])),
    "cause": (_caused(KeyError(1)), _caused(KeyError(2))),
    "no cause": (_caused(KeyError(1)), ValueError("wrong")),
    "name of an AttributeError": (AttributeError("a", name="x"), AttributeError("a", name="y")),
    "strings in objects": (
        pd.Series(["a"], dtype=object),
        pd.Series(["a"], dtype="string[python]"),
    ),
    "kind of missing string": (
        pd.Series(["a"], dtype=pd.StringDtype("python")),
        pd.Series(["a"], dtype=pd.StringDtype("python", na_value=np.nan)),
    ),
    "storage of a dtype": (pd.StringDtype("python"), pd.StringDtype("pyarrow")),
    "missing None": (np.array(["a"], STRING()), np.array(["a"], STRING(na_object=None))),
    "dtype of LIL": (sp.lil_array((2, 2), dtype="i4"), sp.lil_array((2, 2), dtype="i8")),
    "entries of DOK": (_entries((0, 1)), _entries((1, 0))),
    "code of a dense union": (_dense([0], [0], [1], [1]), _dense([1], [0], [1], [1])),
    "code of a sparse union": (_sparse_union([0], [1], [1]), _sparse_union([1], [1], [1])),
    "metadata within a type": (_noted("m"), _noted("s")),
    "parameter of a type": (Degrees(0), Degrees(273)),
    "ufuncs of one name": (np.exp2, scipy.special.exp2),
    "another frame": (_animated(0, 100, 200), _animated(0, 200, 100)),
    "position in an animation": (_animated(0, 0, 9), _animated(0, 0, 9, at=1)),
    "pages of a TIFF": (_animated(0, 1, form="TIFF"), _animated(0, 2, form="TIFF")),
    "order of **options": (
        functools.partial(anything, a=1, b=2),
        functools.partial(anything, b=2, a=1),
    ),
    "forward references": (typing.ForwardRef("A"), typing.ForwardRef("B")),
}

SAME: dict[str, tuple[Any, Any]] = {
    "attributes left out by their class": (_with(Kept("a"), a=1), Kept("a")),
    "cached property of a model": (Model(a=1), _used(Model(a=1), lambda m: m.double)),
    "cached hash": (Cached(1), _used(Cached(1), hash)),
    "lookups in a tree": (KDTree(POINTS), _used(KDTree(POINTS), lambda t: t.query(POINTS))),
    "address of the stop words": (
        TfidfVectorizer(stop_words=list("ab")).fit(["words in texts"]),
        TfidfVectorizer(stop_words=list("ab")).fit(["words in texts"]),
    ),
    "predictions of neighbours": (
        KNeighborsClassifier(1, algorithm="kd_tree").fit(POINTS, [0, 1, 0, 1, 0]),
        _used(
            KNeighborsClassifier(1, algorithm="kd_tree").fit(POINTS, [0, 1, 0, 1, 0]),
            lambda model: model.predict(POINTS),
        ),
    ),
    "colours looked up": (
        mpl.colormaps["viridis"],
        _used(mpl.colormaps["viridis"], lambda colours: colours(0.5)),
    ),
    "groups looked up": (
        pd.DataFrame({"a": [1]}).groupby("a"),
        _used(pd.DataFrame({"a": [1]}).groupby("a"), lambda g: g.sum(), lambda g: g.groups),
    ),
    "window used": (
        pd.Series([1, 2]).rolling(2),
        _used(pd.Series([1, 2]).rolling(2), lambda window: window.sum()),
    ),
    "workspace of a spline": (_spline(0.0), _spline(1.0)),
    "kind of fill value": (_masked(object), _masked("U1")),
    "order of entries": (_entries((0, 1), (1, 0)), _entries((1, 0), (0, 1))),
    "slice of a dense union": (
        _dense([0, 1, 0], [0, 0, 1], [1, 2], ["a"])[1:],
        _dense([1, 0], [0, 0], [2], ["a"]),
    ),
    "slice of a sparse union": (
        _sparse_union([0, 1, 0], [1, 2, 3], ["a", "b", "c"])[1:],
        _sparse_union([1, 0], [9, 3], ["b", "z"]),
    ),
    "order of named options": (
        functools.partial(named, a=1, b=2),
        functools.partial(named, b=2, a=1),
    ),
    "one frame in a file": (_animated(7), pickle.loads(pickle.dumps(_animated(7)))),
}

RESTORED: dict[str, Any] = {
    "polynomial": Polynomial([1, 2]),
    "bunch": Bunch(a=1),
    "norm": Normalize(0, 1),
    "vote": VotingClassifier([("a", LogisticRegression())]).fit(POINTS, [0, 1, 0, 1, 0]),
    "masked objects": np.ma.array([[1], None], mask=[False, True], dtype=object),
    "cached hash": _used(Cached(1), hash),
    "DOK": _entries((0, 1)),
    "union": _dense([0, 1, 0], [0, 0, 1], [1, 2], ["a"])[1:],
    "spline": interpolate.UnivariateSpline(LINE, LINE),
    "neighbours": KNeighborsClassifier(1).fit(POINTS, [0, 1, 0, 1, 0]),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_is_hidden_makes_values_differ(name: str) -> None:
    one, other = DIFFERENT[name]

    assert digest_value(one) != digest_value(other)
    assert digest_value(one) == digest_value(one)


@pytest.mark.parametrize("name", SAME)
def test_use_and_making_make_no_difference(name: str) -> None:
    one, other = SAME[name]

    assert digest_value(one) == digest_value(other)


@pytest.mark.parametrize("name", RESTORED)
def test_a_restored_value_agrees(name: str) -> None:
    value = RESTORED[name]
    before = digest_value(value)
    stored = formats.encode(value).owned()
    restored = formats.decode(stored.format, stored.meta, stored.parts, private=False)

    assert digest_value(restored) == before
    assert digest_value(pickle.loads(pickle.dumps(value))) == before
    assert digest_value(copy.deepcopy(value)) == before
    assert digest_value(value) == before


def _webp() -> Any:
    return _animated(0, 255, form="WEBP")


REFUSED: dict[str, tuple[Any, str]] = {
    "ufunc of the user's": (np.frompyfunc(len, 1, 1), "a function it does not tell"),
    "finalizer": (weakref.finalize(Moment(2020, 1, 1), print), "waits for an object"),
    "styler": (pd.DataFrame({"a": [1]}).style, "under a name made at random"),
    "frames out of reach": (_webp(), "has frames that are not loaded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_hides_its_parts_is_refused_with_its_path(name: str) -> None:
    value, story = REFUSED[name]

    with pytest.raises(HashError, match=story) as caught:
        digest_value({"k": [value]}, "config")

    assert caught.value.path == "config['k'][0]"


def test_a_memoryview_is_not_stored_as_bytes() -> None:
    with pytest.raises(SerializationError, match="memoryview"):
        formats.encode(memoryview(b"ab"))
