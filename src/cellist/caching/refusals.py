"""What is said when a value has no stable digest: where it is, what it is, what helps."""

from typing import TypeGuard

from cellist.exceptions import HashError

_MARK = ". Either leave"
_SCALARS = (str, bytes, int, float, bool, type(None))


class Refusal(Exception):
    """A rule declines a value; the message completes "a `pkg.Type` ..."."""


class Misdeclared(Refusal):
    """What a declaration names is of another kind; the message is all there is to say of it."""


def type_name(value: object) -> str:
    """Return the full name of a value's type, without `builtins`."""
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def refused(error: Exception, path: str, culprit: object, name: str) -> HashError:
    """Return the error that tells a user about a refusal or a failure at `path`.

    `name` is the argument the path starts from. A `HashError` from deeper within (code that
    reaches data) keeps its story and gets the longer path.
    """
    if isinstance(error, HashError):
        inner = told_by(error)
        inner = inner.removeprefix(f"{error.path}: ")
        path = f"{path} → {error.path}" if error.path else path
        return HashError(f"{path}: {inner}{_remedies(name, '')}", path)
    if isinstance(error, Misdeclared):
        return HashError(f"{path}: {error}", path)
    kind = type_name(culprit)
    if isinstance(error, Refusal):
        story = str(error)
    elif isinstance(error, RecursionError):
        story = "is nested too deeply to be taken apart"
    else:
        story = f"has no stable digest ({type(error).__name__}: {_first_line(error)})"
    return HashError(f"{path}: a {kind} {story}{_remedies(name, kind)}", path)


def told_by(error: HashError) -> str:
    """Return what a refusal says of its culprit, without what helps."""
    return str(error).partition(_MARK)[0]


def _first_line(error: Exception) -> str:
    try:
        return (str(error).strip().splitlines() or [""])[0][:200]
    except Exception:
        return "no message"


def _remedies(name: str, kind: str) -> str:
    root = name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    told = f'"{kind}"' if kind else "type"
    return (
        f'{_MARK} the argument out with `INPUTS - "{root}"`, '
        f"or say what its digest is with `@cellist.hasher({told})`, "
        "or turn caching off with `cache_policy=NO_CACHE`."
    )


def step_of(key: object) -> str:
    """Return the piece of a path for a key."""
    parts: list[object] = [*key] if _is_tuple(key) else [key]
    if any(type(part) not in _SCALARS for part in parts):
        return f"[<{_qualname(key)}>]"
    if any(isinstance(part, int) and part.bit_length() > 256 for part in parts):
        return "[<int>]"
    shown = repr(key)
    return f"[{shown}]" if len(shown) <= 40 else f"[{shown[:37]}...]"


def _is_tuple(key: object) -> TypeGuard[tuple[object, ...]]:
    return type(key) is tuple


def _qualname(value: object) -> str:
    return type(value).__qualname__
