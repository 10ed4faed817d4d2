"""Real worker processes, ended as the world ends them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

import cellist
from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import CrashedRun
from cellist.futures import PrefectDistributedFuture, wait
from cellist.settings import temporary_settings
from cellist.task_worker import BackgroundWorker
from tests.worker import served
from tests.worker.served import amark, hold, mark, noted, say
from tests.worker.waits import until

pytestmark = pytest.mark.slow
SERVED = Path(served.__file__)
SOURCE = Path(cellist.__file__).parents[1]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(SOURCE), **more}


class Workers:
    """Worker processes of one test."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.logs = 0

    def start(self, *tasks, limit=4, target=SERVED, **more):
        """Start a worker and wait until it says that it serves."""
        self.logs += 1
        command = [sys.executable, "-m", "cellist", "serve", f"{target}:{','.join(tasks)}"]
        with (self.folder / f"worker{self.logs}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--limit", str(limit)],
                env=environment(**more),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Serving")
        return process

    def kill(self, process):
        """Kill a worker as the out-of-memory killer does."""
        process.kill()
        self.end(process)

    def end(self, process):
        process.wait()
        process.stdout.close()
        self.running.remove(process)

    def log(self):
        return "".join(
            (self.folder / f"worker{number}.log").read_text() for number in range(1, self.logs + 1)
        )


@pytest.fixture
def workers(tmp_path):
    found = Workers(tmp_path)
    yield found
    for process in list(found.running):
        found.kill(process)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "noted"
    made.mkdir()
    return str(made)


def test_another_process_carries_it_out(workers, folder):
    workers.start("mark", "amark")
    first = mark.delay(folder, 1)
    assert amark.delay(folder, first).result(timeout=30) == 1
    record = cellist.run(first.task_run_id)
    until(lambda: cellist.run(first.task_run_id).state == "Completed")
    assert record.id == first.task_run_id.hex


def test_a_third_process_reads_the_result_by_its_id(workers, folder):
    future = mark.delay(folder, 7)
    workers.start("mark")
    program = (
        "import sys; from uuid import UUID; from cellist.futures import PrefectDistributedFuture\n"
        "print(PrefectDistributedFuture(task_run_id=UUID(sys.argv[1])).result(timeout=30))"
    )
    command = [sys.executable, "-c", program, str(future.task_run_id)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout == "7\n", done.stderr


def test_a_killed_worker_loses_nothing(workers, folder):
    worker = workers.start("hold", "mark", limit=2)
    slow = hold.delay(folder, 1)
    waiting = mark.delay(folder, 2)
    until(lambda: 1 in noted(folder))
    workers.kill(worker)
    Path(folder, "go").touch()
    workers.start("hold", "mark")
    assert slow.result(timeout=30) == 1
    assert waiting.result(timeout=30) == 2
    states = [one.name for one in cellist.run(slow.task_run_id).states]
    assert states.count("Completed") <= 1
    assert Counter(noted(folder))[1] == 2
    assert any("went away while it ran" in (one.message or "") for one in slow.run.states)
    assert [one.name for one in slow.run.states][-4:] == [
        "Scheduled", "Pending", "Running", "Completed",
    ]  # fmt: skip


def test_at_most_once_is_not_run_again(workers, folder):
    worker = workers.start("mark")
    future = mark.apply_async((folder, 1, 30), delivery="at_most_once")
    until(lambda: 1 in noted(folder))
    workers.kill(worker)
    workers.start("mark")
    with pytest.raises(CrashedRun, match="delivered at most once, so it is not run again"):
        future.result(timeout=30)
    assert noted(folder) == [1]
    until(lambda: cellist.run(future.task_run_id).state == "Crashed")


def test_who_waits_learns_of_the_death_without_another_worker(workers, folder):
    worker = workers.start("mark")
    future = mark.apply_async((folder, 1, 30), delivery="at_most_once")
    until(lambda: 1 in noted(folder))
    workers.kill(worker)
    with pytest.raises(CrashedRun):
        future.result(timeout=30)


def test_what_kills_its_workers_becomes_a_dead_letter(workers, folder):
    with temporary_settings({"CELLIST_TASKS_MAX_DELIVERIES": 2}):
        future = mark.delay(folder, 1, 30)
    for attempt in (1, 2):
        worker = workers.start("mark")
        until(lambda attempt=attempt: len(noted(folder)) == attempt)
        workers.kill(worker)
    workers.start("mark")
    with pytest.raises(CrashedRun, match="delivery 2 of 2, so it is not tried again"):
        future.result(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_goes_on_end(workers, folder, number):
    worker = workers.start("mark", limit=1)
    going, waiting = mark.delay(folder, 1, 0.5), mark.delay(folder, 2)
    until(lambda: 1 in noted(folder))
    worker.send_signal(number)
    assert worker.wait(timeout=60) == 0
    assert going.result(timeout=60) == 1
    assert not waiting.done()
    assert noted(folder) == [1]


def test_sigterm_gives_back_what_does_not_end_in_time(workers, folder):
    worker = workers.start("mark", CELLIST_WORKER_GRACE_SECONDS="0.3")
    future = mark.delay(folder, 1, 30)
    until(lambda: 1 in noted(folder))
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert time.monotonic() - began < 25
    assert future.state.is_scheduled()


def test_a_killed_producer_loses_nothing(workers, folder):
    program = (
        "import os, signal, sys\nfrom tests.worker.served import mark\n"
        "found = mark.map([sys.argv[1]] * 20, range(20), deferred=True)\n"
        "print([str(one.task_run_id) for one in found], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        env=environment(PYTHONPATH=f"{SOURCE}{os.pathsep}{root}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    ids = json.loads(done.stdout.replace("'", '"'))
    workers.start("mark")
    futures = [PrefectDistributedFuture(task_run_id=one) for one in ids]
    assert [one.result(timeout=30) for one in futures] == list(range(20))
    until(lambda: set(cellist.runs(name="mark")["state"]) == {"Completed"})


def test_other_code_of_a_helper_is_named(workers, tmp_path):
    other = tmp_path / "served.py"
    other.write_text(SERVED.read_text().replace('"theirs"', '"ours"'))
    workers.start("say", target=other)
    future = say.delay()
    assert future.result(timeout=30) == "ours"
    assert "helper `helper` differs" in workers.log()
    said = "helper `helper` differs"
    until(lambda: any(said in log.message for log in cellist.run(future.task_run_id).logs))


def test_other_code_of_the_task_is_named_on_both_sides(workers, tmp_path):
    other = tmp_path / "served.py"
    other.write_text(SERVED.read_text().replace("return helper()", "return helper() + '!'"))
    earlier = say.delay()
    workers.start("say", target=other)
    until(lambda: "wait in the queue for code" in workers.log())
    with pytest.warns(UserWarning, match="serves a task `say` whose code is another"):
        future = say.delay()
    with pytest.raises(TimeoutError):
        future.result(timeout=0.3)
    assert not earlier.done()


@contextmanager
def clock_ahead(monkeypatch, seconds):
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("seconds", [86_400 * 30, -86_400 * 30])
def test_a_clock_that_is_set_takes_no_run_from_its_worker(workers, folder, monkeypatch, seconds):
    workers.start("hold")
    future = hold.delay(folder, 1)
    until(lambda: 1 in noted(folder))

    @task(cache_policy=NO_CACHE)
    def other():
        return 1

    with clock_ahead(monkeypatch, seconds), BackgroundWorker(other, hold):
        assert other.delay().result(timeout=30) == 1
        Path(folder, "go").touch()
        assert future.result(timeout=30) == 1
    assert noted(folder) == [1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_kills_lose_nothing(workers, folder, seed, queue):
    """Two workers, five kills: each run ends once, and what was begun twice is counted."""
    draw = random.Random(seed)
    count, limit, kills = 300, 4, 5
    pool = [workers.start("mark", limit=limit) for _ in range(2)]
    futures = mark.map([folder] * count, range(count), [0.02] * count, deferred=True)
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 0.4))
        victim = pool.pop(draw.randrange(2))
        workers.kill(victim)
        pool.append(workers.start("mark", limit=limit))
    done, left = wait(futures, timeout=120)
    assert not left
    assert sorted(one.result() for one in done) == list(range(count))
    finals = [sum(state.is_final() for state in one.run.states) for one in done]
    assert finals == [1] * count
    assert queue.counts() == {"queued": 0, "taken": 0, "done": count, "dead": 0}
    begun = Counter(noted(folder))
    assert set(begun) == set(range(count))
    assert sum(begun.values()) - count <= kills * limit
    until(lambda: set(cellist.runs(name="mark", limit=count + 1)["state"]) == {"Completed"})
