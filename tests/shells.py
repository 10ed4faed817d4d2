"""An IPython shell inside the test's process: run cells in it, start it anew as after a restart."""

import atexit
import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from cellist.model.runs import Run
from cellist.notebook import extension
from cellist.session import Session, use_session


@dataclass
class Ran:
    """What came of one cell."""

    out: str
    err: str
    error: BaseException | None
    result: Any
    run: Run | None
    shown: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> str | None:
        """The name of the final state of the cell's own run."""
        return self.run.state_name if self.run else None

    @property
    def why(self) -> str:
        """Why the cell's own run was reused or ran."""
        return str(self.run.why) if self.run else ""


class Publisher(DisplayPublisher):
    """Keeps bundles instead of printing their text, as a front end does."""

    shown: list[dict[str, Any]]

    def publish(self, data: Any, metadata: Any = None, **kwargs: Any) -> None:
        """Keep a bundle."""
        del metadata
        self.shown.append({**data, **({"update": True} if kwargs.get("update") else {})})

    def clear_output(self, wait: bool = False) -> None:
        """Keep that it was asked for."""
        self.shown.append({"clear": wait})


class Shell:
    """A shell with cellist loaded, over a store that outlives it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.ipython_dir = str(self.directory / "ipython")
        config.InteractiveShell.colors = "nocolor"
        InteractiveShell.clear_instance()
        self.session = Session(directory=self.directory / "session")
        self._stack.enter_context(use_session(self.session))
        self.shell = InteractiveShell.instance(config=config)
        publisher = Publisher(shell=self.shell)
        publisher.shown = []
        self.shell.display_pub = publisher
        self.runs: list[Run] = []
        self.session.sinks.append(lambda event: self.runs.append(event.run))
        extension.load(self.shell)

    def run(self, code: str) -> Ran:
        """Run a cell."""
        self.runs.clear()
        publisher: Any = self.shell.display_pub
        publisher.shown = []
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ran = self.shell.run_cell(code, store_history=True)
        own = next((run for run in self.runs if run.parent is None), None)
        error = ran.error_in_exec or ran.error_before_exec
        return Ran(out.getvalue(), err.getvalue(), error, ran.result, own, publisher.shown)

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.shell.user_ns

    def restart(self) -> None:
        """Begin with an empty notebook; what is stored stays."""
        self.close()
        self._stack = contextlib.ExitStack()
        self._start()

    def close(self) -> None:
        """Undo everything."""
        extension.unload(self.shell)
        self._stack.close()
        InteractiveShell.clear_instance()
        let_go(self.shell)


def let_go(shell: InteractiveShell) -> None:
    """Let a shell be collected: it asked to be kept until Python ends, and to clean up then."""
    atexit.unregister(shell.atexit_operations)


@contextlib.contextmanager
def bare_shell(namespace: dict[str, Any]) -> Iterator[InteractiveShell]:
    """Start a shell without cellist over a namespace and end it afterwards."""
    main = sys.modules["__main__"]
    config = Config()
    config.HistoryManager.enabled = False
    started = InteractiveShell(user_ns=namespace, config=config)
    try:
        yield started
    finally:
        let_go(started)
        sys.modules["__main__"] = main


@contextlib.contextmanager
def shell(directory: Path) -> Iterator[Shell]:
    """Start a shell for a test and end it afterwards."""
    main = sys.modules["__main__"]
    started = Shell(directory)
    try:
        yield started
    finally:
        started.close()
        sys.modules["__main__"] = main
