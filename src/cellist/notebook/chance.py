"""The random generators that all cells share, and what becomes of them when a cell is reused.

A cell that draws from them goes on where an earlier cell left them. If one of the cells has seeded
them, what the cell draws is determined by that: it is reused only if the generators are as they
were when it ran, and it leaves them as it left them then. Without any seed the draws are those of
the first run.
"""

import random
import sys
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

SEEDS = frozenset({"seed", "setstate", "set_state", "set_random_state"})
States = dict[str, Any]
_seeded: set[str] = set()
"""Generators that were seeded in this process."""


def random_states() -> States:
    """Return the states of the global random generators."""
    states: States = {"random": random.getstate()}
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        name, keys, *rest = numpy.get_state()
        states["numpy.random"] = (name, keys.tobytes(), *rest)
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Put the global random generators into the states that `random_states` gave."""
    if "random" in states:
        random.setstate(states["random"])
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None and "numpy.random" in states:
        name, keys, *rest = states["numpy.random"]
        array: Any = sys.modules["numpy"]
        numpy.set_state((name, array.frombuffer(keys, array.uint32), *rest))


def moved(before: States, now: States) -> list[str]:
    """Return the generators that were drawn from or seeded; one that is new was imported."""
    return [name for name, state in before.items() if now.get(name) != state]


def note_seeds(before: States) -> None:
    """Take note that the generators that are not as they were `before` have been seeded."""
    now = random_states()
    _seeded.update(name for name in now if before.get(name) != now[name])


def forget_seeds() -> None:
    """Take the generators for not seeded, as a notebook begins."""
    _seeded.clear()


class Chance:
    """What a cell does with the generators."""

    def __init__(self) -> None:
        self._before = random_states()
        self.only_draws = False
        """Whether it drew although nobody has seeded."""

    def kept(self, words: frozenset[str]) -> dict[str, Any]:
        """Return what a hit needs: states to restore, and those it must begin with.

        `words` are the names in the code of the cell and its helpers.
        """
        now = random_states()
        names = moved(self._before, now)
        if words & SEEDS:
            note_seeds(self._before)
            return {"then": {name: now[name] for name in names or now}, "from": {}}
        seeded = [name for name in names if name in _seeded]
        self.only_draws = len(seeded) < len(names)
        return {
            "then": {name: now[name] for name in names},
            "from": {name: _digest(self._before[name]) for name in names},
            "seeded": seeded,
        }


def other_draws(kept: Mapping[str, Any]) -> list[str]:
    """Return the generators that would give a reused cell something else than it drew."""
    now = random_states()
    seeded = _seeded.union(kept.get("seeded", ()))
    return [
        name
        for name, state in kept["from"].items()
        if name in seeded and (name not in now or _digest(now[name]) != state)
    ]


def generators_now(kept: Mapping[str, Any]) -> list[str]:
    """Return what tells the states of the generators that a cell draws from."""
    now = random_states()
    return [_digest(now.get(name)) for name in kept["from"]]


def draw_again(kept: Mapping[str, Any]) -> None:
    """Leave the generators as the cell left them, if it began where they are."""
    now = random_states()
    then = {
        name: state
        for name, state in kept["then"].items()
        if name not in kept["from"] or (name in now and _digest(now[name]) == kept["from"][name])
    }
    set_random_states(then)
    _seeded.update(name for name in then if name not in kept["from"])


def _digest(state: Any) -> str:
    return sha256(repr(state).encode()).hexdigest()
