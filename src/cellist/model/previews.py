"""A short, safe form of any value, for reasons, run records and boards.

Cheap and bounded whatever the value: no `__repr__` or other method of a user's type is called,
nothing is imported, nothing large is walked. Types of libraries are known by name.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

LIMIT = 80
"""No preview is longer, in characters."""

_type_of: Callable[[object], type[Any]] = type
_BRIEF = frozenset({bool, float, type(None)})
_LARGE = 10**18
_SHOWN_ITEMS = 3
_ITEM_LIMIT = 20


def short(value: Any) -> str:
    """Return what a value looks like in at most 80 characters of one line. Never raises."""
    kind = _type_of(value)
    if kind in _BRIEF or (kind is int and -_LARGE < value < _LARGE):
        return repr(value)  # most arguments, and these forms are always short
    try:
        return _trim(_short(value), LIMIT)
    except Exception:
        return _trim(_type_name(value), LIMIT)


def _trim(shown: str, limit: int) -> str:
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _type_name(value: object) -> str:
    kind = _type_of(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _short(value: Any) -> str:
    kind = _type_of(value)
    shower = _ATOMS.get(kind)
    if shower is not None:
        return shower(value)
    container = _CONTAINERS.get(kind)
    if container is not None:
        return _container(value, container)
    if kind is dict:
        return _dict(value)
    package = _package(kind)
    for base in kind.__mro__:
        found = _package(base)
        shower = _LIBRARIES.get(f"{found}.{base.__qualname__}")
        if shower is not None and found in (package, "enum"):
            return shower(value)
    if issubclass(kind, type):
        return f"class {value.__module__}.{value.__qualname__}".replace("class builtins.", "class ")
    if kind.__name__ in ("function", "builtin_function_or_method"):
        return f"function {value.__qualname__}"
    return _type_name(value)


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _text(value: str | bytes) -> str:
    return repr(value) if len(value) <= LIMIT else _trim(repr(value[:LIMIT]), LIMIT)


def _integer(value: int) -> str:
    bits = value.bit_length()
    return repr(value) if bits <= 200 else f"int of {bits} bits"


def _plain(value: object) -> str:
    return repr(value)


_ATOMS: dict[type, Callable[[Any], str]] = {
    str: _text,
    bytes: _text,
    int: _integer,
    bool: _plain,
    float: _plain,
    complex: _plain,
    type(None): _plain,
    type(...): _plain,
}
_CONTAINERS = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset{", "}"),
}


def _item(value: Any) -> str:
    """Return the form of a value within another: atoms as they are, the rest by type and size."""
    kind = _type_of(value)
    if (
        (kind is str and len(value) <= LIMIT)
        or (kind is int and -_LARGE < value < _LARGE)
        or kind in _BRIEF
    ):  # most items, without another call
        shown = repr(value)
        return shown if len(shown) <= _ITEM_LIMIT else shown[: _ITEM_LIMIT - 1] + "…"
    if kind in _CONTAINERS or kind is dict:
        return f"{kind.__name__}({len(value)})"
    shown = _short(value)
    return _trim(kind.__qualname__ if shown == _type_name(value) else shown, _ITEM_LIMIT)


def _first(values: Any) -> list[Any]:
    return list(islice(values, _SHOWN_ITEMS))


def _join(parts: list[str], size: int, marks: tuple[str, str], name: str) -> str:
    """Return the first items, with the length in front when not all of them fit."""
    begin, end = marks
    whole = begin + ", ".join(parts) + end
    if size <= len(parts) and len(whole) <= LIMIT:
        return whole
    prefix = f"{name} of {size}: "
    room = LIMIT - len(prefix) - len(begin) - len(end) - len(", …")
    kept: list[str] = []
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            break
        kept.append(part)
    return f"{prefix}{begin}{', '.join([*kept, '…'])}{end}"


def _container(value: Any, marks: tuple[str, str]) -> str:
    kind = _type_of(value)
    size = len(value)
    if not size and kind in (set, frozenset):
        return f"{kind.__name__}()"
    parts = [_item(item) for item in _first(value)]
    if kind is tuple and size == 1:
        parts[0] += ","
    return _join(parts, size, marks, kind.__name__)


def _dict(value: dict[Any, Any]) -> str:
    parts = [f"{_item(key)}: {_item(item)}" for key, item in _first(value.items())]
    return _join(parts, len(value), ("{", "}"), "dict")


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def _array(value: Any) -> str:
    name = type(value).__qualname__
    return f"{name}{_shape(value)} {value.dtype}"


def _scalar(value: Any) -> str:
    kind = type(value).__qualname__
    plain = value.item()
    return f"{kind}({_short(plain)})" if type(plain) in _ATOMS else kind


def _frame(value: Any) -> str:
    rows, columns = _shape(value)
    return f"{type(value).__qualname__} {rows}×{columns}"


def _column(value: Any) -> str:
    named = f" {value.name!r}" if type(value.name) is str else ""
    return f"{type(value).__qualname__}{named} of {len(value)} {value.dtype}"


def _table(value: Any) -> str:
    return f"{type(value).__qualname__} {value.num_rows}×{value.num_columns}"


def _image(value: Any) -> str:
    width, height = value.size
    return f"{type(value).__qualname__} {width}×{height} {value.mode}"


def _path(value: Any) -> str:
    return f"{type(value).__qualname__}({str(value)!r})"


def _moment(value: Any) -> str:
    return str(value)


def _pattern(value: Any) -> str:
    return f"pattern {_text(value.pattern)}"


def _enum(value: Any) -> str:
    return f"{type(value).__qualname__}.{value._name_}"


_LIBRARIES: dict[str, Callable[[Any], str]] = {
    "numpy.ndarray": _array,
    "numpy.generic": _scalar,
    "pandas.DataFrame": _frame,
    "pandas.Series": _column,
    "pandas.Index": _column,
    "polars.DataFrame": _frame,
    "polars.Series": _column,
    "pyarrow.Table": _table,
    "pyarrow.RecordBatch": _table,
    "scipy._spbase": _array,
    "torch.Tensor": _array,
    "PIL.Image": _image,
    "enum.Enum": _enum,
    "re.Pattern": _pattern,
    "pandas.Timestamp": _moment,
    "pandas.Timedelta": _moment,
    "cellist.File": _plain,
    "cellist.Folder": _plain,
    "cellist.Env": _plain,
    "pathlib.PurePath": _path,
    "datetime.date": _moment,
    "datetime.time": _moment,
    "datetime.timedelta": _moment,
    "decimal.Decimal": _moment,
    "uuid.UUID": _moment,
}
