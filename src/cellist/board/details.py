"""Everything about one run, for whoever opens it: sections of plain data in the order to be read.

`facts` is what the history knows and comes at once. `values` are previews of inputs and result,
which may have to be read from disk and may run code of the values' own classes, so they come
later, each within a time limit. Words are made here; the page only paints, by `kind` of section:

    frames   a traceback          values   name, look, links, key of the preview
    output   what was printed     logs     time, level, text
    why      sentence, diffs      states   time, offset, look, word, message
    links    runs                 words    short texts
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from keyword import iskeyword
from typing import Any

from cellist.board.bounded import within
from cellist.board.pictures import MOST_BYTES, forget_figure
from cellist.board.previews import Preview, preview
from cellist.board.tracebacks import NameCell, frames_of, short_path
from cellist.board.wording import amount, duration, look_of, word_of
from cellist.caching.envelope import Bytes
from cellist.caching.found import Found
from cellist.caching.shown import only_safe, unpack
from cellist.drawing.markup import clipped
from cellist.engine.errors import one_line
from cellist.exceptions import CellistError
from cellist.history.records import RunRecord, StateRecord
from cellist.history.related import MOST_LOGS, Link
from cellist.model.states import State, StateType

PATIENCE = 2.0
"""Seconds that the preview of one value may take."""
MOST_READ = 64 * 2**20
"""Bytes of a stored value from which on it is not read for a preview."""
_MOST_INPUTS = 20
_MOST_LINKS = 40
_MOST_OUTPUT = 20_000
_MOST_PICTURES = 4
_MOST_VALUES = 200_000
Section = dict[str, Any]


class Details:
    """Tells all that is known of a run. `session` is asked for the one in use at each call."""

    def __init__(self, session: Callable[[], Any], name_cell: NameCell = lambda _: None) -> None:
        self._session = session
        self._name_cell = name_cell

    def facts(self, number: str) -> dict[str, Any]:
        """Return what is known of a run by its id. Raises `ObjectNotFound`."""
        record = self._record(number)
        last = record.states[-1]
        sections = [
            self._frames("Traceback", record.error),
            _inputs(record, self._links),
            _result(record),
            self._output(record),
            _logs(record),
            _why(record),
            _states(record),
            *self._earlier(record),
            *self._family(record),
            _words("Tags", record.tags),
            _words("Ran in", [record.where] if record.where else []),
            _words("Id", [record.id]),
        ]
        return {
            "id": record.id,
            "name": clipped(record.name, 120),
            "what": _what(record),
            "look": _look(last),
            "word": word_of(_state(last)),
            "took": duration(record.seconds) if record.seconds is not None else None,
            "sections": [section for section in sections if section is not None],
        }

    def values(self, number: str) -> dict[str, Preview]:
        """Return previews of the result and the inputs of a run, by the keys that `facts` gave.

        One that cannot be had has a `problem` in place of a look. Never raises for a value.
        """
        record = self._record(number)
        find = self._session().values
        found: dict[str, Preview] = {}
        if record.states[-1].type == "COMPLETED":
            found["result"] = _look_at(lambda: find.result(record, MOST_READ))
            if "problem" not in found["result"]:
                found["result"]["code"] = snippet(record.id, {None: "result"})
        for name in list(record.inputs)[:_MOST_INPUTS]:
            found[f"input {name}"] = _look_at(
                lambda name=name: find.argument(record, name, MOST_READ)
            )
        had = [name for name in record.inputs if "problem" not in found.get(f"input {name}", {})]
        if had:
            code = snippet(record.id, {name: variable(name) for name in had})
            found["inputs"] = {"code": code}
        return found

    def _record(self, number: str) -> RunRecord:
        history = self._session().history
        history.flush(PATIENCE)
        return history.record(number)

    def _links(self, numbers: Sequence[str]) -> list[dict[str, Any]]:
        return [_link(one) for one in self._session().history.links(numbers[:_MOST_LINKS])]

    def _earlier(self, record: RunRecord) -> Iterator[Section | None]:
        """Yield what ended the attempts that were retried."""
        for number, attempt in enumerate(record.attempts, 1):
            if attempt.error is not None and attempt.error != record.error:
                yield self._frames(f"Attempt {number}", attempt.error)

    def _frames(self, title: str, error: tuple[str, str, str] | None) -> Section | None:
        if error is None:
            return None
        kind, message, text = error
        return {
            "kind": "frames",
            "title": title,
            "head": clipped(f"{kind}: {message}" if message else kind, 500),
            "frames": frames_of(text, self._name_cell),
            "text": text[-20_000:],
        }

    def _output(self, record: RunRecord) -> Section | None:
        """Return what the run printed and displayed, where that was kept with its result."""
        x = self._session().live.get(int(record.id, 16))
        note = x.cache_note if x is not None else None
        if note is not None and note.recorder is not None:
            return _shown(note.recorder.events())
        if record.cache_key is None or record.states[-1].type != "COMPLETED":
            return None

        def read() -> Bytes | None:
            stored = self._session().values.stored(record, MOST_READ)  # its value comes along
            if not isinstance(stored, Found):
                return None
            forget_figure(stored.value)
            return stored.shown

        try:
            shown = within(PATIENCE, read)
            return _shown(unpack(shown)) if shown is not None else None
        except Exception:
            _log.debug("The output of run %s cannot be read.", record.id, exc_info=True)
            return None

    def _family(self, record: RunRecord) -> list[Section | None]:
        history = self._session().history
        above = [one for one in (record.flow, record.parent) if one]
        before = [number for numbers in record.upstream.values() for number in numbers]
        after = history.downstream(record, _MOST_LINKS + 1)
        inside = history.inside(record, _MOST_LINKS)
        return [
            _runs("Part of", self._links(list(dict.fromkeys(above)))),
            _runs("Upstream", self._links(list(dict.fromkeys(before))), len(set(before))),
            _runs("Downstream", [_link(one) for one in after[:_MOST_LINKS]], len(after)),
            _runs("Runs inside", [_link(one) for one in inside], history.count_inside(record)),
        ]


_log = logging.getLogger("cellist.board")


def snippet(number: str, names: dict[Any, str]) -> str:
    """Return code that loads values of a run into variables: the result is that of no name."""
    loads = [
        f"{target} = run.load({'' if name is None else json.dumps(name)})"
        for name, target in names.items()
    ]
    return "\n".join(["import cellist", "", f'run = cellist.run("{number}")', *loads])


def variable(name: str) -> str:
    """Return a variable for the argument of a name: `args_0` for `args[0]`."""
    letters = "".join(one if one.isalnum() else "_" for one in name).strip("_") or "value"
    if not letters.isidentifier():
        letters = f"value_{letters}"
    return f"{letters}_" if letters in ("run", "cellist") or iskeyword(letters) else letters


def _look_at(load: Callable[[], Any]) -> Preview:
    """Return the preview of what is loaded, or why there is none."""

    def look() -> Preview:
        loaded = load()
        if loaded.origin.startswith("from "):  # unpickled for this look alone
            forget_figure(loaded.value)
        return {**preview(loaded.value), "origin": loaded.origin}

    try:
        found = within(PATIENCE, look)
    except CellistError as error:
        return {"problem": clipped(one_line(error), 600)}
    except TimeoutError:
        return {"problem": f"To look at it took longer than {PATIENCE:g} s, so it was left."}
    except BaseException as error:
        return {
            "problem": clipped(
                f"It cannot be shown: {type(error).__name__}: {one_line(error)}", 600
            )
        }
    picture = found.get("picture")
    if picture is not None and len(picture["src"]) > MOST_BYTES:
        del found["picture"]
        found["more"] = "its picture is too large to be shown here"
    return found


def _what(record: RunRecord) -> str:
    times = f", after {amount(len(record.attempts), 'attempt')}" if len(record.attempts) > 1 else ""
    return f"{record.kind} run of {record.definition}{times}"


def _state(state: StateRecord) -> State:
    return State(StateType(state.type), state.name, state.message)


def _look(state: StateRecord) -> str:
    return look_of(_state(state))


def _link(link: Link) -> dict[str, Any]:
    state = State(StateType(link.type), link.state)
    return {
        "id": link.id,
        "name": clipped(link.name, 80),
        "look": look_of(state),
        "word": word_of(state),
    }


def _runs(title: str, links: list[dict[str, Any]], total: int = 0) -> Section | None:
    if not links:
        return None
    left = total - len(links)
    more = f"… and {left:,} more" if left > 0 else None
    return {"kind": "links", "title": title, "side": True, "runs": links, "more": more}


def _words(title: str, words: Sequence[str]) -> Section | None:
    if not words:
        return None
    shown = [clipped(word, 120) for word in words[:50]]
    return {"kind": "words", "title": title, "side": True, "words": shown}


def _inputs(
    record: RunRecord, links: Callable[[Sequence[str]], list[dict[str, Any]]]
) -> Section | None:
    if not record.inputs:
        return None
    items = [
        {
            "name": clipped(name, 60),
            "look": clipped(look, 200),
            "from": links((record.upstream.get(name) or [])[:3]),
            "key": f"input {name}",
        }
        for name, look in list(record.inputs.items())[:_MOST_INPUTS]
    ]
    return {"kind": "values", "title": "Inputs", "items": items, "key": "inputs"}


def _result(record: RunRecord) -> Section | None:
    if record.states[-1].type != "COMPLETED":
        return None
    item = {"look": clipped(record.result or "", 200), "key": "result"}
    return {"kind": "values", "title": "Result", "items": [item], "key": "result"}


def _shown(events: Sequence[dict[str, Any]]) -> Section | None:
    """Return text and pictures of what was shown; nothing else of a display goes to the page."""
    items: list[dict[str, str]] = []
    room, pictures = _MOST_OUTPUT, _MOST_PICTURES
    for event in only_safe(events):
        if event["kind"] == "stream" and room > 0:
            text = event["text"][:room]
            room -= len(text)
            items.append({"stream": event["name"], "text": text})
        elif event["kind"] in ("display", "result"):
            data: dict[str, str] = event["data"]
            kind = next((one for one in data if one.startswith("image/")), None)
            if kind is not None and pictures and len(data[kind]) < 4 * MOST_BYTES:
                pictures -= 1
                source = f"data:{kind};base64,{data[kind].strip()}"
                items.append({"src": source, "alt": clipped(data.get("text/plain", "figure"), 200)})
            elif "text/plain" in data and room > 0:
                text = data["text/plain"][:room]
                room -= len(text)
                items.append({"stream": "stdout", "text": text})
    if not items:
        return None
    if room <= 0:
        items.append({"stream": "stderr", "text": "… the rest is not shown here"})
    return {"kind": "output", "title": "Printed and displayed", "items": items}


def _logs(record: RunRecord) -> Section | None:
    if not record.logs:
        return None
    lines = [
        [_clock(log.at), logging.getLevelName(log.level).lower(), log.message[:2_000]]
        for log in record.logs
    ]
    more = f"the latest {MOST_LOGS}" if len(record.logs) >= MOST_LOGS else None
    return {"kind": "logs", "title": "Log", "lines": lines, "more": more}


def _why(record: RunRecord) -> Section | None:
    why = record.why
    if why is None:
        return None
    is_said = len(why.changes) == 1  # by the sentence
    changes = [
        {"text": "" if is_said else clipped(change.summary, 300), "diff": change.diff[:4_000]}
        for change in why.changes[:20]
    ]
    return {
        "kind": "why",
        "title": "Cache",
        "sentence": clipped(str(why), 600),
        "notes": [clipped(note, 400) for note in why.notes[:10]],
        "changes": changes,
        "key": record.cache_key and clipped(record.cache_key, 80),
    }


def _states(record: RunRecord) -> Section:
    begin = record.states[0].at
    attempt = 0
    rows: list[list[str | None]] = []
    for state in record.states:
        attempt += state.type == "RUNNING"
        word = word_of(_state(state))
        if state.type == "RUNNING" and len(record.attempts) > 1:
            word = f"attempt {attempt}"
        offset = f"+{duration((state.at - begin).total_seconds())}"
        message = clipped(_SAID.sub("", state.message or ""), 300) or None
        if state is record.states[-1] and record.error is not None:
            message = None  # the traceback says it
        rows.append([_clock(state.at), offset, _look(state), word, message])
    return {"kind": "states", "title": "States", "side": True, "rows": rows}


_SAID = re.compile(r"^(Task|Flow) run encountered an exception:? ")


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}.{at.microsecond // 1000:03d}"


__all__ = ["MOST_READ", "PATIENCE", "Details", "short_path", "snippet", "variable"]
