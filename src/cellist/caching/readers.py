"""What code may read of other code: docstrings, names, annotations, texts, the order of a class.

These count only where something that is reached reads them, or hands a class to a library that is
known to: else whoever renames, reorders or documents changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from inspect import cleandoc
from types import FunctionType
from typing import Any, cast

DOCS = frozenset(
    {
        *("__doc__", "getdoc", "getcomments", "help", "render_doc"),
        # The schema of a model is made from its docstring, descriptions and titles.
        *("model_json_schema", "models_json_schema", "json_schema", "schema_json", "model_fields"),
        # So are the formats and tools that language models are given.
        *("response_format", "response_model", "response_schema", "text_format", "output_type"),
        *("args_schema", "with_structured_output", "pydantic_object", "bind_tools"),
    }
)
NAMES = frozenset({"__name__", "__qualname__", "co_name", "co_qualname"})
ANNOTATIONS = frozenset(
    {"__annotations__", "get_type_hints", "get_annotations", "signature", "getfullargspec"}
)
SUBCLASSES = frozenset({"__subclasses__"})
SOURCES = frozenset({"getsource", "getsourcelines"})
NAMESPACES = frozenset({"__globals__", "f_globals"})
"""Attributes that lead to any name of a module."""
_QUALIFIED = frozenset({"__qualname__", "co_qualname"})
_MODULES = frozenset({"__module__", "getmodule"})
_ORDERS = frozenset({"vars", "__dict__"})
READERS = DOCS | NAMES | ANNOTATIONS | SUBCLASSES | SOURCES | _MODULES | _ORDERS


def readers_in(value: object) -> AbstractSet[str]:
    """Return what a value reads of whatever it is applied to: `attrgetter("__doc__")` does."""
    kind = type(value)
    if kind.__module__ != "operator" or kind.__name__ != "attrgetter":
        return frozenset()
    paths = cast("tuple[str, ...]", cast("Any", value).__reduce__()[1])
    return READERS.intersection(name for path in paths for name in path.split("."))


def said_of(what: str, thing: Any, written: Sequence[str], reads: AbstractSet[str]) -> str:
    """Return what else counts of a function, class, module or wrapper where `reads` are read.

    `written` are the docstrings in the text of a function.
    """
    found = ""
    if not DOCS.isdisjoint(reads):
        found += "".join(f"|{len(text)}:{text}" for text in _docs_of(what, thing, written))
    if what == "function" and not NAMES.isdisjoint(reads):
        found += f"|{thing.__name__}"
        if not _QUALIFIED.isdisjoint(reads):
            found += f"|{thing.__qualname__}"
    if what in {"function", "class"} and not _MODULES.isdisjoint(reads):
        found += f"|{thing.__module__}"
    if what == "class" and not _ORDERS.isdisjoint(reads):
        entries: Mapping[str, Any] = thing.__dict__
        found += f"|{','.join(name for name in entries if not name.startswith('__'))}"
    return found


def _docs_of(what: str, thing: Any, written: Sequence[str]) -> Iterator[str]:
    """Yield the docstrings of a thing as they are now."""
    given = getattr(thing, "__doc__", None)
    own = given if isinstance(given, str) else ""
    if what == "function":
        yield from _docs_of_function(thing, own, written)
    elif what in {"class", "module"}:
        yield own
    elif what == "wrapper" and own and given is not type(thing).__doc__:
        wrapped = getattr(thing, "fget", None) or getattr(thing, "func", None)
        if own != getattr(wrapped, "__doc__", None):
            yield own


def _docs_of_function(function: FunctionType, own: str, written: Sequence[str]) -> Iterator[str]:
    """Yield the docstring, as the text has it unless another was set, and those nested in it.

    Python takes the margin off docstrings from 3.13 on.
    """
    if function.__code__.co_name == "<lambda>":
        if own:
            yield own
        yield from written
        return
    first = written[0] if written else ""
    yield first if own == first or cleandoc(own) == cleandoc(first) else own
    yield from written[1:]
