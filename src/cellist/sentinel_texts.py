"""What the text of a task and its helpers says of chance, the clock and the environment.

The text is read as it is spelled: `datetime.now()` is taken for the clock, whatever `datetime` is.
That is enough for a hint, and needs none of what is called to be imported.
"""

import ast
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from cellist.caching.parsing import parse

_CLOCKS = frozenset(
    {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "time.time",
        "time.time_ns",
        "time.localtime",
        "time.gmtime",
        "time.ctime",
        "Timestamp.now",
        "Timestamp.today",
        "Timestamp.utcnow",
    }
)
_CHANCE = frozenset(
    {"uuid.uuid1", "uuid.uuid4", "uuid1", "uuid4", "os.urandom", "urandom", "getrandbits"}
)
_GENERATORS = frozenset({"default_rng", "RandomState", "Random", "SystemRandom"})
"""Called without an argument, or with `None`, they are seeded by chance."""
_SEEDS = frozenset({"seed", "manual_seed", "set_seed", "seed_everything", "set_random_seed"})


class Habits(NamedTuple):
    """What code does that a key cannot say: hints for a person, and how it treats chance."""

    hints: tuple[str, ...]
    draws: bool
    """Whether it names a generator that all code shares."""
    seeds: bool
    """Whether it seeds one, so that what it draws may be the same each time."""


@lru_cache(maxsize=512)
def habits_of(texts: tuple[str, ...], declared: frozenset[str] = frozenset()) -> Habits:
    """Return what these pieces of source do; what cannot be parsed does nothing.

    `declared` are the environment variables that are in the key.
    """
    clocks: dict[str, None] = {}
    chance: dict[str, None] = {}
    variables: dict[str, None] = {}
    nodes = [node for text in texts for node in _nodes(text)]
    calls = [(node, name) for node in nodes if (name := _called(node))]
    for node, name in calls:
        if _is_chance(node, name):
            chance[name] = None
        elif _end(name) in _CLOCKS:
            clocks[name] = None
    for node in nodes:
        variable = _variable(node)
        if variable is not None and variable not in declared:
            variables[variable] = None
    return Habits(
        tuple(_told(clocks, chance, variables)),
        draws=any(_is_shared_generator(name) for _, name in calls),
        seeds=any(name.rpartition(".")[2] in _SEEDS for _, name in calls),
    )


def _told(*found: dict[str, None]) -> Iterator[str]:
    clocks, chance, variables = map(_named, found)
    if clocks:
        yield f"asks the clock ({clocks}), which is not in the key"
    if chance:
        yield f"is not the same each time: it calls {chance}"
    if variables:
        yield f"reads the environment ({variables}), which is not in the key: declare it with `Env`"


def _end(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def _is_chance(node: ast.AST, name: str) -> bool:
    if _end(name) in _CHANCE or name.startswith("secrets."):
        return True
    is_generator = name.rpartition(".")[2] in _GENERATORS
    return is_generator and isinstance(node, ast.Call) and _is_bare(node)


def _nodes(text: str) -> Iterator[ast.AST]:
    if "(" not in text and "[" not in text:
        return iter(())
    try:
        return ast.walk(parse(textwrap.dedent(text)))
    except SyntaxError:
        return iter(())


def _called(node: ast.AST) -> str:
    """Return the dotted name of what is called, nothing for what is no call of a name."""
    return _dotted(node.func) if isinstance(node, ast.Call) else ""


def _dotted(node: ast.AST) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _is_bare(node: ast.Call) -> bool:
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return all(isinstance(one, ast.Constant) and one.value is None for one in given)


def _is_shared_generator(name: str) -> bool:
    """Whether a name is of the generator of `random` or `numpy.random` that all code shares."""
    parts = name.split(".")
    return len(parts) > 1 and parts[-2] == "random" and parts[-1] not in _GENERATORS


def _variable(node: ast.AST) -> str | None:
    """Return the environment variable that is read here, `*` if its name is computed."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        owner, key = _dotted(node.value), node.slice
        is_read = owner in ("os.environ", "environ")
    elif isinstance(node, ast.Call):
        owner = _dotted(node.func)
        key = node.args[0] if node.args else None
        is_read = owner in ("os.getenv", "getenv", "os.environ.get", "environ.get")
    else:
        return None
    if not is_read:
        return None
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "*"


def _named(names: dict[str, None]) -> str:
    return ", ".join(f"`{name}`" for name in list(names)[:3]) + (" …" if len(names) > 3 else "")
