"""Where the logs of runs go: to the record of the run, to your handlers, to the console.

What a run logs or prints belongs to its record, which the board shows and the history keeps. It
also goes to the standard logger `cellist.task_runs` or `cellist.flow_runs`, for handlers of your
own. Where neither a board nor a handler shows it, it is written to stderr, as scripts expect.

What the engine has to say of a run's course is only for those who read along: a record holds the
states themselves. Of a task that simply completed it says so only where a level asks for that,
`CELLIST_LOGGING_LEVEL` or the level of the root logger, since there may be many thousands.
"""

import logging
import sys
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from cellist import settings
from cellist.engine.commands import Err, Outcome
from cellist.engine.errors import describe, shown
from cellist.engine.execution import Execution, current
from cellist.engine.plan import name_of
from cellist.model.runs import Run
from cellist.model.states import State
from cellist.recording import note_log, unrecorded

_top = logging.getLogger("cellist")
_top.addHandler(logging.NullHandler())  # what cellist itself has to say is a warning or an event
_root = logging.getLogger()
RUN_LOGGERS = {kind: logging.getLogger(f"cellist.{kind}_runs") for kind in ("task", "flow")}

_only_recorded: ContextVar[bool] = ContextVar("cellist_only_recorded", default=False)


class ConsoleFormatter(logging.Formatter):
    """Writes `12:00:00.123 | INFO    | Task run 'clean-3f0' - 5 rows`."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(origin)s - %(message)s", "%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        facts = vars(record)
        name, kind = facts.get("run_name"), facts.get("run_kind", "")
        record.origin = f"{kind.capitalize()} run {name!r}" if name else record.name
        return super().format(record)


class Console(logging.Handler):
    """Writes records to stderr where they would be seen nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(ConsoleFormatter())

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        execution = current.get()
        run = vars(record).get("run") or (execution.run if execution is not None else None)
        return is_wanted_on_console(logging.getLogger(record.name), run)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to what is `sys.stderr` now."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)


CONSOLE = Console()
for _logger in RUN_LOGGERS.values():
    _logger.addHandler(CONSOLE)


def has_handlers(logger: logging.Logger) -> bool:
    """Whether somebody else's handler gets the records of a logger."""
    here: logging.Logger | None = logger
    while here is not None:
        for handler in here.handlers:
            if not isinstance(handler, (Console, logging.NullHandler)):
                return True
        here = here.parent if here.propagate else None
    return False


def is_wanted_on_console(logger: logging.Logger, run: Run | None) -> bool:
    """Whether nothing else shows what a logger has to say, and output of ours is wanted."""
    if settings.active().ui == "off" or _only_recorded.get():
        return False
    if run is not None and getattr(run.cell, "shows_logs", False):
        return False
    return not has_handlers(logger)


def is_heard(logger: logging.Logger, run: Run) -> bool:
    """Whether a record of a run would be seen by anybody besides the run's own record."""
    if _only_recorded.get():
        return False
    return has_handlers(logger) or is_wanted_on_console(logger, run)


@contextmanager
def only_recorded() -> Generator[None]:
    """Write to the records of runs alone: in another process, whose logs go back to where it is."""
    token = _only_recorded.set(True)
    try:
        yield
    finally:
        _only_recorded.reset(token)


def fields_of(run: Run) -> dict[str, Any]:
    """Return what the records of a run's logger carry, for formatters and filters."""
    return {
        "run": run,
        "run_kind": run.kind,
        "run_name": run.name,
        "run_id": str(run.id),
        **named_fields_of(run),
    }


_OF_FLOW: tuple[str, ...] = ("flow_run_id", "flow_run_name", "flow_name")


def named_fields_of(run: Run) -> dict[str, str]:
    """Return the ids and names of a run, its flow run and what they run, as Prefect calls them."""
    flow = run if run.kind == "flow" else run.flow
    found: dict[str, str] = dict.fromkeys(_OF_FLOW, "<unknown>")
    if flow is not None:
        found = {
            "flow_run_id": str(flow.id),
            "flow_run_name": flow.name,
            "flow_name": flow.definition.name,
        }
    if run.kind == "task":
        found |= {
            "task_run_id": str(run.id),
            "task_run_name": run.name,
            "task_name": run.definition.name,
        }
    return found


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger bound to a run."""

    def __init__(self, run: Run, extra: dict[str, Any]) -> None:
        super().__init__(RUN_LOGGERS[run.kind], {**named_fields_of(run), **extra})
        self._run = run

    def getChild(self, suffix: str, extra: dict[str, Any] | None = None) -> "RunLogger":  # noqa: N802 - as loggers call it
        """Return a logger of the same run below this one, with more fields."""
        child = RunLogger(self._run, {**(self.extra or {}), **(extra or {})})
        child.logger = self.logger.getChild(suffix)
        return child

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a record to the run's log and to whoever else listens."""
        if not self.logger.isEnabledFor(level):
            return
        text = _text(msg, args, kwargs.get("exc_info"))
        self._run.log(level, text)
        note_log(self._run, level, text)
        if is_heard(self.logger, self._run):
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            with unrecorded():  # what handlers write is not what the code shows
                super().log(level, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the facts about the run and the extra fields to a record."""
        given: dict[str, Any] = kwargs.get("extra") or {}
        kwargs["extra"] = {**fields_of(self._run), **(self.extra or {}), **given}
        return msg, kwargs


def _text(msg: object, args: tuple[object, ...], exc_info: Any) -> str:
    """Return the text of a log call; one that cannot be formatted must not fail the run."""
    text = str(msg)
    if args:
        try:
            text %= args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args
        except Exception:
            text = f"{text} {args!r}"
    error: Any = sys.exc_info() if exc_info is True else exc_info
    if isinstance(error, tuple):
        error = cast("tuple[Any, ...]", error)[1]
    return f"{text}\n{describe(error).traceback}" if isinstance(error, BaseException) else text


def tell(execution: Execution, level: int, message: str) -> None:
    """Log something about a run: to its record and to whoever else listens."""
    run = execution.run
    run.log(level, message)
    narrate(execution, level, message)


def tell_carried(execution: Execution, level: int, message: str) -> None:
    """Log what the code of a run logged in another process."""
    note_log(execution.run, level, message)
    tell(execution, level, message)


def log_again(run: Run, level: int, message: str, mark: str) -> None:
    """Log what was recorded of an earlier run: to the record, and where nothing else shows it."""
    logger = RUN_LOGGERS[run.kind]
    if not logger.isEnabledFor(level):
        return
    text = f"{mark}{message}"
    run.log(level, text)
    note_log(run, level, message)
    if is_wanted_on_console(logger, run):
        fields = fields_of(run)
        with unrecorded():
            CONSOLE.handle(
                logger.makeRecord(logger.name, level, "", 0, "%s", (text,), None, extra=fields)
            )


def narrate(execution: Execution, level: int, message: str) -> None:
    """Say something about the course of a run to those who read along."""
    run = execution.run
    logger = RUN_LOGGERS[run.kind]
    if logger.isEnabledFor(level) and is_heard(logger, run):
        logger.log(level, "%s", message, extra=fields_of(run))


def narrate_beginning(execution: Execution) -> None:
    """Say that a flow run begins: of a subflow, in the log of the flow it is part of."""
    flow = execution.flow
    kind = "flow" if flow is None else "subflow"
    text = f"Beginning {kind} run {execution.run.name!r} for flow {execution.definition.name!r}"
    narrate(flow or execution, logging.INFO, text)


def tell_hook(execution: Execution, hook: Any, state: State) -> None:
    """Say that a hook is called."""
    text = f"Running hook {name_of(hook)!r} in response to entering state {state.name!r}"
    narrate(execution, logging.INFO, text)


def tell_hook_end(execution: Execution, hook: Any, which: str, outcome: Outcome) -> None:
    """Say how a hook has ended; one that failed is logged."""
    name = name_of(hook)
    if isinstance(outcome, Err):
        tell(execution, logging.ERROR, f"Hook {name!r} ({which}) raised {shown(outcome.error)}")
    else:
        narrate(execution, logging.INFO, f"Hook {name!r} finished running successfully")


def narrate_end(execution: Execution) -> None:
    """Say in which state a run has ended."""
    state = execution.run.state
    identity = getattr(execution.definition, "identity", None) or ""
    if state is not None and not identity.startswith("%%task"):  # a cell shows what its code shows
        level = logging.INFO if state.is_completed() else logging.ERROR
        shown = repr(state) if settings.active().debug_mode else str(state)
        narrate(execution, level, f"Finished in state {shown}")


def ends_are_asked_for() -> bool:
    """Whether somebody wants to read of every task that it has completed."""
    given = "logging_level" in settings.given() or settings.active().debug_mode
    return (given or _root.isEnabledFor(logging.INFO)) and RUN_LOGGERS["task"].isEnabledFor(
        logging.INFO
    )


class RunHandler(Console):
    """Hands the records of an extra logger to the run they are logged in, and to the console."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take every record."""
        del record
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Add the record to the run's log, and write it where it would be seen nowhere else."""
        execution = current.get()
        if execution is not None:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += f"\n{logging.Formatter().formatException(record.exc_info)}"
            execution.run.log(record.levelno, text)
            note_log(execution.run, record.levelno, text)
        if super().filter(record):
            with unrecorded():
                super().emit(record)


class _Applied:
    """What the settings have changed about loggers, in order to be undone."""

    def __init__(self) -> None:
        self.level: int | None = None
        self.handler = RunHandler()
        self.extra: dict[str, int] = {}
        """Extra loggers, with the level each had before."""


_applied = _Applied()


def _apply(now: settings.Settings) -> None:
    """Set loggers to what the settings say; called when they have changed."""
    named = logging.getLevelNamesMapping().get(now.logging_level)
    level = int(now.logging_level) if named is None else named
    if level != _applied.level:
        _applied.level = level
        _top.setLevel(level)
    wanted = set(now.logging_extra_loggers)
    for name in _applied.extra.keys() - wanted:
        logger = logging.getLogger(name)
        logger.removeHandler(_applied.handler)
        logger.setLevel(_applied.extra.pop(name))
    for name in wanted - _applied.extra.keys():
        logger = logging.getLogger(name)
        _applied.extra[name] = logger.level
        logger.addHandler(_applied.handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


settings.on_change(_apply)  # here, since runs are logged whether or not `cellist.logging` is loaded
