"""Facts about the kernel and the front end that cellist runs under."""

import asyncio
import os
import sys
from typing import Any, Literal, cast

from cellist.engine.waiting import running_loop


def in_kernel(shell: Any) -> bool:
    """Whether the shell belongs to a Jupyter kernel, not to a terminal."""
    return getattr(shell, "kernel", None) is not None


def kernel_loop(shell: Any) -> Any:
    """Return the event loop the kernel runs cells on, `None` in a terminal."""
    loop = running_loop()
    if loop is not None or not in_kernel(shell):
        return loop
    return getattr(getattr(shell.kernel, "io_loop", None), "asyncio_loop", None)


def this_task() -> asyncio.Task[Any] | None:
    """Return the asyncio task that runs here, `None` without a loop."""
    return asyncio.current_task() if running_loop() is not None else None


def has_front_end(shell: Any) -> bool:
    """Whether a page shows this kernel's outputs while it runs.

    JupyterLab, Notebook and VS Code send the id of the cell with each request; nbclient and
    papermill do not, and have nobody who could look at a widget.
    """
    if "google.colab" in sys.modules or "VSCODE_PID" in os.environ:
        return True
    return cell_id(shell) is not None


def cell_id(shell: Any) -> str | None:
    """Return the front end's id of the cell that is being executed, if it has told one."""
    try:
        parent: dict[str, Any] | None = shell.kernel.get_parent("shell")
    except Exception:
        return None
    metadata: dict[str, Any] = (parent or {}).get("metadata") or {}
    return metadata.get("cellId") or None


Ui = Literal["widget", "html", "text", "off"]


def ui_for(shell: Any, wanted: str) -> Ui:
    """Return what to show; `auto` chooses by the front end."""
    if wanted != "auto":
        return cast("Ui", wanted)  # the setting has no other values
    if not in_kernel(shell):
        return "text"
    return "widget" if has_front_end(shell) else "html"


def cell_name(shell: Any, filename: str) -> str | None:
    """Return what a cell of this session is called whose code has a file name, such as `In[5]`."""
    count: int | None = getattr(shell.compile, "_filename_map", {}).get(filename)
    return f"In[{count}]" if count is not None else None
