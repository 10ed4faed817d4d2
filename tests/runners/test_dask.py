"""What only Dask has: clusters and their options, references, annotations, clients in tasks."""

import os
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.dask import DaskTaskRunner, get_async_dask_client, get_dask_client
from cellist.exceptions import (
    ConfigurationError,
    CrashedRun,
    MissingContextError,
    UnfinishedRun,
)
from cellist.runners.dask import DaskPool
from tests.runners.contract import until
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
small: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
slow = pytest.mark.slow
CLUSTER: Any = object()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "tcp://x:1", "cluster": CLUSTER}, "leave out `cluster`"),
        ({"address": "tcp://x:1", "cluster_class": "a.B"}, "leave out `cluster_class`"),
        ({"address": "tcp://x:1", "cluster_kwargs": {"n": 1}}, "leave out `cluster_kwargs`"),
        ({"address": "tcp://x:1", "adapt_kwargs": {"maximum": 1}}, "leave out `adapt_kwargs`"),
        ({"cluster": CLUSTER, "cluster_class": "a.B"}, "leave out `cluster_class`"),
        ({"cluster": CLUSTER, "cluster_kwargs": {"n": 1}}, "leave out `cluster_kwargs`"),
        ({"client_kwargs": {"asynchronous": True}}, "`asynchronous` may not be set in `client_kw"),
        ({"cluster_kwargs": {"asynchronous": 1}}, "`asynchronous` may not be set in `cluster_kw"),
    ],
)
def test_options_that_exclude_each_other(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DaskTaskRunner(**options)


def test_copies_and_equality() -> None:
    runner = DaskTaskRunner(cluster_kwargs=small, client_kwargs={"name": "me"})
    assert runner.client_kwargs == {"set_as_default": False, "name": "me"}
    assert runner.duplicate() == runner != DaskTaskRunner()
    assert "n_workers" in repr(runner)


def test_without_the_package(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    @flow(task_runner=DaskTaskRunner())
    def f():
        task(abs, name="a", **quick).submit(1).result()

    with pytest.raises(ImportError, match=r"pip install 'cellist\[dask\]'"):
        f()


@slow
def test_clusters_that_are_not_there(recorder: Recorder) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {"address": "tcp://127.0.0.1:9", "client_kwargs": {"timeout": 0.2}},
            "cannot reach the Dask scheduler at 'tcp://127.0.0.1:9'",
        ),
        ({"cluster_class": "distributed.NoCluster"}, "there is no cluster class"),
        ({"cluster_class": "nowhere.Cluster"}, "No module named 'nowhere'"),
    ]
    for options, words in cases:

        @flow(task_runner=DaskTaskRunner(**options))
        def f():
            task(abs, name="a", **quick).submit(1).result()

        with pytest.raises(ConfigurationError, match=words):
            f()
    assert {names(run)[-1] for run in recorder.of("a")} == {"Crashed"}


def test_a_cluster_is_made_when_it_is_needed(recorder: Recorder) -> None:
    """And a run says that it waits for that; who cancels it need not wait."""
    made: list[int] = []
    gate = threading.Event()

    def make() -> Any:
        made.append(1)
        gate.wait()
        raise OSError("no machine is free")

    kept = task(abs, name="kept", cache_policy=INPUTS)
    kept(-1)
    work = task(abs, name="work", retries=3, **quick)

    @flow(task_runner=DaskTaskRunner(cluster_class=make))
    def f():
        assert kept.submit(-1, return_state=True).name == "Cached"
        assert not made
        futures = work.map([1, 2, 3])
        expected = "waits for the Dask cluster to start"
        until(lambda: {recorder.session.waits_of(one.run) for one in futures} == {expected})
        futures[0].cancel()
        futures[0].wait(30)
        gate.set()
        for future in [*futures[1:], work.submit(4)]:
            with pytest.raises(ConfigurationError, match="cannot reach a Dask cluster: no machine"):
                future.result()

    f()
    assert made == [1]
    ends = sorted(names(run)[-1] for run in recorder.of("work"))
    assert ends == ["Cancelled", "Crashed", "Crashed", "Crashed"]


@slow
def test_clusters_by_address_and_such_that_adapt(recorder: Recorder, dask_cluster: Any) -> None:
    none = {**small, "n_workers": 0}
    bounds = {"minimum": 0, "maximum": 1}
    add = task(lambda x: x + 1, name="add", **quick)
    for runner in (
        DaskTaskRunner(address=dask_cluster.scheduler_address),
        DaskTaskRunner(cluster_kwargs=none, adapt_kwargs=bounds),
    ):

        @flow(task_runner=runner)
        def f():
            return add.map(range(3)).result()

        assert f() == [1, 2, 3]
    assert dask_cluster.status.name == "running"


@slow
def test_results_stay_on_the_cluster(
    recorder: Recorder, dask_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, tuple[int, int]] = {}
    send = DaskPool.send

    def spy(self, call, parcel, handles):
        sent[call.x.run.name] = (len(parcel), len(handles))
        send(self, call, parcel, handles)

    monkeypatch.setattr(DaskPool, "send", spy)

    @task(task_run_name="{name}", **quick)
    def rows(name, n=200_000):
        return bytes(n)

    @task(**quick)
    def size(xs):
        return [len(x) for x in xs]

    @task(cache_policy=INPUTS)
    def kept(n):
        return bytes(n)

    @flow(task_runner=DaskTaskRunner(cluster=dask_cluster))
    def f():
        stays = rows.with_options(task_run_name=None).submit("stays")
        both = size.submit([stays, {"deep": 1}])
        assert both.result() == [200_000, 1]
        assert not stays.outcome.reference.is_here  # type: ignore[union-attr] - it is elsewhere
        assert stays.state.is_completed()
        assert not stays.outcome.reference.is_here  # type: ignore[union-attr] - it is elsewhere
        assert sent[both.run.name][0] < 20_000
        assert sent[both.run.name][1] == 1
        assert stays.run.preview.startswith("b'")  # type: ignore[union-attr] - it has one
        fetched = kept.submit(200_000)  # the cache stores bytes
        again = size.submit((fetched, fetched))
        assert again.result() == [200_000] * 2
        assert fetched.outcome.reference.is_here  # type: ignore[union-attr] - it is elsewhere
        assert sent[again.run.name][0] < 20_000
        assert kept.submit(200_000, return_state=True).name == "Cached"
        return len(stays.result())

    assert f() == 200_000


@slow
def test_a_cluster_of_its_own_whose_worker_dies(recorder: Recorder) -> None:
    gone = task(lambda: os._exit(3), name="gone", retries=2, **quick)
    pid = task(os.getpid, name="pid", **quick)

    @flow(
        task_runner=DaskTaskRunner(cluster_class="distributed.LocalCluster", cluster_kwargs=small)
    )
    def f():
        first = pid.submit().result()
        bad = gone.submit()
        with pytest.raises(CrashedRun, match="worker running task `gone` went away: it was killed"):
            bad.result()
        assert names(bad.run) == ["Pending", "Running", "Crashed"]
        return first != pid.submit().result()

    assert f()
    (line,) = [text for text in recorder.logs() if "dashboard" in text]
    assert line.startswith("The Dask dashboard is available at http://127.0.0.1:")


@slow
def test_annotations_and_what_waits_for_a_worker(recorder: Recorder, dask_cluster: Any) -> None:
    import dask

    work = task(abs, name="work", **quick)

    @flow(task_runner=DaskTaskRunner(cluster=dask_cluster))
    def f():
        with dask.annotate(resources={"GPU": 1}):  # pyright: ignore[reportPrivateImportUsage] - documented; no worker has one
            never = work.submit(-1)
        assert work.submit(-2).result() == 2
        until(lambda: recorder.session.waits_of(never.run) == "waits for a worker of the cluster")
        never.cancel()
        never.wait(30)
        return [names(never.run)[-1]]

    assert f() == ["Cancelled"]


@slow
def test_code_that_begins_while_it_is_cancelled_is_stopped(
    recorder: Recorder, dask_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask lets it go on, in a place of the worker that nobody else gets."""
    receive: Any = DaskPool._receive
    late: list[Any] = []

    def slowly(pool: Any, event: Any) -> None:
        if pickle.loads(event[1][1])[0] == "begin" and not late:
            late.append((pool, event))
        else:
            receive(pool, event)

    @task(**quick)
    def long(path):
        Path(path, "begun").touch()
        try:
            while True:
                time.sleep(0.005)
        finally:
            Path(path, "stopped").touch()

    @flow(task_runner=DaskTaskRunner(cluster=dask_cluster))
    def f():
        future = long.submit(str(tmp_path))
        until(lambda: late and Path(tmp_path, "begun").exists())
        future.cancel()
        future.wait(30)
        receive(*late[0])
        until(Path(tmp_path, "stopped").exists)
        return names(future.run)[-1]

    monkeypatch.setattr(DaskPool, "_receive", slowly)
    assert f() == "Cancelled"


@slow
def test_clients_inside_tasks(recorder: Recorder, dask_cluster: Any) -> None:
    @task(**quick)
    def several(n):
        with get_dask_client() as client, get_dask_client() as other:
            return sum(client.gather(client.map(abs, range(-n, 0)))) + other.submit(abs, 0).result()

    @task(**quick)
    async def one(n):
        async with get_async_dask_client(timeout=20) as client:
            return await client.submit(abs, -n)  # for which others like it leave no place

    @flow(task_runner=DaskTaskRunner(cluster=dask_cluster))
    def f():
        futures = several.map([3, 4])
        results = [*futures.result(), *one.map([5, 6, 8]).result(timeout=60)]
        with get_dask_client() as client:
            return [*results, client.submit(abs, -7).result()]

    assert f() == [6, 10, 5, 6, 8, 7]
    with pytest.raises(MissingContextError, match="no Dask cluster here"), get_dask_client():
        pass


@slow
def test_workers_in_this_process(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    out = sys.stdout

    @task(**quick)
    def talk(x):
        print("said", x)
        raise ValueError(x)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={**small, "processes": False}))
    def f():
        future = talk.submit(1)
        future.wait()
        return [str(future.exception())]

    assert f() == ["1"]
    assert "said 1\n" in capsys.readouterr().out
    assert sys.stdout is out


@slow
def test_a_report_is_written(recorder: Recorder, dask_cluster: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    runner = DaskTaskRunner(cluster=dask_cluster, performance_report_path=str(report))

    @flow(task_runner=runner)
    def f():
        return task(abs, name="a", **quick).submit(-1).result()

    assert f() == 1
    assert "bokeh" in report.read_text("utf-8")


@slow
@pytest.mark.parametrize("retries", [0, 1])
def test_an_exception_whose_message_was_lost(
    recorder: Recorder, dask_cluster: Any, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    receive = DaskPool._receive

    def lose(self, event):
        if pickle.loads(event[1][1])[0] not in {"failed", "end"}:
            receive(self, event)

    monkeypatch.setattr(DaskPool, "_receive", lose)

    @task(retries=retries, **quick)
    def fail(x):
        if x < 0:
            raise TypeError("mine")
        return x

    @flow(task_runner=DaskTaskRunner(cluster=dask_cluster))
    def f():
        bad = fail.submit(-1)
        with pytest.raises(TypeError, match=r"^mine$"):
            bad.result()
        expected = ["Pending", "Running", *["Retrying"] * retries, "Failed"]
        assert names(bad.run) == expected
        with pytest.raises(UnfinishedRun):
            fail.submit(bad).result()
        return fail.submit(fail.submit(1)).result()

    assert f() == 1
