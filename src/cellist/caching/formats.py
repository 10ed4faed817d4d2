"""Values to bytes and back: exact formats for plain data, pickle for the rest.

A format is used only where what comes back is exactly what went in: same type, same bits, same
aliasing. Plain formats are also read by people who must not run our pickles.

    text, bytes     the value itself
    json            None, bool, int, float, and lists and dicts of those and text
    array           numpy arrays of plain dtypes: raw memory
    arrow           pandas frames and series of plain columns (see `tables`)
    pickle          everything else, large buffers kept apart (see `pickles`)
    serialized      what a serializer of the user's choice made of the value (see `serializers`)

`encode` may return views of the caller's memory: copy them with `Encoded.owned`, or use them up
before the caller can change them.
"""

import json
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

from cellist.caching import pickles, tables
from cellist.caching.envelope import Bytes, parse_json
from cellist.caching.serializers import Serializer
from cellist.exceptions import SerializationError

DATA_ONLY = frozenset({"text", "bytes", "json", "array", "arrow"})
_ATOMS = frozenset({str, int, float, bool, type(None)})
_IMMUTABLE = _ATOMS | {bytes, complex}
_MAX_DEPTH = 50
_MAX_ITEMS = 10_000
_MAX_INT = 2**63
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Encoded(NamedTuple):
    """A value as bytes: the name of its format, what else decoding needs, and the parts."""

    format: str
    meta: Any
    parts: list[Bytes]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(
            part.nbytes if isinstance(part, memoryview) else len(part) for part in self.parts
        )

    def owned(self) -> "Encoded":
        """Return the same with every part in memory that nobody else can change."""
        parts: list[Bytes] = [
            part if isinstance(part, bytes) else bytes(part) for part in self.parts
        ]
        return Encoded(self.format, self.meta, parts)


def encode(value: Any) -> Encoded:
    """Return the value as bytes. Raises `SerializationError` naming what cannot be stored."""
    kind = cast("Any", type(value))
    if kind is str:
        return Encoded("text", None, [value.encode("utf-8", "surrogatepass")])
    if kind is bytes:
        return Encoded("bytes", None, [value])
    if kind in _ATOMS or kind is list or kind is dict:
        if _is_json(value, _MAX_DEPTH, set()):
            text = _to_json(value)
            return Encoded("json", None, [text.encode("utf-8", "surrogatepass")])
    elif (numpy := sys.modules.get("numpy")) is not None:
        if kind is getattr(numpy, "ndarray", None):  # another thread may be importing it just now
            if (encoded := _encode_array(value)) is not None:
                return encoded
        elif (table := tables.encode(value)) is not None:
            return Encoded("arrow", table[0], [table[1]])
    return Encoded("pickle", None, pickles.dump(value))


def serialize(value: Any, serializer: Serializer) -> Encoded:
    """Return the value as the serializer's bytes. Raises `SerializationError`."""
    try:
        blob = serializer.dumps(value)
    except SerializationError:
        raise
    except Exception as error:
        message = f"its serializer {serializer!r} failed ({type(error).__name__}: {error})"
        raise SerializationError(message) from error
    if not isinstance(cast("Any", blob), bytes):
        message = f"`dumps` of {serializer!r} gave {type(blob).__name__}, not bytes"
        raise SerializationError(message)
    return Encoded("serialized", serializer.spec(), [blob])


def decode(kind: str, meta: Any, parts: Sequence[Bytes], *, private: bool) -> Any:
    """Return a value that shares no mutable memory with any other.

    `private` says that nobody else holds the memory of the parts and that it is writable.
    Raises `SerializationError` for an unknown format, and whatever the decoder raises.
    """
    if kind == "json":
        return parse_json(str(parts[0], "utf-8", "surrogatepass"))[0]
    if kind == "pickle":
        return pickles.load(parts, private=private)
    if kind == "text":
        return str(parts[0], "utf-8", "surrogatepass")
    if kind == "bytes":
        return bytes(parts[0])
    if kind == "array":
        return _decode_array(meta, parts[0], private=private)
    if kind == "arrow":
        return tables.decode(meta, parts[0])
    if kind == "serialized":
        return Serializer.from_spec(meta).loads(bytes(parts[0]))
    message = f"it has the format {kind!r}, which this version of cellist does not know"
    raise SerializationError(message)


def atom_size(value: Any) -> int | None:
    """Return about how many bytes a deeply immutable value takes, or None if it may be mutable."""
    kind = cast("Any", type(value))
    if kind in _IMMUTABLE:
        return len(value) + 50 if kind is str or kind is bytes else 50
    if kind is not tuple or len(value) > 1000:
        return None
    total = 50
    for item in value:
        if type(item) is tuple:  # flat ones only, or a deep one would exhaust the stack
            return None
        size = atom_size(item)
        if size is None:
            return None
        total += size
    return total


def _is_json(value: Any, depth: int, seen: set[int]) -> bool:
    """Whether JSON gives the same value back. A container met twice would lose its sharing."""
    kind = cast("Any", type(value))
    if kind is int:
        return -_MAX_INT <= value < _MAX_INT
    if kind is float:
        return math.isfinite(value)
    if kind in _ATOMS:
        return True
    if (kind is not list and kind is not dict) or not depth or id(value) in seen:
        return False
    seen.add(id(value))
    if len(value) > _MAX_ITEMS:
        return False  # pickle is several times as fast
    items = cast("list[Any]", value)
    if kind is dict:
        entries = cast("dict[Any, Any]", value)
        if not set(map(type, entries)) <= {str}:
            return False
        items = list(entries.values())
    return _are_json(items, depth - 1, seen)


def _are_json(items: list[Any], depth: int, seen: set[int]) -> bool:
    for item in items:
        kind = cast("Any", type(item))
        if kind is str or kind is bool or item is None:  # the usual ones without a call
            continue
        if not _is_json(item, depth, seen):
            return False
    return True


def _encode_array(array: Any) -> Encoded | None:
    """Return a plain array as raw memory, or None if its dtype needs more than a name."""
    numpy: Any = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.kind not in "biufcSUMm" or dtype.metadata or numpy.dtype(dtype.str) != dtype:
        return None
    order = "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else None
    writeable = bool(array.flags.writeable)
    if order is None:
        array, order = numpy.ascontiguousarray(array), "C"
    meta = {
        "dtype": dtype.str,
        "shape": list(array.shape),
        "order": order,
        "writeable": writeable,
    }
    flat = array.reshape(-1, order=order)  # a view: the memory is in this order already
    raw = flat.view(numpy.uint8) if flat.size and dtype.itemsize else flat[:0].tobytes()
    return Encoded("array", meta, [memoryview(raw)])


def _decode_array(meta: Any, part: Bytes, *, private: bool) -> Any:
    np: Any = import_module("numpy")
    dtype = np.dtype(meta["dtype"])
    if not dtype.itemsize or not len(part):
        return np.empty(meta["shape"], dtype, order=meta["order"])
    flat: Any = np.frombuffer(part, dtype)
    if not private:
        flat = flat.copy()
    array = flat.reshape(meta["shape"], order=meta["order"])
    if not meta["writeable"]:
        array.flags.writeable = False
    return array
