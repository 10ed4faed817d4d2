"""Bundles for tests: made of values, by another user, and taken apart to do harm."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from cellist.caching.bundle_file import write
from cellist.caching.envelope import Header
from cellist.caching.formats import Encoded, encode
from cellist.caching.shown import pack
from cellist.caching.signing import Signer

MINE, THEIRS = Signer(b"m" * 32), Signer(b"t" * 32)
Members = dict[str, bytes]


def header(key: str) -> Header:
    """What is known of the result under a key."""
    components = [["source", "fit", "0f", "def fit(): ..."]]
    return {
        "key": key,
        "task": "fit",
        "task_key": "notebook.fit",
        "created": 1_795_000_000.0,
        "seconds": 12.0,
        "components": components,
    }


def bundle_of(
    path: Path,
    values: dict[str, Any],
    signer: Signer = THEIRS,
    shown: list[dict[str, Any]] | None = None,
) -> Path:
    """Write a bundle of values by key; those that are `Encoded` are taken as they are.

    `shown` is what their runs showed.
    """
    encoded = {
        key: value if isinstance(value, Encoded) else encode(value) for key, value in values.items()
    }
    more: Any = {}
    if shown is not None:
        more = {"shown": True}
        for one in encoded.values():
            one.parts.append(pack(shown))

    def load(key: str) -> tuple[Header, Encoded]:
        return cast("Header", {**header(key), **more}), encoded[key]

    write(path, values, load, signer)
    return path


def members_of(path: Path) -> Members:
    """The members of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Members, *, deflated: bool = False) -> bytes:
    """A zip of the members."""
    file = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def manifest_of(members: Members) -> list[dict[str, Any]]:
    """The lines of the manifest."""
    return [json.loads(line) for line in members["manifest.jsonl"].decode().splitlines()]


def lie(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the lines of a bundle's manifest in place and write it whole again."""
    members = members_of(path)
    lines = manifest_of(members)
    change(lines)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    path.write_bytes(zipped({**members, "manifest.jsonl": text.encode()}))


def digest_of(path: Path) -> str:
    """SHA-256 of the manifest, as a person would get it with `unzip -p` and `sha256sum`."""
    return hashlib.sha256(members_of(path)["manifest.jsonl"]).hexdigest()
