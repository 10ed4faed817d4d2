"""A real kernel for tests: run cells in it, interrupt them, restart it."""

import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from jupyter_client.manager import KernelManager


@dataclass
class Cell:
    """What came back from one cell."""

    seconds: float = 0.0
    stdout: str = ""
    stderr: str = ""
    result: str | None = None
    error: tuple[str, str] | None = None
    traceback: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Mime bundles displayed, later versions of the same display included."""
    elsewhere: str = ""
    """What was printed meanwhile under other cells."""

    @property
    def html(self) -> str:
        """All HTML that was displayed."""
        return "\n".join(str(bundle.get("text/html", "")) for bundle in self.shown)

    @property
    def sentence(self) -> str:
        """The last one-line summary of a board."""
        return str(self.shown[-1]["text/plain"]) if self.shown else ""


class Kernel:
    """A kernel and a client that talks to it."""

    def __init__(self, env: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
        self.manager = KernelManager()
        self.cells: dict[str, Cell] = {}
        """Cells that were run with an id; what comes for them later is added to them."""
        self.manager.start_kernel(env={**os.environ, **(env or {})}, cwd=cwd)
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=90)

    def run(
        self,
        code: str,
        *,
        interrupt_when: Callable[[], bool] | None = None,
        timeout: float = 100,
        cell_id: str | None = None,
    ) -> Cell:
        """Run a cell and return what came back.

        `interrupt_when` presses stop as soon as the cell has begun and this is so; the seconds
        are counted from there.
        `cell_id` is the id of a cell, which tells the kernel that a front end shows what it does.
        """
        begin = time.monotonic()
        sent = self._send(code, cell_id)
        cell = Cell()
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"no end of the cell within {timeout} s: {code!r}") from None
            kind, content = message["msg_type"], message["content"]
            asked = message["parent_header"].get("msg_id")
            if asked != sent:
                if kind == "stream":
                    cell.elsewhere += content["text"]
                if asked in self.cells:
                    self._take(self.cells[asked], kind, content)
                continue
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind == "execute_input" and interrupt_when is not None:
                end = time.monotonic() + timeout
                while not interrupt_when():
                    assert time.monotonic() < end, f"not within {timeout} s: {code!r}"
                self.interrupt()
                begin = time.monotonic()
            self._take(cell, kind, content)
        cell.seconds = time.monotonic() - begin
        if cell_id is not None:
            self.cells[sent] = cell
        return cell

    def _send(self, code: str, cell_id: str | None) -> str:
        if cell_id is None:
            return self.client.execute(code)
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": True}
        content |= {"user_expressions": {}, "allow_stdin": False}
        session: Any = self.client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell_id})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def at_rest(self) -> bool:
        """Whether its main thread sleeps: for half a second, so the cell waits for something."""
        provisioner: Any = self.manager.provisioner
        process = psutil.Process(provisioner.pid)
        for _ in range(10):
            if process.status() != psutil.STATUS_SLEEPING:
                return False
            time.sleep(0.05)
        return True

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Take in what comes until a condition holds of it."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "what is waited for has not come"
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            asked = message["parent_header"].get("msg_id")
            if asked in self.cells:
                self._take(self.cells[asked], message["msg_type"], message["content"])

    def interrupt(self) -> None:
        """Press stop."""
        self.manager.interrupt_kernel()

    def _take(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            setattr(cell, content["name"], getattr(cell, content["name"]) + content["text"])
        elif kind == "execute_result":
            cell.result = content["data"]["text/plain"]
        elif kind in ("display_data", "update_display_data"):
            cell.shown.append(content["data"])
        elif kind == "error":
            cell.error = (content["ename"], content["evalue"])
            cell.traceback = "\n".join(content["traceback"])

    def restart(self) -> None:
        """Restart the kernel as the button does."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=False)
        self._connect()

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextmanager
def kernel(env: Mapping[str, str] | None = None, cwd: str | None = None) -> Iterator[Kernel]:
    """Start a kernel for a test and end it afterwards."""
    started = Kernel(env, cwd)
    try:
        yield started
    finally:
        started.close()
