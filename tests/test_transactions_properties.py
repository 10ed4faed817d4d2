"""Random trees of blocks and tasks with failures anywhere must end consistent.

Whatever fails where: when the outermost has ended, each transaction is committed or rolled back,
its hooks were called accordingly and once, and the stores hold the records of the committed ones
and nothing else.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellist import task
from cellist.caching.store import Found
from cellist.transactions import CommitMode, atransaction, get_transaction, transaction
from tests.sessions import Recorder, names

_numbers = itertools.count()


class Boom(Exception):
    """The failure that is tried everywhere."""


@dataclass
class Node:
    """A block or a task, what happens in it, and where it fails."""

    kind: str
    """block, task, or submit for a task that is submitted."""
    mode: CommitMode | None
    hooks: bool
    fails: str
    """no, body, once (the first attempt of a task that is retried), commit or undo (in a hook)."""
    handled: bool
    """Whether the parent catches what comes out."""
    children: list["Node"] = field(default_factory=list)


def nodes(children: st.SearchStrategy[list[Node]]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        kind=st.sampled_from(["block", "block", "task", "submit"]),
        mode=st.sampled_from([None, None, *CommitMode]),
        hooks=st.booleans(),
        fails=st.sampled_from(["no", "no", "no", "body", "once", "commit", "undo"]),
        handled=st.booleans(),
        children=children,
    )


trees = st.recursive(
    nodes(st.just([])), lambda inner: nodes(st.lists(inner, max_size=4)), max_leaves=12
)


@dataclass
class Seen:
    """One transaction that began: an entered block, or an attempt of a task."""

    node: Node
    key: str
    txn: Any
    parent: "Seen | None"
    run: Any = None
    began: bool = True
    staged: bool = False


class Trial:
    """Carries a tree out, sync or async, and checks what is left."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.seen: list[Seen] = []
        self.calls: list[tuple[str, Any]] = []
        self.records: dict[str, Any] = {}

    def exists(self, key: str) -> bool:
        return key in self.records

    def read(self, key: str) -> Any:
        return self.records[key]

    def write(self, obj: Any, *, key: str) -> None:
        assert key not in self.records
        self.records[key] = obj

    def hooks(self, node: Node) -> dict[str, Any]:
        def commit(txn: Any) -> None:
            self.calls.append(("commit", txn))
            if node.fails == "commit":
                raise Boom

        def undo(txn: Any) -> None:
            self.calls.append(("undo", txn))
            if node.fails == "undo":
                raise Boom

        return {"on_commit": [commit], "on_rollback": [undo]} if node.hooks else {}

    def stage(self, node: Node, seen: Seen) -> None:
        hooks = self.hooks(node)
        seen.txn.stage(1, hooks.get("on_rollback"), hooks.get("on_commit"))

    # sync

    def run(self, node: Node, parent: Seen | None) -> None:
        try:
            if node.kind == "block":
                self.block(node, parent)
            elif node.kind == "task":
                self.make_task(node, parent)()
            else:
                self.make_task(node, parent).submit().result()
        except Boom:
            if not node.handled:
                raise

    def block(self, node: Node, parent: Seen | None) -> None:
        key = f"block {next(_numbers)}"
        with transaction(key=key, store=self, commit_mode=node.mode) as txn:
            seen = Seen(node, key, txn, parent)
            self.seen.append(seen)
            self.stage(node, seen)
            self.body(node, seen, 1)

    def body(self, node: Node, seen: Seen, attempt: int) -> None:
        for child in node.children:
            self.run(child, seen)
        if node.fails == "body" or (node.fails == "once" and attempt == 1):
            raise Boom

    def make_task(self, node: Node, parent: Seen | None) -> Any:
        key = f"task {next(_numbers)}"
        attempts = itertools.count(1)

        def work() -> list[int]:
            seen = Seen(node, key, get_transaction(), parent)
            self.seen.append(seen)
            self.body(node, seen, next(attempts))
            seen.staged = True
            return [1]

        return task(work, name=key, retries=1, cache_key_fn=lambda c, p: key, **self.hooks(node))

    # async

    async def arun(self, node: Node, parent: Seen | None) -> None:
        try:
            if node.kind == "block":
                await self.ablock(node, parent)
            elif node.kind == "task":
                await self.make_async_task(node, parent)()
            else:
                await self.make_async_task(node, parent).submit()
        except Boom:
            if not node.handled:
                raise

    async def ablock(self, node: Node, parent: Seen | None) -> None:
        key = f"block {next(_numbers)}"
        async with atransaction(key=key, store=self, commit_mode=node.mode) as txn:
            seen = Seen(node, key, txn, parent)
            self.seen.append(seen)
            self.stage(node, seen)
            await self.abody(node, seen, 1)

    async def abody(self, node: Node, seen: Seen, attempt: int) -> None:
        for child in node.children:
            await self.arun(child, seen)
        if node.fails == "body" or (node.fails == "once" and attempt == 1):
            raise Boom

    def make_async_task(self, node: Node, parent: Seen | None) -> Any:
        key = f"task {next(_numbers)}"
        attempts = itertools.count(1)

        async def work() -> list[int]:
            seen = Seen(node, key, get_transaction(), parent)
            self.seen.append(seen)
            await self.abody(node, seen, next(attempts))
            seen.staged = True
            return [1]

        return task(work, name=key, retries=1, cache_key_fn=lambda c, p: key, **self.hooks(node))

    # what must hold afterwards

    def check(self) -> None:
        assert get_transaction() is None
        for seen in self.seen:
            self.check_one(seen)
        kept = {seen.key for seen in self.seen if seen.txn.is_committed()}
        assert set(self.records) == {key for key in kept if key.startswith("block")}
        tasks = {seen.key for seen in self.seen if seen.node.kind != "block"}
        store = self.recorder.session.store
        assert {key for key in tasks if isinstance(store.get(key), Found)} == kept & tasks

    def check_one(self, seen: Seen) -> None:
        txn, node = seen.txn, seen.node
        assert txn.is_committed() or txn.is_rolled_back(), txn
        calls = [call for call, whose in self.calls if whose is txn]
        has_hooks = node.hooks and (node.kind == "block" or seen.staged)
        if txn.is_committed():
            assert calls == (["commit"] if has_hooks else [])
            assert not (has_hooks and node.fails == "commit")
        else:
            assert calls in ([["undo"], ["commit", "undo"]] if has_hooks else [[]])
            if "commit" in calls:
                assert node.fails == "commit"
        if node.kind != "block":
            self.check_run(seen)
        parent = seen.parent
        if parent is not None and parent.txn.is_rolled_back() and txn.is_committed():
            assert self.may_outlive(seen, parent), (seen, parent)

    def check_run(self, seen: Seen) -> None:
        run = self.recorder.one(seen.key)
        last = [one for one in self.seen if one.key == seen.key][-1]
        if seen is not last:
            assert seen.txn.is_rolled_back()
        elif seen.staged:
            assert names(run)[-1] == ("Completed" if seen.txn.is_committed() else "RolledBack")
        else:
            assert names(run)[-1] == "Failed"

    def may_outlive(self, seen: Seen, parent: Seen) -> bool:
        """Whether a committed child may have a parent that was rolled back.

        It may if it did not wait for the parent, or if it was the parent's own commit that failed:
        the children come first.
        """
        above = seen
        while above.parent is not None:
            above = above.parent
            if above.node.kind == "block":
                break
        is_free = seen.node.kind != "block" and not seen.node.hooks and above.node.kind != "block"
        in_commit = parent.node.hooks and parent.node.fails == "commit"
        return is_free or in_commit or seen.txn.commit_mode is CommitMode.EAGER


@pytest.mark.parametrize("is_async", [False, True])
def test_trees_end_consistent(recorder: Recorder, is_async: bool) -> None:
    ends: set[str] = set()

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(trees)
    def carry_out(tree: Node) -> None:
        trial = Trial(recorder)
        try:
            asyncio.run(trial.arun(tree, None)) if is_async else trial.run(tree, None)
        except Boom:
            assert not tree.handled
        trial.check()
        ends.update(f"{seen.node.kind} {seen.txn.state}" for seen in trial.seen)
        recorder.check()
        recorder.events.clear()

    carry_out()
    kinds, states = ("block", "task", "submit"), ("COMMITTED", "ROLLED_BACK")
    assert ends == {f"{kind} {state}" for kind in kinds for state in states}
