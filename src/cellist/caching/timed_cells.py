"""The texts of cells that `%%time` ran: it compiles them itself and keeps no text of them.

The kernel keeps the cell as it was sent, as a call of the magic with the body for an argument.
"""

import ast
import linecache
from collections.abc import Iterator

from cellist.caching.parsing import parse

TIMED = "<timed exec>"
_CALL = "get_ipython().run_cell_magic('time'"


def timed_cells() -> Iterator[tuple[str, list[str]]]:
    """Yield file name and lines of each body, the newest first."""
    for name, entry in reversed(list(linecache.cache.items())):
        lines = entry[2] if len(entry) > 2 else []
        if lines and lines[0].startswith(_CALL):
            body = _body_of("".join(lines))
            if body:
                yield f"{TIMED} {name}", body


def _body_of(cell: str) -> list[str]:
    try:
        call = parse(cell.strip(), mode="eval").body
    except SyntaxError:
        return []
    last = call.args[-1] if isinstance(call, ast.Call) and call.args else None
    body = last.value if isinstance(last, ast.Constant) else None
    lines = body.splitlines(keepends=True) if isinstance(body, str) else []
    while lines and not lines[0].strip():  # IPython leaves them out before it compiles
        del lines[0]
    return lines
