"""The record of one run, as a user reads it."""

from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from cellist.exceptions import MissingResult
from cellist.model.markup import escaped
from cellist.model.reason_text import html_of
from cellist.model.reasons import Reason
from cellist.model.runs import Run

_MOST_SHOWN = 1_000
"""Characters of one fact that its repr shows."""


class StateRecord(NamedTuple):
    """One state of a run's history."""

    name: str
    type: str
    message: str | None
    at: datetime


class Attempt(NamedTuple):
    """One attempt of a run: when it ran, in seconds how long, and what it ended in.

    `error` has type, text and traceback of what it raised, if it failed and that was kept.
    """

    start: datetime
    end: datetime | None
    seconds: float | None
    ended_in: str
    error: tuple[str, str, str] | None = None


class LogRecord(NamedTuple):
    """One record of a run's log."""

    at: datetime
    level: int
    message: str


class ValueSource(Protocol):
    """Who finds the values of runs, see `cellist.values`."""

    def result(self, record: "RunRecord") -> Any:
        """Return the result of a run, as `value` of what is returned."""
        ...

    def argument(self, record: "RunRecord", name: str) -> Any:
        """Return an argument of a run, as `value` of what is returned."""
        ...

    def keep_call(self, run: Run) -> None:
        """Remember the arguments of a run that failed."""
        ...


class RunRecord:
    """What is known of one run: states, attempts, inputs, logs, reason, result, children."""

    def __init__(
        self,
        row: dict[str, Any],
        logs: list[dict[str, Any]],
        children: list[dict[str, Any]],
        values: "ValueSource | None" = None,
    ) -> None:
        self._values = values
        self._row = row
        self.id: str = row["id"]
        self.name: str = row["name"]
        self.kind: str = row["kind"]
        self.definition: str = row["definition"]
        self.flow: str | None = row["flow"]
        self.parent: str | None = row["parent"]
        self.state: str = row["state"]
        self.tags: list[str] = row.get("tags") or []
        self.inputs: dict[str, str] = row.get("inputs") or {}
        self.upstream: dict[str, list[str]] = row.get("upstream") or {}
        why: dict[str, Any] | None = row.get("why")
        self.why = Reason.from_dict(why) if why else None
        """Why a task run was a hit or a miss."""
        self.cache_key: str | None = row.get("cache_key")
        self.result: str | None = row.get("result")
        self.where: str | None = row.get("where")
        self.resumed_from: str | None = row.get("resumed_from")
        """The id of the run that this one continues, retried or resumed."""
        error: list[str] | None = row.get("error")
        self.error = (error[0], error[1], error[2]) if error else None
        """Type, text and traceback of what the run raised."""
        self._failed: list[list[Any]] = row.get("failed") or []
        states: list[Any] = row.get("states") or []
        self.states = [
            StateRecord(name, kind, message, _time(at)) for name, kind, message, at in states
        ]
        self.logs = [LogRecord(_time(log["at"]), log["level"], log["message"]) for log in logs]
        self.children = [RunRecord(child, [], [], values) for child in children]

    def load(self, name: str | None = None) -> Any:
        """Return the value of the result, or of the argument called `name` in `inputs`.

        A result is had from the store, or where something in this session still holds it; an
        argument where it is short, where the run failed a while ago, or where it was the result of
        another run. Raises `MissingResult` saying why if it is not to be had any more,
        `ObjectNotFound` if there is no such argument, and `FailedRun`, `CrashedRun`,
        `CancelledRun` or `UnfinishedRun` if the run did not complete.
        """
        if self._values is None:
            message = f"The values of `{self.name}` are not known to this history."
            raise MissingResult(message)
        if name is None:
            return self._values.result(self).value
        return self._values.argument(self, name).value

    @property
    def seconds(self) -> float | None:
        """From the first attempt's start to the end, in seconds."""
        started, ended = self._row["started"], self._row["ended"]
        return (ended - started) / 1e9 if started and ended else None

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts, in order."""
        found: list[Attempt] = []
        errors = {number: (kind, text, trace) for number, kind, text, trace in self._failed}
        if self.error is not None:
            errors[sum(state.type == "RUNNING" for state in self.states)] = self.error
        for index, state in enumerate(self.states):
            if state.type != "RUNNING":
                continue
            following = self.states[index + 1] if index + 1 < len(self.states) else None
            end = following.at if following else None
            seconds = (end - state.at).total_seconds() if end else None
            found.append(
                Attempt(
                    *(state.at, end, seconds, following.name if following else "Running"),
                    errors.get(len(found) + 1),
                )
            )
        return found

    @property
    def graph(self) -> dict[str, Any]:
        """The runs of a flow and what flowed between them: `nodes` and `edges` of ids."""
        nodes = [child.id for child in self.children]
        known = set(nodes)
        edges = [
            (source, child.id)
            for child in self.children
            for sources in child.upstream.values()
            for source in sources
            if source in known
        ]
        return {"nodes": nodes, "edges": edges}

    def facts(self) -> dict[str, Any]:
        """Return what can be compared with another run."""
        found: dict[str, Any] = {
            "definition": self.definition,
            "state": self.state,
            "seconds": self.seconds,
            "attempts": len(self.attempts),
            "why": self.why.sentence if self.why else None,
            "cache key": self.cache_key,
            "error": ": ".join(self.error[:2]) if self.error else None,
            "tags": ", ".join(self.tags) or None,
        }
        found.update({f"input {name}": text for name, text in self.inputs.items()})
        for child in self.children:
            sentence = child.why.sentence if child.why else None
            found.setdefault(f"{child.definition}: {child.inputs}", (child.state, sentence))
        return found

    def _lines(self) -> list[tuple[str, str]]:
        lines = [
            ("state", " → ".join(state.name for state in self.states)),
            ("started", f"{self.states[0].at:%Y-%m-%d %H:%M:%S} UTC" if self.states else ""),
            ("took", f"{self.seconds:.3f} s" if self.seconds is not None else ""),
            ("why", self.why.sentence if self.why else ""),
            ("inputs", ", ".join(f"{name}={text}" for name, text in self.inputs.items())),
            ("result", self.result or ""),
            ("ran in", self.where or ""),
            ("error", ": ".join(self.error[:2]) if self.error else ""),
            ("continues", self.resumed_from or ""),
            ("tags", ", ".join(self.tags)),
            ("runs in it", str(len(self.children)) if self.children else ""),
            ("id", self.id),
        ]
        return [(name, _clip(text)) for name, text in lines if text]

    def __repr__(self) -> str:
        body = "\n".join(f"  {name + ':':<12}{text}" for name, text in self._lines())
        return f"{self.kind} run {self.name}\n{body}"

    def _repr_html_(self) -> str:
        rich = {"why": html_of(self.why)} if self.why else {}
        cells = "".join(
            f"<tr><th>{name}</th><td>{rich.get(name) or escaped(text)}</td></tr>"
            for name, text in self._lines()
        )
        title = f"<th colspan=2>{escaped(_clip(f'{self.kind} run {self.name}'))}</th>"
        return f"<table><thead><tr>{title}</tr></thead><tbody>{cells}</tbody></table>"


def _clip(text: str) -> str:
    """Return a text that fits a table; what it leaves out is in the attributes."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
