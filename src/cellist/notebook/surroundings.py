"""What a cell depends on and changes besides names: settings, generators, files, variables.

The key of a cell is made before it runs, from what its code reaches. What it turns out to depend on
besides is stored with its result, and a hit is one only if that is the same then: settings of the
libraries whose outputs it shows, the random generators it draws from, the files it has opened.
What it changes, a hit would not change; then it is not stored.
"""

import ast
import logging
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any, cast

from cellist.caching.digests import digest_value
from cellist.caching.parsing import parse
from cellist.model.reasons import CODE_KINDS, Component
from cellist.notebook import effects
from cellist.notebook.chance import Chance, draw_again, generators_now, other_draws
from cellist.notebook.definitions import Unkept
from cellist.notebook.filewatch import FileWatch, now_of
from cellist.notebook.preparing import MISSING, InNotebook, attributes_in

_DRAWING = frozenset({
    "plt", "rcParams", "rc", "style", "sns", "plot", "hist",
    "boxplot", "figure", "savefig", "subplots", "imshow", "rcdefaults", "rc_context",
})  # fmt: skip
_ASKING = {
    "rcParams": _DRAWING,
    "pandas option": frozenset({
        "set_option", "reset_option", "get_option", "option_context", "options", "to_string",
        "to_html",
    }),
    "numpy option": frozenset({
        "set_printoptions", "get_printoptions", "seterr", "geterr", "array2string", "array_repr",
        "array_str", "repr", "str", "format",
    }),
    "the logger": frozenset({
        "setLevel", "addHandler", "propagate", "disabled", "getEffectiveLevel", "isEnabledFor",
    }),
    "the root logger": frozenset({"basicConfig", "addHandler"}),
    "warnings filter": frozenset({
        "warn", "filterwarnings", "simplefilter", "resetwarnings", "catch_warnings",
    }),
    "the decimal context": frozenset({"Decimal", "getcontext", "setcontext", "localcontext"}),
    "the working directory": frozenset({
        "getcwd", "cwd", "chdir", "abspath", "resolve", "absolute",
    }),
    "sys.path": frozenset({"sys.path"}),
    "the recursion limit": frozenset({"setrecursionlimit", "getrecursionlimit"}),
}  # fmt: skip
"""Settings, and the words in code that depends on them or sets them."""
_LOGGING = frozenset({"getLogger", "logging"})
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})
_IN_TEXT = frozenset({"pandas option", "numpy option"})
"""Settings that decide what values look like when they are shown."""


class Stale(Exception):
    """A stored result is of other surroundings than these; the text says what differs.

    `state` is a digest of what these are, in all that the stored result depends on.
    """

    state = ""


class Surroundings:
    """The surroundings of one execution of a cell, from before it runs."""

    def __init__(
        self,
        body: list[ast.stmt],
        known: InNotebook,
        doubtful: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> None:
        self._body = body
        self._doubtful = dict(doubtful)
        """Names that the cell may bind or leave alone, with what they mean before it runs."""
        self._known = known
        self._facts = effects.facts()
        self._assigned = {**known.read_in(body), **known.assigned_in(body)}
        self._present = {**self._assigned, **doubtful}
        self._functions = {
            name: (one, effects.of_function(one))
            for name, one in inputs.items()
            if isinstance(one, FunctionType)
        }
        self.chance = Chance()
        self.files = FileWatch()

    def changes(self) -> list[str]:
        """Return in words what the cell changed that a hit does not change."""
        said = attributes_in(self._body)
        found = effects.changed(self._facts, effects.facts(), said)
        now, before = self._known.assigned_in(self._body), self._assigned
        if "reload" in said:
            found.append("modules by `reload`")
        found += [f"`{one}`" for one in now if before.get(one, MISSING) is not now[one]]
        told = {one.strip("`").partition(".")[0] for one in found}
        for name, (function, then) in self._functions.items():
            if name not in told and not effects.is_same(then, effects.of_function(function)):
                found.append(f"the function `{name}`")
        return [*found, *self.files.changes()]

    def kept(
        self,
        components: Iterable[Component],
        shown: list[dict[str, Any]],
        values: Iterable[Any],
        now: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return what is to be the same on a hit. Raises `Unkept` for what cannot be told.

        `components` are those of the key, `shown` what the cell showed, `values` its outputs and
        inputs, `now` the namespace. A name that means what it did may have been left alone: then
        it is not the cell that gave it its value.
        """
        left = {name: one for name, one in self._doubtful.items() if now.get(name, MISSING) is one}
        parts = list(components)
        words = words_in(parts)
        return {
            "settings": {
                name: _setting(name, self._facts)
                for name in _ASKING
                if _depends(name, words, shown, values)
            },
            "assigned": {
                name: _digest(name, value) for name, value in {**self._assigned, **left}.items()
            },
            "files": self.files.states(part.name for part in parts if part.kind == "file"),
            "random": self.chance.kept(words),
        }

    def check(self, kept: Mapping[str, Any]) -> None:
        """Raise `Stale` unless these surroundings are those that a stored result is of."""
        try:
            self._check(kept)
        except Stale as stale:
            stale.state = self._state(kept)
            raise

    def _state(self, kept: Mapping[str, Any]) -> str:
        """Return a digest of what there is now of all that is kept of the surroundings."""
        settings = [repr(_setting(name, self._facts)) for name in kept["settings"]]
        values = [self._present.get(name, MISSING) for name in kept["assigned"]]
        assigned = [_digest("", value) for value in values]
        files = list(now_of(kept["files"]).items())
        return digest_value((settings, assigned, files, generators_now(kept["random"])))

    def _check(self, kept: Mapping[str, Any]) -> None:
        for name, value in kept["settings"].items():
            now = _setting(name, self._facts)
            if now != value:
                raise Stale(_told(name, value, now))
        for name, digest in kept["assigned"].items():
            if _digest(name, self._present.get(name, MISSING)) != digest:
                message = f"`{name}` is another"
                raise Stale(message)
        now = now_of(kept["files"])
        others = [name for name, state in kept["files"].items() if now[name] != state]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            what = "folder" if os.path.isdir(others[0]) else "file"  # noqa: PTH112 - as it is stored
            message = f"{what} `{others[0]}`{more} changed"
            raise Stale(message)
        drawn = other_draws(kept["random"])
        if drawn:
            message = f"the generator of `{drawn[0]}` is in another state"
            raise Stale(message)

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Leave the surroundings as the cell left them."""
        draw_again(kept["random"])

    def forget(self) -> None:
        """Let go of what was remembered of the notebook."""
        self._facts.clear()
        self._assigned.clear()
        self._present.clear()
        self._functions.clear()
        self._doubtful.clear()


def words_in(components: Iterable[Component]) -> frozenset[str]:
    """Return the names, attributes and imported names in the code of a key."""
    texts = [part.text for part in components if part.kind in CODE_KINDS]
    return frozenset[str]().union(*map(_words, texts))


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    try:
        tree = parse(textwrap.dedent(text))
    except SyntaxError:
        return frozenset()
    more = {"sys.path"} if "sys.path" in text else set[str]()
    return attributes_in(tree.body) | more


def _depends(
    name: str, words: frozenset[str], shown: list[dict[str, Any]], values: Iterable[Any]
) -> bool:
    if not words.isdisjoint(_ASKING[name]) or (shown and name in _IN_TEXT):
        return True
    if name == "rcParams":
        return any(b"image/" in event.get("pickle", b"") for event in shown)
    if name == "warnings filter":
        return any("Warning" in event.get("text", "") for event in shown)
    if name in {"the logger", "the root logger"}:
        if words & _LOGGING and words & _LEVELS:
            return True
        return any(isinstance(value, logging.Logger) for value in values)
    if name == "the decimal context" and "decimal" in sys.modules:
        return any(type(value).__module__ == "decimal" for value in values)
    return False


def _setting(name: str, facts: Mapping[str, Any]) -> Any:
    """Return what a setting is, so that it can be stored and compared in another kernel."""
    if name in {"rcParams", "pandas option", "numpy option"}:
        return effects.unlike_default(facts, name)
    if name == "the logger":
        loggers = effects.unlike_default(facts, name)
        return {
            key: (level, len(handlers), disabled, propagate)
            for key, (level, handlers, disabled, propagate) in sorted(loggers.items())
            if not key.startswith(("cellist", "asyncio", "parso", "matplotlib", "PIL"))
        }
    value = facts.get(name)
    if name == "warnings filter":  # those of libraries come with their import
        return [repr(one) for one in value or () if one[3] is None and not one[4]]
    if name == "the root logger" and value is not None:
        return value[0], len(value[1]), value[2]
    if isinstance(value, Path):
        return os.fspath(value)
    return value


def _digest(name: str, value: Any) -> str:
    if value is MISSING:
        return "missing"
    try:
        return digest_value(value)
    except Exception as error:
        message = f"it sets `{name}`, and whether that is needed cannot be told on a hit"
        raise Unkept(message) from error


def _told(name: str, then: Any, now: Any) -> str:
    """Return in words which setting differs."""
    if isinstance(then, dict) and isinstance(now, dict):
        old, new = cast("dict[str, Any]", then), cast("dict[str, Any]", now)
        other = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        before, after = (one.get(other, "the default") for one in (old, new))
        return f"{name} {other} changed: {before} → {after}"
    return f"{name} changed"
