"""Keys of tasks: what they depend on, and what they leave out."""

from typing import Any

import pytest

from cellist import task
from cellist.taskkeys import task_input_hash

NUMBERS: list[int] = []
FACTOR = 2


def scale(x: int) -> int:
    return x * FACTOR


def made(helper: str = "x * 2", own: str = "helper(x)", **options: Any) -> Any:
    """Define a task and its helper from source, as a cell does."""
    space: dict[str, Any] = {"task": task, "options": options, "calls": []}
    source = f"def helper(x):\n    return {helper}\n\n"
    source += f"@task(**options)\ndef work(x):\n    calls.append(x)\n    return {own}\n"
    exec(compile(source, "<cell>", "exec"), space)
    return space["work"]


def test_the_key_is_of_the_tasks_own_code() -> None:
    key = made().task_key
    assert key.startswith("work-")
    assert made().task_key == key
    assert made(helper="x * 3").task_key == key
    assert made(own="helper(x) + 1").task_key != key


def test_data_that_is_read_leaves_the_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def reads(x: int) -> int:
        NUMBERS.append(x)
        return scale(x)

    before = reads.task_key
    reads(1)
    monkeypatch.setattr(f"{__name__}.FACTOR", 5)
    assert reads.task_key == before


def test_every_callable_has_a_key() -> None:
    class Doubler:
        def __call__(self, x: int) -> int:
            return 2 * x

    keys = [task(fn).task_key for fn in (len, Doubler(), lambda x: x)]  # type: ignore[arg-type] - a builtin, an object and a lambda
    assert len(set(keys)) == 3
    assert task(len).task_key == task(len).task_key


def test_the_input_hash_counts_inputs_and_code_but_no_data() -> None:
    hashed: Any = {"cache_key_fn": task_input_hash}
    first = made(**hashed)
    assert [first(1), first(1), first(2)] == [2, 2, 4]
    assert first.fn.__globals__["calls"] == [1, 2]
    again = made(**hashed)
    assert again(1) == 2
    assert again.fn.__globals__["calls"] == []
    for edited in (made(helper="x * 3", **hashed), made(own="helper(x) + 1", **hashed)):
        edited(1)
        assert edited.fn.__globals__["calls"] == [1]
