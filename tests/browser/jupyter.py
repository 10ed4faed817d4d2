"""JupyterLab or Notebook 7 on loopback with a notebook open in headless Chromium."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page, expect, sync_playwright

from tests import chromium

# without the background flags Chromium asks its maker's servers for news at every start
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EXPOSE = {
    "lab": "--LabApp.expose_app_in_browser=True",
    "notebook": "--JupyterNotebookApp.expose_app_in_browser=True",
}
READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.sessionContext?.session?.kernel?.status === "idle"
    && document.querySelector(".jp-Notebook .jp-CodeCell") !== null;
}"""
RUN = """(index) => {
  const { shell, commands } = window.jupyterapp;
  const { content } = shell.currentWidget;
  const model = content.widgets[index].model;
  const turn = {};
  const run = async () => {
    for (;;) {
      content.activeCellIndex = index;
      content.deselectAll();
      await commands.execute("notebook:run-cell");
      if (model.executionCount) break;  // or it was dropped
      await new Promise((done) => setTimeout(done, 100));
    }
    turn.isOver = true;
  };
  void run();
  window.turns = { ...window.turns, [index]: turn };
}"""
OVER = "(index) => window.turns[index].isOver === true"
PATIENCE = 60_000  # milliseconds for what takes a moment: a shared machine has long ones

expect.set_options(timeout=PATIENCE)


class Notebook:
    """A notebook open in a page."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.file = file
        self.outside: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._note_request)
        page.on("pageerror", self._note_error)

    def _note_request(self, request: Any) -> None:
        inside = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")
        if not request.url.startswith(inside):
            self.outside.append(request.url)

    def _note_error(self, error: Any) -> None:
        """Keep errors of our module, which anywidget loads from a blob; others are not ours."""
        if "blob:" in (error.stack or ""):
            self.errors.append(str(error))

    def run(self, index: int, *, wait: bool = True) -> None:
        """Run a cell; with `wait`, to its end.

        The kernel drops what is queued behind a cell that fails, and while it fails it looks idle
        to the page. So a cell that was dropped is run again.
        """
        self.page.evaluate(RUN, index)
        if wait:
            self.page.wait_for_function(OVER, arg=index)
            self.page.wait_for_function(READY)

    def cell(self, index: int) -> Any:
        """Return the locator of a code cell."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def save(self) -> Any:
        """Save and return the notebook on disk."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(self.file, as_version=4)


@contextmanager
def server(app: str, directory: Path, theme: str = "light") -> Iterator[str]:
    """Serve `directory/work` with settings of its own; yield the address."""
    home = {name: directory / name for name in ("config", "data", "runtime", "settings", "ipython")}
    work = directory / "work"
    work.mkdir(parents=True, exist_ok=True)
    settings = home["settings"] / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    name = "JupyterLab Dark" if theme == "dark" else "JupyterLab Light"
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": name}))
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home["config"]),
        "JUPYTER_DATA_DIR": str(home["data"]),
        "JUPYTER_RUNTIME_DIR": str(home["runtime"]),
        "JUPYTERLAB_SETTINGS_DIR": str(home["settings"]),
        "IPYTHONDIR": str(home["ipython"]),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--no-browser", "--allow-root", f"--port={port}", "--ServerApp.ip=127.0.0.1")
    open_door = ("--IdentityProvider.token=", "--ServerApp.password=")
    command = [sys.executable, "-m", f"jupyter{'lab' if app == 'lab' else '_notebook'}"]
    if app == "notebook":
        command = [sys.executable, "-m", "notebook"]
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, EXPOSE[app], *options, *open_door],
            cwd=work,
            env=environment,
            stdout=log,
            stderr=log,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address, process, directory / "server.log")
            yield address
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"the server ended:\n{log.read_text()[-3000:]}")
        try:
            urllib.request.urlopen(f"{address}/api", timeout=60)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the server does not answer:\n{log.read_text()[-3000:]}")


def write_notebook(file: Path, cells: Sequence[str]) -> None:
    """Write a notebook with code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, file)


@contextmanager
def browser_page(width: int = 1200, height: int = 1000) -> Iterator[Page]:
    """Open a page of the system's Chromium."""
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=chromium.find(), args=list(FLAGS))
        try:
            page = found.new_page(viewport={"width": width, "height": height})
            page.context.set_default_timeout(PATIENCE)
            yield page
        finally:
            found.close()


def open_notebook(page: Page, app: str, address: str, file: Path) -> Notebook:
    """Open a notebook of the server and wait until its kernel is idle."""
    notebook = Notebook(page, file)
    place = "lab/tree" if app == "lab" else "notebooks"
    fresh = "?reset" if app == "lab" else ""  # or Lab opens again what was open in it last
    page.goto(f"{address}/{place}/{file.name}{fresh}")
    page.wait_for_function(READY, timeout=90_000)
    return notebook


def forget_kernels(page: Page, directory: Path) -> None:
    """End all sessions, so that a notebook opened next starts without state."""
    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    shutil.rmtree(directory / "work" / ".ipynb_checkpoints", ignore_errors=True)
