"""Transactions as blocks: values, keys and records, what is open where."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from cellist import Transaction, flow, task
from cellist.cache_policies import NO_CACHE
from cellist.engine.execution import current_cell
from cellist.exceptions import ConfigurationError
from cellist.model.transactions import TransactionState
from cellist.transactions import (
    AsyncTransaction,
    CommitMode,
    IsolationLevel,
    atransaction,
    get_transaction,
    transaction,
)
from tests.diaries import ROLLED_BACK, Boom, Diary, Memo, keyed, undone
from tests.sessions import WAYS, Recorder, as_task, names, outcome

pytestmark = pytest.mark.usefixtures("recorder")
quick: dict[str, Any] = {"cache_policy": NO_CACHE}


@pytest.fixture
def diary(recorder: Recorder) -> Diary:
    return Diary(recorder)


class TestValues:
    """`set` and `get`."""

    def test_copies_and_fallback(self) -> None:
        value = {"x": [42]}
        with transaction() as outer:
            outer.set("key", value)
            value["x"].append(0)
            with transaction() as inner:
                assert inner.get_parent() is outer
                mine = inner.get("key")
                assert mine == {"x": [42]}
                mine["x"].append(43)
                assert inner.get("key") == {"x": [42]}
                inner.set("key", mine)
                assert inner.get("key") == {"x": [42, 43]}
            assert outer.get("key") == {"x": [42]}

    def test_defaults(self) -> None:
        with transaction() as txn:
            assert txn.get("nothing", None) is None
            assert txn.get("nothing", default=3) == 3
            txn.set("none", None)
            assert txn.get("none", 5) is None
            with pytest.raises(ValueError, match="'nothing'"):
                txn.get("nothing")

    @pytest.mark.parametrize("way", WAYS)
    def test_tasks_see_what_is_set_around_them_and_their_hooks_what_they_set(
        self, way: str
    ) -> None:
        seen: list[Any] = []

        def child() -> None:
            txn = get_transaction()
            assert txn is not None
            seen.append((txn.get("block", None), txn.get("parent", None)))
            txn.set("mine", len(seen))

        def hook(txn: Any) -> None:
            seen.append((txn.get("mine"), txn.get("parent", None)))

        t = as_task(way, child, on_commit=[hook])
        plain = as_task(way, child)

        @task(**quick)
        def parent() -> None:
            txn = get_transaction()
            assert isinstance(txn, Transaction)
            assert txn.is_active()
            txn.set("parent", "p")
            outcome(way, plain)

        outcome(way, t)
        parent()
        with transaction() as txn:
            txn.set("block", "b")
            outcome(way, t)
            parent()
        assert seen == [
            *[(None, None), (1, None)],
            (None, "p"),
            *[("b", None), ("b", "p"), (4, None)],
        ]

    def test_the_innermost_one(self) -> None:
        assert get_transaction() is None
        found: list[Any] = []

        @flow
        def f() -> None:
            found.append(get_transaction())

        f()
        assert found.pop() is None
        with transaction() as outer:
            f()
            assert found.pop() is outer
            with transaction() as inner:
                assert get_transaction() is inner
            assert get_transaction() is outer

        @task(**quick)
        async def t() -> None:
            found.append(get_transaction())
            async with atransaction() as block:
                assert get_transaction() is block
            assert get_transaction() is found[-1]

        asyncio.run(t())
        assert isinstance(found.pop(), AsyncTransaction)

    def test_a_task_may_stage_for_itself(self, diary: Diary) -> None:
        @task(**quick)
        def t(fails: bool) -> None:
            txn = get_transaction()
            assert txn is not None
            undo: Any = [lambda txn: diary.lines.append("undo")]
            txn.stage(None, on_rollback_hooks=undo)
            if fails:
                raise Boom

        with undone():
            t(False)
        assert diary.lines == ["undo"]
        with pytest.raises(Boom):
            t(True)
        assert diary.lines == ["undo"] * 2

    def test_a_task_may_undo_itself(self, diary: Diary) -> None:
        @task(**keyed("t"))
        def t() -> int:
            txn: Any = get_transaction()
            txn.rollback()
            return 1

        assert t() == 1
        assert names(diary.recorder.one("t")) == ROLLED_BACK
        assert not diary.stored("t")


class TestKeys:
    """Transactions with a key leave a record."""

    @pytest.mark.parametrize("own", [True, False])
    def test_the_second_time_it_is_committed_on_entry(self, own: bool) -> None:
        store: Any = Memo() if own else None
        for expected in (False, True):
            with transaction(key="once", store=store) as txn:
                assert txn.is_committed() == expected
                assert txn.is_active() != expected
                if not expected:
                    txn.stage({"n": 1})
                else:
                    record: Any = txn.read()
                    assert (record if own else record.result) == {"n": 1}
        assert txn.key == "once"

    def test_async(self) -> None:
        async def run() -> bool:
            async with atransaction(key="once") as txn:
                if txn.is_committed():
                    record: Any = await txn.read()
                    assert record.result == 7
                    return True
                txn.stage(7)
            return False

        assert [asyncio.run(run()), asyncio.run(run())] == [False, True]

    def test_nothing_needs_to_be_staged(self) -> None:
        store = Memo()
        with transaction(key="k", store=store):
            pass
        assert store.records == {"k": None}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [({"overwrite": True}, "new"), ({"write_on_commit": False}, "old"), ({}, "old")],
    )
    def test_options(self, options: dict[str, Any], expected: str) -> None:
        store = Memo()
        store.records["k"] = "old"
        with transaction(key="k", store=store, **options) as txn:
            assert txn.is_committed() != options.get("overwrite", False)
            txn.stage("new")
        assert store.records == {"k": expected}

    def test_a_write_that_fails_rolls_back(self) -> None:
        store = Memo()
        store.broken = True
        undone: list[Any] = []
        with transaction(key="k", store=store) as txn:
            txn.stage(1, on_rollback_hooks=[undone.append])
        assert undone == [txn]
        assert txn.is_rolled_back()
        assert store.records == {}

    def test_what_cannot_be_serialised_rolls_back(self, caplog: pytest.LogCaptureFixture) -> None:
        with transaction(key="k") as txn:
            txn.stage(threading.Lock())
        assert txn.is_rolled_back()
        assert "could not be written" in caplog.text

    def test_an_error_of_the_store_on_entry_is_raised(self) -> None:
        class Broken(Memo):
            def exists(self, key: str) -> bool:
                raise OSError("no disk")

        with pytest.raises(OSError, match="no disk"), transaction(key="k", store=Broken()):
            pass
        assert get_transaction() is None

    def test_nested(self) -> None:
        store = Memo()
        with undone(key="outer", store=store):
            with transaction(key="inner", store=store):
                pass
            with transaction(key="eager", store=store, commit_mode=CommitMode.EAGER):
                pass
            assert list(store.records) == ["eager"]
        assert list(store.records) == ["eager"]

    def test_a_block_that_fails_takes_the_one_around_it_along(self, diary: Diary) -> None:
        t = diary.task()
        with transaction(key="outer", store=Memo()) as outer:
            t(1)
            with undone() as inner:
                t(2)
            assert inner.is_rolled_back()
            assert outer.is_rolled_back()
            assert diary.lines == ["run work", "run work", "undo work", "undo work"]
            t(3)
            assert diary.lines[4:] == ["run work", "undo work"]

    @pytest.mark.parametrize("own", [True, False])
    def test_serializable_lets_one_in_at_a_time(self, own: bool) -> None:
        class Locking(Memo):
            def __init__(self) -> None:
                super().__init__()
                self.lock = threading.Lock()

            def acquire_lock(self, key: str, holder: str) -> bool:
                return self.lock.acquire()

            def release_lock(self, key: str, holder: str) -> None:
                self.lock.release()

            def read(self, key: str, holder: str | None = None) -> Any:
                assert holder is not None
                return super().read(key)

            def write(self, obj: Any, *, key: str, holder: str | None = None) -> None:
                assert holder is not None
                super().write(obj, key=key)

        store: Any = Locking() if own else None
        inside: list[int] = []
        most: list[int] = []
        done: list[bool] = []

        def work() -> None:
            with transaction(
                key="k", store=store, isolation_level=IsolationLevel.SERIALIZABLE
            ) as txn:
                inside.append(1)
                most.append(len(inside))
                done.append(txn.is_committed())
                if done[-1]:
                    assert txn.read() is not None or own
                inside.pop()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert max(most) == 1
        assert sorted(done) == [False] + [True] * 7

    @pytest.mark.parametrize("end", ["ok", "raise", "hook"])
    def test_the_lock_is_released_whatever_happens(self, end: str) -> None:
        for _ in range(2):
            try:
                with transaction(key="k", isolation_level="SERIALIZABLE", overwrite=True) as txn:  # pyright: ignore[reportArgumentType] - text is as good
                    txn.stage(1, on_commit_hooks=[lambda txn: 1 / 0] if end == "hook" else [])
                    if end == "raise":
                        raise Boom
            except Boom:
                pass

    def test_a_store_without_locks_is_refused(self) -> None:
        with (
            pytest.raises(ConfigurationError, match=r"'k' is SERIALIZABLE.*Memo"),
            transaction(key="k", store=Memo(), isolation_level=IsolationLevel.SERIALIZABLE),
        ):
            pass
        assert get_transaction() is None


class TestOpenAndClosed:
    """What is open where, and what is left behind."""

    def test_another_cell_knows_nothing_of_one_left_open(self, diary: Diary) -> None:
        t = diary.task()
        before = current_cell.get()
        current_cell.set("one cell")
        left = transaction()
        left.__enter__()
        try:
            t(1)
            assert get_transaction() is left
            current_cell.set("the next")
            assert get_transaction() is None
            t(2)
            assert diary.lines == ["run work", "run work", "commit work"]
            with transaction() as fresh:
                assert fresh.get_parent() is None
                t(3)
            assert diary.lines[3:] == ["run work", "commit work"]
        finally:
            current_cell.set(before)
            left.__exit__(None, None, None)
        assert get_transaction() is None

    def test_one_that_is_closed_elsewhere_disturbs_nobody(self) -> None:
        def hold() -> Any:
            with transaction() as txn:
                yield txn

        holding = hold()
        elsewhere = contextvars.copy_context()
        held = elsewhere.run(next, holding)
        assert get_transaction() is None
        with transaction() as mine:
            holding.close()
            assert held.is_rolled_back()
            assert get_transaction() is mine
        assert get_transaction() is None

    def test_a_generator_task_keeps_its_block_to_itself(self, diary: Diary) -> None:
        t = diary.task()

        @task(**quick)
        def numbers() -> Any:
            with transaction() as mine:
                for n in range(2):
                    assert get_transaction() is mine
                    t(n)
                    yield n

        for n in numbers():
            assert get_transaction() is None
            t(10 + n)
        assert diary.lines == [
            *["run work", "run work", "commit work"] * 2,
            *["commit work"] * 2,
        ]

    def test_none_can_be_entered_twice(self) -> None:
        with transaction() as txn, pytest.raises(RuntimeError, match="entered before"):
            txn.__enter__()
        with pytest.raises(RuntimeError, match="entered before"), txn:
            pass

    def test_reset_leaves_the_decision_to_the_parent(self) -> None:
        with transaction() as outer:
            inner = transaction()
            inner.__enter__()
            inner.reset()
            assert get_transaction() is outer
            assert inner.is_active()
        assert inner.is_committed()

    @pytest.mark.parametrize("state", TransactionState)
    def test_state_questions(self, state: TransactionState) -> None:
        txn = Transaction(state=state)
        answers = {
            TransactionState(name.removeprefix("is_").upper())
            for name in ("is_pending", "is_active", "is_staged", "is_committed", "is_rolled_back")
            if getattr(txn, name)()
        }
        assert answers == {state}

    def test_states_in_order(self) -> None:
        txn = transaction()
        seen = [txn.state]
        with txn:
            seen.append(txn.state)
            txn.stage(1)
            seen.append(txn.state)
        assert [*seen, txn.state] == list(TransactionState)[:4]


def test_isolation_levels_are_text() -> None:
    assert list(IsolationLevel) == ["READ_COMMITTED", "SERIALIZABLE"]
