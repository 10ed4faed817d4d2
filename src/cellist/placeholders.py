"""What a task gives while its flow is only drawn or planned: a stand-in that knows its origin.

Attributes, elements, calls and arithmetic of a placeholder give another one with the same origin,
so `page.text` or `frame[frame.price > 0]` keeps its link. A loop over it runs once, for all its
elements. What needs the value itself (a truth test, a length, a number) cannot be answered and
raises an error that names the call and the remedy.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from cellist.drawing.markup import clipped
from cellist.exceptions import FlowVisualizationError

_LONGEST = 60
"""Characters of an expression."""
_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "matmul": "@", "truediv": "/", "floordiv": "//",
    "mod": "%", "pow": "**", "lshift": "<<", "rshift": ">>", "and": "&", "or": "|", "xor": "^",
    "divmod": ",",
}  # fmt: skip
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_PREFIXES = {"neg": "-", "pos": "+", "invert": "~", "abs": "abs ", "round": "round "}
_UNKNOWN = {
    "bool": "whether it is true",
    "len": "its length",
    "contains": "what is in it",
    "int": "its number",
    "float": "its number",
    "complex": "its number",
    "index": "its number",
}
REMEDY = "@task(viz_return_value=...)"


class Origin(NamedTuple):
    """Where a placeholder came from."""

    numbers: tuple[int, ...]
    """The runs it was made of."""
    expression: str
    """How it was made, such as `fetch-0.text`."""
    is_many: bool
    """Whether it stands for an unknown number of values."""


class Placeholder:
    """Stands for a value that only a real run would know.

    It has no public attributes of its own: whatever name the user's code asks for is derived.
    """

    __slots__ = ("_origin",)
    _origin: Origin

    def __init__(self, origin: Origin) -> None:
        object.__setattr__(self, "_origin", origin)

    def __getattr__(self, name: str) -> "Placeholder":
        if name.startswith("_"):  # Python and libraries ask for these to learn what they have got
            message = f"A placeholder has no attribute {name!r}."
            raise AttributeError(message)
        return _derived(f"{self._origin.expression}.{name}", self)

    def __getitem__(self, key: Any) -> "Placeholder":
        return _derived(f"{self._origin.expression}[{_shown(key)}]", self, key)

    def __call__(self, *args: Any, **kwargs: Any) -> "Placeholder":
        """Return what stands for the result of a call, such as that of a method."""
        inner = "…" if args or kwargs else ""
        return _derived(f"{self._origin.expression}({inner})", self, *args, *kwargs.values())

    def __setattr__(self, name: str, value: Any) -> None:
        _enrich(self, value)

    def __setitem__(self, key: Any, value: Any) -> None:
        _enrich(self, key, value)

    def __iter__(self) -> "Iterator[Placeholder]":
        yield element_of(self)

    def __copy__(self) -> "Placeholder":
        return self

    def __deepcopy__(self, memo: Any) -> "Placeholder":
        return self

    def __repr__(self) -> str:
        return f"<placeholder of {self._origin.expression}>"

    def __format__(self, spec: str) -> str:
        return repr(self)


def origin_of(value: Placeholder) -> Origin:
    """Return where a placeholder came from."""
    return value._origin  # pyright: ignore[reportPrivateUsage] - public names would hide those of the user


def element_of(value: Placeholder) -> Placeholder:
    """Return what stands for every element of a placeholder."""
    origin = origin_of(value)
    told = f"an element of {origin.expression}"
    return Placeholder(Origin(origin.numbers, clipped(told, _LONGEST), is_many=True))


def _derived(expression: str, *parts: Any) -> Placeholder:
    """Return a placeholder made of those among the parts."""
    found = [origin_of(part) for part in parts if isinstance(part, Placeholder)]
    numbers = dict.fromkeys(number for origin in found for number in origin.numbers)
    is_many = any(origin.is_many for origin in found)
    return Placeholder(Origin(tuple(numbers), clipped(expression, _LONGEST), is_many))


def _enrich(target: Placeholder, *parts: Any) -> None:
    """Note that the placeholders among the parts are part of the target from now on."""
    origin = origin_of(target)
    numbers = origin_of(_derived("", target, *parts)).numbers
    object.__setattr__(target, "_origin", origin._replace(numbers=numbers))


def _shown(value: Any) -> str:
    if isinstance(value, Placeholder):
        return origin_of(value).expression
    return clipped(repr(value), 20) if isinstance(value, (str, int, float)) else "…"


def _operator(template: str) -> Callable[..., Placeholder]:
    def operate(self: Placeholder, *others: Any) -> Placeholder:
        return _derived(template.format(_shown(self), *map(_shown, others)), self, *others)

    return operate


def _refusal(unknown: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_: Any) -> NoReturn:
        message = (
            f"{_shown(self)} is a placeholder, for its task does not run here: {unknown} is not "
            f"known. Give the task a value to go on with: {REMEDY}."
        )
        raise FlowVisualizationError(message)

    return refuse


_METHODS: dict[str, Callable[..., Any]] = {
    **{name: _operator(f"({{}} {sign} {{}})") for name, sign in _OPERATORS.items()},
    **{f"r{name}": _operator(f"({{1}} {sign} {{0}})") for name, sign in _OPERATORS.items()},
    **{name: _operator(f"({{}} {sign} {{}})") for name, sign in _COMPARISONS.items()},
    **{name: _operator(f"{sign}{{}}") for name, sign in _PREFIXES.items()},
    **{name: _refusal(unknown) for name, unknown in _UNKNOWN.items()},
}
for _name, _method in _METHODS.items():  # Python looks operators up in the class, not by getattr
    setattr(Placeholder, f"__{_name}__", _method)
