"""Digests of values of the standard library that are more than their pickled parts say.

The tables map `package.Qualname` (the top-level package, whatever submodule defines the type) to
a rule as in `rules`; `EXACT` holds for the type alone, `BASES` for subclasses, too.
"""

import gc
import sys
from array import array
from collections.abc import Callable, Generator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import PurePath
from typing import Any

from cellist.caching.encoding import bulk, head, integer, leaf, node, text
from cellist.caching.refusals import Refusal

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]


def _aware(kind: str, zone: tzinfo, *tokens: bytes) -> Rule:
    return node(kind, *tokens, (yield ".tzinfo", zone))


def _datetime(value: datetime) -> bytes | Rule:
    # The naive text and the zone's own identity: two zones may share an offset today only.
    told = text(value.replace(tzinfo=None).isoformat()), integer(value.fold)
    zone = value.tzinfo
    return node("datetime", *told) if zone is None else _aware("datetime", zone, *told)


def _time(value: time) -> bytes | Rule:
    told = text(value.replace(tzinfo=None).isoformat()), integer(value.fold)
    zone = value.tzinfo
    return node("time", *told) if zone is None else _aware("time", zone, *told)


def _date(value: date) -> bytes:
    return node("date", integer(value.toordinal()))


def _timedelta(value: timedelta) -> bytes:
    return node(
        "timedelta", integer(value.days), integer(value.seconds), integer(value.microseconds)
    )


def _timezone(value: timezone) -> bytes:
    offset = UTC.utcoffset(None) if value is UTC else value.utcoffset(None)
    return node("timezone", _timedelta(offset), text(value.tzname(None)))


def _zoneinfo(value: Any) -> bytes:
    if value.key is None:
        raise Refusal("has no key; it was read from a file object")
    value.__reduce__()  # raises for one that was read from a file object under some key
    return node("zoneinfo", text(value.key))


def _decimal(value: Any) -> bytes:
    return node("Decimal", text(str(value)))  # exact: digits, exponent, sign, kind of NaN


def _fraction(value: Any) -> bytes:
    return node("Fraction", integer(value.numerator), integer(value.denominator))


def _uuid(value: Any) -> bytes:
    return node("UUID", leaf(b"b", value.bytes))


def _path(value: PurePath) -> Rule:
    """The text as given: neither resolved nor read, and the same on every machine."""
    kind = type(value)
    name = {"PosixPath": "Path", "WindowsPath": "Path"}.get(kind.__qualname__, kind.__qualname__)
    if kind.__module__.partition(".")[0] == "pathlib":
        return node("path", text(name), text(value.as_posix()))
    return node("path", (yield "", kind), text(value.as_posix()))


def _pattern(value: Any) -> Rule:
    return node("re.Pattern", (yield ".pattern", value.pattern), integer(value.flags))


def _logger(value: Any) -> bytes:
    return node("Logger", text(value.name))


def _range(value: range) -> bytes:
    return node("range", integer(value.start), integer(value.stop), integer(value.step))


def _slice(value: slice) -> Rule:
    start = yield ".start", value.start
    stop = yield ".stop", value.stop
    return node("slice", start, stop, (yield ".step", value.step))


def _ellipsis(_value: Any) -> bytes:
    return node("Ellipsis")


def _not_implemented(_value: Any) -> bytes:
    return node("NotImplemented")


def _bytearray(value: bytearray) -> bytes:
    return node("bytearray", bulk(b"b", value))


def _memoryview(value: memoryview) -> bytes:
    shape = b"".join(integer(size) for size in value.shape or ())
    contiguous = value if value.c_contiguous and value.nbytes else value.tobytes()
    return bulk(head("memoryview", text(value.format), leaf(b"b", shape)), contiguous)


def _array(value: "array[Any]") -> Rule:
    if value.typecode == "u":
        return node("array", text("u"), (yield "", value.tolist()))
    little = value
    if sys.byteorder == "big":
        little = value[:]
        little.byteswap()
    return bulk(head("array", text(value.typecode), integer(value.itemsize)), little)


def _mapping_proxy(value: Any) -> Rule:
    # What is behind it decides what a missing key does, and does not show.
    [behind] = gc.get_referents(value)
    return node("mappingproxy", (yield "", behind))


def _type_variable(value: Any) -> Rule:
    told = [text(str(value.__module__)), text(value.__name__)]
    allowed = value.__bound__, value.__constraints__
    variance = value.__covariant__, value.__contravariant__
    if allowed != (None, ()) or any(variance):
        told += [(yield "", allowed), (yield "", variance)]
    return node("global", *told)


def _new_type(value: Any) -> Rule:
    told = text(str(value.__module__)), text(value.__qualname__)
    return node("global", *told, (yield ".__supertype__", value.__supertype__))


def _dict_keys(value: Any) -> Rule:
    return node("dict_keys", (yield "", list(value)))


def _dict_values(value: Any) -> Rule:
    return node("dict_values", (yield "", list(value)))


def _dict_items(value: Any) -> Rule:
    return node("dict_items", (yield "", dict(value)))


def _enum(value: Any) -> Rule:
    kind = yield "", type(value)
    return node("enum", kind, (yield ".name", value._name_), (yield ".value", value._value_))


def _struct(value: Any) -> bytes:
    return node("Struct", text(value.format))


def _forward(value: Any) -> Rule:
    told = text(value.__forward_arg__), (yield "", value.__forward_module__)
    flags = value.__forward_is_argument__, value.__forward_is_class__
    return node("ForwardRef", *told, (yield "", flags))


def _refused(story: str) -> Handler:
    def refuse(_value: Any) -> bytes:
        raise Refusal(story)

    return refuse


EXACT: dict[str, Handler] = {
    "datetime.datetime": _datetime,
    "datetime.time": _time,
    "datetime.date": _date,
    "datetime.timedelta": _timedelta,
    "datetime.timezone": _timezone,
    "zoneinfo.ZoneInfo": _zoneinfo,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "uuid.UUID": _uuid,
    "re.Pattern": _pattern,
    "builtins.range": _range,
    "builtins.slice": _slice,
    "builtins.ellipsis": _ellipsis,
    "builtins.NotImplementedType": _not_implemented,
    "builtins.bytearray": _bytearray,
    "builtins.memoryview": _memoryview,
    "builtins.mappingproxy": _mapping_proxy,
    "builtins.dict_keys": _dict_keys,
    "builtins.dict_values": _dict_values,
    "builtins.dict_items": _dict_items,
    "array.array": _array,
    "_struct.Struct": _struct,
    "typing.ForwardRef": _forward,
    "typing.TypeVar": _type_variable,
    "typing.NewType": _new_type,
    "builtins.object": _refused("has no content to tell it from another one"),
}

BASES: dict[str, Handler] = {
    "pathlib.PurePath": _path,
    "logging.Logger": _logger,
    "enum.Enum": _enum,
    "_io._IOBase": _refused("is an open stream, which reading would change"),
    "weakref.finalize": _refused("waits for an object to be forgotten"),
    "weakref.WeakKeyDictionary": _refused("forgets its items by itself"),
    "weakref.WeakValueDictionary": _refused("forgets its items by itself"),
    "_weakrefset.WeakSet": _refused("forgets its members by itself"),
    "asyncio._LoopBoundMixin": _refused("belongs to an event loop, not to a value"),
    "asyncio.AbstractEventLoop": _refused("is an event loop, not a value"),
    "matplotlib.Artist": _refused("is part of a figure, whose content has no stable form"),
    "ipywidgets.Widget": _refused("is a control of the page; pass what it says, as `.value`"),
    "polars.LazyFrame": _refused("is a plan and not data; call `.collect()` first"),
}
