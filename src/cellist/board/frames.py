"""How a DataFrame of runs looks: states as icon and word, times local, durations in words."""

from datetime import datetime
from typing import Any

from cellist.board.palette import LOOKS
from cellist.board.wording import duration, look_of, word_of
from cellist.model.states import State, StateType

_TIMES = ("start", "end")
_DURATIONS = ("duration", "saved")


def for_people(frame: Any) -> Any:
    """Return a copy of a frame of runs that is to be shown. Raises for columns of other kinds."""
    shown = frame.copy()
    if "state" in shown.columns:
        types = shown["state_type"] if "state_type" in shown.columns else shown["state"].map(_type)
        shown["state"] = [_state(*pair) for pair in zip(shown["state"], types, strict=True)]
    for name in _TIMES:
        if name in shown.columns:
            shown[name] = [_local(one) for one in shown[name]]
    for name in _DURATIONS:
        if name in shown.columns:
            shown[name] = [duration(one) if one == one else "" for one in shown[name]]  # noqa: PLR0124 - NaN
    return shown


def _state(name: Any, kind: Any) -> str:
    if kind not in StateType.__members__:
        return str(name)
    state = State(StateType(kind), name)
    return f"{LOOKS[look_of(state)].icon} {word_of(state)}"


def _type(name: str) -> str:
    """Return the type of a state by its usual name."""
    return _TYPES.get(name, "")


_TYPES = {
    **{kind.value.capitalize(): kind.value for kind in StateType},
    **dict.fromkeys(("Cached", "RolledBack"), "COMPLETED"),
    **dict.fromkeys(("AwaitingRetry", "Late", "AwaitingConcurrencySlot"), "SCHEDULED"),
    **dict.fromkeys(("Retrying",), "RUNNING"),
    **dict.fromkeys(("TimedOut",), "FAILED"),
    **dict.fromkeys(("NotReady",), "PENDING"),
    **dict.fromkeys(("Suspended",), "PAUSED"),
}


def _local(moment: Any) -> str:
    if moment != moment:  # noqa: PLR0124 - NaT
        return ""
    return f"{datetime.fromtimestamp(moment.timestamp()).astimezone():%Y-%m-%d %H:%M:%S}"


__all__ = ["for_people"]
