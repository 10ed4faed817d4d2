"""What a run showed, as plain data beside its result."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellist.caching.found import Found
from cellist.caching.shown import bundle, only_safe, pack, split, unpack
from cellist.caching.store import ResultStore

EVENTS: list[dict[str, Any]] = [
    {"kind": "stream", "name": "stdout", "text": "grün \udc80\n"},
    {"kind": "log", "level": 20, "message": "five"},
    {"kind": "display", "data": {"text/html": "<b>"}, "metadata": {}, "id": None, "update": False},
]


NOT_SAFE = "[a display from somebody else is shown only as text or a picture]"


def display(data: Any, metadata: Any = None, **more: Any) -> dict[str, Any]:
    about = {"metadata": metadata or {}, "id": "x", "update": True, **more}
    return {"kind": "display", "data": data, **about}


def test_events_survive_as_json():
    assert unpack(pack(EVENTS)) == EVENTS
    assert json.loads(pack(EVENTS[1:]))


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({"text/plain": "t", "text/html": "<b>"}, {"text/plain": "t", "text/html": "<b>"}),
        ({"image/png": b"\x89PNG"}, {"image/png": "iVBORw=="}),
        ({"application/json": {"a": (1, None)}}, {"application/json": {"a": [1, None]}}),
        ({"text/plain": "t", "application/x": threading.Lock()}, {"text/plain": "t"}),
        (
            {"application/x": threading.Lock()},
            {"text/plain": "[something that could not be kept was displayed here]"},
        ),
    ],
)
def test_of_a_display_plain_data_is_kept(data, kept):
    found, size = bundle(data, {"image/png": {"width": 3}})
    assert found == {"data": kept, "metadata": {"image/png": {"width": 3}}}
    assert size >= len(json.dumps(kept)) // 2


def test_a_display_is_kept_as_it_is_now():
    data: dict[str, Any] = {"application/json": {"rows": [1]}}
    found, _ = bundle(data, None)
    data["application/json"]["rows"].append(2)
    assert found["data"] == {"application/json": {"rows": [1]}}


@pytest.mark.parametrize(
    ("event", "safe"),
    [
        (EVENTS[0], EVENTS[0]),
        (EVENTS[1], EVENTS[1]),
        (
            display({"text/html": "<script>", "text/plain": "t", "image/svg+xml": "<svg>"}),
            display({"text/plain": "t"}, id=None, update=False),
        ),
        (
            display(
                {"image/png": "iVBO", "application/javascript": "alert()"},
                {"image/png": {"width": 3, "height": "</img>"}, "isolated": True},
            ),
            display({"image/png": "iVBO"}, {"image/png": {"width": 3}}, id=None, update=False),
        ),
        (
            display({"text/markdown": "<img onerror=x>", "text/latex": "\\href{javascript:x}{y}"}),
            display({"text/plain": NOT_SAFE}, id=None, update=False),
        ),
        (
            {"kind": "result", "data": {"text/plain": "5", "text/html": "<b>"}, "metadata": 3},
            {"kind": "result", "data": {"text/plain": "5"}, "metadata": {}},
        ),
        (
            display({"text/plain": ["no", "text"], "image/png": {}}),
            display({"text/plain": NOT_SAFE}, id=None, update=False),
        ),
        ({"kind": "stream", "name": "stdin", "text": "x"}, None),
        ({"kind": "stream", "name": "stdout", "text": {"a": 1}}, None),
        ({"kind": "log", "level": "20", "message": "x"}, None),
        ({"kind": "comm", "data": {}}, None),
        ({"kind": "display", "data": "text"}, None),
        ("text", None),
        (None, None),
    ],
)
def test_what_others_recorded_cannot_run_code(event, safe):
    assert only_safe([event]) == ([] if safe is None else [safe])


@pytest.mark.parametrize(
    "value", [1, "text", b"bytes", [1, {"a": None}], {1, 2}, (1, 2), {"f": print}, None]
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_an_entry_has_both_value_and_what_was_shown(tmp_path: Path, value, in_memory):
    store = ResultStore(tmp_path / "results")
    entry = store.seal("k", value, {"task": "t"}, shown=pack(EVENTS))
    assert not isinstance(entry, str)
    assert store.keep(entry, durable=True) is None
    if not in_memory:
        store.close()
        store = ResultStore(tmp_path / "results")
    for source in ("memory" if in_memory else "disk", "memory"):
        found = store.get("k")
        assert isinstance(found, Found)
        assert (found.value, found.source) == (value, source)
        assert found.shown is not None
        assert unpack(found.shown) == EVENTS
    assert store.verify() == []
    store.close()


def test_large_arrays_keep_their_value_apart_from_what_was_shown(tmp_path: Path):
    value = np.arange(100_000)
    store = ResultStore(tmp_path / "results", memory_budget=0)
    entry = store.seal("k", {"a": value}, {}, shown=b"[]")
    assert not isinstance(entry, str)
    assert store.keep(entry, durable=True) is None
    found = store.get("k")
    assert isinstance(found, Found)
    assert np.array_equal(found.value["a"], value)
    assert bytes(found.shown or b"") == b"[]"
    store.close()


def test_without_a_recording_there_is_none(tmp_path: Path):
    store = ResultStore(tmp_path / "results")
    assert store.put("k", [1], {}, durable=True) is None
    found = store.get("k")
    assert isinstance(found, Found)
    assert found.shown is None
    assert "shown" not in found.header
    assert split({}, [b"a"]) == ([b"a"], None)
    store.close()
