"""The questions of `%cellist` that take Python: why a call would run, what a flow would do.

    %cellist why fetch            of the latest run of `fetch`
    %cellist why fetch(url)       of a call that has not been made
    %cellist plan crawl(urls)     of a flow, before it runs

The arguments are evaluated among the user's names; the call itself is not made.
"""

import ast
import builtins
import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.utils.text import DollarFormatter

from cellist import api, settings
from cellist.caching.parsing import parse
from cellist.exceptions import ObjectNotFound
from cellist.flows import Flow
from cellist.history.records import RunRecord
from cellist.notebook.kernel import ui_for
from cellist.notebook.told_why import Answer, Answers, answers_of
from cellist.planning import plan
from cellist.tasks import Task

Names = dict[str, Any]


class _Call(NamedTuple):
    """A call as the user wrote it, with its arguments evaluated."""

    target: Any
    args: tuple[Any, ...]
    kwargs: Names
    text: str


def _why(line: str, names: Names) -> Any:
    """Tell why a run was reused or ran, or why a call would be."""
    if not line:
        raise UsageError("%cellist why needs the name of a task or run, or a call of a task")
    call = _call_in(line, names, "why")
    if call is None:
        return _why_of_run(expanded(line, names).strip("\"'"), names)
    task = call.target
    if not isinstance(call.target, Task):
        hint = " `%cellist plan` does that for flows." if isinstance(call.target, Flow) else ""
        raise UsageError(f"%cellist why: {call.text} is not a call of a task.{hint}")
    return _shown(Answer(call.text, task.why(*call.args, **call.kwargs)))


def _why_of_run(name: str, names: Names) -> Any:
    try:
        record = api.run(name)
    except ObjectNotFound as error:
        if isinstance(names.get(name), Task | Flow):
            verb = "why" if isinstance(names[name], Task) else "plan"
            message = f"`{name}` has not run yet; `%cellist {verb} {name}(...)` looks ahead."
            raise ObjectNotFound(message) from None
        near = difflib.get_close_matches(name, _callables(names), 3, 0.6)
        if not near or "Near to it" in str(error):
            raise
        message = f"There is no run with the id or name {name!r}, but {_quoted(near)}."
        raise ObjectNotFound(message) from None
    answers = answers_of(_meant(record, name))
    if answers:
        return _shown(Answers(answers))
    if record.why is not None:
        return _shown(Answer(record.name, record.why))
    is_planned = record.kind == "flow" and isinstance(names.get(record.definition), Flow)
    hint = f" `%cellist plan {record.definition}` looks ahead." if is_planned else ""
    sys.stdout.write(f"{record.name}: nothing was looked up in the cache.{hint}\n")
    return None


def _meant(record: RunRecord, name: str) -> list[RunRecord]:
    """Return the runs that are asked about: those in a flow, or all of a task in its last flow."""
    if record.kind == "flow":
        return record.children
    if record.flow is None or name != record.definition or name == record.name:
        return []
    children: list[RunRecord] = api.run(record.flow).children
    same = [one for one in children if one.definition == name]
    return same if len(same) > 1 else []


def _callables(names: Names) -> list[str]:
    """Return the names under which the user has tasks and flows."""
    return [name for name, value in names.items() if isinstance(value, Task | Flow)]


def _quoted(names: list[str]) -> str:
    """Return names as the end of a message."""
    there = "there are" if len(names) > 1 else "there is"
    return f"{there} {', '.join(f'`{name}`' for name in names)}"


def _plan(line: str, names: Names) -> Any:
    """Tell what a flow would reuse and what it would run."""
    if not line:
        raise UsageError("%cellist plan needs a flow, or a call of one: %cellist plan crawl(urls)")
    call = _call_in(line, names, "plan") or _flow_named(expanded(line, names), names)
    target = call.target
    if isinstance(target, Task):
        raise UsageError(
            f"%cellist plan: `{call.text}` is a task; `%cellist why` tells about a call of it."
        )
    if not isinstance(target, Flow):
        raise UsageError(f"%cellist plan: `{call.text}` is not a flow. Make it one with @flow.")
    return _shown(plan(target, *call.args, **call.kwargs))


def _flow_named(name: str, names: Names) -> _Call:
    """Return a call without arguments of the flow that a name means."""
    if name.isidentifier() and name in names:
        return _Call(names[name], (), {}, name)
    for value in names.values():
        if isinstance(value, Flow) and value.name == name:
            return _Call(value, (), {}, name)
    try:
        is_cell = api.run(name).kind == "flow"
    except ObjectNotFound:
        is_cell = False
    if is_cell:
        raise UsageError(
            f"%cellist plan: flow {name!r} is the body of a %%flow cell, which is gone once it "
            f"has run. Put its lines into a function with @flow to plan it; `%cellist why TASK` "
            f"tells about the tasks it ran."
        )
    raise UsageError(f"%cellist plan: there is no flow {name!r} among your names.")


def expanded(line: str, names: Names) -> str:
    """Return the line with `{name}` and `$name` replaced, as IPython does for other magics."""
    try:
        return cast("Any", DollarFormatter()).vformat(line, (), names)
    except Exception:  # also as IPython does: what cannot be replaced stays
        return line


def _call_in(line: str, names: Names, verb: str) -> _Call | None:
    """Return the call that a line is, `None` if it is the name of something."""
    try:
        node = parse(line, mode="eval").body
    except SyntaxError as error:
        if "(" in line:
            raise UsageError(f"%cellist {verb}: {line} is not Python: {error.msg}") from None
        return None  # names of runs may have dashes, dots and blanks
    if not isinstance(node, ast.Call):
        return None

    def value(inner: ast.expr) -> Any:
        code = compile(ast.Expression(inner), f"<%cellist {verb}>", "eval")
        return eval(code, names)  # noqa: S307 - the user's own line, as in a cell

    target = _target(node.func, names, verb, value)
    args: list[Any] = []
    for one in node.args:
        if isinstance(one, ast.Starred):
            args += value(one.value)
        else:
            args.append(value(one))
    kwargs: Names = {}
    for one in node.keywords:
        kwargs.update({one.arg: value(one.value)} if one.arg is not None else value(one.value))
    return _Call(target, tuple(args), kwargs, line)


def _target(node: ast.expr, names: Names, verb: str, value: Callable[[ast.expr], Any]) -> Any:
    """Return what is called. A typo in its name is told without a traceback."""
    if isinstance(node, ast.Name) and node.id not in names and not hasattr(builtins, node.id):
        near = difflib.get_close_matches(node.id, _callables(names), 3, 0.6)
        hint = f", but {_quoted(near)}" if near else ""
        raise UsageError(f"%cellist {verb}: {node.id!r} is not among your names{hint}.")
    return value(node)


def _shown(answer: Any) -> Any:
    """Return what a notebook displays; print it where there is only text."""
    shell = get_ipython()
    if ui_for(shell, settings.refresh().ui) in ("widget", "html"):
        return answer
    sys.stdout.write(f"{answer}\n")
    return None


QUESTIONS: Mapping[str, Callable[[str, Names], Any]] = {"plan": _plan, "why": _why}
"""By its word, what answers a question: a function of the rest of the line and the user's names."""

__all__ = ["QUESTIONS", "expanded"]
