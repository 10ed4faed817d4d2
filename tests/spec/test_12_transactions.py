"""SPEC 12, and Q18 and Q19: what is kept together is committed or rolled back together."""

# ruff: noqa: PT012 - a block and the error that leaves it belong together

from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.transactions import CommitMode, atransaction, get_transaction, transaction
from tests.sessions import names
from tests.spec.observe import Calls, record


def undoable(log: list[str], label: str, **options: Any) -> Any:
    @task(
        name=label,
        cache_policy=NO_CACHE,
        on_commit=[lambda _: log.append(f"commit {label}")],
        on_rollback=[lambda _: log.append(f"undo {label}")],
        **options,
    )
    def t(error: Any = None) -> str:
        if error:
            raise error
        return label

    return t


class TestTasks:
    def test_commit_in_order_at_the_end(self) -> None:
        log: list[str] = []
        one, two = undoable(log, "one"), undoable(log, "two")

        @flow
        def f() -> None:
            with transaction():
                one()
                two()
                log.append("end")

        f()
        assert log == ["end", "commit one", "commit two"]

    def test_rollback_in_reverse(self, checked: Any) -> None:
        log: list[str] = []
        one, two = undoable(log, "one"), undoable(log, "two")

        @flow
        def f() -> None:
            with transaction():
                one()
                two()
                raise KeyError("k")

        with pytest.raises(KeyError):
            f()
        assert log == ["undo two", "undo one"]
        run = checked.one("one")
        assert names(run) == ["Pending", "Running", "Completed", "RolledBack"]
        last = run.states[-1]
        assert (last.type.name, last.message) == (
            "COMPLETED",
            "Task rolled back as part of transaction",
        )

    def test_a_failed_task_undoes_those_before(self) -> None:
        log: list[str] = []
        one, two = undoable(log, "one"), undoable(log, "two")

        @flow
        def f() -> None:
            with transaction():
                one()
                two(ValueError())

        with pytest.raises(ValueError):
            f()
        assert "undo one" in log
        assert "commit one" not in log

    def test_q18_a_handled_failure_undoes_nothing(self) -> None:
        log: list[str] = []
        child = undoable(log, "child")
        sibling = undoable(log, "sibling")

        @task(cache_policy=NO_CACHE)
        def parent() -> str:
            sibling()
            child(ValueError(), return_state=True)
            return "done"

        assert parent() == "done"
        assert "undo sibling" not in log
        assert "commit sibling" in log

    def test_hooks_take_the_transaction(self) -> None:
        seen: list[Any] = []

        @task(cache_policy=NO_CACHE, on_rollback=[lambda txn: seen.append(txn.get("path"))])
        def write() -> None:
            here: Any = get_transaction()
            here.set("path", "file")

        with pytest.raises(ZeroDivisionError), transaction():
            write()
            _ = 1 / 0
        assert seen == ["file"]

    def test_hits_are_not_rolled_back(self) -> None:
        log: list[str] = []
        t = task(
            lambda x: x, cache_policy=INPUTS, on_rollback=[lambda _: log.append("undo")], name="t"
        )
        t(1)
        with pytest.raises(KeyError), transaction():
            assert t(1, return_state=True).name == "Cached"
            raise KeyError
        assert log == []

    def test_rolled_back_results_are_not_kept(self) -> None:
        calls = Calls()
        t = task(lambda x: calls(), cache_policy=INPUTS)
        with pytest.raises(KeyError), transaction():
            t(1)
            raise KeyError
        assert t(1) == 2
        assert t(1) == 2

    def test_submitted_tasks_belong_to_it(self) -> None:
        log: list[str] = []
        one = undoable(log, "one")

        @flow
        def f() -> None:
            with transaction():
                one.submit().wait()
                raise KeyError

        with pytest.raises(KeyError):
            f()
        assert log == ["undo one"]

    def test_outside_of_a_block_a_task_commits_by_itself(self) -> None:
        log: list[str] = []
        undoable(log, "one")()
        assert log == ["commit one"]


class TestBlocks:
    def test_values(self) -> None:
        with transaction() as outer:
            given = [1]
            outer.set("x", given)
            assert outer.get("x") == [1]
            assert outer.get("x") is not given
            with transaction() as inner:
                assert inner.get("x") == [1]
                assert inner.get("none", 5) == 5
                with pytest.raises(ValueError):
                    inner.get("none")
                assert get_transaction() is inner
            assert get_transaction() is outer
        assert get_transaction() is None

    def test_states(self) -> None:
        with transaction() as txn:
            assert txn.is_active()
            assert not txn.is_committed()
        assert txn.is_committed()
        with pytest.raises(KeyError), transaction() as bad:
            raise KeyError
        assert bad.is_rolled_back()

    def test_a_key_is_done_once(self) -> None:
        done = Calls()
        for _ in range(3):
            with transaction(key="import-1") as txn:
                if not txn.is_committed():
                    done()
                    txn.stage("value", on_rollback_hooks=[], on_commit_hooks=[])
        assert len(done) == 1
        with transaction(key="import-1", overwrite=True) as again:
            assert not again.is_committed()

    def test_off_rolls_back_unless_committed(self) -> None:
        log: list[str] = []
        one = undoable(log, "one")
        with transaction(commit_mode=CommitMode.OFF) as txn:
            one()
        assert txn.is_rolled_back()
        assert log == ["undo one"]

    def test_eager_commits_at_its_own_exit(self) -> None:
        log: list[str] = []
        one = undoable(log, "one")
        with pytest.raises(KeyError), transaction():
            with transaction(commit_mode=CommitMode.EAGER):
                one()
            log.append("between")
            raise KeyError
        assert log == ["commit one", "between"]

    def test_a_failed_commit_hook_rolls_back(self) -> None:
        log: list[str] = []

        def broken(_: Any) -> None:
            raise RuntimeError

        @task(cache_policy=NO_CACHE, on_commit=[broken], on_rollback=[lambda _: log.append("undo")])
        def t() -> int:
            return 1

        with transaction():
            t()
        assert log == ["undo"]

    async def test_async(self) -> None:
        log: list[str] = []

        @task(cache_policy=NO_CACHE, on_rollback=[lambda _: log.append("undo")])
        async def t() -> int:
            return 1

        with pytest.raises(KeyError):
            async with atransaction():
                await t()
                raise KeyError
        assert log == ["undo"]
        async with atransaction() as txn:
            await t()
        assert txn.is_committed()


def test_q19_who_hears_of_the_end_can_read_the_record() -> None:
    seen: list[str] = []
    t: Any = task(lambda x: x, cache_policy=INPUTS, name="t")
    again = t.with_options(on_completion=[])
    hooked = t.with_options(
        on_completion=[lambda *_: seen.append(again(1, return_state=True).name)]
    )
    state = hooked(1, return_state=True)
    assert record(state).state == "Completed"
    assert seen == ["Cached"]
    assert cellist.why(state)
