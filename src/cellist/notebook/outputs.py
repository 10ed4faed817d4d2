"""What a cell leaves behind: found in the namespace, packed into one value, restored on a hit.

All values go into one pickle, so that what they share they still share on a hit; see `links` for
what they refer to outside, and `definitions` for functions and classes. A restore that fails on
its way puts every name back as it was.
"""

import ast
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, cast

from cellist.caching.pickles import dump_linked, load_linked
from cellist.exceptions import SerializationError
from cellist.model.previews import short
from cellist.notebook.arrays import Arrays
from cellist.notebook.definitions import (
    Definitions,
    Unkept,
    function_parts,
    harmless_magics,
    is_plain_function,
    set_function_parts,
)
from cellist.notebook.expressions import CellNames
from cellist.notebook.links import Links, follow, is_atom

FORMAT = 2
_IPYTHONS = re.compile(r"_+|_i{1,3}|_i?\d+|_ih|_oh|_dh|_exit_code|In|Out|exit|quit|get_ipython")
_OURS = "__cellist_"
_MISSING: Any = object()
Namespace = MutableMapping[str, Any]
Pack = dict[str, Any]
Execute = Callable[[ast.stmt], None]


def is_of_ipython(name: str) -> bool:
    """Whether a name belongs to IPython, or to cellist, and changes with every cell."""
    return name.startswith(_OURS) or _IPYTHONS.fullmatch(name) is not None


class CellValue:
    """What a cell task gave, as its run knows it."""

    def __init__(self, names: Iterable[str], value: Any, pack: Pack | None = None) -> None:
        self.names = tuple(names)
        self.value = value
        self.pack = pack

    def __repr__(self) -> str:
        shown = [] if self.value is None else [short(self.value)]
        return " · ".join([*([", ".join(self.names)] if self.names else []), *shown]) or "nothing"


class Outputs:
    """The outputs of one cell: names that its code binds, and names that changed while it ran."""

    def __init__(
        self,
        names: CellNames,
        definitions: Definitions,
        before: Mapping[str, Any],
        chosen: frozenset[str] | None,
        skipped: frozenset[str],
    ) -> None:
        self.names = names
        self.definitions = definitions
        self.before = before
        self._chosen = chosen
        """The names that `--out` chose, `None` for all."""
        self._skipped = skipped

    def find(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name, as they are in the namespace now."""
        found = {
            name: now[name]
            for name in self.names.binds
            if name in now and not self._is_left_alone(name, now[name])
        }
        for name, value in now.items():
            is_new = name not in found and self.before.get(name, _MISSING) is not value
            if is_new and not name.startswith("_"):
                found[name] = value
        return {
            name: value
            for name, value in found.items()
            if (not is_of_ipython(name) or (name in self.names.binds and name.strip("_") == ""))
            and name not in self._skipped
            and (self._chosen is None or name in self._chosen)
        }

    def _is_left_alone(self, name: str, value: Any) -> bool:
        """Whether a name means an object that the cell cannot have bound it to again."""
        if self.before.get(name, _MISSING) is not value or name not in self.names.doubtful():
            return False
        own = (self.before.get(other) for other in self.names.reads)
        return not is_atom(value) and all(one is not value for one in own)

    def check_accepted(self, pack: Pack) -> None:
        """Raise `LookupError` if results accepted from former code lack what the cell now makes."""
        held = {*pack["names"], *pack["deleted"], *self.names.deletes}
        for name in sorted(self.names.binds):
            is_output = self._chosen is None or name in self._chosen
            if is_output and name not in held | self._skipped and not is_of_ipython(name):
                message = f"the accepted results hold no `{name}`"
                raise LookupError(message)

    def put_back_others(self, namespace: Namespace) -> None:
        """Leave names that are no outputs as a hit leaves them: as they were before the cell."""
        for name in self.names.binds:
            dropped = name in self._skipped or (
                self._chosen is not None and name not in self._chosen
            )
            if dropped and not is_of_ipython(name):
                if name in self.before:
                    namespace[name] = self.before[name]
                else:
                    namespace.pop(name, None)

    def deleted(self, now: Mapping[str, Any]) -> list[str]:
        """Return the names that the cell deleted."""
        gone = {name for name in self.before if name not in now and not is_of_ipython(name)}
        return sorted(gone | {name for name in self.names.deletes if name not in now})

    def pack(self, now: Mapping[str, Any], value: Any, inputs: Mapping[str, Any]) -> Pack:
        """Return the outputs and the last value as data. Raises `Unkept` naming what cannot be."""
        found = self.find(now)
        values, statements = self.definitions.split(found, self.before)
        self.definitions.check(statements, values, now)
        shared = Arrays(inputs, values).overlap()
        if shared is not None:
            raise Unkept(shared)
        plan = self.definitions.plan(statements, values)
        parts = {
            name: function_parts(now[name])
            for name, statement in statements.items()
            if is_plain_function(statement)
        }
        links = Links(inputs, {name: now[name] for name in statements}, now, values)
        state = (values, {name: one for name, one in parts.items() if one}, value)
        try:
            pickled = dump_linked(state, links.mixin(), links.follow)
        except SerializationError as error:
            _blame({**values, **state[1]}, links)
            message = (
                f"its last value is of the type `{type(value).__name__}`, which cannot be stored; "
                "a semicolon after it leaves it out"
            )
            raise Unkept(message) from error
        too_late = sorted(links.used & set(plan["late"]))
        if too_late:
            message = (
                f"`{too_late[0]}` needs values of this cell, and other values refer to it: define "
                "it in a cell of its own"
            )
            raise Unkept(message)
        return {
            "format": FORMAT,
            "names": list(found),
            "pickle": [pickle.PickleBuffer(part) for part in pickled],
            "plan": plan,
            "which": self.definitions.which(statements),
            "deleted": self.deleted(now),
            "has_value": value is not None,
        }


def _blame(values: Mapping[str, Any], links: Links) -> None:
    """Raise `Unkept` for the first value that cannot be stored, if it is one of these."""
    for name, value in values.items():
        try:
            dump_linked(value, links.mixin(), links.follow)
        except SerializationError as error:
            text = str(error).replace("`result", f"`{name}", 1)
            text = f"`{name}` {text[3:]}" if text.startswith("it ") else text
            cause = error.__cause__
            if isinstance(cause, pickle.PicklingError) and "in the notebook" in str(cause):
                text = f"`{name}`: {cause}"
            message = f"{text}; leave it out with `--skip {name}`"
            raise Unkept(message) from error


def restore(
    pack: Pack,
    names: CellNames,
    body: list[ast.stmt],
    namespace: Namespace,
    execute: Execute,
) -> CellValue:
    """Put the stored outputs into the namespace and return what the cell gave.

    `execute` executes one of the cell's definitions. Raises whatever goes wrong, and then the
    namespace is as it was.
    """
    if type(pack) is not dict or pack.get("format") != FORMAT:  # a bundle may hold anything there
        message = "it was stored in another format"
        raise ValueError(message)
    plan: dict[str, list[str]] = pack["plan"]
    touched = [*pack["names"], *pack["deleted"]]
    before = dict(namespace)
    try:
        for magic in harmless_magics(body):
            execute(magic)
        for group in ("imports", "early"):
            _define(plan[group], pack, names, execute)
        parts = cast("list[bytes]", pack["pickle"])
        values, carried, value = load_linked(parts, lambda link: follow(link, before, namespace))
        namespace.update(values)
        _define(plan["late"], pack, names, execute)
        for name, own in carried.items():
            set_function_parts(namespace[name], own)
        for name in pack["deleted"]:
            namespace.pop(name, None)
    except BaseException:
        for name in {*touched, *names.binds}:
            if name in before:
                namespace[name] = before[name]
            else:
                namespace.pop(name, None)
        raise
    return CellValue(pack["names"], value, pack)


def values_of(pack: Pack, before: Mapping[str, Any], namespace: Mapping[str, Any]) -> Any:
    """Return the values in a pack as they are restored, with no name bound to them.

    Raises whatever goes wrong.
    """
    parts = cast("list[bytes]", pack["pickle"])
    values, _, value = load_linked(parts, lambda link: follow(link, before, namespace))
    return values, value


def _define(wanted: Iterable[str], pack: Pack, names: CellNames, execute: Execute) -> None:
    which: dict[str, int] = pack.get("which", {})
    for name in wanted:
        made = names.definitions[name]
        execute(made[which[name]] if len(made) > 1 else made[0])


def copies_of(names: Iterable[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of inputs that the cell is to own. Raises what copying raises."""
    import copy

    found: dict[str, Any] = {}
    memo: dict[int, Any] = {}
    for name in names:
        if name in before and not is_atom(before[name]):
            found[name] = copy.deepcopy(before[name], memo)
    return found


def roll_back(namespace: Namespace, before: Mapping[str, Any]) -> None:
    """Put the names back as they were when the cell began: a retry begins there."""
    for name in [name for name in namespace if name not in before and not is_of_ipython(name)]:
        with suppress(KeyError):
            del namespace[name]
    for name, value in before.items():
        if not is_of_ipython(name) and namespace.get(name, _MISSING) is not value:
            namespace[name] = value
