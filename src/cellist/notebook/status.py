"""What `%cellist status` says: what runs now, since when, how far it is, how long it may take."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from statistics import quantiles
from typing import Any

from cellist.board.progress import doing_words
from cellist.board.wording import look_now
from cellist.caching.reasons import seconds_text
from cellist.engine.execution import Execution
from cellist.exceptions import QueueError
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.notebook.background import running
from cellist.session import Session

_LISTED = 10
"""Runs inside one flow or task that are listed; the others are counted."""
_PATIENCE = 2.0
_USUAL = 8
_ENOUGH = 2


def status_lines(session: Session) -> Iterator[str]:
    """Yield one line on each run that is live, those inside others below them.

    After them come the suspended ones, which wait to be resumed, and those that wait for a worker.
    """
    live = sorted(session.live.values(), key=lambda execution: execution.run.number)
    session.history.flush(_PATIENCE)
    inside: dict[Execution | None, list[Execution]] = {}
    for execution in live:
        inside.setdefault(execution.parent, []).append(execution)
    known = set(live)
    roots = [one for one in live if one.parent is None or one.parent not in known]
    for root in roots:
        yield from _lines(session, root, inside, "")
    for pause in list(session.desk.suspended.values()):
        run = pause.flow.run
        yield f"flow {_name(run)}: {run.state_name}{_since(run)}. {run.states[-1].message}"
    yield from _deferred()


def _deferred() -> Iterator[str]:
    """Yield a line on each task of which deferred runs wait, and what would carry them out."""
    futures: Any = import_module("cellist.worker.futures")
    if not futures.queue_path().exists():
        return
    with suppress(QueueError):  # which has been told where the runs were put into it
        for _, task, number in futures.watcher_here().queue.waiting():
            runs = "1 deferred run waits" if number == 1 else f"{number:,} deferred runs wait"
            yield (
                f"task {task}: {runs} for a worker, such as BackgroundWorker({task}).start() in "
                f"this kernel or cellist.serve({task}) in another notebook"
            )


def _lines(
    session: Session, x: Execution, inside: dict[Execution | None, list[Execution]], indent: str
) -> Iterator[str]:
    yield f"{indent}{_line(session, x)}"
    children = inside.get(x, [])
    for child in children[:_LISTED]:
        yield from _lines(session, child, inside, f"{indent}  ")
    if len(children) > _LISTED:
        yield f"{indent}  … and {len(children) - _LISTED:,} more"


def _line(session: Session, x: Execution) -> str:
    run = x.run
    parts = [f"{run.kind} {_name(run)}: {run.state_name}{_since(run)}"]
    parts.append(seconds_text(run.total_run_time.total_seconds()))
    if run.number in running:
        parts.append("in the background")
    if run.attempts > 1 or run.kind == "task":
        parts.append(f"attempt {run.attempts}")
    doing = doing_words(run, look_now(run))
    if doing:
        parts.append(doing)
    waits = session.waits_of(run)
    if waits is not None:
        parts.append(waits)
    counts = session.history.counts(as_hex(run.number)) if run.kind == "flow" else {}
    parts += [f"{number:,} {_spaced(state)}" for state, number in counts.items()]
    usual = usual_text(session.history.durations(run.definition.name, _USUAL, run.kind))
    return ", ".join(parts) + (f"; {usual}" if usual else "")


def _name(run: Run) -> str:
    named = run.kind == "flow" and run.name != run.definition.name
    return f"{run.definition.name} ({run.name})" if named else run.name


def _spaced(state: str) -> str:
    """Return the name of a state as words: `AwaitingRetry` as "awaiting retry"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", state).lower()


def _since(run: Run) -> str:
    state = run.state
    if state is None:
        return ""
    return time.strftime(" since %H:%M:%S", time.localtime(state.at / 1_000_000_000))


def usual_text(durations: list[float]) -> str | None:
    """Return how long runs usually take, `None` where too few are known to say."""
    if len(durations) < _ENOUGH:
        return None
    low, _, high = quantiles(durations, n=4, method="inclusive")
    first, second = seconds_text(low), seconds_text(high)
    span = first if first == second else f"{first} to {second}"
    return f"usually {span} (last {len(durations)} runs)"


__all__ = ["status_lines", "usual_text"]
