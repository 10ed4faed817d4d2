"""What the form of a pause says besides its fields."""

import asyncio
from typing import Any

import pytest

from cellist import flow, pause_flow_run
from cellist.engine.pausing import FlowPause
from cellist.notebook.asking import form_of
from tests.sessions import Recorder


class Page:
    """A board, as far as a form needs it."""

    def __init__(self, answers_while_blocked: bool) -> None:
        self.answers_while_blocked = answers_while_blocked


def asked(recorder: Recorder, page: Page, timeout: float | None, *, awaits: bool) -> dict[str, Any]:
    """Return the form of a flow's pause, seen at the moment it begins."""
    forms: list[dict[str, Any]] = []

    def show(pause: FlowPause) -> None:
        forms.append(form_of(pause, page))
        pause.resume(3, "Resumed.")

    recorder.session.desk.is_attended = lambda _: True
    recorder.session.desk.show = show

    @flow
    def ask() -> Any:
        return pause_flow_run(wait_for_input=int, timeout=timeout)

    @flow
    async def aask() -> Any:
        return await pause_flow_run(wait_for_input=int, timeout=timeout)

    assert (asyncio.run(aask()) if awaits else ask()) == 3
    (form,) = forms
    return form


def test_the_form_names_the_flow_and_what_it_asks(recorder: Recorder) -> None:
    form = asked(recorder, Page(True), 60, awaits=False)
    assert form["title"] == "ask is paused"
    assert [one["name"] for one in form["fields"]] == ["value"]
    assert form["due"] > 0
    assert form["notes"] == []
    assert asked(recorder, Page(True), None, awaits=False)["due"] is None


@pytest.mark.parametrize(
    ("awaits", "answers", "other_page", "is_told"),
    [
        (False, True, False, False),
        (False, False, False, True),
        (False, True, True, True),
        (True, False, True, False),
    ],
)
def test_it_says_when_clicks_may_not_arrive(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    awaits: bool,
    answers: bool,
    other_page: bool,
    is_told: bool,
) -> None:
    monkeypatch.delenv("VSCODE_PID", raising=False)
    if other_page:
        monkeypatch.setenv("VSCODE_PID", "1")
    notes = asked(recorder, Page(answers), None, awaits=awaits)["notes"]
    assert any("blocks its kernel" in note for note in notes) is is_told
