"""Import, and the way from the start of a process to the first result, in fresh processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import OURS, Row, Size, at_most, interleave

IMPORTS = {
    OURS: "from cellist import flow, task",
    "joblib": "import joblib",
    "pipefunc": "import pipefunc",
}
PROGRAMS = {
    OURS: "from cellist import task\n\n\n@task\ndef same(x):\n    return x\n\n\nsame(1)\n",
    "pipefunc": (
        "from pipefunc import Pipeline, pipefunc\n\n\n@pipefunc('y')\ndef same(x):\n    return x\n"
        "\n\nPipeline([same])(x=1)\n"
    ),
    "joblib": (
        "from joblib import Parallel, delayed\n\n\ndef same(x):\n    return x\n\n\n"
        "Parallel(n_jobs=1)([delayed(same)(1)])\n"
    ),
    "python itself": "",
}
TIMED = "import time\nstart = time.perf_counter()\n{}\nprint(time.perf_counter() - start)\n"


def here(programs: dict[str, str]) -> dict[str, str]:
    """Leave out those whose package is not installed."""
    return {
        name: text
        for name, text in programs.items()
        if name in {OURS, "python itself"} or find_spec(name)
    }


def importing(statement: str) -> Callable[[], float]:
    def run() -> float:
        command = [sys.executable, "-c", TIMED.format(statement)]
        return float(subprocess.run(command, capture_output=True, check=True).stdout)

    return run


def starting(path: Path) -> Callable[[], float]:
    """Return the contender that waits for the line a program prints after its work."""

    def run() -> float:
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - start
        if line.strip() != b"done" or process.returncode:
            message = f"{path.name} ended with {process.returncode}"
            raise RuntimeError(message)
        return seconds

    return run


def startup(size: Size) -> Iterator[Row]:
    """`import cellist`, and process start to the first task result."""
    imports = {name: importing(text) for name, text in here(IMPORTS).items()}
    peers = {"joblib": at_most(0.15, "150,000 µs"), "pipefunc": None}
    yield from interleave(size.heavy(), imports).rows("import", peers)
    programs = {}
    for name, text in here(PROGRAMS).items():
        path = Path(os.environ["CELLIST_HOME"]).parent / f"{name.replace(' ', '_')}_starts.py"
        path.write_text(f"{text}print('done', flush=True)\n")
        programs[name] = starting(path)
    peers = {"pipefunc": at_most(0.4, "400,000 µs"), "joblib": None, "python itself": None}
    yield from interleave(size.heavy(), programs).rows("process start to first result", peers)
