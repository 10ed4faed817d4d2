"""Small rich reprs of single things, for the last line of a cell.

All text is escaped and bounded. No `__repr__` of a user's value is called: it may be huge, slow or
broken, and a preview says enough.
"""

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from cellist import cache_policies, settings
from cellist.board.record_text import item, stateful
from cellist.board.wording import amount, counts_text, duration, error_line, look_of, word_of
from cellist.cache_policies import CachePolicy
from cellist.decorated import Decorated
from cellist.drawing.markup import clipped, escaped, printable
from cellist.future import PrefectFuture
from cellist.futures import PrefectFutureList
from cellist.model.annotations import NotSet
from cellist.model.previews import short
from cellist.model.runs import Run
from cellist.model.states import State

_LIMIT = 240
_MOST_FUTURES = 10
_TEXT_LIMIT = 2_000
_POLICIES: dict[type, str] = {
    type(getattr(cache_policies, name)): name
    for name in ("INPUTS", "TASK_SOURCE", "FLOW_PARAMETERS", "RUN_ID", "NO_CACHE")
}
_EMPTY = inspect.Parameter.empty
_OPTIONS = (
    "retries",
    "retry_delay_seconds",
    "timeout_seconds",
    "cache_policy",
    "cache_expiration",
    "version",
    "task_runner",
)


def mimebundle(value: Any) -> dict[str, str]:
    """Return a state, future, list of futures, run, task or flow as text and as HTML."""
    text, html = _told(value)
    if settings.active().ui in ("off", "text"):
        return {"text/plain": text[:_TEXT_LIMIT]}
    return {"text/plain": text[:_TEXT_LIMIT], "text/html": html}


def _told(value: Any) -> tuple[str, str]:
    if isinstance(value, State):
        return _state_text(value), state_html(value)
    if isinstance(value, PrefectFuture):
        future = cast("PrefectFuture[Any]", value)
        return repr(future), run_html(future.run, "future of ")
    if isinstance(value, PrefectFutureList):
        return _futures(cast("PrefectFutureList[Any]", value))
    if isinstance(value, Run):
        return repr(value), run_html(value)
    return repr(value), definition_html(value)


def _state_text(state: State) -> str:
    """Return what `repr` does, with a preview where the result would stand."""
    data = short(state.data)
    return (
        f"{printable(state.name)}(message={clipped(repr(state.message), _LIMIT)}, "
        f"type={state.type.value}, result={data})"
    )


def state_html(state: State) -> str:
    """Return a state as HTML: icon, word, message, and why it was a hit or a miss."""
    facts: list[str] = []
    if state.message:
        facts.append(item("message", clipped(state.message, _LIMIT)))
    if state.has_data:
        facts.append(item("result", short(state.data)))
    if state.why is not None:
        facts.append(item("why", clipped(str(state.why), _LIMIT)))
    return _framed(f"{stateful(look_of(state), word_of(state))}", facts)


def run_html(run: Run, kind: str = "") -> str:
    """Return a run as HTML: name, state, time, what became of it and why."""
    state = run.state
    seconds = run.total_run_time.total_seconds()
    facts = [
        item("took", duration(seconds) if run.is_final and look_of(state) != "cached" else ""),
        item("attempts", f"{run.attempts}" if run.attempts > 1 else ""),
        item("error", error_line(run) or ""),
        item("result", run.preview or ""),
        item("why", clipped(str(run.why), _LIMIT) if run.why is not None else ""),
    ]
    name = f"<b>{escaped(clipped(run.name, 120))}</b>"
    head = f"{kind}{name} {stateful(look_of(state), word_of(state))}"
    return _framed(head, [fact for fact in facts if fact])


def _futures(futures: Sequence[PrefectFuture[Any]]) -> tuple[str, str]:
    """Return how many futures are in which state, and the first ones by name."""
    counts = Counter(look_of(future.run.state) for future in futures)
    head = f"{amount(len(futures), 'future')}: {counts_text(counts)}".removesuffix(": ")
    lines = [
        f"<li>{escaped(clipped(future.run.name, 80))} "
        f"{stateful(look_of(future.run.state), word_of(future.run.state))}</li>"
        for future in futures[:_MOST_FUTURES]
    ]
    if len(futures) > _MOST_FUTURES:
        lines.append(f"<li>… and {len(futures) - _MOST_FUTURES:,} more</li>")
    return head, _framed(escaped(head), lines)


def definition_html(definition: Decorated[Any, Any]) -> str:
    """Return a task or flow as HTML: its signature, what it is for, and its own options."""
    given = definition.options
    facts = [
        item("does", clipped(str(getattr(definition, "description", None) or ""), _LIMIT)),
        *(item(name, _option(given.get(name))) for name in _OPTIONS),
        item("tags", clipped(", ".join(sorted(getattr(definition, "tags", ()))), _LIMIT)),
    ]
    name = f"<b>{escaped(clipped(definition.name, 120))}</b>"
    shape = f"<code>{escaped(clipped(_signature(definition), _LIMIT))}</code>"
    return _framed(f"{definition.noun} {name}{shape}", [fact for fact in facts if fact])


def _option(value: Any) -> str:
    """Return an option as given; nothing for one that was not."""
    if value is None or value is NotSet:
        return ""
    return clipped(_policy(value), _LIMIT) if isinstance(value, CachePolicy) else short(value)


def _policy(policy: CachePolicy) -> str:
    """Return a policy as it is written: `INPUTS - 'agent' + TASK_SOURCE`."""
    parts = getattr(policy, "policies", None)
    if parts:
        return " + ".join(_policy(part) for part in parts)
    kind: type = type(policy)
    name = _POLICIES.get(kind, kind.__name__)
    return " - ".join([name, *map(short, getattr(policy, "exclude", ()))])


def _signature(definition: Decorated[Any, Any]) -> str:
    """Return the signature, each default as a short form."""
    try:
        signature = inspect.signature(definition.fn)
    except (TypeError, ValueError):
        return "(…)"
    parameters: list[str] = []
    for parameter in signature.parameters.values():
        bare = parameter.replace(annotation=_EMPTY, default=_EMPTY)
        has_default, name = parameter.default is not _EMPTY, str(bare)
        parameters.append(f"{name}={short(parameter.default)}" if has_default else name)
    return f"({', '.join(parameters)})"


def _framed(head: str, facts: Sequence[str]) -> str:
    return f"<div>{head}<ul>{''.join(facts)}</ul></div>" if facts else f"<div>{head}</div>"
