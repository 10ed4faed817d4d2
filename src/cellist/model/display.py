"""How states, futures, runs, tasks and flows are shown as the last line of a cell."""

from importlib import import_module
from typing import Any


def mimebundle(value: Any) -> dict[str, str]:
    """Return a value of ours as text and as HTML, both bounded. Never raises.

    By name, because what draws is above these layers, and only a notebook has use for it.
    """
    try:
        return import_module("cellist.board.reprs").mimebundle(value)
    except Exception:  # a fault of ours must not keep a value from being shown
        return {"text/plain": object.__repr__(value)}
