"""What tells tasks of one name apart stays what it was when it was first asked for."""

from typing import Any

import pytest

from cellist import captured as module
from cellist.captured import captured


def make(noted: list[int]) -> Any:
    def body(x: int) -> int:
        noted.append(x)
        return x

    return body


def test_what_a_function_notes_later_makes_no_other_task_of_it() -> None:
    noted = [1]
    body = make(noted)
    before = captured(body)
    body(2)
    assert captured(body) == before
    assert captured(make([7])) != before


def test_a_thread_that_was_faster_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[int] = []
    body = make(noted)
    held = module._held
    others: list[tuple[str, ...]] = []

    def held_late(fn: Any, around: set[int]) -> list[str]:
        if not others:  # another thread asks, runs the body, and only then does this one look
            others.append(())
            others.append(captured(body))
            body(1)
        return held(fn, around)

    monkeypatch.setattr(module, "_held", held_late)
    assert captured(body) == others[-1]
