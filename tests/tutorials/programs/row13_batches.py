"""State updates are written in batches: a flow of many tasks is a few transactions."""

import os
import struct
from pathlib import Path

import cellist
from cellist import flow, task


# %%
def commits(path: Path) -> int:
    """Count the commits in a write-ahead log of SQLite: frames that say how large the file is."""
    data = path.read_bytes()
    page = struct.unpack(">I", data[8:12])[0]
    starts = range(32, len(data) - 24 - page + 1, 24 + page)
    return sum(struct.unpack(">I", data[start + 4 : start + 8])[0] > 0 for start in starts)


@task(cache_policy=None)
def step(number: int) -> int:
    return number


@flow
def many() -> int:
    return sum(step(number) for number in range(1000))


# %%
assert many() == 499500
assert len(cellist.runs(kind="task", limit=2000)) == 1000
record = cellist.run(cellist.runs(kind="task", limit=1)["id"].iloc[0])
assert [state.name for state in record.states] == ["Pending", "Running", "Completed"]

# %%
log = Path(os.environ["CELLIST_HOME"]) / "history.sqlite-wal"
assert 0 < commits(log) < 100  # for 3,000 changes of state
