"""A session for one test, and a check of everything that happened in it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cellist.model.runs import Event, Run, StateChanged
from cellist.model.states import TRANSITIONS
from cellist.session import Session, use_session


class Recorder:
    """Keeps every event of a session, and reads runs back from them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def runs(self) -> list[Run]:
        """Every run that was announced, in order."""
        seen = dict.fromkeys(e.run.number for e in self.events if isinstance(e, StateChanged))
        by_number = {e.run.number: e.run for e in self.events}
        return [by_number[number] for number in seen]

    def of(self, name: str) -> list[Run]:
        """The runs of the task or flow of this name."""
        return [run for run in self.runs if run.definition.name == name]

    def logs(self) -> list[str]:
        return [e.message for e in self.events if hasattr(e, "message")]  # pyright: ignore[reportAttributeAccessIssue]

    def check(self) -> None:
        """Fail unless each run went by the table of transitions, once at a time."""
        for run in self.runs:
            told = [e.state for e in self.events if isinstance(e, StateChanged) and e.run is run]
            assert sorted(told, key=lambda state: state.at) == run.states
            assert told[0].name == "Pending"
            for before, after in zip(run.states, run.states[1:], strict=False):
                assert after.type in TRANSITIONS[before.type], run.states
                assert after.timestamp > before.timestamp
            assert run.attempts == sum(state.is_running() for state in run.states)


@contextmanager
def recorded_session(directory: Path) -> Generator[tuple[Session, Recorder]]:
    recorder = Recorder()
    session = Session(directory=directory)
    session.sinks.append(recorder)
    with use_session(session):
        yield session, recorder
    recorder.check()


def names(run: Run) -> list[str]:
    return [state.name for state in run.states]
