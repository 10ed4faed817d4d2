"""Answers to pauses: who could give them, those in a file, and how they are noted."""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cellist import settings
from cellist.caching.digests import digest_value
from cellist.engine.commands import Ok
from cellist.engine.execution import FlowExecution
from cellist.engine.pausing import FlowPause
from cellist.engine.waiting import running_loop
from cellist.exceptions import ConfigurationError, HashError
from cellist.forms import PLAIN, InvalidInput
from cellist.history.rows import inputs_of, parameters_of
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_RESUME_NOTHING = ("cellist-", "IPythonHistorySavingThread", "tqdm")
"""How the names of threads begin that no code of a user runs in."""
_SHORT = 60_000_000_000
"""Nanoseconds that may be waited for nobody: the code has said that it will not be long."""


def answer_from_file(pause: FlowPause) -> Ok | None:
    """Return the answer that the file of `CELLIST_INPUTS` has for a pause, `None` without one.

    Raises `ConfigurationError` for a file that cannot be used and `InvalidInput` for an answer
    that does not fit, both naming the file.
    """
    name = settings.active().inputs
    if not name:
        return None
    try:
        answers: Any = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"CELLIST_INPUTS={name!r} cannot be read: {error}."
        raise ConfigurationError(message) from None
    if not isinstance(answers, dict):
        message = f"CELLIST_INPUTS={name!r} must hold a JSON object: an answer for each pause."
        raise ConfigurationError(message)
    known = cast("dict[str, Any]", answers)
    for key in (f"{pause.flow.run.definition.name}.{pause.key}", pause.key):
        if key not in known:
            continue
        if pause.wanted is None:
            return Ok(None)
        try:
            return Ok(pause.wanted.from_file(known[key]))
        except InvalidInput as error:
            message = f"The answer {key!r} in {name} does not fit: {error}"
            raise InvalidInput(message, error.errors) from None
    return None


def can_be_resumed(session: Any, pause: FlowPause) -> bool | None:
    """Return whether anybody can end a pause: a person at the page, or other code of the program.

    `None` where that is not known.
    """
    attended = session.desk.is_attended(pause) if session.desk.is_attended is not None else None
    if attended is not None:
        return attended
    here, main = threading.current_thread(), threading.main_thread()
    others = [one for one in threading.enumerate() if not one.name.startswith(_RESUME_NOTHING)]
    if here is not main or len(others) > 1:
        return None
    if pause.due and pause.due - pause.flow.services.now() <= _SHORT:
        return None
    loop = running_loop()
    if loop is not None and len(asyncio.all_tasks(loop)) > 1:
        return None
    return False


def note_answer(pause: FlowPause, value: Any, origin: str) -> bool:
    """End a pause with an answer, and note it with the run; `False` if it was over."""
    run = pause.flow.run
    shown: dict[str, str] = pause.wanted.shown(value) if pause.wanted is not None else {}
    told = ", ".join(f"{name}={text}" for name, text in shown.items())
    message = f"Resumed {origin}" + (f" with {told}." if told else ".")
    if not pause.resume(value, message):
        return False
    if pause.stops:
        session: Any = pause.flow.services
        session.desk.suspended.pop(run.number, None)
        session.desk.answered.setdefault(identity_of(pause.flow), {})[pause.key] = value
    inputs = inputs_of(run, parameters_of(run)) or {}
    named = {
        f"pause {pause.key}" + ("" if name == PLAIN else f" {name}"): text
        for name, text in shown.items()
    }
    run.inputs = {**inputs, **named}
    pause.flow.services.log(pause.flow, 20, message)
    run.announce("inputs")
    return True


def identity_of(flow: FlowExecution) -> str:
    """Return what tells a call of a flow from others, also in a later run of it."""
    name = flow.run.definition.name
    try:
        return f"{name} {digest_value(flow.bound())}"
    except HashError:
        return name


__all__ = ["answer_from_file", "can_be_resumed", "identity_of", "note_answer"]
