"""The command line: `cellist serve module:task`, also as `python -m cellist`."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from cellist.worker.carrying import is_task
from cellist.worker.serving import serve


class WrongTarget(Exception):
    """What is to be served cannot be found."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 if it cannot be carried out as given."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return given.run(given)
    except (WrongTarget, OSError) as error:
        print(f"cellist {given.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cellist", description="Orchestration without a server.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser(
        "serve",
        aliases=["worker"],
        help="carry out deferred runs of tasks until interrupted",
        description="Carry out runs that `task.delay()` has queued, until interrupted.",
    )
    serving.add_argument(
        "targets",
        nargs="+",
        metavar="module:task",
        help="what to serve; `file.py:task` too, `:a,b` for several, no `:` for all of a module",
    )
    serving.add_argument("--limit", type=_limit, default=10, help="runs at a time, or `none`")
    serving.add_argument("--status-port", type=int, help="serve /status on this port of 127.0.0.1")
    serving.add_argument("--timeout", type=float, help="stop after so many seconds")
    serving.set_defaults(run=_serve)
    return parser


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, or `none`, got {text!r}")
    return int(text)


def _serve(given: argparse.Namespace) -> int:
    sys.path.insert(0, str(Path.cwd()))
    tasks = list(dict.fromkeys(task for target in given.targets for task in tasks_of(target)))
    print(f"Serving {', '.join(sorted(task.name for task in tasks))}. Ctrl-C ends it.", flush=True)
    serve(*tasks, limit=given.limit, status_server_port=given.status_port, timeout=given.timeout)
    return 0


def tasks_of(target: str) -> Iterator[Any]:
    """Yield the tasks that `module:task` names. Raises `WrongTarget` saying what is wrong."""
    place, _, names = target.rpartition(":") if ":" in target else (target, "", "")
    module = _load(place)
    if not names:
        found = list(_tasks_in(module).values())
        if not found:
            raise WrongTarget(f"there is no task in {place!r}")
        yield from found
        return
    for name in names.split(","):
        value: Any = module
        for part in name.strip().split("."):
            value = getattr(value, part, None)
        if not is_task(value):
            known = list(_tasks_in(module))
            near = "".join(f" Did you mean {it!r}?" for it in get_close_matches(name, known, 1))
            hint = near + (f" Tasks there: {', '.join(known)}." if known else "")
            what = "there is no" if value is None else "it is no task:"
            raise WrongTarget(f"{what} {name.strip()!r} in {place!r}.{hint}")
        yield value


def _tasks_in(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if is_task(value)}


def _load(place: str) -> ModuleType:
    path = Path(place)
    try:
        if path.suffix != ".py":
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise WrongTarget(f"there is no file {place!r}")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not place.startswith(error.name):
            raise
        hint = " Run the command in the folder that holds it, or give the path of the file."
        raise WrongTarget(f"there is no module {place!r}.{hint}") from None
    return module
