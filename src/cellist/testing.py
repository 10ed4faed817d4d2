"""For tests of flows and tasks: a place of their own for results and history.

@pytest.fixture(autouse=True, scope="session")
def harness():
    with cellist_test_harness():
        yield
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cellist.model import environment
from cellist.session import Session, use_session

__path__: list[str] = []  # lets `cellist.compat` serve `cellist.testing.utilities`


@contextmanager
def cellist_test_harness(server_startup_timeout: float | None = None) -> Generator[None]:
    """Keep what runs within the `with` block away from your own cache and history.

    They get an empty directory, which is removed at the end, so every test begins with nothing
    cached. Harnesses may stand inside each other. `server_startup_timeout` is accepted for
    compatibility: there is no server to start.
    """
    del server_startup_timeout
    with tempfile.TemporaryDirectory(prefix="cellist-", ignore_cleanup_errors=True) as folder:
        home, secret = Path(folder, "home"), Path(folder, "secret")
        variables = {"CELLIST_HOME": str(home), "CELLIST_SECRET_DIR": str(secret)}
        with patch.dict(os.environ, variables), environment.instead(os.environ):
            session = Session(directory=home)
            with use_session(session):
                try:
                    yield
                finally:
                    _release(session)


def _release(session: Session) -> None:
    pools: dict[Any, Any] = session.pools
    for runner in pools.values():
        runner.close()
    pools.clear()


prefect_test_harness = cellist_test_harness

__all__ = ["cellist_test_harness", "prefect_test_harness"]
