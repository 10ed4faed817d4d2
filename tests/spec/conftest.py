"""Each test of this folder runs in a session of its own, whose events are checked at its end."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sessions import Recorder


@pytest.fixture(autouse=True)
def checked(recorder: "Recorder") -> "Recorder":
    """Hold every run of every test to the table of transitions."""
    return recorder
