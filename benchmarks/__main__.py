"""Run benchmarks: `python -m benchmarks [names] [--quick | --smoke] [--markdown]`.

Each benchmark runs in a process of its own, with a store of its own that is removed at the end.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import table
from benchmarks.measure import SIZES, Row

NAMES: list[str] = [
    "direct",
    "submit",
    "async",
    "grid",
    "chain",
    "hit",
    "miss",
    "array",
    "arguments",
    "source",
    "startup",
    "scale",
    "store",
    "runners",
]
ROOT = Path(__file__).resolve().parent.parent


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description="Compare the speed with peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"from {', '.join(NAMES)}")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="full")
    size.add_argument("--smoke", dest="size", action="store_const", const="smoke")
    parser.add_argument("--markdown", action="store_true", help="print the last table in Markdown")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return given


def environment(folder: str) -> dict[str, str]:
    """Return the environment of a benchmark: no settings of the user's, a store of its own.

    Compiled modules are kept, as they are where packages are installed: the start of a process
    would otherwise be the time to compile ours.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CELLIST_", "PREFECT_", "PYTHONDONTWRITE"))
    }
    home, secret = Path(folder) / "home", Path(folder) / "secret"
    return {
        **kept,
        "CELLIST_HOME": str(home),
        "CELLIST_SECRET_DIR": str(secret),
        "CELLIST_UI": "off",
        "PYTHONWARNINGS": "error::Warning:cellist",
    }


def run_inside(name: str, size: str) -> None:
    """Run one benchmark in this process; print each row as a line of JSON."""
    from benchmarks.catalogue import BENCHMARKS

    rows = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # a peer may print
        for row in BENCHMARKS[name](SIZES[size]):
            print(json.dumps(dataclasses.asdict(row)), file=rows, flush=True)


def run_apart(name: str, size: str) -> Iterator[Row]:
    """Run one benchmark in a process of its own and yield its rows as they come."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "benchmarks", name, "--inside"]
        command += [] if size == "full" else [f"--{size}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(folder)
        ) as process:
            for line in process.stdout or ():
                yield Row(**json.loads(line))
        if process.returncode:
            message = f"benchmark {name!r} ended with {process.returncode}"
            raise RuntimeError(message)


def collect(names: list[str], size: str) -> tuple[list[Row], list[str]]:
    """Run benchmarks and return their rows, and a sentence for each one that failed."""
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        start = time.perf_counter()
        try:
            rows.extend(run_apart(name, size))
        except RuntimeError as error:
            failed.append(f"{error}: see above.")
        took = time.perf_counter() - start
        print(f"{name} ({took:.0f} s)", file=sys.stderr, flush=True)
    return rows, failed


def main() -> int:
    given = options()
    if given.inside:
        run_inside(given.names[0], given.size)
        return 0
    rows, failed = collect(given.names or NAMES, given.size)
    lines = [(table.markdown if given.markdown else table.plain)(rows), table.summary(rows)]
    print("\n\n".join([*lines, *failed]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
