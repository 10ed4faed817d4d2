"""The options of `%%task`, parsed as IPython parses those of its own magics."""

import re
from dataclasses import dataclass
from typing import Any, cast

from IPython.core import magic_arguments as arguments
from IPython.core.error import UsageError

from cellist.notebook.options import count, delay, parse, seconds

_arguments = cast("Any", arguments)  # IPython does not say its types
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class TaskOptions:
    """What the first line of a `%%task` cell says."""

    name: str | None = None
    inputs: frozenset[str] | None = None
    outputs: frozenset[str] | None = None
    own: frozenset[str] = _NOTHING
    skip: frozenset[str] = _NOTHING
    allow_effects: bool = False
    retries: int = 0
    retry_delay: float | list[float] = 0.0
    timeout: float | None = None
    expire: float | None = None
    refresh: bool = False
    no_cache: bool = False
    quiet: bool = False

    def semantics(self) -> tuple[Any, ...]:
        """Return the options that change what the cell gives; they are part of its key."""
        chosen = (self.inputs, self.outputs, self.own, self.skip)
        return tuple(None if names is None else tuple(sorted(names)) for names in chosen)


def _names(text: str) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not all(name.isidentifier() for name in names):
        raise ValueError(text)
    return frozenset(names)


def _duration(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ValueError(text)
    return float(match[1]) * _UNITS[match[2] or "s"]


_names.__name__, _duration.__name__ = "list of names", "duration"


@_arguments.magic_arguments("%task")  # `%%task` in its help
@_arguments.argument("name", nargs="?", help="Name of the task; default: the number of the cell.")
@_arguments.argument(
    "--in",
    dest="inputs",
    type=_names,
    default=None,
    metavar="A,B",
    help="The inputs that count, in place of the names the cell is found to read.",
)
@_arguments.argument(
    "--out",
    dest="outputs",
    type=_names,
    default=None,
    metavar="C,D",
    help="The names to keep, in place of those the cell assigns; others are put back.",
)
@_arguments.argument(
    "--own",
    type=_names,
    default=_NOTHING,
    metavar="A,B",
    help="Inputs the cell changes: it works on copies of them, which are then outputs.",
)
@_arguments.argument(
    "--skip",
    type=_names,
    default=_NOTHING,
    metavar="A,B",
    help="Outputs to leave out, because they cannot be stored; they are put back after a run.",
)
@_arguments.argument(
    "--allow-effects",
    action="store_true",
    help="Keep the cell although it changes the environment or settings, which a hit does not.",
)
@_arguments.argument(
    "--retries", type=count, default=0, help="How often to run a failed cell again."
)
@_arguments.argument(
    "--retry-delay",
    type=delay,
    default=0.0,
    metavar="S",
    help="Seconds before a retry; several, separated by commas, for one retry after the other.",
)
@_arguments.argument(
    "--timeout", type=seconds, default=None, metavar="S", help="Time limit in seconds."
)
@_arguments.argument(
    "--expire",
    type=_duration,
    default=None,
    metavar="1d",
    help="How long the result holds: a number with s, m, h, d or w.",
)
@_arguments.argument(
    "--refresh", action="store_true", help="Run although a result is stored, and store it again."
)
@_arguments.argument("--no-cache", action="store_true", help="Neither look up nor store.")
@_arguments.argument("-q", "--quiet", action="store_true", help="Show no board and no notice.")
def task_magic(line: str, cell: str | None = None) -> None:
    """Run the whole cell as one cached task.

    The code of the cell and every name it reads make its key. If nothing of it has changed, the
    names it assigns are restored, what it showed is shown again, and the cell is not run. Else it
    runs like any cell. What cannot be kept is said, with the reason.
    """
    del line, cell
    message = (
        "%%task must be the first line of its cell, with no other cell magic around it. "
        "The board says how long it took."
    )
    raise UsageError(message)


def parse_task_line(line: str) -> TaskOptions:
    """Return the options on a `%%task` line. Raises `UsageError` saying what is wrong."""
    given = parse(task_magic, "%%task", line)
    if given.refresh and given.no_cache:
        message = "%%task: --refresh and --no-cache exclude each other"
        raise UsageError(message)
    both = given.skip & (given.outputs or _NOTHING)
    if both:
        message = f"%%task: `{min(both)}` is named by --out and by --skip"
        raise UsageError(message)
    return TaskOptions(**cast("dict[str, Any]", vars(given)))
