"""A run as a row: what is written of it, read from the live run in one go.

A row is a list in the order of `database.COLUMNS`; its last element is a document with all that is
shown but not searched for, as JSON text without what is empty. Rows are made while the user's code
wants the interpreter, so what most runs have is put together from ready pieces of text, and only
what few runs have goes through the JSON encoder.
"""

import json
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from cellist.model.facts import Arguments
from cellist.model.ids import as_hex
from cellist.model.previews import short
from cellist.model.runs import Entry, FlowRun, Run
from cellist.model.states import PENDING, name_of

_LONGEST = 10_000
_MOST_INPUTS = 50
_LONGEST_EARLIER = 6_000
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


class _Heads(dict[tuple[str, str | None], str]):
    """How a state without a message begins in a document: `["Running","RUNNING",null,`."""

    def __missing__(self, key: tuple[str, str | None]) -> str:
        kind, name = key
        text = f'[{quoted(name_of(kind, name))},"{kind}",null,'
        if len(self) < 1000:  # names are the user's to choose
            self[key] = text
        return text


_heads = _Heads()


class Rows:
    """Makes the rows of one batch; what runs of the same task or flow share is found once."""

    def __init__(self, session: int) -> None:
        self.session = session
        self._shared: dict[int, tuple[str, tuple[str, ...], str]] = {}
        """By the id of the definition, which the runs of the batch keep alive."""
        self._hex: dict[int, str] = {}
        self._off: dict[int, tuple[Any, str]] = {}
        """Reasons not to cache, with their texts, by their ids: the runs of a task share one."""

    def add(self, run: Run, into: list[Any]) -> None:
        """Append the values of a run's row, as it is now, to a flat list."""
        name, parameters, tail = self._shared.get(id(run.definition)) or self._share(run)
        entries, why, attempts = list(run.entries()), run.why, run.attempts
        kind, last, _, _ = entries[-1]
        flow, parent = run.flow, run.parent
        into += (
            as_hex(run.number),
            run.kind,
            storable(run.name),
            name,
            flow and self._id_of(flow),
            parent and self._id_of(parent),
            self.session if run.recorded_as is None else run.recorded_as,
            storable(name_of(kind, last)),
            kind,
            entries[0][3],
            run.first_running or None,
            run.ended or None,
            attempts,
            None if why is None else why.outcome,
            self._document(run, entries, attempts, inputs_of(run, parameters)) + tail,
        )

    def _share(self, run: Run) -> tuple[str, tuple[str, ...], str]:
        definition = run.definition
        key = getattr(definition, "identity", definition.name)
        shared = storable(definition.name), parameters_of(run), f'"key":{quoted(str(key))}}}'
        self._shared[id(definition)] = shared
        return shared

    def _document(
        self, run: Run, entries: list[Entry], attempts: int, inputs: dict[str, str] | None
    ) -> str:
        """Return the beginning of the document, to be closed by what the definition adds."""
        told = [
            f"{_heads[kind, name]}{at}]"
            if message is None
            else _encode([name_of(kind, name), kind, _clip(message), at])
            for kind, name, message, at in entries
        ]
        text = f'{{"states":[{",".join(told)}],'
        if inputs:
            shown = [f"{quoted(name)}:{quoted(form)}" for name, form in inputs.items()]
            text += f'"inputs":{{{",".join(shown)}}},'
        if run.why is not None:
            text += self._why(run)
        if run.preview is not None:
            text += f'"result":{quoted(run.preview)},'
        if run.where is not None:
            text += f'"where":{quoted(run.where)},'
        is_plain = run.error is None and attempts < 2 and run.__class__ is not FlowRun
        if not is_plain or run.upstream or run.tags:
            text += _rarer(run)
        return text

    def _why(self, run: Run) -> str:
        why = run.why
        known = self._off.get(id(why))
        if known is not None:
            return known[1]
        text = f'"why":{_encode(why.as_dict()) if why.changes else _plainly(why)},'
        if why.outcome == "off" and run.cache_key is None:
            self._off[id(why)] = why, text
        return text if run.cache_key is None else f'{text}"cache_key":{quoted(run.cache_key)},'

    def _id_of(self, run: Run) -> str:
        known = self._hex.get(run.number)
        if known is None:
            known = self._hex[run.number] = as_hex(run.number)
        return known


def _plainly(why: Any) -> str:
    """Return as JSON what `as_dict` says of a reason without changes, in a fifth of the time."""
    notes = ",".join(map(quoted, why.notes))
    at, saved = why.recorded_at, why.saved
    return (
        f'{{"outcome":{quoted(why.outcome)},"code":{quoted(why.code)},'
        f'"sentence":{quoted(why.sentence)},"changes":[],'
        f'"recorded_at":{"null" if at is None else repr(float(at))},'
        f'"saved":{"null" if saved is None else repr(float(saved))},"notes":[{notes}]}}'
    )


def _rarer(run: Run) -> str:
    """Return the members of the document that most runs lack."""
    error = run.error
    found: dict[str, Any] = {}
    if run.upstream:
        found["upstream"] = {
            name: [as_hex(number) for number in numbers] for name, numbers in run.upstream.items()
        }
    if error is not None:
        found["error"] = list(error)
    if (earlier := getattr(run, "failed_attempts", None)) is not None:
        found["failed"] = [
            [number, *one[:2], _ends(one.traceback)]
            for number, one in earlier
            if number < run.attempts or error is None
        ]
    if run.tags:
        found["tags"] = sorted(run.tags)
    if isinstance(run, FlowRun) and run.resumed_from is not None:
        found["resumed_from"] = run.resumed_from
    return f"{_encode(found)[1:-1]}," if found else ""


def _ends(traceback: str) -> str:
    """Return the beginning and the end of a traceback: the last of a run is kept whole."""
    half = _LONGEST_EARLIER // 2
    return (
        traceback if len(traceback) <= 2 * half else f"{traceback[:half]}\n…\n{traceback[-half:]}"
    )


def storable(text: str) -> str:
    """Return a text without lone surrogates, which SQLite refuses with all that stands beside."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def inputs_of(run: Run, parameters: tuple[str, ...]) -> dict[str, str] | None:
    """Return short forms of the arguments by name, made once for a run that has begun."""
    call = run.call
    if run.inputs is None and call is not None:
        args, kwargs = Arguments.of(call)
        found: dict[str, str] = {}
        if args:
            for index, value in enumerate(args[:_MOST_INPUTS]):
                name = parameters[index] if index < len(parameters) else f"args[{index}]"
                found[name] = short(value)
        if kwargs:
            for name, value in list(kwargs.items())[:_MOST_INPUTS]:
                found[str(name)] = short(value)
        if run.state_type is PENDING:  # some may be futures that it waits for
            return found
        run.inputs = found
    return run.inputs


def parameters_of(run: Run) -> tuple[str, ...]:
    """Return the names of the parameters of what a run executes, empty if they are not known."""
    plan = getattr(run.definition, "plan", None)
    if not callable(plan):
        return ()
    shape = getattr(plan(), "shape", None)
    return getattr(shape, "names", ())
