"""A traceback as frames: where, which line, and whether the code is the user's own.

Records hold tracebacks as text, since an exception object would keep alive what it has seen. The
text is Python's own, so it is read line by line here; what does not look like it stays text.
"""

import re
import site
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)')
_CELL = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$|^<ipython-input-")
_MARKS = re.compile(r"^\s*[~^]+\s*$")
_MOST_FRAMES = 60

NameCell = Callable[[str], str | None]
"""Returns what a cell is called whose code has this file name, such as `In[5]`."""


def frames_of(text: str, name_cell: NameCell = lambda _: None) -> list[dict[str, Any]]:
    """Return the frames of a traceback, outermost first, and what stands between chained ones.

    A frame has `place`, `line`, `name`, `source`, `marks` below it, and `own` if it is neither of
    Python nor of an installed package. What stands between has `text`.
    """
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        frame = _FRAME.fullmatch(line)
        if frame is not None:
            found.append(_frame(frame, name_cell))
        elif found and "place" in found[-1] and line.startswith("    "):
            _add_source(found[-1], line[4:])
        elif line.strip() and line != "Traceback (most recent call last):":
            _add_text(found, line)
    if found and "text" in found[-1]:  # the error itself, which stands above already
        found[-1]["text"] = found[-1]["text"].partition("\n")[2]
        if not found[-1]["text"]:
            found.pop()
    if len(found) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        left = {"text": f"… {len(found) - 2 * half} more frames …"}
        found = [*found[:half], left, *found[-half:]]
    return found


def _add_text(found: list[dict[str, Any]], line: str) -> None:
    """Add a line of what stands between frames to what stands there already."""
    if not found or "text" not in found[-1]:
        found.append({"text": line[:_LONGEST]})
    elif len(found[-1]["text"]) < _LONGEST:
        found[-1]["text"] += f"\n{line[:_LONGEST]}"


_LONGEST = 4_000


def _frame(match: re.Match[str], name_cell: NameCell) -> dict[str, Any]:
    file = match["file"]
    if _CELL.search(file):
        cell = name_cell(file)
        place, own = f"Cell {cell}" if cell else "a cell", True
    else:
        place, own = short_path(file), not file.startswith(_libraries()) and file[:1] != "<"
    return {"place": place, "line": int(match["line"]), "name": match["name"], "own": own}


def _add_source(frame: dict[str, Any], line: str) -> None:
    if _MARKS.fullmatch(line):
        frame["marks"] = line.rstrip()
    elif "source" not in frame:
        frame["source"] = line[:400]


def short_path(file: str) -> str:
    """Return a path without what only this machine knows: where somebody's home is."""
    home = f"{Path.home()}/"
    return f"~/{file[len(home) :]}" if file.startswith(home) else file


@cache
def _libraries() -> tuple[str, ...]:
    """Return where Python and installed packages lie."""
    paths = sysconfig.get_paths()
    places = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    places |= {*site.getsitepackages(), site.getusersitepackages()}
    return (*sorted(f"{place}/" for place in places), f"{sys.base_prefix}/lib/python", "<frozen ")
