"""Two fresh kernels with other hash seeds and users: what was computed in one, the other reads."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

import cellist
from tests.acceptance.edits import EDITS
from tests.caching.edits import MISS
from tests.kernels import Kernel, kernel

HERE = Path(__file__).parent
SOURCE = Path(cellist.__file__).parent.parent
START = "import os, sys; from cellist import task"


@dataclass
class Call:
    """What a call of a task came to."""

    state: str
    why: str
    value: str
    right: str
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Outcome(NamedTuple):
    """The three calls of an edit: as it was, edited, and edited back."""

    before: Call
    after: Call
    back: Call | None


def environment(place: Path, seed: int) -> dict[str, str]:
    """Return the environment of a user with a home of their own, and the project's results."""
    user = place / f"user{seed}"
    user.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CELLIST_")}
    return {
        **kept,
        "HOME": str(user),
        "USER": user.name,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE)]),
        "CELLIST_HOME": str(place / "home"),
        "CELLIST_SECRET_DIR": str(place / "secret"),
        "CELLIST_UI": "off",
    }


def play(running: Kernel, folder: Path, text: str, x: int) -> Call:
    """Run a notebook in a folder and call its task."""
    cells, *files = ("\n" + text).split("\n### ")
    for file in files:
        name, content = file.split("\n", 1)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    folder.mkdir(parents=True, exist_ok=True)
    notebook = json.dumps([START, *cells.split("# %%")])
    code = f"import in_kernel; in_kernel.play({str(folder)!r}, {notebook}, {x})"
    cell = running.run(code)
    assert cell.error is None, cell.traceback
    return Call(**json.loads(cell.stdout.splitlines()[-1]))


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Outcome]:
    """Return what came of each edit, by the number of its case and its name."""
    place = tmp_path_factory.mktemp("edits")
    edits = [(case, edit) for case, of_case in EDITS.items() for edit in of_case]
    with kernel(environment(place, 1), str(place)) as first:
        before = [
            play(first, place / "one" / str(number), edit.before, number)
            for number, (_, edit) in enumerate(edits, 100)
        ]
        first.manager.shutdown_kernel(now=False)  # what it has to write it writes
    found = {}
    with kernel(environment(place, 2), str(place)) as second:
        for number, (case, edit) in enumerate(edits, 100):
            after = play(second, place / "elsewhere" / "two" / str(number), edit.after, number)
            back = None
            if edit.want == MISS:
                back = play(second, place / "three" / str(number), edit.before, number)
            found[case, edit.name] = Outcome(before[number - 100], after, back)
    return found


class Python:
    """Runs programs, each in a fresh process with another hash seed, over the same results."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.seed = 10

    def __call__(self, program: str, executable: str = sys.executable, **env: str) -> str:
        self.seed += 1
        file = self.place / f"program{self.seed}.py"
        file.write_text(program)
        done = subprocess.run(
            [executable, str(file)],
            cwd=self.place,
            env={**environment(self.place, self.seed), **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def python(tmp_path: Path) -> Python:
    return Python(tmp_path)
