"""What a run showed, as data beside its result: text, displays and log records, in order.

An event is a dict of plain data with a `kind`:

    stream   `name` (stdout or stderr) and `text`
    display  `data` and `metadata` by mime type, its display `id`, and whether it is an `update`
    result   `data` and `metadata` of a cell's last expression
    log      `level` and `message` of a record of the run's logger

It is stored as JSON in a part of its own, the last one of its entry, whose header then says
`shown`. So it can be read without unpickling anything, and `only_safe` makes it fit to be shown
when somebody else wrote it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from cellist.caching.envelope import Bytes

Event = dict[str, Any]

WIDGET = "application/vnd.jupyter.widget-view+json"
_NO_WIDGET = "[a widget, which lived no longer than its kernel]"
_NOT_KEPT = "[something that could not be kept was displayed here]"
_NOT_SAFE = "[a display from somebody else is shown only as text or a picture]"
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_SAFE = _PICTURES | {"text/plain"}


def pack(events: Sequence[Event]) -> bytes:
    """Return events as bytes."""
    text = json.dumps(events, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def unpack(blob: Bytes) -> list[Event]:
    """Return the events that `pack` was given. Raises `ValueError` for anything else."""
    return json.loads(str(blob, "utf-8", "surrogatepass"))


def split(header: Mapping[str, Any], parts: list[Bytes]) -> tuple[list[Bytes], Bytes | None]:
    """Return the parts of an entry that are its value, and what its run showed, if anything."""
    return (parts[:-1], parts[-1]) if header.get("shown") else (parts, None)


def bundle(data: Mapping[str, Any], metadata: Any) -> tuple[Event, int]:
    """Return what of a display can be kept, as plain data of its own, and about its size in bytes.

    A widget becomes its text, with a note. What is not plain data is left out.
    """
    kept = {kind: text for kind, value in data.items() if (text := _as_json(value)) is not None}
    if kept.pop(WIDGET, None) is not None:
        plain = data.get("text/plain")
        kept["text/plain"] = json.dumps(f"{plain}\n{_NO_WIDGET}" if plain else _NO_WIDGET)
    if not kept:
        kept["text/plain"] = json.dumps(_NOT_KEPT)
    about = _as_json(metadata or {}) or "{}"
    found = {
        "data": {kind: json.loads(text) for kind, text in kept.items()},
        "metadata": json.loads(about),
    }
    return found, sum(map(len, kept.values())) + len(about)


def _as_json(value: Any) -> str | None:
    try:
        return json.dumps(value, default=_plain)
    except Exception:  # the value's own classes run here
        return None


def _plain(value: Any) -> str:
    """Return bytes as front ends take them: pictures are sent in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    message = f"{type(value).__name__} is no plain data"
    raise TypeError(message)


def only_safe(events: Sequence[Event]) -> list[Event]:
    """Return of what somebody else recorded only what cannot run code where it is shown.

    Text, log records and pictures stay. Of a display, HTML, SVG, JavaScript, Markdown, LaTeX and
    all other types are dropped, and it may not replace another display of the notebook. What is
    not an event at all is dropped as well.
    """
    return [safe for event in cast("list[Any]", list(events)) if (safe := _safe(event)) is not None]


def _safe(event: Any) -> Event | None:
    match event:
        case {"kind": "stream", "name": "stdout" | "stderr" as name, "text": str(text)}:
            return {"kind": "stream", "name": name, "text": text}
        case {"kind": "log", "level": int(level), "message": str(message)}:
            return {"kind": "log", "level": level, "message": message}
        case {"kind": "display" | "result" as kind, "data": {**data}}:
            kept = {one: it for one, it in data.items() if one in _SAFE and isinstance(it, str)}
            about = _sizes(event.get("metadata"), kept)
            safe = {"data": kept or {"text/plain": _NOT_SAFE}, "metadata": about}
            if kind == "result":
                return {"kind": kind, **safe}
            return {"kind": kind, **safe, "id": None, "update": False}
        case _:
            return None


def _sizes(metadata: Any, kept: Mapping[str, Any]) -> dict[str, dict[str, int | float]]:
    """Return what metadata says of the size of pictures."""
    found: dict[str, dict[str, int | float]] = {}
    for kind in _PICTURES & kept.keys():
        match metadata:
            case {**kinds} if isinstance(kinds.get(kind), dict):
                sizes = {
                    name: size
                    for name in ("width", "height")
                    if isinstance(size := kinds[kind].get(name), int | float)
                }
                if sizes:
                    found[kind] = sizes
            case _:
                pass
    return found
