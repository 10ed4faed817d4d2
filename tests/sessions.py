"""A session for one test, a check of all that happened in it, and four ways to carry out a run."""

import asyncio
import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellist import State, Task, task
from cellist.cache_policies import NO_CACHE
from cellist.model.events import Event, LogWritten, StateChanged
from cellist.model.runs import Run
from cellist.model.states import TRANSITIONS
from cellist.session import Session, use_session


class Recorder:
    """Keeps every event of a session, and reads runs back from them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[Event] = []
        session.sinks.append(self.events.append)

    @property
    def runs(self) -> list[Run]:
        """Every run that was announced, in order."""
        return list({id(e.run): e.run for e in self.events}.values())

    def of(self, name: str) -> list[Run]:
        """The runs of the task or flow of this name."""
        return [run for run in self.runs if run.definition.name == name]

    def one(self, name: str) -> Run:
        """The only run of the task or flow of this name."""
        (run,) = self.of(name)
        return run

    def logs(self) -> list[str]:
        """What runs logged, in order."""
        return [event.message for event in self.events if isinstance(event, LogWritten)]

    def check(self) -> None:
        """Fail unless each run went by the table of transitions and told of each state once."""
        told: dict[int, list[State]] = {}
        for event in self.events:
            if isinstance(event, StateChanged):
                told.setdefault(event.run.number, []).append(event.state)
        for run in self.runs:
            assert sorted(told[run.number], key=lambda state: state.at) == run.states
            assert run.states[0].name == "Pending"
            for before, after in zip(run.states, run.states[1:], strict=False):
                assert after.type in TRANSITIONS[before.type], run.states
                assert after.timestamp > before.timestamp, run.states
            begun = [  # to go on after a pause is no new attempt
                state
                for before, state in zip([None, *run.states], run.states, strict=False)
                if state.is_running() and not (before is not None and before.is_paused())
            ]
            assert run.run_count == len(begun)


@contextmanager
def recorded_session(directory: Path) -> Generator[Recorder]:
    """Use a session of its own for a while, and check at the end what went on in it."""
    session = Session(directory=directory)
    recorder = Recorder(session)
    with use_session(session):
        yield recorder
    recorder.check()
    assert session.live == {}


def names(run: Run) -> list[str]:
    """The names of the states of a run."""
    return [state.name for state in run.states]


WAYS = ("drive", "adrive", "submit", "submit async")


def as_task(way: str, fn: Callable[..., Any], **options: Any) -> Task[..., Any]:
    """Make a task of sync code for a way to carry it out, a coroutine function where it takes one.

    Caching is off unless asked for.
    """
    options.setdefault("cache_policy", NO_CACHE)
    if way not in {"adrive", "submit async"}:
        return task(fn, **options)

    @functools.wraps(fn)
    async def as_coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return fn(*args, **kwargs)

    return task(as_coroutine, **options)


def final_state(way: str, t: Any, *args: Any, **kwargs: Any) -> State:
    """Run a task in one of the ways and return its final state."""
    if way == "drive":
        return t(*args, return_state=True, **kwargs)
    if way == "adrive":
        return asyncio.run(t(*args, return_state=True, **kwargs))
    return t.submit(*args, return_state=True, **kwargs)


def outcome(way: str, t: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a task in one of the ways and return its value or raise its error."""
    if way == "drive":
        return t(*args, **kwargs)
    if way == "adrive":
        return asyncio.run(t(*args, **kwargs))
    return t.submit(*args, **kwargs).result(timeout=30)
