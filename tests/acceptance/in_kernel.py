"""What the kernels of these tests call: run a notebook as a new kernel would, and call its task."""

import importlib
import json
import os
import sys
import warnings
from typing import Any

from IPython.core.getipython import get_ipython

FOLDERS: list[str] = []
NAMES = set(getattr(get_ipython(), "user_ns", ()))


def enter(folder: str) -> None:
    """Leave the notebook before, with its modules, and go to the folder of another."""
    for name, module in list(sys.modules.items()):
        place = f"{getattr(module, '__file__', None)} {list(getattr(module, '__path__', ()))}"
        if FOLDERS and f"{FOLDERS[-1]}{os.sep}" in place:
            del sys.modules[name]
    if FOLDERS:
        sys.path.remove(FOLDERS[-1])
    FOLDERS.append(folder)
    os.chdir(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()


def play(folder: str, cells: list[str], x: int) -> None:
    """Run the cells of a notebook with no names of the one before, and call its task."""
    shell: Any = get_ipython()
    enter(folder)
    for name in set(shell.user_ns) - NAMES:
        del shell.user_ns[name]
    for cell in cells:
        shell.run_cell(cell).raise_error()
    report(shell.user_ns, x)


def report(names: dict[str, Any], x: int) -> None:
    """Print what came of a call of the task, and what the function gives without cellist."""
    task = names["f"]
    call = names.get("call", lambda g, x, **options: g(x, **options))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = call(task, x, return_state=True)
    right = call(task.fn, x)
    print(
        json.dumps(
            {
                "state": state.name,
                "why": state.why.sentence,
                "notes": list(map(str, state.why.notes)),
                "warnings": [str(one.message) for one in caught],
                "value": repr(state.result()),
                "right": repr(right),
            }
        )
    )
