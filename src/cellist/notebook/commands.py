"""The line magic `%cellist`: what is asked of cellist, and told to it, in one line."""

import difflib
import platform
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn, cast

from IPython.core import magic
from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython

from cellist import api, overrule, recovery, settings
from cellist.caching.reasons import seconds_text
from cellist.exceptions import CellistError
from cellist.notebook import cancelling, explorer
from cellist.notebook.kernel import in_kernel, ui_for
from cellist.notebook.questions import QUESTIONS, expanded
from cellist.notebook.rerun import again
from cellist.notebook.status import status_lines
from cellist.session import get_session
from cellist.share import exchange

_magic = cast("Any", magic)  # IPython does not say its types
_SHOWN = [
    "name",
    "kind",
    "definition",
    "state",
    "start",
    "duration",
    "attempts",
    "reused",
    "why",
]
_PACKAGES = (
    "ipykernel",
    "ipython",
    "ipywidgets",
    "anywidget",
    "jupyterlab",
    "notebook",
    "nest-asyncio2",
    "diskcache",
    "pandas",
)


@_magic.no_var_expand
@_magic.needs_local_scope
def cellist_magic(line: str, local_ns: dict[str, Any] | None = None) -> Any:
    """Ask cellist, or tell it.

    %cellist status          what runs now, and what the cache holds
    %cellist runs [N]        the latest N runs (20) as a table
    %cellist why NAME        why a run, or what the latest flow ran of a task, was reused or ran
    %cellist why FLOW        the same of every task in the latest run of a flow
    %cellist why TASK(X)     why a call would be reused or would run; it does not run
    %cellist plan FLOW(X)    what a flow would reuse and what it would run; no task runs
    %cellist board [RUN]     the board of a run, by default of the latest, however long ago
    %cellist cancel [RUN]    cancel a run, all runs of a task or flow, deferred ones too, or all
                             that are live here
    %cellist retry [RUN]     run once more what failed in a run, by default the latest that failed
    %cellist resume [RUN]    go on with a flow run that did not complete, by default the latest
    %cellist cache           the entries of the result store as a table
    %cellist refresh NAME    let a task or cell compute anew at its next call
    %cellist accept NAME --because TEXT
                             let its old results serve although its source changed; --undo
    %cellist decisions       what was refreshed and accepted so far, as a table
    %cellist clear [TASK]    delete the results of a task, or all
    %cellist bundle FILE [TASK...]   write results to a file for others: those of this session,
                             or of the tasks, flows or runs named
    %cellist trust FILE      load the pickles of a bundle that somebody else wrote
    %cellist untrust FILE    load them no more
    %cellist doctor          versions, places and the health of the store
    """
    shell: Any = get_ipython()
    names: dict[str, Any] = dict(shell.user_ns) if shell is not None else {}
    names.update(local_ns or {})
    verb, *rest = line.split(maxsplit=1) or [""]
    if verb in QUESTIONS:  # what follows may be Python, so it is taken as it is written
        return _told(verb, QUESTIONS[verb], "".join(rest).strip(), names)
    try:
        words = shlex.split(expanded(line, names))
    except ValueError as error:
        raise UsageError(f"%cellist {verb}: {error} in {line!r}") from None
    known = sorted({**_COMMANDS, **QUESTIONS})
    if not words:
        raise UsageError(f"%cellist needs a command: {', '.join(known)}")
    command = _COMMANDS.get(words[0])
    if command is None:
        near = difflib.get_close_matches(words[0], known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        message = f"%cellist has no command {words[0]!r}.{hint} It has {', '.join(known)}."
        raise UsageError(message)
    _check_words(*words)
    return _told(words[0], command, words[1:])


def _check_words(verb: str, *words: str) -> None:
    """Refuse what a command would not look at: it was meant to do something."""
    if verb in _ALONE and words:
        raise UsageError(f"%cellist {verb} takes nothing more, not {' '.join(words)!r}")
    options = [word for word in words if word.startswith("--")]
    if options and verb != "accept":
        raise UsageError(f"%cellist {verb} has no option {options[0]!r}; `%cellist?` lists all")


def _told(verb: str, command: Callable[..., Any], *given: Any) -> Any:
    """Carry out a command; what is wrong with it is said without a traceback."""
    try:
        return command(*given)
    except CellistError as error:
        raise UsageError(f"%cellist {verb}: {error}") from None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _status(words: list[str]) -> None:
    del words
    session = get_session()
    lines = list(status_lines(session))
    for line in lines or ["Nothing is running."]:
        _say(line)
    stats = session.store.stats()
    _say(
        f"This session: {stats.get('hits', 0)} results reused, {stats.get('misses', 0)} not found, "
        f"{seconds_text(stats.get('seconds_saved', 0.0))} saved."
    )


def _runs(words: list[str]) -> Any:
    limit = _number(" ".join(words), "runs") if words else 20
    frame = api.runs(limit=limit)
    return frame[[name for name in _SHOWN if name in frame.columns]]


def _number(text: str, command: str) -> int:
    if not text.isdigit():
        raise UsageError(f"%cellist {command} takes a whole number, not {text!r}")
    return int(text)


def _cancel(words: list[str]) -> None:
    _say(cancelling.cancel(" ".join(words) or None))


def _retry(words: list[str]) -> Any:
    return again(recovery.retry, " ".join(words) or None)


def _resume(words: list[str]) -> Any:
    return again(recovery.resume, " ".join(words) or None)


def _board(words: list[str]) -> None:
    explorer.show(" ".join(words) or None)


def _cache(words: list[str]) -> Any:
    del words
    return api.cache.entries()


def _clear(words: list[str]) -> None:
    if not words:
        _say(f"Deleted {_counted(api.cache.clear(), 'result')} in all.")
        return
    name = " ".join(words)
    gone = api.cache.invalidate(name)
    _say(f"Deleted {_counted(gone, 'result')} of task {name!r}." if gone else _nothing_of(name))


def _nothing_of(name: str) -> str:
    """Return that no task of a name has results, and which of a similar name have."""
    known = sorted({str(entry["task"]) for entry in get_session().store.entries()})
    near = difflib.get_close_matches(name, known, 5, 0.5)
    hint = f" Near to it: {', '.join(near)}." if near else " `%cellist cache` lists all results."
    return f"No task {name!r} has results, so none was deleted.{hint}"


def _bundle(words: list[str]) -> Any:
    if not words:
        raise UsageError("%cellist bundle needs the name of a file, such as analysis.cellist")
    return exchange.bundle(words[0], words[1:] or None)


def _trust(words: list[str]) -> Any:
    if len(words) != 1:
        raise UsageError("%cellist trust takes the name of one bundle")
    return exchange.trust(words[0])


def _untrust(words: list[str]) -> None:
    if len(words) != 1:
        raise UsageError("%cellist untrust takes the name or the digest of one bundle")
    gone = exchange.untrust(words[0])
    forgotten = f"{_counted(gone, 'result')} from it {'was' if gone == 1 else 'were'} forgotten"
    _say(f"{words[0]} is not trusted any more; {forgotten}.")


def _doctor(words: list[str]) -> None:
    del words
    session = get_session()
    shell = get_ipython()
    _say(f"cellist {_version('cellist')}, Python {platform.python_version()}, {sys.platform}")
    _say("  " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    kernel = "a Jupyter kernel" if in_kernel(shell) else "a terminal"
    _say(f"Runs in {kernel}; shows its boards as {ui_for(shell, settings.refresh().ui)}.")
    _say(f"Results: {session.store.directory}")
    _say(f"History: {session.history.path or 'in memory only'}")
    problems = api.cache.verify()
    entries = len(session.store.entries())
    damaged = f"{len(problems):,} of them damaged" if problems else "none of them damaged"
    _say(f"The store holds {_counted(entries, 'result')}, {damaged}.")
    for problem in problems[:10]:
        _say(f"  - {problem}")
    for warning in session.warned.values():
        _say(f"Warned: {warning}")
    for x in list(session.live.values())[:10]:
        if waits := session.waits_of(x.run):
            _say(f"`{x.run.name}` {waits}.")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _refresh(words: list[str]) -> None:
    if not words:
        raise UsageError("%cellist refresh needs the name of a task or cell")
    _say(str(overrule.refresh(" ".join(words))))


def _accept(words: list[str]) -> None:
    parser = _Parser("accept")
    parser.add_argument("name", nargs="+")
    parser.add_argument("--because")
    parser.add_argument("--undo", action="store_true")
    said = parser.parse_args(words)
    if not said.undo and not (said.because or "").strip():
        raise UsageError('%cellist accept needs a reason: --because "only renamed a variable"')
    _say(str(overrule.accept(" ".join(said.name), said.because, undo=said.undo)))


def _decisions(words: list[str]) -> Any:
    del words
    return overrule.decisions()


class _Parser(ArgumentParser):
    """Parses the words of a command; what is wrong with them is a `UsageError`."""

    def __init__(self, command: str) -> None:
        super().__init__(f"%cellist {command}", add_help=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}")


_ALONE = frozenset({"cache", "decisions", "doctor", "status"})
"""Commands that are one word."""
_COMMANDS: dict[str, Callable[[list[str]], Any]] = {
    "accept": _accept,
    "board": _board,
    "bundle": _bundle,
    "cache": _cache,
    "cancel": _cancel,
    "clear": _clear,
    "decisions": _decisions,
    "doctor": _doctor,
    "refresh": _refresh,
    "resume": _resume,
    "retry": _retry,
    "runs": _runs,
    "status": _status,
    "trust": _trust,
    "untrust": _untrust,
}
COMMANDS: frozenset[str] = frozenset(_COMMANDS) | frozenset(QUESTIONS)
"""All that may follow `%cellist`."""
