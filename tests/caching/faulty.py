"""What the tests of the store do again and again."""

from typing import Any

import numpy as np

from cellist.caching.formats import decode, encode
from cellist.caching.store import Found

HEADER: Any = {"task": "fit", "task_key": "notebook.fit", "seconds": 2.0}
LARGE = np.arange(100_000.0)


def filled(open_store):
    """Store one small and one large result, and forget them in memory."""
    store = open_store()
    assert store.put("small", {"a": [1]}, HEADER, durable=True) is None
    assert store.put("large", LARGE, HEADER, durable=True) is None
    store.close()


def check_recovers(store, key="large", value: Any = LARGE):
    """A result that was lost is computed, kept and found again."""
    assert store.put(key, value, HEADER, durable=True) is None
    found = store.get(key)
    assert isinstance(found, Found)
    np.testing.assert_equal(found.value, value)
    problems = store.verify()
    assert [problem for problem in problems if problem["key"] == key] == []


def only_file(results):
    (path,) = results.rglob("*.val")
    return path


def back(value, *, private=True) -> Any:
    """Return the format of a value, and what comes back."""
    encoded = encode(value).owned()
    parts = [memoryview(bytearray(p)) if private else p for p in encoded.parts]
    return encoded.format, decode(encoded.format, encoded.meta, parts, private=private)
