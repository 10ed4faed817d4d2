"""Forms on a board: what the page is told of them, and what it gets for an answer."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from cellist.board.live import Board
from tests.board.fakes import Screen, Story

FORM = {"key": "1.1", "title": "crawl is paused", "fields": [], "notes": []}


class Asked:
    """A board with one form, and what was answered."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.board = Board("crawl", control=lambda *_: None, ui="widget", screen=self.screen)
        story = Story()
        story.sinks = (lambda event: self.board.apply([event]),)
        story.begin(story.flow(), 0)
        self.answers: list[Mapping[str, Any]] = []
        self.wrong: dict[str, str] = {}
        self.board.show()
        self.board.frame()
        self.board.ask("ab", FORM, self.take)

    def take(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        self.answers.append(values)
        return self.wrong

    def answer(self, **message: Any) -> dict[str, Any]:
        assert self.screen.receive is not None
        self.screen.receive({"kind": "answer", "run": "ab", "token": "t", "values": {}, **message})
        return self.screen.of_kind("reply")[-1]


def test_the_page_is_told_of_forms_when_they_come_and_go_and_when_it_asks() -> None:
    asked = Asked()
    assert asked.screen.of_kind("forms")[-1]["forms"] == [{**FORM, "run": "ab"}]
    told = len(asked.screen.of_kind("forms"))
    assert asked.screen.receive is not None
    asked.screen.receive({"kind": "hello"})
    kinds = [message["kind"] for message in asked.screen.messages[-2:]]
    assert kinds == ["snapshot", "forms"]
    assert len(asked.screen.of_kind("forms")) == told + 1
    asked.board.stop_asking("ab")
    assert asked.screen.of_kind("forms")[-1]["forms"] == []
    asked.screen.receive({"kind": "hello"})
    assert asked.screen.messages[-1]["kind"] == "snapshot"


def test_an_answer_is_handed_over_and_what_is_wrong_with_it_comes_back() -> None:
    asked = Asked()
    asked.wrong = {"n": "too large"}
    reply = asked.answer(values={"n": "12"})
    assert (reply["token"], reply["errors"]) == ("t", {"n": "too large"})
    asked.wrong = {}
    assert asked.answer(values={"n": "1"})["errors"] == {}
    assert asked.answers == [{"n": "12"}, {"n": "1"}]


@pytest.mark.parametrize("message", [{"run": "cd"}, {"run": 5}, {"values": "x"}, {"values": None}])
def test_an_answer_to_nothing_is_refused(message: dict[str, Any]) -> None:
    asked = Asked()
    assert "answered already" in asked.answer(**message)["text"]
    assert asked.answers == []


def test_a_board_without_a_page_asks_nothing() -> None:
    screen = Screen()
    board = Board("crawl", control=lambda *_: None, ui="html", screen=screen)
    board.show()
    board.ask("ab", FORM, lambda _: {})
    assert screen.messages == []


def test_forms_may_come_from_any_thread() -> None:
    asked = Asked()
    threads = [
        threading.Thread(target=asked.board.ask, args=(f"{n:x}", FORM, asked.take))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked.screen.of_kind("forms")[-1]["forms"]) == 21
