"""Each test of this folder has a session and a queue of its own, and ends the workers it began."""

import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from cellist.session import Session, use_session
from cellist.worker.queue import Queue


@pytest.fixture(autouse=True)
def session(own_home: Path) -> Generator[Session]:
    with use_session(Session(own_home)) as found:
        yield found
    working = [one.name for one in threading.enumerate() if one.name == "cellist-desk"]
    assert working == [], "a worker is left behind"


@pytest.fixture
def queue(session: Session) -> Generator[Queue]:
    """The queue of the test, through a connection of its own."""
    found = Queue(session.queue_place("queue.sqlite"))
    yield found
    found.close()
