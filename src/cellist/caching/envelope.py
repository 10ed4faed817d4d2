"""The envelope of a stored result: what it is, who wrote it, and proof that it is whole.

    magic 8 · signer 8 · length of the record 4 · record · signature 32 · zeros to 64
    part 0 · zeros to 64 · part 1 · zeros to 64 · ...

    record: digest of the payload 32 · created, seconds, expires, 8 each · length of the key 4 · key
            [format, meta, lengths of the parts, what a hit says] (JSON) · header (JSON)

The signature covers everything before it. The record binds the payload through its digest and
the entry to its key, so an entry that is truncated, altered, swapped with another one or written
by somebody else is recognised before a single byte of it is decoded. Parts start at multiples of
64 bytes so that arrays are aligned.

A hit needs little of what is known of a result, so that little comes first and the whole header
is parsed only when somebody asks for more. Entries whose record is one JSON object, as earlier
versions wrote them, are read as well.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypedDict, cast

from blake3 import blake3

from cellist.caching.signing import ID_SIZE, MAC_SIZE, Signer

MAGIC = b"cellist\x02"
_FORMER = b"cellist\x01"
ALIGNMENT = 64
MAX_RECORD = 64 * 2**20
_FIXED = struct.Struct(f"<8s{ID_SIZE}sI")
_FACTS = struct.Struct("<32sdddI")
_NEVER = float("-inf")  # in the place of a time that is not there
_TIMES = ("created", "seconds", "expires")
_SAID = ("preview", "hints", "shown", "bundle", "differs")
"""What else of the header a hit may need."""
_AT_HAND = frozenset({*_TIMES, *_SAID, "accepted"})
_CHUNK = 2**20
parse_json = json.JSONDecoder().raw_decode
"""Returns the value at the start of a text and its end; half the cost of `json.loads`."""

Bytes = bytes | bytearray | memoryview


class Header(TypedDict, total=False):
    """What is known of a stored result besides its value. Treat it as read-only.

    `created`, `began` and `expires` are seconds since the epoch, `seconds` the time the computation
    took.
    `components` are the parts of the key, each `[kind, name, digest, text]`. `serializer` is the
    spec of the serializer that was chosen, if one was. `hints` are sentences on what
    the key does not say of the run. `sources` are the digests of the task's source closures.
    `differs` says that another run of the same call gave something else. `accepted` is never
    stored: it says why a result serves although the source has changed.
    `bundle` is the name of the bundle that the result came in, and the digest of its manifest.
    `shown` says that the last part of the payload is what the run showed. `preview` is what the
    value looks like.
    """

    key: str
    task: str
    task_key: str
    created: float
    began: float
    seconds: float
    expires: float | None
    components: Sequence[Sequence[str]]
    run_id: str
    hints: list[str]
    python: str
    versions: dict[str, str]
    format: str
    serializer: dict[str, Any]
    bundle: Sequence[str]
    shown: bool
    user: dict[str, Any]
    sources: Sequence[str]
    differs: bool
    preview: str
    accepted: dict[str, Any]


class LateHeader(Mapping[str, Any]):
    """A header of which little is at hand; the rest is parsed when it is asked for."""

    __slots__ = ("_at", "_text", "_told")

    def __init__(self, told: dict[str, Any], text: str, at: int) -> None:
        self._told = told
        self._text: str | None = text
        self._at = at

    def _all(self) -> dict[str, Any]:
        text = self._text
        if text is not None:
            self._told = {**parse_json(text, self._at)[0], **self._told}
            self._text = None  # after that: another thread may ask as well
        return self._told

    def __getitem__(self, name: str) -> Any:
        told = self._told
        return told[name] if name in told or name in _AT_HAND else self._all()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._told or (name not in _AT_HAND and name in self._all())

    def get(self, name: str, default: Any = None) -> Any:
        """Return what is known under a name."""
        told = self._told  # and no call more than it needs: every hit asks several times
        if name in told:
            return told[name]
        return default if name in _AT_HAND else self._all().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class BadEntry(Exception):
    """An entry that must not be used. `code` is `unreadable` or `foreign`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)  # not frozen: that triples the cost of making one, at every hit
class Sealed:
    """The head of an envelope after its signature was checked."""

    header: Header
    format: str
    meta: Any
    lengths: list[int]
    digest: bytes
    start: int
    size: int
    """Bytes of the whole envelope."""
    expires: float | None

    def split(self, payload: Bytes) -> list[Bytes]:
        """Return the parts as slices of the payload: copies of bytes, views of a view."""
        if len(self.lengths) == 1:
            return [payload[: self.lengths[0]]]
        parts: list[Bytes] = []
        offset = 0
        for length in self.lengths:
            parts.append(payload[offset : offset + length])
            offset += _aligned(length)
        return parts


def seal(
    signer: Signer, key: str, header: Header, kind: str, meta: Any, parts: list[Bytes]
) -> bytes:
    """Return the signed head for these parts; the payload follows it, see `padded`."""
    digest = blake3()
    for piece in padded(parts):
        digest.update(piece)
    lengths = [length_of(part) for part in parts]
    whole: dict[str, Any] = {**header}
    said = {name: whole[name] for name in _SAID if name in whole}
    name = key.encode("utf-8", "surrogatepass")
    times = [_time_of(whole.get(one)) for one in _TIMES]
    facts = _FACTS.pack(digest.digest(), *times, len(name))
    body = facts + name + _to_json([kind, meta, lengths, said]) + _to_json(whole)
    head = _FIXED.pack(MAGIC, signer.id, len(body)) + body
    head += signer.sign(head)
    return head.ljust(_aligned(len(head)), b"\0")


def _to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str, skipkeys=True).encode()


def _time_of(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else _NEVER


def padded(parts: list[Bytes]) -> list[Bytes]:
    """Return the pieces of the payload in order: the parts, each filled up to a multiple of 64."""
    pieces: list[Bytes] = []
    for part in parts:
        pieces.append(part)
        if gap := -length_of(part) % ALIGNMENT:
            pieces.append(bytes(gap))
    return pieces


def open_head(blob: bytes, key: str | None, signer: Signer) -> Sealed:
    """Check the head at the start of `blob` and return what it says.

    `key` is what the entry must have been stored under; None accepts any. Raises `BadEntry`.
    """
    length = record_length(blob)
    end = _FIXED.size + length
    if len(blob) < end + MAC_SIZE:
        raise BadEntry("unreadable", "it is cut short")
    if blob[8 : 8 + ID_SIZE] != signer.id:
        raise BadEntry("foreign", "it was written by another user or on another machine")
    if not signer.verify(blob[:end], blob[end : end + MAC_SIZE]):
        raise BadEntry("unreadable", "it was damaged or altered: its signature does not fit")
    if not blob.startswith(MAGIC):
        return _former_head(blob, end, key)
    digest, created, seconds, expires, length = _FACTS.unpack_from(blob, _FIXED.size)
    at = _FIXED.size + _FACTS.size
    name = blob[at : at + length].decode("utf-8", "surrogatepass")
    if key is not None and name != key:
        raise BadEntry("unreadable", "it belongs to another key")
    text = blob[at + length : end].decode()
    plain, at = parse_json(text)
    kind, meta, lengths, told = plain
    told["key"] = name
    told["format"] = kind
    if created != _NEVER:
        told["created"] = created
    if seconds != _NEVER:
        told["seconds"] = seconds
    until = None
    if expires != _NEVER:
        until = told["expires"] = expires
    start = _aligned(end + MAC_SIZE)
    size = start + sum(map(_aligned, lengths))
    header = cast("Header", LateHeader(told, text, at))
    return Sealed(header, kind, meta, lengths, digest, start, size, until)


def _former_head(blob: bytes, end: int, key: str | None) -> Sealed:
    """Return what a head of the former kind says, whose signature was checked."""
    record: dict[str, Any] = parse_json(blob[_FIXED.size : end].decode())[0]
    if key is not None and record["key"] != key:
        raise BadEntry("unreadable", "it belongs to another key")
    lengths: list[int] = record["parts"]
    start = _aligned(end + MAC_SIZE)
    header: Header = record["header"]
    header["key"] = record["key"]
    header["format"] = record["format"]
    size = start + sum(map(_aligned, lengths))
    digest = bytes.fromhex(record["digest"])
    kind, meta, until = record["format"], record["meta"], header.get("expires")
    return Sealed(header, kind, meta, lengths, digest, start, size, until)


def record_length(blob: bytes) -> int:
    """Return the length of the record that follows the fixed fields. Raises `BadEntry`."""
    if len(blob) < _FIXED.size:
        raise BadEntry("unreadable", "it is cut short")
    unpacked: tuple[bytes, bytes, int] = _FIXED.unpack_from(blob)
    magic, _, length = unpacked
    if magic not in (MAGIC, _FORMER):
        raise BadEntry("foreign", "it was not written by this version of cellist")
    if length > MAX_RECORD:
        raise BadEntry("unreadable", "its length makes no sense")
    return length


def read_head(file: BinaryIO) -> bytes:
    """Return the bytes of the head at the start of a file. Raises `BadEntry` and `OSError`."""
    fixed = file.read(_FIXED.size)
    length = record_length(fixed)
    return fixed + file.read(_aligned(_FIXED.size + length + MAC_SIZE) - _FIXED.size)


def inline_parts(blob: bytes, sealed: Sealed) -> list[Bytes]:
    """Return the parts that follow the head in the same bytes. Raises `BadEntry`."""
    if len(blob) != sealed.size:
        raise BadEntry("unreadable", "it is cut short")
    payload = blob[sealed.start :]
    if blake3(payload).digest() != sealed.digest:
        raise BadEntry("unreadable", "its content was damaged or altered")
    return sealed.split(payload)


def file_parts(file: BinaryIO, sealed: Sealed) -> list[Bytes]:
    """Return the parts from a file, in fresh writable memory nobody else holds.

    The bytes are read rather than mapped: a mapped file that is cut short under the kernel would
    kill it. Each piece is digested while it is still in the processor's cache. Raises `BadEntry`
    and `OSError`.
    """
    if os.fstat(file.fileno()).st_size != sealed.size:
        raise BadEntry("unreadable", "its file has the wrong length")
    file.seek(sealed.start)
    payload = _allocate(sealed.size - sealed.start)
    digest = blake3()
    offset = 0
    while offset < len(payload):
        count = file.readinto(payload[offset : offset + _CHUNK])  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - BinaryIO lacks it, every binary file has it
        if not count:
            raise BadEntry("unreadable", "its file is cut short")
        digest.update(payload[offset : offset + count])
        offset += cast("int", count)
    if digest.digest() != sealed.digest:
        raise BadEntry("unreadable", "its content was damaged or altered")
    return sealed.split(payload)


def _allocate(size: int) -> memoryview:
    """Return writable memory; numpy's is not filled with zeros first, which saves a pass."""
    numpy: Any = sys.modules.get("numpy") if size >= _CHUNK else None
    if not hasattr(numpy, "uint8"):  # another thread may be importing it just now
        return memoryview(bytearray(size))
    return memoryview(numpy.empty(size, numpy.uint8))


def _aligned(length: int) -> int:
    return length + -length % ALIGNMENT


def length_of(part: Bytes) -> int:
    """Return the number of bytes; `len` of a view counts its items."""
    return part.nbytes if isinstance(part, memoryview) else len(part)
