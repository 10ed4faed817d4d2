"""Runs made by hand, a screen that keeps what it is told, and the page of a stub model."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from cellist.model.events import Event
from cellist.model.runs import ErrorInfo, FlowRun, Run, TaskRun
from cellist.model.states import COMPLETED, FAILED, PENDING, RUNNING, SCHEDULED

START = 1_760_000_000_000_000_000
"""When every made-up story begins, in nanoseconds since the epoch."""


class Definition:
    """What a run needs of its task or flow."""

    def __init__(self, name: str, retries: int = 0) -> None:
        self.name = name
        self.version: str | None = None
        self.retries = retries
        self.key = f"tests.{name}"


class Cell:
    """The token of a cell execution."""

    def __init__(self, number: str) -> None:
        self.id = number


class Story:
    """Makes runs and moves them through states at times of its own, in seconds from the start."""

    def __init__(self, *sinks: Callable[[Event], object], cell: Cell | None = None) -> None:
        self.sinks = sinks
        self.cell = cell
        self._definitions: dict[str, Definition] = {}

    def definition(self, name: str, retries: int = 0) -> Definition:
        return self._definitions.setdefault(name, Definition(name, retries))

    def flow(self, name: str = "crawl", parent: Run | None = None) -> FlowRun:
        flow = parent if isinstance(parent, FlowRun) else (parent.flow if parent else None)
        return FlowRun(self.definition(name), parent, flow, self.sinks, frozenset(), self.cell)

    def task(
        self,
        name: str,
        parent: Run | None = None,
        upstream: Iterable[Run] = (),
        retries: int = 0,
    ) -> TaskRun:
        flow = parent if isinstance(parent, FlowRun) else (parent.flow if parent else None)
        run = TaskRun(
            self.definition(name, retries), parent, flow, self.sinks, frozenset(), self.cell
        )
        sources = tuple(source.number for source in upstream)
        if sources:
            run.upstream = {"x": sources}
        return run

    def enter(
        self, run: Run, at: float, kind: Any, name: str | None = None, message: str = ""
    ) -> None:
        run.enter(kind, name, message or None)
        moment = START + round(at * 1e9)
        run.entered = (*run.entered[:-1], moment)
        run.states[-1].at = moment  # as somebody may have looked

    def begin(self, run: Run, at: float) -> Run:
        self.enter(run, at, PENDING)
        self.enter(run, at + 0.001, RUNNING)
        return run

    def complete(self, run: Run, begin: float, end: float, name: str | None = None) -> Run:
        self.begin(run, begin)
        self.enter(run, end, COMPLETED, name)
        return run

    def fail(self, run: Run, begin: float, end: float, message: str = "no") -> Run:
        self.begin(run, begin)
        run.error = ErrorInfo("ValueError", message, f"Traceback\nValueError: {message}")
        self.enter(run, end, FAILED, None, "Task run encountered an exception")
        return run

    def wait_for_retry(self, run: Run, begin: float, end: float, due: float) -> Run:
        self.begin(run, begin)
        run.error = ErrorInfo("TimeoutError", "the server is slow", "Traceback\nTimeoutError")
        run.due = START + int(due * 1e9)
        self.enter(run, end, SCHEDULED, "AwaitingRetry")
        return run


class Screen:
    """Keeps what a board shows. Messages pass through JSON, as they do on their way."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.records: list[str] = []
        self.text = ""
        self.receive: Callable[[dict[str, Any]], None] | None = None
        self.ident = ""
        self.is_retired = False

    def open(self, html: str, text: str, receive: Any, ident: str) -> None:
        self.records.append(html)
        self.text = text
        self.receive = receive
        self.ident = ident

    def open_again(self, html: str, text: str) -> None:
        self.record(html, text)

    def send(self, message: dict[str, Any]) -> None:
        self.messages.append(json.loads(json.dumps(message)))

    def record(self, html: str, text: str) -> None:
        self.records.append(html)
        self.text = text

    def retire(self) -> None:
        self.is_retired = True

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["kind"] == kind]
