"""One key in several kernels at once: computed once, whatever becomes of who computes it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellist.caching.store import Found, ResultStore

SECONDS = 60
pytestmark = pytest.mark.slow

PROGRAM = """
import os, sys, time
from pathlib import Path
from cellist import task
from cellist.caching import leases

leases._TTL = float(sys.argv[2])
log = Path(sys.argv[1])

@task
def slow(n):
    (log / f"ran-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while not (log / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return [n, os.getpid()]

(log / f"ready-{os.getpid()}").touch()
while not (log / "start").exists():
    time.sleep(0.002)
state = slow(1, return_state=True)
print(state.name, state.result()[1], sep="|")
"""


class Kernels:
    """Processes that compute the same, as kernels of one project do."""

    def __init__(self, log: Path, kind: str) -> None:
        self.log = log
        self.home = log / "home"
        self.kind = kind
        self.begun: list[subprocess.Popen[str]] = []

    def begin(self, ttl: float = 30.0) -> "subprocess.Popen[str]":
        """Start one more."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(self.log), str(ttl)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "CELLIST_HOME": str(self.home), "CELLIST_STORE": self.kind},
        )
        self.begun.append(process)
        return process

    def which(self, what: str) -> set[int]:
        """Return the processes that have come to a point."""
        return {int(path.name.partition("-")[2]) for path in self.log.glob(f"{what}-*")}

    def answers(self) -> list[list[str]]:
        """Return state and result of each that was not killed."""
        alive = [process for process in self.begun if process.poll() != -signal.SIGKILL]
        found = [process.communicate(timeout=SECONDS) for process in alive]
        assert [error for _, error in found] == [""] * len(found)
        return sorted(line.strip().split("|") for line, _ in found)

    def stored(self) -> list[Any]:
        """Return the values in the store."""
        store = ResultStore(self.home / "results", kind=self.kind)
        found = [store.get(entry["key"]) for entry in store.entries()]
        store.close()
        assert all(isinstance(one, Found) for one in found)
        return [one.value for one in found if isinstance(one, Found)]


@pytest.fixture(params=["index", "files"])
def kernels(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kernels]:
    made = Kernels(tmp_path, request.param)
    yield made
    for process in made.begun:
        process.kill()
        process.communicate()


def eventually(condition: Any) -> float:
    """Wait for something and return how many seconds that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + SECONDS
        time.sleep(0.005)
    return time.monotonic() - start


def test_eight_kernels_compute_once(kernels: Kernels) -> None:
    for _ in range(8):
        kernels.begin()
    eventually(lambda: len(kernels.which("ready")) == 8)
    (kernels.log / "start").touch()
    eventually(lambda: kernels.which("ran"))
    time.sleep(0.5)  # long enough for the others to begin, if they were let
    (kernels.log / "go").touch()
    answers = kernels.answers()
    (who,) = kernels.which("ran")
    assert answers == [["Cached", str(who)]] * 7 + [["Completed", str(who)]]
    assert kernels.stored() == [[1, who]]


def test_a_holder_that_is_killed_is_followed_within_seconds(kernels: Kernels) -> None:
    (kernels.log / "start").touch()
    first = kernels.begin()
    eventually(lambda: kernels.which("ran"))
    second = kernels.begin()
    eventually(lambda: second.pid in kernels.which("ready"))
    time.sleep(0.3)
    assert kernels.which("ran") == {first.pid}
    first.kill()
    first.communicate()
    assert eventually(lambda: second.pid in kernels.which("ran")) < 25, (
        "its lease would last longer"
    )
    (kernels.log / "go").touch()
    assert kernels.answers() == [["Completed", str(second.pid)]]
    assert kernels.stored() == [[1, second.pid]]


def test_a_holder_that_was_stopped_and_goes_on_does_no_harm(kernels: Kernels) -> None:
    (kernels.log / "start").touch()
    first = kernels.begin(ttl=3)
    eventually(lambda: kernels.which("ran"))
    second = kernels.begin(ttl=3)
    eventually(lambda: second.pid in kernels.which("ready"))
    time.sleep(3.5)
    assert kernels.which("ran") == {first.pid}, "it renews its lease"
    first.send_signal(signal.SIGSTOP)
    eventually(lambda: second.pid in kernels.which("ran"))
    (kernels.log / "go").touch()
    second.wait(SECONDS)
    first.send_signal(signal.SIGCONT)
    answers = kernels.answers()
    assert [name for name, _ in answers] == ["Completed", "Completed"]
    (value,) = kernels.stored()
    assert value in ([1, first.pid], [1, second.pid])
    third = kernels.begin()
    line, error = third.communicate(timeout=SECONDS)
    assert (line, error) == (f"Cached|{value[1]}\n", "")


READ_ONLY = """
import sys
from cellist import task

@task
def f(n):
    import time
    time.sleep(0.06)
    return [n]

for n in (1, 2, 2):
    state = f(n, return_state=True)
    print(state.name, state.result())
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs to mount")
def test_a_read_only_project_is_one_warning_and_no_failed_run(tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = {**os.environ, "CELLIST_HOME": str(home), "CELLIST_HISTORY": "0"}
    command = [sys.executable, "-c", READ_ONLY]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, env=env, text=True, capture_output=True, check=True)

    script = READ_ONLY.replace("(1, 2, 2)", "(1,)")
    subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True)
    subprocess.run(["mount", "--bind", str(home), str(home)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
    try:
        done = run()
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
    assert done.stdout.splitlines() == ["Cached [1]", "Completed [2]", "Cached [2]"]
    assert done.stderr.count("Warning") == 1, done.stderr
    assert "kept in memory only" in done.stderr
