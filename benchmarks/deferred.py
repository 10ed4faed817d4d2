"""Deferred runs under random kills: `python -m benchmarks.deferred --runs 100000 --kills 20`.

Two worker processes drain a queue while one of them is killed (SIGKILL) at random moments and
replaced. Told in the end: whether each run has exactly one final state, how many were begun twice,
how long a run was lost until another worker had it, how many runs a second were drained, and how
long a single run takes from `delay` to its result.
"""

import argparse
import importlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

SERVED = """
import os
from pathlib import Path
from cellist import task
from cellist.cache_policies import NO_CACHE

NOTES = os.open(
    Path(os.environ["DEFERRED_NOTES"], f"{os.getpid()}.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
)

@task(cache_policy=NO_CACHE)
def mark(number):
    os.write(NOTES, b"%d\\n" % number)
    return number
"""


def start_worker(folder, limit):
    """Start a worker; it is ready when it says so."""
    command = [sys.executable, "-m", "cellist", "serve", "served:mark", "--limit", str(limit)]
    env = {**os.environ, "CELLIST_LOGGING_LEVEL": "WARNING"}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def recovery(queue, dead_owner, began):
    """Return in how many seconds nothing of a dead worker's was left in its hands."""
    while time.monotonic() - began < 60:
        with queue.reading() as connection:
            sql = "SELECT count(*) FROM jobs WHERE owner = ? AND status = 'taken'"
            if not connection.execute(sql, (dead_owner,)).fetchone()[0]:
                return time.monotonic() - began
        time.sleep(0.01)
    return float("inf")


def owner_of(queue, pid):
    with queue.reading() as connection:
        row = connection.execute("SELECT id FROM workers WHERE pid = ?", (pid,)).fetchone()
        return row[0] if row else None


def drain(runs, kills, limit, seed):
    """Queue the runs, have them drained under kills, and print what came of it."""
    from cellist.worker.futures import queue_path
    from cellist.worker.queue import Queue

    folder = Path(os.environ["DEFERRED_NOTES"]).parent
    sys.path.insert(0, str(folder))
    served = importlib.import_module("served")

    draw = random.Random(seed)
    began = time.perf_counter()
    for start in range(0, runs, 5000):
        served.mark.map(range(start, min(start + 5000, runs)), deferred=True)
    queued = time.perf_counter() - began
    print(f"queued {runs:,} runs in {queued:.1f} s: {runs / queued:,.0f} a second", flush=True)
    queue = Queue(queue_path())
    before = queue.counts()["done"]
    workers = [start_worker(folder, limit) for _ in range(2)]
    began = time.monotonic()
    recovered = []
    thresholds = sorted(draw.uniform(0.03, 0.95) * runs for _ in range(kills))
    while True:
        counts = queue.counts()
        over = counts["done"] + counts["dead"] - before
        if over == runs:
            break
        if thresholds and over >= thresholds[0]:
            thresholds.pop(0)
            victim = workers.pop(draw.randrange(len(workers)))
            owner = owner_of(queue, victim.pid)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            if owner is not None:
                recovered.append(recovery(queue, owner, time.monotonic()))
            workers.append(start_worker(folder, limit))
        time.sleep(0.05)
    seconds = time.monotonic() - began
    for worker in workers:
        worker.terminate()
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(20)
    tell(queue, runs, kills, seconds, recovered)


def tell(queue, runs, kills, seconds, recovered):
    import cellist

    lines = [
        line
        for path in Path(os.environ["DEFERRED_NOTES"]).glob("*.txt")
        for line in path.read_text().split()
    ]
    begun = Counter(lines)
    finals = Counter()
    with queue.reading() as connection:
        for (states,) in connection.execute("SELECT states FROM jobs"):
            final = states.count('"COMPLETED"') + states.count('"CRASHED"')
            finals[final] += 1
    again = sum(begun.values()) - len(begun)
    history = cellist.runs(name="mark", limit=runs + 10)["state"].value_counts().to_dict()
    print(f"drained in {seconds:.1f} s with {kills} kills: {runs / seconds:,.0f} runs a second")
    print(f"final states of a run: {dict(finals)}; queue: {queue.counts()}")
    print(f"lost: {runs - len(begun)}; begun more than once: {again}; history: {history}")
    if recovered:
        middle, most = statistics.median(recovered), max(recovered)
        print(f"from a kill until its runs waited again: median {middle:.2f} s, most {most:.2f} s")


def latency(count, limit):
    """Print how long a run takes from `delay` to its result in this process."""
    folder = Path(os.environ["DEFERRED_NOTES"]).parent
    sys.path.insert(0, str(folder))
    from cellist.task_worker import BackgroundWorker

    served = importlib.import_module("served")

    def measure():
        served.mark.delay(0).result(timeout=60)
        found = []
        for number in range(count):
            began = time.perf_counter()
            served.mark.delay(number).result(timeout=60)
            found.append((time.perf_counter() - began) * 1000)
        found.sort()
        return f"median {found[count // 2]:.1f} ms, p95 {found[int(count * 0.95)]:.1f} ms"

    with BackgroundWorker(served.mark):
        print("delay to result in the same process:", measure(), flush=True)
    worker = start_worker(folder, limit)
    try:
        print("delay to result by another process:", measure(), flush=True)
    finally:
        worker.kill()
        worker.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if "DEFERRED_NOTES" not in os.environ:  # what signs is taken from where the process began
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            Path(folder, "served.py").write_text(SERVED)
            notes = Path(folder, "notes")
            notes.mkdir()
            own = {"CELLIST_HOME": f"{folder}/home", "CELLIST_SECRET_DIR": f"{folder}/secret"}
            env = {**os.environ, **own, "DEFERRED_NOTES": str(notes)}
            command = [sys.executable, "-m", "benchmarks.deferred", *sys.argv[1:]]
            sys.exit(subprocess.run(command, env=env, check=False).returncode)
    latency(100, given.limit)
    for path in Path(os.environ["DEFERRED_NOTES"]).glob("*.txt"):
        path.write_text("")
    drain(given.runs, given.kills, given.limit, given.seed)


if __name__ == "__main__":
    main()
