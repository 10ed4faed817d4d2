"""What the values of settings' variables mean: each function reads one kind of text.

They raise `ValueError` saying what was expected. What is only about how things are shown or kept
must not keep anybody's code from running: there a wrong text is a warning, and the default is used.
"""

import logging
import os
import re
import warnings

from cellist.caching.packages import OTHERS, Versions, versions_of

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def flag(text: str) -> bool:
    """Read yes or no."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    message = "expected one of 1, 0, true, false, yes, no, on, off"
    raise ValueError(message)


def delays(text: str) -> float | list[float]:
    """Read seconds, or a list of them."""
    numbers = [float(part) for part in text.strip().strip("[]").split(",") if part.strip()]
    return numbers if "," in text else numbers[0] if numbers else 0.0


def whole(text: str) -> int:
    """Read a whole number."""
    return int(text)


def level(text: str) -> str:
    """Read a level of logging."""
    word = text.strip().upper()
    if word.isdecimal() or word in logging.getLevelNamesMapping():
        return word
    message = "expected a level such as DEBUG, INFO, WARNING or ERROR, or a number"
    raise ValueError(message)


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def cache_mode(text: str) -> str:
    """Read `on`, `refresh`, `readonly` or `off`."""
    word = text.strip().lower()
    if word in {"on", "refresh", "readonly", "off"}:
        return word
    try:
        return "on" if flag(word or "on") else "off"
    except ValueError:
        message = "expected one of on, refresh, readonly, off"
        raise ValueError(message) from None


def versions(text: str) -> Versions:
    """Return what `minor` or `minor, pandas=exact` says about the versions that count."""
    words = [part.partition("=") for part in names(text)]
    pairs = tuple((name.strip(), word.strip()) for name, mark, word in words if mark)
    others = [name.strip() for name, mark, _ in words if not mark]
    if len(others) > 1 or not words:
        message = "expected one word for all libraries, and others as in 'minor, pandas=exact'"
        raise ValueError(message)
    if not pairs:
        return versions_of(others[0])
    return versions_of((*pairs, *((OTHERS, word) for word in others)))


def size(text: str) -> int | None:
    """Read a number of bytes such as `500MB`; `None` for what is no size."""
    found = re.fullmatch(r"(\d+\.?\d*)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None:
        _complain(f"CELLIST_RESULTS_BUDGET={text!r} is no size such as 500MB; the default is used.")
        return None
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix or " "))


def store(text: str) -> str:
    """Read the kind of store."""
    return _choice("CELLIST_STORE", text, ("auto", "index", "files"))


def delivery(text: str) -> str:
    """Read how often a deferred run may be carried out."""
    word = text.strip().lower()
    if word in {"at_least_once", "at_most_once"}:
        return word
    message = "expected at_least_once or at_most_once"
    raise ValueError(message)


def paths(text: str) -> tuple[str, ...]:
    """Read paths, divided as in `PATH`."""
    return tuple(part for part in text.split(os.pathsep) if part)


def ui(text: str) -> str:
    """Read how boards are shown."""
    return _choice("CELLIST_UI", text, ("auto", "widget", "html", "text", "off"))


def _choice(variable: str, text: str, words: tuple[str, ...]) -> str:
    """Return the word, or the first with a warning."""
    word = text.strip().lower()
    if word in words:
        return word
    _complain(f"{variable}={text!r} is not one of {', '.join(words)}; {words[0]} is used.")
    return words[0]


def _complain(message: str) -> None:
    """Warn: how things are shown or kept must not keep anybody's code from running."""
    warnings.warn(message, stacklevel=3)


def replay(text: str) -> str:
    """Read whether reused runs show again what they showed."""
    return _choice("CELLIST_REPLAY", text, ("auto", "on", "off"))
