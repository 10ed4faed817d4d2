"""What the result store costs beside raw diskcache, without the run around it.

The times are taken in pairs, item by item: ours, theirs, ours, theirs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import diskcache
import numpy as np
from blake3 import blake3

from benchmarks.measure import Row, Size, paired, timed, times
from cellist.caching.envelope import Header
from cellist.caching.store import ResultStore

SMALL = {"rows": [1, 2, 3], "score": 0.5, "name": "ewr"}
LARGE = 100 * 2**20
COMPONENTS = [["argument", "n", "ab" * 16, "10"], ["source", "fit", "cd" * 16, "def fit(n): ..."]]
HEADER: Header = {
    "task": "fit",
    "task_key": "notebook.fit",
    "seconds": 0.1,
    "components": COMPONENTS,
}


def small(folder: Path, count: int) -> Iterator[Row]:
    raw = diskcache.Cache(folder / "raw")
    store = ResultStore(folder / "ours")
    keys = [f"{number:064x}" for number in range(count)]
    queued, durable = [], []
    for key in keys:
        theirs = timed(raw.set, key, SMALL)
        queued.append((timed(lambda key=key: store.put(key, SMALL, HEADER, durable=False)), theirs))
        if len(durable) < 50:
            other = "d" + key
            mine = timed(lambda key=other: store.put(key, SMALL, HEADER, durable=True))
            durable.append((mine, theirs))
    store.flush()
    yield paired("store: small put, queued", "diskcache set", queued, times(1.5, "raw set"))
    yield paired("store: small put, durable", "diskcache set", durable, None)
    cold = ResultStore(folder / "ours")
    cold.get(keys[0])
    disk, memory = [], []
    for key in keys[1:]:
        theirs = timed(raw.get, key)
        disk.append((timed(cold.get, key), theirs))
        memory.append((timed(store.get, key), theirs))
    yield paired("store: small get from disk", "diskcache get", disk, times(3, "raw get"))
    yield paired("store: small get from memory", "diskcache get", memory, times(1, "raw get"))


def read_and_digest(path: Path) -> None:
    blake3(path.read_bytes()).digest()


def write_and_digest(path: Path, array) -> None:
    blake3(array.reshape(-1).view(np.uint8)).digest()
    path.write_bytes(array)


def large(folder: Path, length: int, rounds: int) -> Iterator[Row]:
    store = ResultStore(folder / "ours")
    array = np.random.default_rng(0).integers(0, 256, length, np.uint8).view("f8").reshape(-1, 16)
    path = folder / "plain"
    writes, reads = [], []
    for number in range(rounds):
        path.unlink(missing_ok=True)
        theirs = timed(write_and_digest, path, array)
        mine = timed(lambda key=f"a{number}": store.put(key, array, HEADER, durable=False))
        writes.append((mine, theirs))
    store.flush()
    for _ in range(rounds):
        theirs = timed(read_and_digest, path)
        reads.append((timed(store.get, "a0"), theirs))
    name = f"store: {length >> 20} MB array"
    yield paired(f"{name} get", "read + blake3", reads, times(1.3, "digest and read"))
    yield paired(f"{name} put", "blake3 + write", writes, None)


def opening(folder: Path, rounds: int) -> Iterator[Row]:
    pairs = []
    for number in range(rounds):
        theirs = timed(diskcache.Cache, folder / f"raw{number}")
        store = ResultStore(folder / f"ours{number}")
        pairs.append((timed(store.get, "nothing"), theirs))
    yield paired("store: first use of a directory", "diskcache open", pairs, None)


def store(size: Size) -> Iterator[Row]:
    """The result store alone."""
    base = Path(os.environ["CELLIST_HOME"]).parent
    for name in ("opening", "small", "large"):
        (base / name).mkdir()
    yield from opening(base / "opening", size.rounds)
    yield from small(base / "small", size.items(500))
    yield from large(base / "large", 2**20 if size.tiny else LARGE, size.rounds)
