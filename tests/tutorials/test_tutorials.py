"""What tutorials for Prefect show, as programs: each runs as a script and as cells of a kernel.

`programs/rowNN_*.py` are such programs with only the import line changed. What they claim they
assert; what they print stands beside it:

    # > text     a line of standard output, in order, and nothing else may be printed
    # >> text    the same when the program runs again, later, in another process
    # >+ text    with the extension, a line shown again, marked, of a run whose result is reused
    # %%         a new cell; in a notebook each cell gets what it prints itself

In the cells `asyncio.run(...)` becomes `(await ...)`, since there a loop runs already.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kernels import Kernel, kernel

PROGRAMS = Path(__file__).parent / "programs"
ROWS = sorted(PROGRAMS.glob("row*.py"))
TWICE = [path for path in ROWS if "\n# >> " in path.read_text()]
SECONDS = 100
MARK = re.compile(r"\x1b\S*↺ [^\n]* · recorded [^\n]*\n")

FRESH = """
%reset -f
import os as _os, sys as _sys, warnings as _warnings
import cellist.session as _cellist
if _cellist._session is not None:
    _cellist._session.close()
    _cellist._session = None
_os.environ["CELLIST_HOME"] = {home!r}
if {programs!r} not in _sys.path:
    _sys.path.insert(0, {programs!r})
_warnings.simplefilter("error")
"""
"""Runs before each program, so that one kernel serves all of them as if it were new."""


class Part(NamedTuple):
    """One cell of a program: its code, and what it prints in the first round and in the second."""

    code: str
    prints: tuple[str, str]
    shows: str
    """What it prints in the first round with the extension, marks left out."""


def parts(path: Path) -> list[Part]:
    """Return the cells of a program."""
    cells = re.split(r"^# %%\n", path.read_text(), flags=re.MULTILINE)
    return [
        Part(code, (printed(code, "# > "), printed(code, "# >> ")), printed(code, "# > ", "# >+ "))
        for code in cells
    ]


def printed(code: str, *markers: str) -> str:
    lines = [f"{line.strip()} " for line in code.split("\n")]
    found = [line.split(" ", 2)[2].rstrip() for line in lines if line.startswith(markers)]
    return "".join(f"{line}\n" for line in found)


def environment(home: Path) -> dict[str, str]:
    return {
        "CELLIST_HOME": str(home / "store"),
        "CELLIST_SECRET_DIR": str(home / "secret"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def run_script(path: Path, home: Path, again: int = 0) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={**os.environ, **environment(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "".join(part.prints[again] for part in parts(path))
    assert "Traceback" not in ran.stderr, ran.stderr


def run_cells(path: Path, one: Kernel, again: int = 0, extension: bool = False) -> None:
    for part in parts(path):
        code = part.code.replace("asyncio.run(", "(await ")
        cell = one.run(code, timeout=SECONDS)
        assert cell.error is None, cell.traceback
        if extension:
            assert MARK.sub("", cell.stdout) == part.shows, part.code
            assert bool(MARK.search(cell.stdout)) == (part.shows != part.prints[0])
        else:
            assert cell.stdout == part.prints[again], part.code
        assert "Traceback" not in cell.stderr, cell.stderr


def make_fresh(one: Kernel, home: Path) -> None:
    cell = one.run(FRESH.format(home=str(home / "store"), programs=str(PROGRAMS)))
    assert cell.error is None, cell.traceback


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give one kernel to all programs, without anything of ours loaded into it."""
    home = tmp_path_factory.mktemp("kernel")
    with kernel(environment(home), str(home)) as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_as_a_script(path: Path, tmp_path: Path) -> None:
    run_script(path, tmp_path)
    if path in TWICE:
        run_script(path, tmp_path, again=1)


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.parametrize("extension", ["plain", "with the extension"])
@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_as_cells(path: Path, extension: str, shared: Kernel, tmp_path: Path) -> None:
    make_fresh(shared, tmp_path)
    if extension == "plain":
        run_cells(path, shared)
        return
    assert shared.run("%load_ext cellist").error is None
    try:
        run_cells(path, shared, extension=True)
    finally:
        shared.run("%unload_ext cellist")


@pytest.mark.slow
@pytest.mark.kernel
def test_the_tools_of_a_notebook_see_tasks(shared: Kernel, tmp_path: Path) -> None:
    make_fresh(shared, tmp_path)
    defined = shared.run(
        "import io, re, sys\nfrom cellist import flow, task\n"
        "@task(cache_policy=None)\ndef divide(a, b):\n    share = a / b\n    return share\n"
        "@flow\ndef split(people):\n    return divide(100, people)"
    )
    assert defined.error is None
    shared.run("stats = %prun -q -r split(4)")
    shared.run("names = {'divide', 'split'}")
    calls = shared.run("sorted((n[2], row[1]) for n, row in stats.stats.items() if n[2] in names)")
    assert calls.result == "[('divide', 1), ('split', 1)]"
    failed = shared.run("split(0)")
    assert failed.error == ("ZeroDivisionError", "division by zero")
    debugged = shared.run(
        "from IPython.core.debugger import Pdb\nout = io.StringIO()\n"
        "pdb = Pdb(stdin=io.StringIO('p a, b\\nup\\np people\\nq\\n'), stdout=out)\n"
        "pdb.reset()\npdb.interaction(None, sys.last_value.__traceback__)\n"
        "print(*re.findall(r'ipdb> (\\(?\\d.*)', out.getvalue()), sep='; ')"
    )
    assert debugged.stdout == "(100, 0); 0\n", debugged.traceback  # one step up is the flow


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.parametrize("path", TWICE, ids=lambda path: path.stem)
@pytest.mark.parametrize("before", ["a kernel", "a script"])
def test_as_cells_in_another_process(path: Path, before: str, tmp_path: Path) -> None:
    with kernel(environment(tmp_path), str(tmp_path)) as one:
        if before == "a script":
            run_script(path, tmp_path)
        else:
            run_cells(path, one)
            one.restart()
        run_cells(path, one, again=1)


def test_each_row_has_a_program() -> None:
    covered = {int(path.stem[3:5]) for path in ROWS}
    assert covered == {*range(1, 25)}
