"""Validate and coerce the parameters of flows by their annotations, as pydantic does.

pydantic is imported only when an annotation asks for more than an exact type the value already
has: most notebook flows never need it.
"""

import copy
import functools
import inspect
import random
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cellist.exceptions import ParameterTypeError, SignatureMismatchError

_EXACT = frozenset({int, str, float, bool, bytes, complex, type(None)})
Validator = Callable[[dict[str, Any]], dict[str, Any]]


def make_validator(signature: inspect.Signature, fn: Any, owner: str) -> Validator:
    """Return a function that coerces parameters by name, and raises `ParameterTypeError`."""
    annotations: dict[str, Any] | None = None

    def validate(parameters: dict[str, Any]) -> dict[str, Any]:
        nonlocal annotations
        unknown = [name for name in parameters if name not in signature.parameters]
        if unknown:
            message = (
                f"Flow {owner!r} has no parameter {', '.join(map(repr, unknown))}; "
                f"it takes {signature}."
            )
            raise SignatureMismatchError(message)
        if annotations is None:
            annotations = annotations_of(signature, fn)
        checked: dict[str, Any] = {}
        problems: list[str] = []
        for name, given in parameters.items():
            value = given
            wanted = annotations.get(name, inspect.Parameter.empty)
            if is_field(given):  # the call gave no argument
                if given.is_required():
                    problems.append(f"{name}: Field required")
                    continue
                value = given.get_default(call_default_factory=True)
            if (
                wanted is inspect.Parameter.empty
                or wanted is Any
                or (wanted in _EXACT and type(value) is wanted)
            ):
                checked[name] = value
            else:
                checked[name] = _coerce(name, value, wanted, problems)
        if problems:
            raise ParameterTypeError(
                f"Flow {owner!r} received invalid parameters:\n - " + "\n - ".join(problems)
            )
        return checked

    return validate


def annotations_of(signature: inspect.Signature, fn: Any) -> dict[str, Any]:
    """Return the annotation of each parameter, text resolved where it can be."""
    plain = fn
    while isinstance(plain, functools.partial):
        plain = plain.func
    hints = _hints_of(plain)
    found: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        wanted = hints.get(name, parameter.annotation)
        if isinstance(wanted, str):
            continue
        if wanted is not parameter.empty:
            if parameter.kind is parameter.VAR_POSITIONAL:
                wanted = tuple[wanted, ...]
            elif parameter.kind is parameter.VAR_KEYWORD:
                wanted = dict[str, wanted]
        if is_field(parameter.default):
            wanted = Any if wanted is parameter.empty else wanted
            wanted = typing.Annotated[wanted, parameter.default]
        found[name] = wanted
    return found


def _hints_of(fn: Any) -> dict[str, Any]:
    """Return the annotations of a function, text resolved; without those that cannot be."""
    with suppress(Exception):
        return typing.get_type_hints(fn, include_extras=True)
    found: dict[str, Any] = {}
    for name, text in getattr(fn, "__annotations__", {}).items():

        def alone() -> None: ...

        alone.__annotations__ = {name: text}
        with suppress(Exception):
            names = getattr(fn, "__globals__", None)
            found |= typing.get_type_hints(alone, globalns=names, include_extras=True)
    return found


def is_field(default: Any) -> bool:
    """Whether a default is a pydantic `Field`, told without importing pydantic."""
    kind: type = default.__class__
    return kind.__module__ == "pydantic.fields" and kind.__name__ == "FieldInfo"


def _coerce(name: str, value: Any, wanted: Any, problems: list[str]) -> Any:
    import pydantic

    try:
        return adapter_of(wanted).validate_python(value)
    except pydantic.ValidationError as error:
        for one in error.errors():
            place = ".".join([name, *(str(part) for part in one["loc"])])
            problems.append(f"{place}: {one['msg']} (got {one['input']!r:.80})")
    except TypeError as error:
        problems.append(f"{name}: {error}")
    return value


def adapter_of(wanted: Any) -> Any:
    """Return pydantic's adapter for an annotation."""
    try:
        return _cached_adapter(wanted)
    except TypeError:  # an annotation that cannot be hashed
        return _make_adapter(wanted)


def _make_adapter(wanted: Any) -> Any:
    import pydantic

    try:
        return pydantic.TypeAdapter(wanted)
    except pydantic.PydanticSchemaGenerationError:
        config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        return pydantic.TypeAdapter(wanted, config=config)


_cached_adapter = functools.lru_cache(maxsize=256)(_make_adapter)


def words() -> str:
    """Return a readable name for a flow run: two words."""
    return _namer().generate_slug(2)


@functools.cache
def _namer() -> Any:
    """Return what makes names, drawing from the system: the user's numbers go on as without it."""
    state = random.getstate()
    import coolname  # draws, too

    random.setstate(state)
    made: Any = copy.copy(coolname.generate_slug.__self__)  # others may use the one that is there
    made.random = random.SystemRandom()
    return made
