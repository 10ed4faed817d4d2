"""Checks of the files themselves: their ends, their size, and what notebooks may hold.

`make lint` passes it all files of the tree, pre-commit the changed ones; so the same checks run
in both. Notebooks are committed executed, since GitHub shows the record of a run and that is
the point of them; so they must have been run from top to bottom, without an error that is not
announced (tag `raises-exception`), and hold nothing of the machine they ran on.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 1_000_000
BINARY = {".png", ".gif", ".woff2", ".ico"}
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:root|home|Users|tmp)/[\w.-]+|[A-Z]:\\\\Users")


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with one file, in words."""
    content = path.read_bytes()
    if len(content) > MOST_BYTES:
        yield f"has {len(content):,} bytes, more than {MOST_BYTES:,}"
    if path.suffix in BINARY or not content:
        return
    if not content.endswith(b"\n") or content.endswith(b"\n\n"):
        yield "does not end with exactly one line break"
    if b"\r" in content:
        yield "has carriage returns"
    if path.suffix == ".ipynb":
        yield from notebook_faults(json.loads(content))


def notebook_faults(notebook: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a notebook that is to be committed."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"]]
    counts = [cell["execution_count"] for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield f"was not run once from top to bottom: its cells are numbered {counts}"
    for number, cell in enumerate(cells, start=1):
        announced = "raises-exception" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]:
            if output["output_type"] == "error" and not announced:
                yield f"shows an error in cell {number}: {output['ename']}"
            if found := OF_A_MACHINE.search(json.dumps(output)):
                yield f"shows a path of the machine it ran on in cell {number}: {found[0]}"


def main(names: list[str]) -> int:
    """Print each fault with its file and return the exit code."""
    found = [
        f"{path}: {fault}" for path in map(Path, names) if path.is_file() for fault in faults(path)
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
