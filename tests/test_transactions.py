"""Transactions: what tasks do in them is kept together or undone together."""

import asyncio
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import cellist
from cellist import Transaction, flow, get_run_logger, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.context import TaskRunContext
from cellist.session import CellistWarning
from cellist.transactions import (
    AsyncTransaction,
    CommitMode,
    atransaction,
    get_transaction,
    transaction,
)
from tests.diaries import COMPLETED, ROLLED_BACK, Boom, Diary, keyed, undone
from tests.sessions import WAYS, Recorder, as_task, names, outcome

pytestmark = pytest.mark.usefixtures("recorder")
quick: dict[str, Any] = {"cache_policy": NO_CACHE}


@pytest.fixture
def diary(recorder: Recorder) -> Diary:
    return Diary(recorder)


MODES = [
    # mode, end of the block, whether it is kept, whether it is kept before the end already
    (None, "ok", True, False),
    (CommitMode.LAZY, "ok", True, False),
    (CommitMode.LAZY, "raise", False, False),
    (CommitMode.LAZY, "commit", True, True),
    (CommitMode.LAZY, "rollback", False, False),
    (CommitMode.EAGER, "ok", True, True),
    (CommitMode.EAGER, "raise", True, True),
    (CommitMode.OFF, "ok", False, False),
    (CommitMode.OFF, "raise", False, False),
    (CommitMode.OFF, "commit", True, True),
]


@pytest.mark.parametrize("kind", ["with", "async with"])
@pytest.mark.parametrize("way", ["drive", "submit", "submit async"])
@pytest.mark.parametrize(("mode", "end", "kept", "kept_early"), MODES)
def test_commit_modes(
    diary: Diary,
    kind: str,
    way: str,
    mode: CommitMode | None,
    end: str,
    kept: bool,
    kept_early: bool,
) -> None:
    t = diary.task(way)
    seen: list[tuple[list[str], bool]] = []

    def sync() -> Transaction:
        with transaction(commit_mode=mode) as txn:
            assert outcome(way, t) == [0]
            if end in {"commit", "rollback"}:
                assert getattr(txn, end)() is True
                assert getattr(txn, end)() is False
            seen.append((list(diary.lines), diary.stored()))
            if end == "raise":
                raise Boom
        return txn

    async def run_async() -> AsyncTransaction:
        async with atransaction(commit_mode=mode) as txn:
            assert (t() if way == "drive" else await t.submit()) == [0]
            if end in {"commit", "rollback"}:
                assert await getattr(txn, end)() is True
                assert await getattr(txn, end)() is False
            seen.append((list(diary.lines), diary.stored()))
            if end == "raise":
                raise Boom
        return txn

    act: Callable[[], Any] = sync if kind == "with" else lambda: asyncio.run(run_async())
    if end == "raise":
        with pytest.raises(Boom):
            act()
    else:
        assert act().is_committed() == kept
    early = "commit work" if kept_early else "undo work" if end == "rollback" else None
    assert seen == [(["run work", *([early] if early else [])], kept_early)]
    assert diary.lines == ["run work", "commit work" if kept else "undo work"]
    assert diary.stored() == kept
    assert names(diary.recorder.one("work")) == (COMPLETED if kept else ROLLED_BACK)
    assert get_transaction() is None


@pytest.mark.parametrize("way", WAYS)
def test_a_task_alone_is_committed_when_it_completes(diary: Diary, way: str) -> None:
    t = diary.task(way)

    @t.on_commit
    def look(txn: Any) -> None:
        run = diary.recorder.one("work")
        diary.lines.append(f"{run.state_name}, stored: {diary.stored()}")

    assert outcome(way, t) == [0]
    assert diary.lines == ["run work", "commit work", "Running, stored: False"]
    assert diary.stored()
    assert outcome(way, t) == [0]
    assert diary.lines[3:] == []  # a hit was committed long ago
    assert names(diary.recorder.of("work")[1]) == ["Pending", "Running", "Cached"]


@pytest.mark.parametrize("way", WAYS)
def test_a_failing_commit_hook_undoes_a_task(diary: Diary, way: str) -> None:
    t = diary.task(way, on_completion=[lambda t, r, s: diary.lines.append(s.name)])

    @t.on_commit
    def refuse(txn: Any) -> None:
        raise Boom("no commit today")

    @t.on_rollback
    async def undo_later(txn: Any) -> None:
        await asyncio.sleep(0)
        diary.lines.append("undo later")

    assert outcome(way, t) == [0]
    assert diary.lines == ["run work", "commit work", "undo later", "undo work", "RolledBack"]
    run = diary.recorder.one("work")
    assert names(run) == ROLLED_BACK
    assert run.state is not None
    assert run.state.message == "Task rolled back as part of transaction"
    assert run.state.is_completed()
    assert not diary.stored()
    assert "Hook 'refuse' (on_commit) raised Boom('no commit today')" in diary.recorder.logs()


@pytest.mark.parametrize("way", WAYS)
def test_hooks_run_in_the_run_they_belong_to(diary: Diary, way: str) -> None:
    seen: list[Any] = []

    def sync_hook(txn: Any) -> None:
        get_run_logger().info("sync")
        seen.append((TaskRunContext.get().task.name, get_transaction() is txn))  # pyright: ignore[reportOptionalMemberAccess] - there is one

    async def async_hook(txn: Any) -> None:
        await asyncio.sleep(0)
        get_run_logger().info("async")
        seen.append((TaskRunContext.get().task.name, get_transaction() is txn))  # pyright: ignore[reportOptionalMemberAccess] - there is one

    options: dict[str, Any] = {**quick, "on_commit": [sync_hook, async_hook]}
    one = as_task(way, lambda: 1, name="one", **options)
    other = as_task(way, lambda: 1, name="other", **options, on_rollback=[sync_hook, async_hook])
    outcome(way, one)
    with undone():
        outcome(way, other)
    assert seen == [("one", True)] * 2 + [("other", True)] * 2
    assert diary.recorder.logs() == ["sync", "async", "async", "sync"]
    assert get_transaction() is None


def test_order_of_commits_and_of_undoing(diary: Diary) -> None:
    a, b, c = (diary.task(name=name) for name in "abc")
    with transaction():
        a()
        with transaction():
            b()
        c()
    assert diary.lines[3:] == ["commit a", "commit b", "commit c"]
    diary.lines.clear()
    with undone() as outer:
        outer.stage(None, on_rollback_hooks=[lambda txn: diary.lines.append("undo outer")])
        a(1)
        with transaction():
            b(1)
        c(1)
    assert diary.lines[3:] == ["undo outer", "undo c", "undo b", "undo a"]


def test_within_a_transaction_nothing_is_visible_before_its_commit(diary: Diary) -> None:
    t = diary.task()
    with transaction():
        t()
        t()
        t.submit().result()
    assert diary.lines == ["run work"] * 3 + ["commit work"] * 3
    t()
    assert len(diary.lines) == 6


def test_a_hit_is_never_rolled_back(diary: Diary) -> None:
    t = diary.task()
    t()
    diary.lines.clear()
    with undone():
        t()
    assert diary.lines == []
    assert diary.stored()
    assert names(diary.recorder.of("work")[-1]) == ["Pending", "Running", "Cached"]


def test_what_is_stored_is_what_the_task_returned(diary: Diary) -> None:
    t = diary.task()
    given = [5]
    keep = task(lambda values: [*values], name="keep", cache_policy=INPUTS)
    with transaction():
        t().append("changed in the block")
        keep(given)
        given.append(6)
    assert t() == [0]
    assert keep([5]) == [5]
    assert names(diary.recorder.of("keep")[-1])[-1] == "Cached"  # it changed after the run


@pytest.mark.parametrize("length", [10, 5_000_000])  # kept in memory, and too large for it
def test_an_array_is_stored_as_it_was_returned(recorder: Recorder, length: int) -> None:
    np = pytest.importorskip("numpy")
    zeros: Any = task(np.zeros, name="zeros", **keyed("zeros"))
    with transaction():
        zeros(length)[:] = 1
    again = zeros(length)
    assert names(recorder.of("zeros")[1])[-1] == "Cached"
    assert not again.any()


def test_a_task_without_hooks_is_staged_too(recorder: Recorder) -> None:
    plain = task(lambda: [1], name="plain", **keyed("plain"))
    with undone():
        plain()
    assert names(recorder.one("plain")) == ROLLED_BACK
    assert plain() == [1]
    assert names(recorder.of("plain")[-1]) == COMPLETED


def test_threads_stage_into_one_transaction(diary: Diary) -> None:
    t = diary.task()
    with undone() as txn:
        t.map(range(50)).wait()
        assert len(txn.children) == 50
    assert diary.lines.count("undo work") == 50
    assert all(names(run) == ROLLED_BACK for run in diary.recorder.of("work"))


@pytest.mark.parametrize("good", [True, False])
def test_who_ends_after_the_transaction_follows_it(diary: Diary, good: bool) -> None:
    gate = threading.Event()
    late = diary.hooked(task(lambda: gate.wait(60), name="late", **quick), "late")
    try:
        with transaction():
            future = late.submit()
            if not good:
                raise Boom
    except Boom:
        pass
    assert diary.lines == []
    gate.set()
    assert future.result() is True
    assert diary.lines == ["commit late" if good else "undo late"]
    assert future.state.name == ("Completed" if good else "RolledBack")


def test_who_ends_during_the_roll_back_is_rolled_back(diary: Diary) -> None:
    gate = threading.Event()
    late = diary.hooked(task(lambda: gate.wait(60), name="late", **quick), "late")

    def wait(txn: Any) -> None:
        gate.set()
        future.wait()

    with transaction() as txn:
        txn.stage(None, on_rollback_hooks=[wait], on_commit_hooks=[lambda txn: 1 / 0])
        future = late.submit()
    assert diary.lines == ["undo late"]


def test_flows_inside_and_around(diary: Diary) -> None:
    t = diary.task()

    @flow
    def inner() -> None:
        t.submit(1).result()

    @flow
    async def ainner() -> None:
        await asyncio.sleep(0)
        t(2)

    @flow
    def outer() -> None:
        with transaction():
            inner()
            asyncio.run(ainner())
            raise Boom

    with pytest.raises(Boom):
        outer()
    assert diary.lines == ["run work", "run work", "undo work", "undo work"]


class TestNestedTasks:
    """Tasks called by tasks, with no block open."""

    def test_without_hooks_they_commit_on_their_own(self, recorder: Recorder) -> None:
        child = task(lambda: [1], name="child", **keyed("child"))

        @task(**quick, on_rollback=[lambda txn: None])
        def parent() -> None:
            child()
            assert child() == [1]
            raise Boom

        with pytest.raises(Boom):
            parent()
        assert [names(run)[-1] for run in recorder.of("child")] == ["Completed", "Cached"]

    def test_with_hooks_they_wait_for_the_outermost(self, diary: Diary) -> None:
        child = diary.task(name="child")
        middle = task(lambda: [child()], name="middle", **quick)

        @task(**quick)
        def parent() -> None:
            middle()
            diary.lines.append("parent ends")

        diary.hooked(parent, "parent")
        parent()
        assert diary.lines == ["run child", "parent ends", "commit child", "commit parent"]
        assert diary.stored("child")

    def test_an_error_that_the_parent_handles_undoes_nothing(self, diary: Diary) -> None:
        good = diary.task(name="good")

        @task(**quick)
        def bad() -> None:
            raise Boom

        diary.hooked(bad, "bad")

        @task(**keyed("parent"))
        def parent() -> str:
            good()
            assert bad(return_state=True).is_failed()
            with pytest.raises(Boom):
                bad()
            return "done"

        assert parent() == "done"
        assert diary.lines == ["run good", "commit good"]
        assert diary.stored("good")
        assert diary.stored("parent")

    @pytest.mark.parametrize("way", WAYS)
    def test_each_failed_attempt_is_undone(self, diary: Diary, way: str) -> None:
        child = diary.task(name="child")
        attempts: list[int] = []

        def parent() -> None:
            child(len(attempts))
            attempts.append(1)
            if len(attempts) < 3:
                raise Boom

        outcome(way, as_task(way, parent, retries=2))
        assert diary.lines == ["run child", "undo child"] * 2 + ["run child", "commit child"]
        assert [names(run) for run in diary.recorder.of("child")] == [
            ROLLED_BACK,
            ROLLED_BACK,
            COMPLETED,
        ]

    def test_a_returned_failure_undoes_too(self, diary: Diary) -> None:
        child = diary.task(name="child")

        @task(**quick)
        def parent() -> Any:
            child()
            return cellist.states.Failed(message="no")

        assert parent().is_failed()
        assert diary.lines == ["run child", "undo child"]

    @pytest.mark.parametrize("before", [True, False])
    def test_a_timeout_undoes_and_late_children_follow(self, diary: Diary, before: bool) -> None:
        child = diary.task(name="child")
        gate, ended = threading.Event(), threading.Event()

        @task(timeout_seconds=2 if before else 0.1, **quick)  # the child is to run in it
        def parent() -> None:
            if before:
                child(1)
            try:
                gate.wait(60)
            except BaseException:
                diary.lines.append("asked to stop")
            child(2)
            ended.set()

        state = parent.submit(return_state=True)
        assert state.name == "TimedOut"
        early = ["run child", "undo child"] if before else []
        assert diary.lines == early
        gate.set()
        assert ended.wait(60)
        assert diary.lines == [*early, "asked to stop", "run child", "undo child"]

    def test_a_handled_failure_inside_a_block_undoes_nothing(self, diary: Diary) -> None:
        good = diary.task(name="good")
        bad = task(lambda: 1 / 0, name="bad", **quick)
        with transaction() as txn:
            good()
            assert bad(return_state=True).is_failed()
            with pytest.raises(ZeroDivisionError):
                bad()
        assert txn.is_committed()
        assert diary.lines == ["run good", "commit good"]

    def test_what_a_failed_task_did_is_undone_though_the_block_goes_on(self, diary: Diary) -> None:
        child = diary.task(name="child")

        @task(**quick)
        def parent() -> None:
            child()
            raise Boom

        with transaction():
            with pytest.raises(Boom):
                parent()
            assert diary.lines == ["run child", "undo child"]
        assert diary.lines == ["run child", "undo child"]

    def test_a_block_in_a_task_waits_for_the_task(self, diary: Diary) -> None:
        child = diary.task(name="child")

        @task(**quick)
        def parent(fails: bool) -> None:
            with transaction():
                child(fails)
            diary.lines.append("block ends")
            if fails:
                raise Boom

        parent(False)
        assert diary.lines == ["run child", "block ends", "commit child"]
        diary.lines.clear()
        with pytest.raises(Boom):
            parent(True)
        assert diary.lines == ["run child", "block ends", "undo child"]

    def test_a_failed_block_that_the_task_handles_does_not_undo_the_task(
        self, diary: Diary
    ) -> None:
        child = diary.task(name="child")

        @task(**keyed("parent"))
        def parent() -> str:
            with undone():
                child()
            return "done"

        diary.hooked(parent, "parent")
        assert parent() == "done"
        assert diary.lines == ["run child", "undo child", "commit parent"]


class TestHooks:
    """Hooks themselves: where they go, what errors in them do, what they start."""

    def test_ways_to_add_them(self) -> None:
        def one(txn: Any) -> None: ...
        def other(txn: Any) -> None: ...

        t = task(on_commit=[one], on_rollback=[one])(lambda: 1)
        assert t.on_commit(other) is other
        assert t.on_rollback(other) is other
        assert t.on_commit_hooks == t.on_rollback_hooks == [one, other]
        copy = t.with_options(name="copy")
        assert copy.on_commit_hooks == copy.on_rollback_hooks == [one, other]
        replaced = t.with_options(on_rollback=[one])
        assert replaced.on_rollback_hooks == [one]
        assert replaced.on_commit_hooks == [one, other]
        assert "on_commit" in inspect.signature(task).parameters

    @pytest.mark.parametrize("option", ["on_commit", "on_rollback"])
    @pytest.mark.parametrize("value", [1, "name", [1]])
    def test_what_is_no_list_of_functions_is_refused(self, option: str, value: Any) -> None:
        with pytest.raises(TypeError, match=f"'{option}'.*task 't'|task 't'") as caught:
            task(lambda: 1, name="t", **{option: value})
        assert option in str(caught.value)

    def test_an_error_in_one_does_not_keep_the_others_from_undoing(self, diary: Diary) -> None:
        a, b = diary.task(name="a"), diary.task(name="b")

        @b.on_rollback
        def broken(txn: Any) -> None:
            raise ValueError("cannot undo")

        with undone():
            a()
            b()
        assert diary.lines[2:] == ["undo b", "undo a"]
        assert "Hook 'broken' (on_rollback) raised ValueError('cannot undo')" in (
            diary.recorder.logs()
        )
        assert names(diary.recorder.one("b")) == ROLLED_BACK

    def test_an_error_on_commit_undoes_only_its_own(self, diary: Diary) -> None:
        a, b, c = (diary.task(name=name) for name in "abc")
        b.on_commit(lambda txn: 1 / 0)
        with transaction() as txn:
            a()
            b()
            c()
        assert diary.lines[3:] == ["commit a", "commit b", "undo b", "commit c"]
        assert txn.is_committed()
        assert [diary.stored(name) for name in "abc"] == [True, False, True]

    @pytest.mark.parametrize("kind", ["with", "async with"])
    def test_a_block_has_hooks_of_its_own(self, diary: Diary, kind: str) -> None:
        t = diary.task()

        def refuse(txn: Any) -> None:
            diary.lines.append("refuse")
            raise Boom

        async def undo(txn: Any) -> None:
            await asyncio.sleep(0)
            diary.lines.append("undo block")

        def stage(txn: Any) -> Any:
            txn.stage("value", on_rollback_hooks=[undo], on_commit_hooks=[refuse])
            assert txn.is_staged()
            return txn

        async def run() -> Any:
            async with atransaction() as txn:
                t()
                return stage(txn)

        if kind == "with":
            with transaction() as txn:
                t()
                stage(txn)
        else:
            txn = asyncio.run(run())
        assert txn.is_rolled_back()
        assert diary.lines == ["run work", "commit work", "refuse", "undo block"]
        assert diary.stored()  # a child that was committed stays so

    def test_a_given_logger_is_told(self) -> None:
        class Log:
            lines: list[str] = []

            def error(self, message: str) -> None:
                self.lines.append(message)

        with transaction(logger=Log()) as txn:
            txn.stage(None, on_commit_hooks=[lambda txn: 1 / 0])
        assert len(Log.lines) == 1
        assert "ZeroDivisionError" in Log.lines[0]

    def test_outside_runs_errors_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with transaction() as txn:
            txn.stage(None, on_commit_hooks=[lambda txn: 1 / 0])
        assert "ZeroDivisionError" in caplog.text

    def test_sync_hooks_of_async_code_run_in_a_thread(self) -> None:
        threads: list[threading.Thread] = []

        def hook(txn: Any) -> None:
            threads.append(threading.current_thread())

        @task(**quick, on_commit=[hook])
        async def alone() -> None: ...

        async def run() -> None:
            await alone()
            async with atransaction() as txn:
                txn.stage(None, on_commit_hooks=[hook])

        asyncio.run(run())
        assert len(threads) == 2
        assert threading.main_thread() not in threads

    def test_a_hook_may_run_tasks_of_its_own(self, diary: Diary) -> None:
        clean_up = diary.task(name="clean up")
        t = task(lambda: 1, name="t", **quick, on_rollback=[lambda txn: clean_up()])
        with undone():
            t()
        assert diary.lines == ["run clean up", "commit clean up"]

    def test_an_interrupt_in_a_hook_undoes_and_goes_on(self, diary: Diary) -> None:
        def press_stop(txn: Any) -> None:
            raise KeyboardInterrupt

        t = diary.task(on_commit=[press_stop])
        with pytest.raises(KeyboardInterrupt):
            t()
        assert diary.lines == ["run work", "undo work"]
        assert names(diary.recorder.one("work")) == ["Pending", "Running", "Crashed"]
        with pytest.raises(KeyboardInterrupt), transaction() as txn:
            t(1)
        assert diary.lines[2:] == ["run work", "undo work"]
        assert txn.is_rolled_back()
        assert names(diary.recorder.of("work")[1]) == ROLLED_BACK
        assert get_transaction() is None

    def test_a_hook_may_be_any_callable(self, diary: Diary) -> None:
        class Callable:
            def __call__(self, txn: Any) -> None:
                diary.lines.append("called")
                raise Boom

        task(lambda: 1, **quick, on_commit=[Callable()])()
        assert diary.lines == ["called"]
        assert "Hook 'Callable' (on_commit) raised Boom()" in diary.recorder.logs()


class TestResultsThatCannotBeKept:
    """The cache that is on by default is no reason to undo a task; one that was asked for is."""

    @pytest.mark.parametrize(("options", "undone"), [({}, False), (keyed("t"), True)])
    @pytest.mark.filterwarnings("ignore:The result of task")
    def test_a_lock(self, diary: Diary, options: dict[str, Any], undone: bool) -> None:
        t = diary.hooked(task(threading.Lock, name="t", **options), "t")
        t()
        with transaction():
            t()
        line = ["commit t", "undo t"] if undone else ["commit t"]
        assert diary.lines == line * 2
        for run in diary.recorder.of("t"):
            assert names(run) == (ROLLED_BACK if undone else COMPLETED)
            assert run.why.code == "not_kept"

    def test_the_history_hears_of_it(self, recorder: Recorder) -> None:
        class Once:
            fine = True

            def __reduce__(self) -> Any:
                raise pickle.PicklingError("never")

        t = task(Once, name="t")

        def act() -> None:
            with transaction():
                t()
                recorder.session.history.flush(60)  # written before the commit, and again after it

        with pytest.warns(CellistWarning, match="`t` is not kept"):
            act()
        recorder.session.history.flush(60)
        assert "not kept" in cellist.run(recorder.one("t")).why["sentence"]


def test_a_roll_back_does_not_move_the_end(diary: Diary) -> None:
    t = diary.task()
    with undone():
        t()
        end = diary.recorder.one("work").end_time
        assert end is not None
    run = diary.recorder.one("work")
    assert run.end_time == end
    assert run.state is not None
    assert run.state.timestamp > end
    diary.recorder.session.history.flush(60)
    kept = cellist.run(run)
    assert [state[0] for state in kept.states] == ROLLED_BACK
