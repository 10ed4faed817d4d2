"""What a test may look at from outside: the states of a run, counts of executions, logs."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import cellist
from cellist import State, flow, task

make_task: Any = task
make_flow: Any = flow
"""The decorators for options that only a table knows, or that are wrong on purpose."""


def trail(run: Any) -> list[str]:
    """The names of all states of a run, given by its id, its final state, its record or future."""
    return [state.name for state in record(run).states]


def record(run: Any) -> Any:
    """The kept record of a run."""
    return cellist.run(str(run_id(run)))


def run_id(run: Any) -> UUID | str:
    """The id of a run, a state, or a future."""
    if isinstance(run, (str, UUID)):
        return run
    if isinstance(run, State):
        details = run.state_details
        found = details.task_run_id or details.flow_run_id
        assert found is not None, f"{run!r} belongs to no run"
        return found
    return getattr(run, "task_run_id", None) or run.id


def current_task() -> Any:
    """The task whose code this is."""
    context: Any = cellist.get_run_context()
    return context.task


@dataclass
class Calls:
    """Counts calls from any thread without being part of what a task's source reaches."""

    log: list[Any] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __call__(self, value: Any = None) -> int:
        with self.lock:
            self.log.append(value)
            return len(self.log)

    def __len__(self) -> int:
        return len(self.log)


@dataclass
class Hooks:
    """Hooks that note what they were called with."""

    seen: list[tuple[str, Any, Any, Any]] = field(default_factory=list)

    def __call__(self, label: str) -> Callable[[Any, Any, Any], None]:
        def hook(owner: Any, run: Any, state: Any) -> None:
            self.seen.append((label, owner, run, state))

        return hook

    @property
    def labels(self) -> list[str]:
        return [label for label, *_ in self.seen]

    @property
    def states(self) -> list[tuple[str, str]]:
        """The label of each call and the name of the state it was given."""
        return [(label, state.name) for label, _, _, state in self.seen]


@dataclass
class Boom(Exception):
    """An error with an odd constructor."""

    code: int
    where: str

    def __str__(self) -> str:
        return f"{self.where}:{self.code}"
