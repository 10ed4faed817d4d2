"""What the values of settings' variables mean: each function reads one kind of text.

They raise `ValueError` saying what was expected, whatever the setting is about: what runs with
another value than was meant may look right. For words and sizes an empty text is the default.
"""

import logging
import os
import re

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
    numbers = [seconds(part) for part in text.strip().strip("[]").split(",") if part.strip()]
    return numbers if "," in text else numbers[0] if numbers else 0.0


def seconds(text: str) -> float:
    """Read a duration."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number >= 0.0:
        message = "expected seconds, as a number of 0 or more"
        raise ValueError(message)
    return number


def whole(text: str) -> int:
    """Read a whole number."""
    if not re.fullmatch(r"\s*\+?\d+\s*", text):
        message = "expected a whole number of 0 or more"
        raise ValueError(message)
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
    """Read a number of bytes such as `500MB`; `None` for an empty text."""
    if not text.strip():
        return None
    found = re.fullmatch(r"(\d+\.?\d*)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None:
        message = "expected a size such as 500MB or 2GiB"
        raise ValueError(message)
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix or " "))


def store(text: str) -> str:
    """Read the kind of store."""
    return _choice(text, ("auto", "index", "files"))


def delivery(text: str) -> str:
    """Read how often a deferred run may be carried out."""
    return _choice(text, ("at_least_once", "at_most_once"))


def paths(text: str) -> tuple[str, ...]:
    """Read paths, divided as in `PATH`."""
    return tuple(part for part in text.split(os.pathsep) if part)


def ui(text: str) -> str:
    """Read how boards are shown."""
    return _choice(text, ("auto", "widget", "html", "text", "off"))


def _choice(text: str, words: tuple[str, ...]) -> str:
    """Return the word, of an empty text the first."""
    word = text.strip().lower() or words[0]
    if word in words:
        return word
    message = f"expected one of {', '.join(words)}"
    raise ValueError(message)


def replay(text: str) -> str:
    """Read whether reused runs show again what they showed."""
    return _choice(text, ("auto", "on", "off"))
