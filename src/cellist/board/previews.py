"""What a value looks like on a board: a table, a picture, or text. Plain data, bounded in size.

    {"type": "DataFrame 1,000×4", "table": {...} | "picture": {...} | "text": "...", "more": "..."}

Known types are read without calling code of theirs that could be long; anything else may say what
it is by its own `__repr__`. Call it within a time limit (`bounded`): all of this is user code.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, cast

from cellist.board import pictures
from cellist.model.previews import short
from cellist.values import written

Preview = dict[str, Any]

_type_of: Callable[[object], type[Any]] = type
ROWS = 10
COLUMNS = 12
_CELL = 60
TEXT = 4_000
"""Characters of a text that are shown."""
_ITEMS = 30
_IN_A_ROW = 100
_DEPTH = 3
_CORNER = 6


def preview(value: object) -> Preview:
    """Return what a value looks like. May raise what the value's own code raises."""
    maker = _maker_of(type(value))
    found = maker(value)
    return {"type": _type_line(value), **found}


def _type_line(value: Any) -> str:
    kind = _type_of(value)
    if kind in (str, bytes):
        return f"{'text' if kind is str else 'bytes'}, {len(value):,} long"
    if kind in (list, tuple, set, frozenset, dict):
        return f"{kind.__name__}, {len(value):,} item{'' if len(value) == 1 else 's'}"
    if kind in _ATOMS:
        return kind.__name__.removesuffix("Type")
    line = short(value)
    return line if len(line) < 60 else kind.__qualname__


def _maker_of(kind: type[Any]) -> Callable[[Any], Preview]:
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        found = _LIBRARIES.get(f"{package}.{base.__qualname__}")
        if found is not None:
            return found
    return _other


def _text(value: str) -> Preview:
    return _clip(value)


def _bytes(value: bytes) -> Preview:
    return _clip(repr(value[:TEXT]), len(value) > TEXT)


def _clip(text: str, is_cut: bool = False) -> Preview:
    if len(text) <= TEXT and not is_cut:
        return {"text": text}
    return {"text": text[:TEXT], "more": f"… {len(text) - TEXT:,} more characters"}


def _number(value: Any) -> Preview:
    return {"text": short(value)}


def _container(value: Any) -> Preview:
    records = _records(value)
    if records is not None:
        return {"table": records}
    if type(value) is not dict and all(type(item) in _ATOMS for item in islice(value, _IN_A_ROW)):
        shown = ", ".join(short(item) for item in islice(value, _IN_A_ROW))
        left = len(value) - _IN_A_ROW
        return _clip(shown) if left <= 0 else {"text": shown, "more": f"… {left:,} more items"}
    return _clip("\n".join(_lines(value, 0)))


def _records(value: Any) -> Preview | None:
    """Return a list of dicts with the same few keys as a table."""
    if type(value) is not list:
        return None
    items = cast("list[Any]", value)
    first = items[:ROWS]
    if not first or type(first[0]) is not dict:
        return None
    names: list[Any] = [*first[0]]
    if not 0 < len(names) <= COLUMNS or any(
        type(row) is not dict or list(row) != names for row in first
    ):
        return None
    return {
        "columns": [[_name(name), ""] for name in names],
        "index": [str(i) for i in range(len(first))],
        "rows": [[_cell(row[name]) for name in names] for row in first],
        "more": _more_rows(len(items), len(names)),
    }


def _lines(value: Any, depth: int) -> Iterable[str]:
    """Yield the lines of a container, an item each, nested ones indented."""
    pad = "  " * depth
    is_dict = _type_of(value) is dict
    for one in islice(value, _ITEMS):
        head, item = (f"{_name(one)}: ", value[one]) if is_dict else ("", one)
        if _type_of(item) in _NESTED and depth < _DEPTH and written(short(item)) is None:
            yield f"{pad}{head}{type(item).__name__} of {len(item):,}"
            yield from _lines(item, depth + 1)
        else:
            yield f"{pad}{head}{short(item)}"
    if len(value) > _ITEMS:
        yield f"{pad}… {len(value) - _ITEMS:,} more"


def _name(key: Any) -> str:
    return key[:_CELL] if type(key) is str else short(key)[:_CELL]


def _cell(value: Any) -> str:
    if type(value) is str:
        return value[:_CELL] + ("…" if len(value) > _CELL else "")
    if type(value) is float:
        return f"{value:.6g}"
    if (
        type(value).__module__.partition(".")[0] == "pandas"
    ):  # moments and periods, and what is missing
        return str(value)[:_CELL]
    return short(value)[:_CELL]


def _more_rows(rows: int, columns: int) -> str | None:
    left = [
        f"{number - most:,} more {noun}{'' if number - most == 1 else 's'}"
        for number, most, noun in ((rows, ROWS, "row"), (columns, COLUMNS, "column"))
        if number > most
    ]
    return f"… {' and '.join(left)}" if left else None


def _pandas(value: Any) -> Preview:
    head = value.iloc[:ROWS, :COLUMNS]
    names = list(head.columns)
    columns = [
        [_name(name), str(dtype)[:20]] for name, dtype in zip(names, head.dtypes, strict=True)
    ]
    rows = [
        [_cell(_plain(item)) for item in row] for row in head.itertuples(index=False, name=None)
    ]
    more = _more_rows(*value.shape)
    index = [_cell(_plain(label)) for label in head.index]
    return {"table": {"columns": columns, "index": index, "rows": rows, "more": more}}


def _series(value: Any) -> Preview:
    head = value.iloc[:ROWS]
    columns = [[_name(value.name) if value.name is not None else "value", str(value.dtype)[:20]]]
    rows = [[_cell(_plain(item))] for item in head]
    index = [_cell(_plain(label)) for label in head.index]
    more = _more_rows(len(value), 1)
    return {"table": {"columns": columns, "index": index, "rows": rows, "more": more}}


def _polars(value: Any) -> Preview:
    head = value.head(ROWS)
    names = list(head.columns)[:COLUMNS]
    columns = [[_name(name), str(head.schema[name])[:20]] for name in names]
    rows = [[_cell(_plain(item)) for item in row[:COLUMNS]] for row in head.rows()]
    return {"table": {"columns": columns, "rows": rows, "more": _more_rows(*value.shape)}}


def _arrow(value: Any) -> Preview:
    head = value.slice(0, ROWS)
    names = list(head.schema.names)[:COLUMNS]
    columns = [[_name(name), str(head.schema.field(name).type)[:20]] for name in names]
    data = [head.column(i).to_pylist() for i in range(len(names))]
    rows = [[_cell(column[i]) for column in data] for i in range(head.num_rows)]
    more = _more_rows(value.num_rows, value.num_columns)
    return {"table": {"columns": columns, "rows": rows, "more": more}}


def _plain(item: Any) -> Any:
    """Return a scalar of numpy as Python's own."""
    take = getattr(item, "item", None)
    return take() if take is not None and type(item).__module__ == "numpy" else item


def _array(value: Any) -> Preview:
    found: Preview = {}
    if pictures.is_image_like(tuple(value.shape), value.dtype.kind):
        alt = f"thumbnail of the array, {value.shape[1]} by {value.shape[0]}"
        found["picture"] = {"src": pictures.of_array(value), "alt": alt}
    if value.ndim == 2 and not found:
        corner = value[:ROWS, :COLUMNS]
        found["table"] = {
            "columns": [[str(i), ""] for i in range(corner.shape[1])],
            "index": [str(i) for i in range(corner.shape[0])],
            "rows": [[_cell(_plain(item)) for item in row] for row in corner],
            "more": _more_rows(*value.shape),
        }
    elif value.ndim != 2:
        corner = value[(slice(0, _CORNER),) * value.ndim]
        found["text"] = str(corner)[:TEXT]
        if corner.size < value.size:
            found["more"] = f"… the first of {value.size:,} items"
    return found


def _image(value: Any) -> Preview:
    width, height = value.size
    alt = f"the image, {width} by {height}"
    return {"picture": {"src": pictures.of_image(value), "alt": alt}}


def _figure(value: Any) -> Preview:
    titles = [axes.get_title() for axes in value.axes if axes.get_title()]
    alt = f"figure: {', '.join(titles)[:200]}" if titles else "figure"
    return {"picture": {"src": pictures.of_figure(value), "alt": alt}}


def _axes(value: Any) -> Preview:
    return _figure(value.figure)


def _other(value: Any) -> Preview:
    """Return what an object says of itself, or its attributes where it says nothing."""
    kind = _type_of(value)
    if kind.__repr__ is not object.__repr__:
        return _clip(repr(value))
    fields = getattr(value, "__dict__", None)
    if type(fields) is dict and fields:
        return _clip("\n".join(_lines(fields, 0)))
    return {"text": short(value)}


_ATOMS = frozenset({bool, int, float, complex, str, bytes, type(None)})
_NESTED = frozenset({list, tuple, dict, set, frozenset})
_PLAIN: dict[type[Any], Callable[[Any], Preview]] = {
    str: _text,
    bytes: _bytes,
    int: _number,
    **dict.fromkeys(_NESTED, _container),
}
_LIBRARIES: dict[str, Callable[[Any], Preview]] = {
    "pandas.DataFrame": _pandas,
    "pandas.Series": _series,
    "polars.DataFrame": _polars,
    "pyarrow.Table": _arrow,
    "pyarrow.RecordBatch": _arrow,
    "numpy.ndarray": _array,
    "PIL.Image": _image,
    "matplotlib.Figure": _figure,
    "matplotlib.Axes": _axes,
}
