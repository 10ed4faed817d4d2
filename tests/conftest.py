"""What every test gets: a store of its own, and a run that says what it could not test.

A skipped test looks like a passed one. So each run ends with one line that names what was not
tested here and why, and in CI (`CI=true`) anything on that line fails the run, except what
belongs to another platform by its nature.
"""

import gc
import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import chromium

if TYPE_CHECKING:
    from tests.sessions import Recorder

os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")  # jupyter_core warns until one has decided

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
OTHER_PLATFORM = ("only on ", "not on ")  # how the reason of a skip that CI accepts begins
UNTESTED = pytest.StashKey[Counter[str]]()

settings.register_profile("here", deadline=None)  # a shared machine has slow moments
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if IN_CI else "here")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Keep the store, the history and the signing key of each test to itself."""
    from cellist.model import environment

    for name in os.environ:
        if name.startswith("CELLIST_") and name != "CELLIST_CHROMIUM":
            monkeypatch.delenv(name)
    home = tmp_path / "cellist-home"
    monkeypatch.setenv("CELLIST_HOME", str(home))
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "cellist-secret"))
    with environment.instead(os.environ):
        yield home


@pytest.fixture
def recorder(tmp_path: Path) -> Generator["Recorder"]:
    """A session of the test's own; at the end each transition in it must be in the table."""
    from tests.sessions import recorded_session

    with recorded_session(tmp_path / "session") as recorder:
        yield recorder


def pytest_configure(config: pytest.Config) -> None:
    config.stash[UNTESTED] = Counter()
    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        from tests import parallel

        config.pluginmanager.register(parallel)


@pytest.hookimpl(trylast=True)  # after -m and -k: what nobody asked for is not missing
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    browser = [item for item in items if item.get_closest_marker("browser")]
    if browser and chromium.find() is None:
        items[:] = [item for item in items if item not in browser]
        config.hook.pytest_deselected(items=browser)
        config.stash[UNTESTED]["no Chromium for the browser tests"] += len(browser)
    for item in items:
        # Real kernels, browsers, clusters and processes have slow moments on a shared machine. What
        # fails is tried once more, and the summary names it (`-rR`): twice is no moment.
        if any(map(item.get_closest_marker, ("browser", "kernel", "slow"))):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Spare the collector what stays: ten thousand tests took it half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    """Take over what one of several processes could not test: each of them collects all tests."""
    node.config.stash[UNTESTED] |= Counter(getattr(node, "workeroutput", {}).get("untested", {}))


def skipped(config: pytest.Config) -> Iterator[str]:
    """Yield the reason of each skip, of tests and of whole files."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    for report in terminal.stats.get("skipped", ()) if terminal else ():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        yield str(reason).removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    untested = session.config.stash[UNTESTED]
    told = getattr(session.config, "workeroutput", None)  # by one of several processes
    if told is not None:
        told["untested"] = dict(untested)  # the skips are reported anyway
    untested.update(skipped(session.config))
    missing = [reason for reason in untested if not reason.startswith(OTHER_PLATFORM)]
    if IN_CI and missing and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    untested = config.stash[UNTESTED]
    if not untested:
        return
    what = "; ".join(f"{reason} ({count})" for reason, count in untested.items())
    terminalreporter.write_line(f"Not tested on this machine: {what}", yellow=True)
    if IN_CI and not all(reason.startswith(OTHER_PLATFORM) for reason in untested):
        terminalreporter.write_line("In CI that is a failure.", red=True)
