"""Digests of Arrow data and of polars frames, by content and never by their parents' buffers.

An Arrow array may be a slice of a larger one, in chunks, with anything under its nulls. Its
digest is of the type, the length, where it is null, and the values with nulls zeroed, as a fresh
array of one chunk would have them. Buffers without nulls are hashed where they lie.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib import import_module
from typing import Any

from cellist.caching.encoding import bulk, head, integer, leaf, node, text

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]

_PUNCTUATION = frozenset(",:<>")


def _arrow() -> Any:
    """Return pyarrow as untyped as it is; it is loaded, or polars needs it to be."""
    return import_module("pyarrow")


def _typed(kind: Any) -> bytes:
    return node("arrow type", text(str(kind)), *_unshown(kind))


def _unshown(kind: Any) -> Iterator[bytes]:
    """Yield tokens of what the text of a type leaves out: metadata and parameters within."""
    pa = _arrow()

    if isinstance(kind, pa.BaseExtensionType):
        serialize = getattr(kind, "__arrow_ext_serialize__", None)
        if serialize is not None:
            yield node("parameters", text(kind.extension_name), leaf(b"b", serialize()))
        yield from _unshown(kind.storage_type)
    elif pa.types.is_dictionary(kind):
        yield from _unshown(kind.value_type)
    for number in range(kind.num_fields):
        field = kind.field(number)
        if not _PUNCTUATION.isdisjoint(field.name):  # it might read as several fields
            yield node("named", integer(number), text(field.name))
        if field.metadata:
            pairs = [leaf(b"b", part) for pair in _sorted(field.metadata) or () for part in pair]
            yield node("metadata", integer(number), *pairs)
        yield from _unshown(field.type)


def array_token(values: Any) -> Rule:
    """Token of an Arrow array of one chunk, or of a chunked one as if it were one."""
    pa = _arrow()

    if isinstance(values, pa.ChunkedArray):
        if values.num_chunks == 1:
            values = values.chunk(0)
        else:
            values = values.combine_chunks()
            if isinstance(values, pa.ChunkedArray):
                values = pa.concat_arrays(values.chunks)
    start = head("arrow", _typed(values.type), integer(len(values)), _validity(values))
    return (yield from _content(values, start))


def _validity(values: Any) -> bytes:
    """Token of where an array is null."""
    pa = _arrow()

    if not values.null_count or pa.types.is_null(values.type):
        return node("full", integer(values.null_count))
    return bulk(head("valid"), *_plain(values.is_valid().cast(pa.uint8()), 1))


def _plain(values: Any, width: int) -> list[Any]:
    """Return the value buffer of a fixed-width array without nulls, cut to its own range."""
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return []
    first = values.offset * width
    return [memoryview(buffer)[first : first + len(values) * width]]


def _content(values: Any, start: bytes) -> Rule:
    pa = _arrow()

    kind = values.type
    is_ = pa.types
    if is_.is_null(kind):
        return bulk(start)
    if is_.is_boolean(kind):
        return bulk(start, *_plain(values.cast(pa.uint8()).fill_null(0), 1))
    if isinstance(kind, pa.BaseExtensionType):
        return bulk(start, (yield from array_token(values.storage)))
    if is_.is_dictionary(kind):
        indices = yield from array_token(values.indices)
        return bulk(start, indices, (yield from array_token(values.dictionary)))
    if is_.is_struct(kind):
        return bulk(start, *(yield from _each(array_token, values.flatten())))
    if is_.is_nested(kind):
        return (yield from _lists(values, start))
    if is_.is_fixed_size_binary(kind) and not is_.is_decimal(kind):
        filled = values.fill_null(b"\0" * kind.byte_width) if values.null_count else values
        return bulk(start, *_plain(filled, kind.byte_width))
    return _binary(values, start) or (yield from _fixed(values, start))


def _fixed(values: Any, start: bytes) -> Rule:
    pa = _arrow()

    try:
        width = values.type.bit_width // 8
    except ValueError:
        return bulk(start, (yield "", values.to_pylist()))
    raw = {1: pa.uint8(), 2: pa.uint16(), 4: pa.uint32(), 8: pa.uint64()}.get(width)
    if not values.null_count:
        return bulk(start, *_plain(values, width))
    if raw is None:
        return bulk(start, (yield "", values.to_pylist()))
    return bulk(start, *_plain(values.view(raw).fill_null(0), width))


def _binary(values: Any, start: bytes) -> bytes | None:
    """Token of strings and bytes: their lengths and their joined content."""
    pa = _arrow()

    kind, is_ = values.type, pa.types
    if str(kind) in ("string_view", "binary_view") or is_.is_string(kind) or is_.is_binary(kind):
        values = values.cast(pa.large_binary())
    elif is_.is_large_string(kind) or is_.is_large_binary(kind):
        values = values.view(pa.large_binary())
    else:
        return None
    if values.null_count:
        values = values.fill_null(b"")
    if not len(values):
        return bulk(start)
    _, offsets, data = values.buffers()
    ends = memoryview(offsets).cast("q")[values.offset : values.offset + len(values) + 1]
    lengths = import_module("pyarrow.compute").binary_length(values)
    content = memoryview(data)[ends[0] : ends[-1]] if data is not None else b""
    return bulk(start, *_plain(lengths, 8), content)


def _lists(values: Any, start: bytes) -> Rule:
    pa = _arrow()
    pc: Any = import_module("pyarrow.compute")

    kind, is_ = values.type, pa.types
    if is_.is_map(kind):
        return bulk(start, (yield "", values.to_pylist()))
    if is_.is_union(kind):
        return bulk(start, *(yield from _union(values)))
    if str(kind).startswith("run_end_encoded"):
        return bulk(start, (yield from array_token(pc.run_end_decode(values))))
    lengths = pc.list_value_length(values).fill_null(0).cast(pa.int64())
    if not is_.is_fixed_size_list(kind) or not values.null_count:
        return bulk(start, *_plain(lengths, 8), (yield from array_token(values.flatten())))
    return bulk(start, *_plain(lengths, 8), (yield from array_token(values.drop_null().flatten())))


def _union(values: Any) -> Generator[tuple[str, Any], bytes, list[bytes]]:
    """Tokens of which child each value is from, and of the values of each child."""
    pa = _arrow()
    pc: Any = import_module("pyarrow.compute")

    def own(kind: Any, buffer: int) -> Any:  # the arrays that a slice offers are its parent's
        parts = [None, values.buffers()[buffer]]
        return pa.Array.from_buffers(kind, len(values), parts, offset=values.offset)

    codes = own(pa.int8(), 1)
    tokens = [(yield from array_token(codes))]
    for number, code in enumerate(values.type.type_codes):
        at = pc.indices_nonzero(pc.equal(codes, code))
        rows = own(pa.int32(), 2).take(at) if values.type.mode == "dense" else at
        tokens.append((yield from array_token(values.field(number).take(rows))))
    return tokens


def _array(values: Any) -> Rule:
    return node("pa.Array", (yield from array_token(values)))


def _chunked(values: Any) -> Rule:
    return node("pa.ChunkedArray", (yield from array_token(values)))


def _scalar(value: Any) -> Rule:
    pa = _arrow()

    one = pa.array([value.as_py()], value.type) if not value.is_valid else _one(value)
    return node("pa.Scalar", (yield from array_token(one)))


def _one(value: Any) -> Any:
    pa = _arrow()

    return pa.repeat(value, 1)


def _table(values: Any) -> Rule:
    tokens = [text(type(values).__qualname__), (yield from _schema(values.schema))]
    tokens += yield from _each(array_token, values.columns)
    return node("table", *tokens, integer(values.num_rows))


def _field(field: Any) -> Rule:
    told = [text(field.name), text(str(field.type)), integer(field.nullable)]
    metadata = yield "", _sorted(field.metadata)
    return node("field", *told, metadata, *_unshown(field.type))


def _schema(schema: Any) -> Rule:
    tokens = yield from _each(_field, schema)
    return node("schema", *tokens, (yield "", _sorted(schema.metadata)))


def _sorted(metadata: dict[bytes, bytes] | None) -> list[tuple[bytes, bytes]] | None:
    return None if metadata is None else sorted(metadata.items())


def _each(
    rule: Callable[[Any], Rule], parts: Iterable[Any]
) -> Generator[tuple[str, Any], bytes, list[bytes]]:
    tokens: list[bytes] = []
    for part in parts:
        token = yield from rule(part)
        tokens.append(token)
    return tokens


def _buffer(value: Any) -> bytes:
    return bulk(head("pa.Buffer"), memoryview(value))


def _series(values: Any) -> Rule:
    return node("pl.Series", text(values.name), (yield from _column(values)))


def _column(values: Any) -> Rule:
    """Token of a polars column: its dtype and its content as Arrow, whatever its chunks."""
    pl: Any = sys.modules["polars"]

    dtype = values.dtype
    shown = str(dtype)
    # The text is the type in full but for an enum, whose list of categories it cuts short.
    told = (yield "", dtype) if "Enum" in shown else text(shown)
    if dtype != pl.Object:
        try:
            arrow = _spelt(values.rechunk()).to_arrow(compat_level=pl.CompatLevel.oldest())
        except ValueError:  # pyarrow's ArrowInvalid: a type Arrow does not have, such as Int128
            return node("column", told, (yield "", values.to_list()))
        return node("column", told, (yield from array_token(arrow)))
    return node("column", told, (yield "", values.to_list()))


def _spelt(values: Any) -> Any:
    """Return a column with the categories within lists and structs as their texts.

    Arrow gets them with the texts of all categories that this process has met.
    """
    pl: Any = sys.modules["polars"]

    def plain(dtype: Any) -> Any:
        if isinstance(dtype, pl.Categorical):
            return pl.String()
        if isinstance(dtype, pl.List):
            return pl.List(plain(dtype.inner))
        if isinstance(dtype, pl.Array):
            return pl.Array(plain(dtype.inner), dtype.size)
        if isinstance(dtype, pl.Struct):
            return pl.Struct({field.name: plain(field.dtype) for field in dtype.fields})
        return dtype

    dtype = values.dtype
    if not dtype.is_nested() or "Categorical" not in str(dtype):
        return values
    return values.cast(plain(dtype))


def _frame(values: Any) -> Rule:
    tokens: list[bytes] = [integer(values.height)]
    for column in values.get_columns():
        tokens.append(text(column.name))
        tokens.append((yield from _column(column)))
    return node("pl.DataFrame", *tokens)


EXACT: dict[str, Handler] = {
    "polars.Series": _series,
    "polars.DataFrame": _frame,
}
BASES: dict[str, Handler] = {
    "pyarrow.Array": _array,
    "pyarrow.ChunkedArray": _chunked,
    "pyarrow.Table": _table,
    "pyarrow.RecordBatch": _table,
    "pyarrow.Scalar": _scalar,
    "pyarrow.DataType": _typed,
    "pyarrow.Field": _field,
    "pyarrow.Schema": _schema,
    "pyarrow.Buffer": _buffer,
}
