"""What somebody else wrote, taken in without running code.

Only formats that are data qualify (`formats.DATA_ONLY`), and their descriptions are not believed:
an array has as many bytes as its shape says, and an Arrow file holds plain columns of the kinds
that `tables` writes, uncompressed, checked before the values are touched. What does not fit raises
an error and is a miss. Nothing foreign is ever signed: the value is encoded anew to be stored.
"""

import math
import re
import struct
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from cellist.caching import tables
from cellist.caching.envelope import Bytes
from cellist.caching.formats import DATA_ONLY, decode
from cellist.exceptions import SerializationError

_DTYPE = r"[<>|]([biufc]\d{1,2}|[SU]\d+|[Mm]8(\[\d*\w+\])?)"
_ARROW = b"ARROW1\0\0"
_MAX_CHARACTER = 0x10FFFF


def decode_foreign(kind: str, meta: Any, parts: Sequence[Bytes]) -> Any:
    """Return the value of data-only bytes, in memory of its own; no code of theirs is run.

    Raises `SerializationError` for what needs trust or does not fit its description, and whatever
    the decoder raises.
    """
    if kind not in DATA_ONLY or len(parts) != 1:
        message = f"its format {kind!r} is read only from those you trust"
        raise SerializationError(message)
    if kind == "arrow":
        return tables.restore(meta, _table(parts[0]))
    if kind == "array":
        _check_array(meta, parts[0])
    return decode(kind, meta, parts, private=False)


def _check_array(meta: Any, part: Bytes) -> None:
    """Raise `SerializationError` unless the bytes are an array as described."""
    numpy: Any = import_module("numpy")
    name, shape = meta["dtype"], meta["shape"]
    if not isinstance(name, str) or not re.fullmatch(_DTYPE, name):
        message = "its type of elements is not one of plain data"
        raise SerializationError(message)
    dtype = numpy.dtype(name)
    sizes = [size for size in shape if type(size) is int and size >= 0]
    if len(sizes) != len(shape) or math.prod(sizes) * dtype.itemsize != len(part):
        message = "its shape does not fit its bytes"
        raise SerializationError(message)
    if not dtype.itemsize and math.prod(sizes):
        message = "its elements have no size"
        raise SerializationError(message)
    if dtype.kind == "U" and len(part):
        codes = numpy.frombuffer(part, dtype.byteorder.replace("|", "=") + "u4")
        if int(codes.max()) > _MAX_CHARACTER:
            message = "its text is not Unicode"
            raise SerializationError(message)


def _table(part: Bytes) -> Any:
    """Return the table in an Arrow file.

    It is read as the stream that such a file holds, message by message, because its footer could
    lead elsewhere than where the checks have looked.
    """
    pa: Any = import_module("pyarrow")
    view = memoryview(part)
    if bytes(view[: len(_ARROW)]) != _ARROW:
        message = "it is no Arrow file"
        raise SerializationError(message)
    stream = pa.py_buffer(view[len(_ARROW) :])
    for message in pa.ipc.MessageReader.open_stream(stream):
        _check_message(message)
    reader = pa.ipc.open_stream(stream)
    kinds = pa.types
    for field in reader.schema:
        kind = field.type
        if not (
            kinds.is_integer(kind)
            or kinds.is_floating(kind)
            or kinds.is_boolean(kind)
            or kinds.is_string(kind)
            or kinds.is_large_string(kind)
        ):
            message = f"it has a column of the type {kind}"
            raise SerializationError(message)
    table = reader.read_all()
    table.validate(full=True)  # lengths and offsets are not checked while reading
    return table


def _check_message(message: Any) -> None:
    """Refuse extension types, whose own code would read them, and compression, which may be a bomb.

    Raises `SerializationError` and `struct.error`.
    """
    metadata = bytes(message.metadata)
    if message.type == "schema" and b"ARROW:extension" not in metadata:
        return
    if message.type == "record batch":
        header = _field(metadata, *struct.unpack_from("<I", metadata), 2)
        batch = header + struct.unpack_from("<I", metadata, header)[0]
        if not _field(metadata, batch, 3):
            return
    text = f"it has a {message.type} that is not plain data"
    raise SerializationError(text)


def _field(buffer: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffers table lies, 0 if it is absent."""
    places = table - struct.unpack_from("<i", buffer, table)[0]
    (size,) = struct.unpack_from("<H", buffer, places)
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", buffer, places + slot)[0] if slot < size else 0
    return table + offset if offset else 0
