"""Small rich reprs of single things, for the last line of a cell."""

from collections.abc import Sequence

from cellist.board.record_text import item, stateful
from cellist.board.wording import look_of, word_of
from cellist.drawing.markup import clipped, escaped
from cellist.model.states import State

_LIMIT = 240


def state_html(state: State) -> str:
    """Return a state as HTML: icon, word, message, and why it was a hit or a miss."""
    facts: list[str] = []
    if state.message:
        facts.append(item("message", clipped(state.message, _LIMIT)))
    if state.has_data:
        facts.append(item("result", _preview(state.data)))
    if state.why is not None:
        facts.append(item("why", clipped(str(state.why), _LIMIT)))
    return _framed(f"{stateful(look_of(state), word_of(state))}", facts)


def future_html(name: str, state: State | None, notes: Sequence[tuple[str, str]] = ()) -> str:
    """Return a future as HTML: the run's name and state, and further facts as name and text."""
    facts = [item(escaped(key), clipped(text, _LIMIT)) for key, text in notes]
    if state is not None and state.why is not None:
        facts.append(item("why", clipped(str(state.why), _LIMIT)))
    head = f"<b>{escaped(clipped(name, 120))}</b> {stateful(look_of(state), word_of(state))}"
    return _framed(head, facts)


def _framed(head: str, facts: Sequence[str]) -> str:
    return f"<div>{head}<ul>{''.join(facts)}</ul></div>" if facts else f"<div>{head}</div>"


def _preview(value: object) -> str:
    """Return a short form of a value; a broken or huge `__repr__` must not break the page."""
    try:
        return clipped(repr(value), _LIMIT)
    except Exception as error:  # the repr is the user's code
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
