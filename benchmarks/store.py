"""What the result store costs beside raw diskcache, in one interleaved run.

Run it with `python benchmarks/store.py`. Each line gives the median of our time, of the baseline's,
and their ratio; compare ratios, because a shared machine drifts by half. The bounds are those of
the design: a hit from memory ≤ 1 × a raw get, from disk ≤ 3 ×, a small miss ≤ 1.5 × a raw set on
the caller's path, a large array ≤ 1.3 × digest and read.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from blake3 import blake3

from cellist.caching.store import ResultStore

SMALL = {"rows": [1, 2, 3], "score": 0.5, "name": "ewr"}
LARGE = 100 * 2**20
COMPONENTS = [["argument", "n", "ab" * 16, "10"], ["source", "fit", "cd" * 16, "def fit(n): ..."]]
HEADER: Any = {"task": "fit", "task_key": "notebook.fit", "seconds": 0.1, "components": COMPONENTS}


def timed(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def compare(name, bound, pairs):
    ours, raw = zip(*pairs, strict=True)
    mine, base = statistics.median(ours), statistics.median(raw)
    scale, unit = (1e6, "µs") if base < 1e-3 else (1e3, "ms")
    print(
        f"{name:<46}{mine * scale:9.1f} {unit} {base * scale:9.1f} {unit}"
        f"   × {mine / base:5.2f}   (bound {bound})"
    )


def small(folder, count=500):
    raw = diskcache.Cache(folder / "raw")
    store = ResultStore(folder / "ours")
    keys = [f"{number:064x}" for number in range(count)]
    queued, durable, raw_set = [], [], []
    for key in keys:
        raw_set.append(timed(raw.set, key, SMALL))
        queued.append(timed(lambda key=key: store.put(key, SMALL, HEADER, durable=False)))
        if len(durable) < 50:
            other = "d" + key
            durable.append(timed(lambda other=other: store.put(other, SMALL, HEADER, durable=True)))
    store.flush()
    compare("small miss, queued | raw set", 1.5, zip(queued, raw_set, strict=True))
    compare("small miss, durable | raw set", "-", zip(durable, raw_set, strict=False))
    cold = ResultStore(folder / "ours")
    cold.get(keys[0])
    disk, memory, raw_get = [], [], []
    for key in keys[1:]:
        raw_get.append(timed(raw.get, key))
        disk.append(timed(cold.get, key))
        memory.append(timed(store.get, key))
    compare("small hit from disk | raw get", 3, zip(disk, raw_get, strict=True))
    compare("small hit from memory | raw get", 1, zip(memory, raw_get, strict=True))


def read_and_digest(path):
    blake3(path.read_bytes()).digest()


def write_and_digest(path, array):
    blake3(array.reshape(-1).view(np.uint8)).digest()
    path.write_bytes(array)


def large(folder, rounds=7):
    store = ResultStore(folder / "ours")
    array = np.random.default_rng(0).integers(0, 256, LARGE, np.uint8).view("f8").reshape(-1, 16)
    path = folder / "plain"
    writes, reads = [], []
    for number in range(rounds):
        path.unlink(missing_ok=True)
        theirs = timed(write_and_digest, path, array)
        writes.append(
            (
                timed(lambda key=f"a{number}": store.put(key, array, HEADER, durable=False)),
                theirs,
            )
        )
    for _ in range(rounds):
        theirs = timed(read_and_digest, path)
        reads.append((timed(store.get, "a0"), theirs))
    compare("100 MB array hit from disk | digest + read", 1.3, reads)
    compare("100 MB array put | digest + write", "-", writes)


def opening(folder):
    pairs = []
    for number in range(5):
        theirs = timed(diskcache.Cache, folder / f"raw{number}")
        store = ResultStore(folder / f"ours{number}")
        pairs.append((timed(store.get, "nothing"), theirs))
    compare("first use of a new directory | raw open", "-", pairs)


def main():
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("CELLIST_SECRET_DIR", str(Path(name) / "secret"))
        for part in (opening, small, large):
            folder = Path(name) / part.__name__
            folder.mkdir()
            part(folder)


if __name__ == "__main__":
    main()
