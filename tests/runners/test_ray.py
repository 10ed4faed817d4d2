"""What only Ray has: its options, options of tasks, and workers that die."""

import builtins
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import ConfigurationError, CrashedRun
from cellist.ray import RayTaskRunner, remote_options
from cellist.runners.ray import InOrder, start
from tests.runners.contract import until
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
pytestmark = pytest.mark.timeout(900)  # on a busy machine Ray may have to be started anew


def test_options() -> None:
    runner = RayTaskRunner("ray://head:10001", {"num_cpus": 2})
    assert runner.init_kwargs == {"namespace": "prefect", "num_cpus": 2}
    assert runner.duplicate() == runner != RayTaskRunner()
    with pytest.raises(ValueError, match="not both"):
        RayTaskRunner("auto", {"address": "auto"})


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(4))))
def test_messages_that_overtake_others_wait_for_them(arrival: tuple[int, ...]) -> None:
    """A loop that was told to have done none after three looked as if it stood still."""
    order = InOrder()
    heard = [one for place in arrival for one in order.take(7, place, f"message {place}")]
    assert heard == [f"message {place}" for place in range(4)]
    assert list(order.take(8, 1, "of another")) == []
    assert list(order.take(8, 0, "before it")) == ["before it", "of another"]


def test_without_the_package(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    @flow(task_runner=RayTaskRunner())
    def f():
        task(abs, name="a", **quick).submit(1).result()

    with pytest.raises(ImportError, match=r"pip install 'cellist\[ray\]'"):
        f()


def test_a_cluster_that_does_not_start(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []

    class Broken:
        def is_initialized(self):
            return False

        def init(self, **options):
            raise Exception(f"The current node timed out: {options['address']}")

        def shutdown(self):
            ended.append(1)

    monkeypatch.setitem(sys.modules, "ray", Broken())

    @flow(task_runner=RayTaskRunner("auto"))
    def f():
        task(abs, name="a", **quick).submit(1).result()

    with pytest.raises(ConfigurationError, match="cannot reach the Ray cluster at 'auto': The cur"):
        f()
    assert ended == [1]


def test_an_address_where_nobody_listens(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # by another test
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):

        @flow(task_runner=RayTaskRunner(address))
        def f():
            task(abs, name="a", **quick).submit(1).result()

        with pytest.raises(ConfigurationError, match=f"cluster at '{address}': .*refused"):
            f()


def test_an_address_that_is_not_used_is_told(ray_cluster: None, recorder: Recorder) -> None:
    @flow(task_runner=RayTaskRunner("ray://elsewhere:10001"))
    def f():
        return task(abs, name="a", **quick).submit(-1).result()

    assert f() == 1
    (told,) = [text for text in recorder.logs() if "elsewhere" in text]
    assert "connected already" in told


def test_a_slow_start_is_repeated_and_print_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, starts = builtins.print, []

    class Slow:
        def init(self, **options):
            starts.append(options)
            if len(starts) % 3:
                raise Exception("The current node timed out during startup. This could happen")
            monkeypatch.setattr(builtins, "print", bars.safe_print)
            return "context"

        def shutdown(self):
            pass

    bars = types.SimpleNamespace(safe_print=lambda *_: None)
    monkeypatch.setitem(sys.modules, "ray", Slow())
    monkeypatch.setitem(sys.modules, "ray.experimental.tqdm_ray", bars)
    context, end = start({"num_cpus": 1})
    assert (context, starts) == ("context", [{"num_cpus": 1}] * 3)
    assert builtins.print is not plain
    end()
    assert builtins.print is plain


@pytest.mark.slow
def test_options_of_tasks_nest_and_what_no_worker_has_is_waited_for(
    recorder: Recorder, ray_cluster: None
) -> None:
    import ray

    @task(**quick)
    def given():
        return ray.get_runtime_context().get_assigned_resources()

    @flow(task_runner=RayTaskRunner())
    def f():
        with remote_options(num_cpus=2):
            two = given.submit()
            with remote_options(num_gpus=1):
                never = given.submit()
        assert (two.result()["CPU"], given.submit().result()["CPU"]) == (2, 1)
        until(lambda: recorder.session.waits_of(never.run) == "waits for a worker of the cluster")
        never.cancel()
        never.wait(60)
        return [names(never.run)[-1]]

    assert f() == ["Cancelled"]


@pytest.mark.slow
def test_a_worker_that_dies_and_results_that_stay(recorder: Recorder, ray_cluster: None) -> None:
    @task(**quick)
    def rows(n):
        return bytes(n)

    @flow(task_runner=RayTaskRunner())
    def f():
        bad = task(lambda: os._exit(3), name="gone", retries=2, **quick).submit()
        with pytest.raises(CrashedRun, match="worker running task `gone` went away: WorkerCrashed"):
            bad.result()
        assert names(bad.run) == ["Pending", "Running", "Crashed"]
        stays = rows.submit(200_000)
        assert task(len, name="size", **quick).submit(stays).result() == 200_000
        return stays.outcome.reference.is_here  # type: ignore[union-attr] - it is elsewhere

    assert f() is False


AGENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("is_slow", [False, True])
def test_processes_that_outlive_a_shutdown_are_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_slow: bool
) -> None:
    """Also those of a start that failed, which Ray does not know any more."""
    import psutil

    home = tmp_path / "ray"
    daemons: list[Any] = []
    inner: list[Any] = []

    class Ray:
        __file__ = str(home / "__init__.py")
        ended = 0

        def init(self, **options):
            for of in (home / "daemon", tmp_path / "of_the_user"):
                command = [sys.executable, "-c", AGENT, str(of)]
                daemons.append(subprocess.Popen(command, stdout=subprocess.PIPE))
                inner.append(psutil.Process(int(daemons[-1].stdout.readline())))
            if is_slow and len(daemons) == 2:
                raise Exception("The current node timed out during startup.")
            return "context"

        def shutdown(self):
            self.ended += 1
            if not is_slow:
                daemons[0].kill()

    monkeypatch.setitem(sys.modules, "ray", Ray())
    try:
        _, end = start({})
        end()
        until(lambda: all(map(_has_ended, inner[::2])))
        assert not any(map(_has_ended, inner[1::2]))
        assert len(inner) == (4 if is_slow else 2)
        assert daemons[1].poll() is None
    finally:
        for one in [*daemons, *inner]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        for one in daemons:
            one.stdout.close()
            one.wait()


def _has_ended(process: Any) -> bool:
    return not process.is_running() or process.status() == "zombie"
