"""The file of a bundle: results to commit beside a notebook, in one zip.

    manifest.jsonl    one line of JSON for each result, in the order of their keys
    signature         who signed the manifest, and the signature
    blobs/<digest>    the bytes of a result, under their BLAKE3 digest, each once

The manifest is all that needs to be believed: it names the digest of each blob, its own SHA-256
is what a user trusts, and the signature covers it. The same results give the same bytes.

A file from elsewhere may be damaged or made to do harm. Members are looked up by name and never
extracted to paths, nothing is allocated that the file's own length does not vouch for, blobs are
read from a file opened for each (no position is shared with a forked child), and their digest is
checked before they are used.
"""

import hashlib
import io
import json
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from blake3 import blake3

from cellist.caching.envelope import ALIGNMENT, Bytes, Header, padded
from cellist.caching.formats import DATA_ONLY, Encoded
from cellist.caching.signing import Signer
from cellist.exceptions import BundleError

_MANIFEST, _SIGNATURE, _BLOBS = "manifest.jsonl", "signature", "blobs/"
_SIGNED = b"cellist bundle, version 1\n"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORTH = 0.8  # deflated only if it is smaller than this part
_ALWAYS = 64 * 2**20  # bytes that a blob may have however far it was deflated
_MOST_TIMES = 100  # and how much larger than in the file one may be beyond that
_MOST_SECONDS = 1e11  # what a date can be made of
_LOCAL = struct.Struct("<4s22xHH")
_KEPT = ("task_key", "expires", "components", "serializer", "hints", "sources", "shown")
_KINDS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
Load = Callable[[str], tuple[Header, Encoded] | None]


class Line(NamedTuple):
    """One result in a manifest."""

    key: str
    task: str
    format: str
    size: int
    digest: str
    created: float
    seconds: float
    parts: list[int]
    meta: Any
    header: Header

    @property
    def is_data(self) -> bool:
        """Whether it is read without running code."""
        return self.format in DATA_ONLY


class Written(NamedTuple):
    """What was written."""

    digest: str
    lines: list[Line]
    size: int


def line_of(header: Header, encoded: Encoded) -> Line:
    """Return what a manifest says of a result."""
    digest = blake3()
    for piece in padded(encoded.parts):
        digest.update(piece)
    lengths = [memoryview(part).nbytes for part in encoded.parts]
    facts = {name: header.get(name) for name in _KEPT}
    return Line(
        str(header.get("key")),
        str(header.get("task") or ""),
        encoded.format,
        _room(lengths),
        digest.hexdigest(),
        float(header.get("created") or 0.0),
        float(header.get("seconds") or 0.0),
        lengths,
        encoded.meta,
        cast("Header", {name: fact for name, fact in facts.items() if fact is not None}),
    )


def write(path: Path, keys: Iterable[str], load: Load, signer: Signer) -> Written:
    """Write the results under these keys; those that `load` does not find are left out.

    They are loaded twice, one at a time, so that a bundle may be larger than memory. Raises
    `BundleError` if there are none or the file cannot be written.
    """
    found = ((key, load(key)) for key in sorted(set(keys)))
    lines = [line_of(*loaded) for _, loaded in found if loaded is not None]
    if not lines:
        raise BundleError(f"There is no result to write to `{path.name}`.")
    manifest = "".join(map(_dumped, lines)).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w+b") as file:
                _write_members(file, lines, manifest, load, _signed(signer, digest))
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # it is made to be shared
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return Written(digest, lines, path.stat().st_size)
    except OSError as error:
        raise BundleError(f"`{path}` cannot be written: {error.strerror or error}.") from error


def _write_members(
    file: Any, lines: list[Line], manifest: bytes, load: Load, signature: bytes
) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, _MANIFEST, [manifest])
        _add(archive, _SIGNATURE, [signature])
        for line in sorted({line.digest: line for line in reversed(lines)}.values(), key=_digest):
            loaded = load(line.key)
            if loaded is None or line_of(*loaded).digest != line.digest:
                raise BundleError(f"A result of task `{line.task}` was replaced; try again.")
            _add(archive, _BLOBS + line.digest, padded(loaded[1].parts))


def _digest(line: Line) -> str:
    return line.digest


def _add(archive: zipfile.ZipFile, name: str, pieces: Sequence[Bytes]) -> None:
    """Add a member, deflated if that is worth it and no reader would take it for a bomb."""
    size = sum(memoryview(piece).nbytes for piece in pieces)
    squeezed = zlib.compressobj(1, zlib.DEFLATED, -15)
    small = sum(len(squeezed.compress(piece)) for piece in pieces) + len(squeezed.flush())
    is_worth_it = small < _WORTH * size and size <= _limit(small)
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o100644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED if is_worth_it else zipfile.ZIP_STORED
    archive.writestr(info, b"".join(pieces), compresslevel=1)


def _limit(stored: int) -> int:
    return max(_ALWAYS, _MOST_TIMES * stored)


def _dumped(line: Line) -> str:
    return json.dumps(line._asdict(), sort_keys=True, separators=(",", ":"), default=str) + "\n"


def _signed(signer: Signer, digest: str) -> bytes:
    return f"{signer.id.hex()} {signer.sign(_SIGNED + digest.encode()).hex()}\n".encode()


class BundleFile:
    """A bundle opened for reading: its lines by key, and who signed it.

    Raises `BundleError` for anything that is no whole bundle.
    """

    def __init__(self, path: Path, signer: Signer) -> None:
        self.path = path
        try:
            self._members = _members(path)
            manifest = self._read(_MANIFEST)
            self.digest = hashlib.sha256(manifest).hexdigest()
            """SHA-256 of the manifest."""
            self.lines = _lines(manifest)
            text = self._read(_SIGNATURE) if _SIGNATURE in self._members else b""
        except BundleError:
            raise
        except Exception as error:  # whatever a damaged or hostile file makes the readers raise
            said = str(error) or type(error).__name__
            raise BundleError(f"it cannot be read ({said:.100})") from error
        self.is_own = text == _signed(signer, self.digest)
        """Whether this user signed it."""
        named = re.match(rb"[0-9a-f]{16}(?= )", text)
        self.signer = named[0].decode() if named else ""
        """The id of who signed it, as told by the file; see `signing`."""
        self.needing_trust = sum(not line.is_data for line in self.lines.values())

    def parts(self, line: Line) -> list[Bytes]:
        """Return the bytes of a result, proven to be those in the manifest.

        Raises `BundleError` and `OSError`.
        """
        blob = self._read(_BLOBS + line.digest)
        if len(blob) != line.size or blake3(blob).hexdigest() != line.digest:
            raise BundleError("a result in it was damaged or altered")
        whole, start = memoryview(blob), 0
        parts: list[Bytes] = []
        for length in line.parts:
            parts.append(bytes(whole[start : start + length]))
            start += _room([length])
        return parts

    def _read(self, name: str) -> bytes:
        """Return the bytes of a member. Raises `BundleError` and `OSError`."""
        info = self._members.get(name)
        if info is None:
            raise BundleError(f"`{name:.20}` is missing in it")
        if info.compress_type not in _KINDS or info.file_size > _limit(info.compress_size):
            raise BundleError(f"the size of `{name:.20}` makes no sense")
        try:
            data = self._stored(info)
            if info.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, info.file_size + 1)
        except (struct.error, zlib.error) as error:
            raise BundleError(f"`{name:.20}` in it is damaged") from error
        if len(data) != info.file_size:
            raise BundleError(f"the size of `{name:.20}` is not as told")
        return data

    def _stored(self, info: zipfile.ZipInfo) -> bytes:
        """Return the bytes of a member as they are in the file."""
        with self.path.open("rb") as file:
            if info.compress_size > os.fstat(file.fileno()).st_size:
                raise BundleError("it is cut short")
            file.seek(info.header_offset)
            magic, length, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            if magic != b"PK\3\4":
                raise BundleError("a member is not where it should be")
            file.seek(length + extra, io.SEEK_CUR)
            return file.read(info.compress_size)


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, those that mean nothing here left out."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.orig_filename
        if name in members:
            raise BundleError(f"it has two members `{name:.80}`")
        if name in (_MANIFEST, _SIGNATURE) or name.startswith(_BLOBS):
            members[name] = info
    return members


def _lines(manifest: bytes) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for text in manifest.decode().splitlines():
        line = _line(json.loads(text))
        if line.key in lines:
            raise BundleError("its manifest names one result twice")
        lines[line.key] = line
    return lines


def _line(said: Any) -> Line:
    """Return a line with all of it of the right types; raises for any that is not."""
    line = Line(**said)
    texts = (line.key, line.task, line.format, line.digest)
    numbers = (line.created, line.seconds)
    if not (
        all(type(text) is str for text in texts)
        and all(type(number) in (int, float) and 0 <= number < _MOST_SECONDS for number in numbers)
        and _DIGEST.fullmatch(line.digest)
        and all(type(length) is int and length >= 0 for length in line.parts)
        and line.size == _room(line.parts)
    ):
        raise BundleError("its manifest has a line that makes no sense")
    return line._replace(header=_header(line))


def _header(line: Line) -> Header:
    """Return what is known of the result: plain data of the right types, anything else dropped."""
    said = cast("dict[str, Any]", line.header)
    expires = said.get("expires")
    components: Any = said.get("components")
    header: Header = {
        "key": line.key,
        "task": line.task,
        "task_key": str(said.get("task_key", "")),
        "created": line.created,
        "seconds": line.seconds,
        "expires": float(expires) if expires is not None else None,
        "components": [[str(word) for word in one] for one in components or () if len(one) == 4],
    }
    if said.get("hints"):
        header["hints"] = [str(hint) for hint in said["hints"]]
    if said.get("sources"):
        header["sources"] = [str(digest) for digest in said["sources"]]
    if type(said.get("serializer")) is dict:
        header["serializer"] = said["serializer"]
    if said.get("shown") and line.parts:
        header["shown"] = True
    return header


def _room(lengths: Iterable[int]) -> int:
    """Return the bytes that parts take, each filled up as `padded` does."""
    return sum(length + -length % ALIGNMENT for length in lengths)
