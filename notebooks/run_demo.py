"""Runs a notebook twice, headless, and says what the second run did not have to do, and why.

Both runs happen in new kernels and share one store, `notebooks/executed/.cellist`, so whatever the
second one reuses came from the disk. The notebook itself is not touched: the executed copies lie
beside that store. What is said about the runs is read from the history, as a user would read it.

Exit code 0: both runs went through and the second computed nothing again. 1: a cell failed.
2: the arguments are wrong. 3: the second run computed something again. 130: interrupted.
"""

import argparse
import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "executed"
CELL_SECONDS = 900
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MOST_RUNS = 100_000
MOST_REASONS = 4
REASON_WIDTH = 90


class CellFailed(Exception):
    """A cell failed, or the kernel did. The text says which cell, what it holds and why."""


@dataclass
class Execution:
    """One execution of the notebook: where its copy lies, how long it took, what its runs were."""

    number: int
    path: Path
    seconds: float
    runs: Any
    """The task runs of this execution, as a DataFrame."""


class Progress:
    """Prints one line for each code cell, when it starts and when it has ended."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self.numbers: dict[int, int] = {}
        for index, cell in enumerate(cells):
            if cell.cell_type == "code" and cell.source.strip():
                self.numbers[index] = len(self.numbers) + 1
        self.started = time.monotonic()
        self.current = ""

    def start(self, cell: Any, cell_index: int) -> None:
        """Say which cell starts."""
        if cell_index not in self.numbers:
            return
        position = f"cell {self.numbers[cell_index]:>2}/{len(self.numbers)}"
        self.current = f"{position}  {first_line(cell.source)}"
        self.started = time.monotonic()
        print(f"  {self.current:<70}", end="", flush=True)

    def complete(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Say how long the cell took, or that it failed."""
        del cell
        if cell_index not in self.numbers:
            return
        failed = execute_reply["content"]["status"] != "ok"
        seconds = time.monotonic() - self.started
        print("   failed" if failed else f"{seconds:7.1f} s", flush=True)


def first_line(source: str) -> str:
    """Return the line that says best what a cell does, shortened."""
    lines = [line for line in source.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("%", "def ", "async def ", "class "))]
    return textwrap.shorten((telling or lines)[0], 54, placeholder=" ...")


def execute(notebook: Path, number: int, output: Path) -> Execution:
    """Execute a copy of the notebook in a new kernel. Raises `CellFailed`."""
    import nbformat
    from nbclient import NotebookClient

    document: Any = nbformat.read(notebook, as_version=4)
    target = output / f"{notebook.stem}-run{number}.ipynb"
    progress = Progress(document.cells)
    client = NotebookClient(
        document,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(output)}},
        on_cell_start=progress.start,
        on_cell_executed=progress.complete,
    )
    began, since = time.monotonic(), datetime.now(UTC)
    try:
        client.execute(env=environment(output))
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise CellFailed(explain(error, progress, target)) from error
    finally:
        nbformat.write(document, target)
    seconds = time.monotonic() - began
    return Execution(number, target, seconds, task_runs(since))


def environment(output: Path) -> dict[str, str]:
    """Return what the kernels find in their environment: this one, with a store of their own."""
    return {**os.environ, "CELLIST_HOME": str(output / ".cellist")}


def explain(error: Exception, progress: Progress, target: Path) -> str:
    """Return in words what went wrong, in which cell, and where to look."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    where = progress.current or "before the first cell"
    if isinstance(error, CellExecutionError):
        what = f"{error.ename}: {COLOURS.sub('', error.evalue)}"
    elif isinstance(error, CellTimeoutError):
        what = f"it took longer than {CELL_SECONDS} seconds"
    elif isinstance(error, DeadKernelError):
        what = "the kernel ended; there may be too little memory"
    else:
        what = f"{type(error).__name__}: {error}"
    return f"Failed in {where}\n  {what}\nThe notebook up to there: {shown(target)}"


def task_runs(since: datetime) -> Any:
    """Return the task runs that began after a moment, from the history."""
    import cellist

    runs = cellist.runs(kind="task", since=since, limit=MOST_RUNS)
    return runs.iloc[::-1]  # oldest first


def shown(path: Path) -> str:
    """Return a path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def computed_again(execution: Execution) -> list[str]:
    """Return the tasks of the runs that found no stored result although one was looked for."""
    import cellist

    ran = execution.runs[~execution.runs["reused"]]
    found: list[str] = []
    for run in ran[ran["state_type"] == "COMPLETED"].itertuples():
        why = cellist.run(run.id).why
        if why is not None and why.outcome == "miss" and why.code != "refreshed":
            found.append(run.definition)
    return found


def report(execution: Execution, *, empty: bool) -> Iterator[str]:
    """Yield the lines about one execution: what ran, what was reused, and the reasons."""
    runs = execution.runs
    hits = int(runs["reused"].sum())
    yield f"Run {execution.number}" + (", from an empty store" if empty else "")
    yield f"  {len(runs)} task runs: {hits} reused, {len(runs) - hits} ran"
    saved = runs["saved"].sum()
    yield f"  {execution.seconds:.1f} s in all; reuse saved {saved:.1f} s of computing"
    yield ""
    yield f"  {'task':<16}{'ran':>5}{'reused':>8}{'seconds':>9}   why it ran"
    for name, group in runs.groupby("definition", sort=False):
        ran = group[~group["reused"]]
        seconds = ran["duration"].sum()
        head = f"  {name:<16}{len(ran):>5}{len(group) - len(ran):>8}{seconds:>9.1f}   "
        for line in reasons(ran):
            yield head + line
            head = " " * len(head)
        if ran.empty:
            yield head + "-"
    yield ""


def reasons(ran: Any) -> list[str]:
    """Return the reasons of runs, the most frequent first, each with how many runs gave it."""
    counts = Counter(reason(ident) for ident in ran["id"]).most_common()
    lines = [
        textwrap.shorten(f"{count} × {why}", REASON_WIDTH, placeholder=" ...")
        for why, count in counts
    ]
    more = len(lines) - MOST_REASONS
    return [*lines[:MOST_REASONS], f"and {more} other reasons"] if more > 1 else lines


def reason(ident: str) -> str:
    """Return why a run ran. The values of arguments are left out, so that equal reasons are one."""
    import cellist

    why = cellist.run(ident).why
    if why is None:
        return "nothing was looked up"
    if why.changes and all(change.kind == "argument" for change in why.changes):
        return "other arguments: " + ", ".join(change.name for change in why.changes)
    return why.sentence.removeprefix("ran: ")


def verdict(second: Execution) -> tuple[int, str]:
    """Return the exit code and the sentence that sums the demo up."""
    again, hits = computed_again(second), int(second.runs["reused"].sum())
    if again:
        names = ", ".join(sorted(set(again)))
        return 3, f"The second run computed {len(again)} results again without need: {names}."
    if not hits:
        return 3, "The second run reused nothing: no result of this notebook is cached."
    return 0, f"The second run, in a new kernel, reused all {hits} results there were."


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line asks for; ends the program with code 2 if it is wrong."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", type=Path, default=HERE / "flights.ipynb")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where copies and store go")
    parser.add_argument("--fresh", action="store_true", help="begin with an empty store")
    options = parser.parse_args(argv)
    options.notebook, options.output = options.notebook.resolve(), options.output.resolve()
    if not options.notebook.is_file():
        parser.error(f"there is no notebook {options.notebook}")
    return options


def demonstrate(notebook: Path, output: Path, fresh: bool) -> int:
    """Execute the notebook twice, print what happened, and return the exit code."""
    if fresh:
        shutil.rmtree(output / ".cellist", ignore_errors=True)
    empty = not (output / ".cellist").exists()
    output.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(output))
    executions: list[Execution] = []
    for number, what in enumerate(("first", "second"), start=1):
        print(f"The {what} run of {shown(notebook)}, in a new kernel", flush=True)
        executions.append(execute(notebook, number, output))
        print()
    for execution in executions:
        print(*report(execution, empty=empty and execution.number == 1), sep="\n")
    code, sentence = verdict(executions[1])
    print(sentence)
    if not empty:
        print(
            "The first one could already reuse an earlier demo; --fresh begins with an empty store."
        )
    print("\nThe executed notebooks, with the record of each run under its cell:")
    print(*(f"  {shown(execution.path)}" for execution in executions), sep="\n")
    print(f"To open them in JupyterLab: {how_to_open(output)}")
    return code


def how_to_open(output: Path) -> str:
    """Return what to type to see the executed notebooks."""
    if output.is_relative_to(HERE):
        return f"make lab, then the folder {output.relative_to(HERE)} on the left."
    return f"{sys.executable} -m jupyterlab --notebook-dir={shlex.quote(str(output))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code of the program."""
    options = arguments(argv)
    try:
        return demonstrate(options.notebook, options.output, options.fresh)
    except CellFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is stored; the next demo goes on from there.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
