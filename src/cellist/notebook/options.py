"""The options of `%%flow`, parsed as IPython parses those of its own magics."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from IPython.core import magic_arguments as arguments
from IPython.core.error import UsageError

from cellist.dask import DaskTaskRunner
from cellist.ray import RayTaskRunner
from cellist.task_runners import (
    ProcessPoolTaskRunner,
    SequentialTaskRunner,
    TaskRunner,
    ThreadPoolTaskRunner,
)

_RUNNERS: dict[str, type[TaskRunner]] = {
    "threads": ThreadPoolTaskRunner,
    "processes": ProcessPoolTaskRunner,
    "sequential": SequentialTaskRunner,
    "dask": DaskTaskRunner,
    "ray": RayTaskRunner,
}
_arguments = cast("Any", arguments)  # IPython does not say its types
_NOT_IN_NAMES = re.compile(r"[/%&><]")


@dataclass(slots=True)
class FlowOptions:
    """What the first line of a `%%flow` cell says."""

    name: str | None = None
    retries: int = 0
    retry_delay: float | list[float] = 0.0
    timeout: float | None = None
    runner: str = "threads"
    refresh: bool = False
    no_cache: bool = False
    tags: list[str] = field(default_factory=list[str])
    output: str | None = None
    quiet: bool = False
    background: bool = False

    @property
    def cache_mode(self) -> str | None:
        """How the flow overrules the caching of its tasks: `off`, `refresh` or not at all."""
        return "off" if self.no_cache else "refresh" if self.refresh else None

    def make_runner(self) -> TaskRunner:
        """Return the task runner asked for."""
        return _RUNNERS[self.runner]()


def delay(text: str) -> float | list[float]:
    """Read one delay in seconds, or several."""
    numbers = [float(part) for part in text.split(",")]
    if any(number < 0 for number in numbers):
        raise ValueError(text)
    return numbers if len(numbers) > 1 else numbers[0]


def count(text: str) -> int:
    """Read a number of times."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """Read a number of seconds above zero."""
    number = float(text)
    if number <= 0:
        raise ValueError(text)
    return number


delay.__name__, count.__name__, seconds.__name__ = "delay", "whole number", "seconds"


@_arguments.magic_arguments("%flow")  # `%%flow` in its help
@_arguments.argument("name", nargs="?", help="Name of the flow; default: the number of the cell.")
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
    "--runner",
    choices=sorted(_RUNNERS),
    default="threads",
    help="Where submitted tasks run.",
)
@_arguments.argument(
    "--refresh", action="store_true", help="Run tasks although a result is cached."
)
@_arguments.argument("--no-cache", action="store_true", help="Neither read nor write the cache.")
@_arguments.argument(
    "--tag", action="append", default=[], metavar="T", help="Tag of the flow run; repeatable."
)
@_arguments.argument(
    "-o",
    "--output",
    default=None,
    metavar="VAR",
    help="Variable for the flow's result; with --bg, for a handle: `VAR.result()`, `await VAR`, "
    "`VAR.state`, `VAR.cancel()`.",
)
@_arguments.argument(
    "--bg",
    action="store_true",
    help="Run in the background: the cell returns at once, its board goes on, and what the flow "
    "prints and shows still appears there.",
)
@_arguments.argument("-q", "--quiet", action="store_true", help="Show no board.")
def flow_magic(line: str, cell: str | None = None) -> None:
    """Run the cell as a flow: its tasks are recorded, cached and shown on a board below.

    Top-level `await` works, names the cell assigns are yours, the last expression is displayed
    and is the flow's result.

    With --bg one flow of a name, and of a cell, runs at a time. The stop button is for the cell in
    front: `%cellist cancel NAME` or the board stops a flow in the background. It shares the
    kernel's thread with your cells, so what it calls should await, or be submitted.
    """
    del line, cell
    message = (
        "%%flow must be the first line of its cell, with no other cell magic around it. "
        "Use %time for single statements inside."
    )
    raise UsageError(message)


def check_name(name: str | None, magic: str) -> None:
    """Raise `UsageError` for a name that no run may have."""
    if name and _NOT_IN_NAMES.search(name):
        message = f"{magic}: the name {name!r} must not contain any of / % & > <"
        raise UsageError(message)


def parse(magic: Callable[..., None], name: str, line: str) -> Any:
    """Return what a line gives for the arguments of a magic. Raises `UsageError` naming both."""
    parser = cast("Any", magic).parser
    parser.allow_abbrev = False  # `--retry 3` would be taken for `--retry-delay 3`
    try:
        given: Any = parser.parse_argstring(line)
    except UsageError as error:
        hint = _meant(str(error), list(parser._option_string_actions))
        message = f"{name}: {error}{hint}; `{name}?` explains the options"
        raise UsageError(message) from None
    if given.name and given.name[0] in "\"'" and given.name[-1] == given.name[0]:
        given.name = given.name[1:-1]  # IPython keeps the quotes
    check_name(given.name, name)
    return given


def _meant(message: str, known: list[str]) -> str:
    """Return which of the known options was perhaps meant by one that is not, after a message."""
    unknown = message.partition("unrecognized arguments: ")[2].split()
    near = difflib.get_close_matches(unknown[0], known, 1, 0.7) if unknown else []
    return f", perhaps {near[0]} was meant" if near else ""


def parse_flow_line(line: str) -> FlowOptions:
    """Return the options on a `%%flow` line. Raises `UsageError` saying what is wrong."""
    given = parse(flow_magic, "%%flow", line)
    if given.output and not given.output.isidentifier():
        message = f"%%flow: -o needs the name of a variable, not {given.output!r}"
        raise UsageError(message)
    if given.refresh and given.no_cache:
        message = "%%flow: --refresh and --no-cache exclude each other"
        raise UsageError(message)
    return FlowOptions(
        name=given.name,
        retries=given.retries,
        retry_delay=given.retry_delay,
        timeout=given.timeout,
        runner=given.runner,
        refresh=given.refresh,
        no_cache=given.no_cache,
        tags=given.tag,
        output=given.output,
        quiet=given.quiet,
        background=given.bg,
    )
