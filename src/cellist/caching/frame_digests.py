"""Digests of pandas values: labels, dtypes and content, never the layout of blocks.

A frame is its columns' labels, its index (kind, names, frequency), each column's dtype and
values, and its `attrs` and flags. Two frames that show the same but differ in the name of an
index, in a category's order or in `None` against `NaN` are different.
"""

import sys
from collections.abc import Callable, Generator
from datetime import UTC
from importlib import import_module
from typing import Any

from cellist.caching.array_digests import content
from cellist.caching.arrow_digests import array_token
from cellist.caching.encoding import integer, node, text
from cellist.caching.refusals import Refusal, step_of

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]


def column(values: Any) -> Rule:
    """Token of the array behind a column or an index."""
    import numpy as np

    pd: Any = sys.modules["pandas"]

    if isinstance(values, np.ndarray):
        return (yield from content(values))
    name = type(values).__qualname__
    rule = _ARRAYS.get(name) if type(values).__module__.partition(".")[0] == "pandas" else None
    if rule is not None:
        return node("column", text(str(values.dtype)), (yield from rule(values)))
    if isinstance(values, pd.arrays.NumpyExtensionArray):
        return (yield from content(values.to_numpy()))
    if isinstance(values, pd.arrays.ArrowStringArray | pd.arrays.ArrowExtensionArray):
        return (yield from _arrow_backed(values))
    kind = yield "", type(values)
    dtype = yield ".dtype", values.dtype
    return node("column", kind, dtype, (yield "", np.asarray(values, dtype=object)))


def _dates(values: Any) -> Rule:
    zone = yield from _odd_zone(values.dtype)
    return node("dates", (yield from content(values.asi8)), *zone)


def _odd_zone(dtype: Any) -> Generator[tuple[str, Any], bytes, list[bytes]]:
    """Token of a time zone whose name does not say what it is, such as an offset of any name."""
    zone = getattr(dtype, "tz", None)
    if zone is None or zone == UTC or getattr(zone, "key", None) is not None:
        return []
    return [(yield ".tz", zone)]


def _categories(values: Any) -> Rule:
    codes = yield from content(values.codes)
    ordered = yield "", bool(values.ordered)
    return node("categories", codes, (yield ".categories", values.categories), ordered)


def _intervals(values: Any) -> Rule:
    left = yield "", values.left
    return node("intervals", left, (yield "", values.right), text(values.closed))


def _masked(values: Any) -> Rule:
    missing = values.isna()
    filled = values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=0)
    return node("masked", (yield from content(filled)), (yield from content(missing)))


def _sparse(values: Any) -> Rule:
    stored = yield from content(values.sp_values)
    where = yield from content(values.sp_index.indices)
    tokens = [stored, where, (yield ".fill_value", values.fill_value), integer(len(values))]
    return node("sparse", *tokens, *([] if values.kind == "integer" else [text(values.kind)]))


def _strings(values: Any) -> Rule:
    """Strings, whatever keeps them: `str` columns are the same in Python and Arrow memory."""
    missing = yield "", values.dtype.na_value
    if hasattr(values, "__arrow_array__") and "Arrow" in type(values).__qualname__:
        return node("strings", missing, (yield from array_token(_large(values))))
    plain = values.to_numpy(dtype=object)
    return node("strings", text("python"), missing, (yield "", plain))


def _large(values: Any) -> Any:
    pa: Any = import_module("pyarrow")
    found: Any = values.__arrow_array__()
    return found if found.type == pa.large_string() else found.cast(pa.large_string())


def _arrow_backed(values: Any) -> Rule:
    return node("arrow", (yield from array_token(values.__arrow_array__())))


_ARRAYS: dict[str, Callable[[Any], Rule]] = {
    "DatetimeArray": _dates,
    "TimedeltaArray": _dates,
    "PeriodArray": _dates,
    "Categorical": _categories,
    "IntervalArray": _intervals,
    "IntegerArray": _masked,
    "FloatingArray": _masked,
    "BooleanArray": _masked,
    "SparseArray": _sparse,
    "StringArray": _strings,
    "ArrowStringArray": _strings,
    "ArrowStringArrayNumpySemantics": _strings,
    "StringArrayNumpySemantics": _strings,
    "ArrowExtensionArray": _arrow_backed,
}


def _under(step: str, rule: Rule) -> Rule:
    """Drive a rule whose parts lie under a step of the path."""
    token: Any = None
    try:
        while True:
            inner, child = rule.send(token)
            token = yield step + inner, child
    except StopIteration as stop:
        return stop.value


def _frame(frame: Any) -> Rule:
    tokens = [(yield ".columns", frame.columns), (yield ".index", frame.index)]
    for position in range(frame.shape[1]):
        step = step_of(frame.columns[position])
        tokens.append((yield from _under(step, column(frame.iloc[:, position].array))))
    return node("DataFrame", *tokens, (yield from _extras(frame)))


def _series(series: Any) -> Rule:
    tokens = [(yield ".name", series.name), (yield ".index", series.index)]
    tokens.append((yield from column(series.array)))
    return node("Series", *tokens, (yield from _extras(series)))


def _extras(value: Any) -> Rule:
    allows = yield "", bool(value.flags.allows_duplicate_labels)
    return node("extras", (yield ".attrs", value.attrs), allows)


def _index(index: Any) -> Rule:
    kind = text(type(index).__qualname__)
    names = yield ".names", list(index.names)
    # Not its text: that of business days does not tell the holidays.
    frequency = yield ".freq", getattr(index, "freq", None)
    return node("Index", kind, names, frequency, (yield from column(index.array)))


def _range_index(index: Any) -> Rule:
    bounds = yield "", (index.start, index.stop, index.step)
    return node("RangeIndex", (yield ".names", list(index.names)), bounds)


def _multi_index(index: Any) -> Rule:
    """Level by level as the rows have it, so that unused levels do not count."""
    tokens = [(yield ".names", list(index.names))]
    for level in range(index.nlevels):
        token = yield "", index.get_level_values(level)
        tokens.append(token)
    return node("MultiIndex", *tokens)


def _extension(values: Any) -> Rule:
    return node("array", text(type(values).__qualname__), (yield from column(values)))


def _timestamp(value: Any) -> Rule:
    moment = integer(value.asm8.view("i8").item())
    zone = yield ".tz", value.tzinfo
    return node("Timestamp", moment, text(value.unit), zone, integer(value.fold))


def _timedelta(value: Any) -> bytes:
    return node("Timedelta", integer(value.asm8.view("i8").item()), text(value.unit))


def _period(value: Any) -> bytes:
    return node("Period", integer(value.ordinal), text(value.freqstr))


def _interval(value: Any) -> Rule:
    left = yield ".left", value.left
    return node("Interval", left, (yield ".right", value.right), text(value.closed))


def _not_a_time(_value: Any) -> bytes:
    return node("NaT")


def _missing(_value: Any) -> bytes:
    return node("NA")


def _dtype(value: Any) -> Rule:
    kind = text(type(value).__qualname__)
    if type(value).__qualname__ == "CategoricalDtype":
        ordered = yield "", value.ordered
        return node("pd.dtype", kind, (yield ".categories", value.categories), ordered)
    missing = yield "", getattr(value, "na_value", None)
    if type(value).__qualname__ == "StringDtype":
        return node("pd.dtype", kind, text(f"{value}[{value.storage}]"), missing)
    zone = yield from _odd_zone(value)
    return node("pd.dtype", kind, text(str(value)), missing, *zone)


def _styler(_value: Any) -> bytes:
    message = "draws a table under a name made at random; pass the frame"
    raise Refusal(message)


EXACT: dict[str, Handler] = {
    "pandas.Timestamp": _timestamp,
    "pandas.Timedelta": _timedelta,
    "pandas.Period": _period,
    "pandas.Interval": _interval,
    "pandas.NaTType": _not_a_time,
    "pandas.NAType": _missing,
}
BASES: dict[str, Handler] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "pandas.RangeIndex": _range_index,
    "pandas.MultiIndex": _multi_index,
    "pandas.Index": _index,
    "pandas.ExtensionArray": _extension,
    "pandas.ExtensionDtype": _dtype,
    "pandas.Styler": _styler,
}
