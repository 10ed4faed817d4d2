"""`CELLIST_CACHE`: refresh (`test_refreshed`), readonly and off."""

import threading

import pytest

from cellist import flow, task
from cellist.exceptions import ConfigurationError
from cellist.settings import get_current_settings, temporary_settings
from tests.sessions import Recorder
from tests.sources import FIRST, Calls, define, why

pytestmark = pytest.mark.usefixtures("recorder")


def test_readonly_looks_up_and_keeps_nothing(recorder: Recorder) -> None:
    t = define(FIRST, Calls())
    t(1)
    with temporary_settings(cache="readonly"):
        assert why(t, 1).outcome == "hit"
        for _ in range(2):
            reason = why(t, 2)
            assert reason.code == "readonly"
            assert str(reason).endswith("; its result is not kept (CELLIST_CACHE=readonly)")
        assert str(why(t.with_options(refresh_cache=True), 1)).startswith(
            "ran: a refresh was asked for;"
        )
    assert len(recorder.session.store.entries()) == 1
    assert why(t, 2).code == "changed"


def test_readonly_makes_nobody_wait_for_what_will_not_be_kept() -> None:
    calls = Calls()
    both = threading.Barrier(2, timeout=60)

    @task
    def work(x):
        calls.append(x)
        both.wait()
        return [x]

    @flow
    def many():
        return [future.result(timeout=30) for future in work.map([1, 1])]

    with temporary_settings(cache="readonly"):
        assert many() == [[1], [1]]
    assert calls == [1, 1]


def test_off_looks_nothing_up() -> None:
    t = define(FIRST, Calls())
    t(1)
    with temporary_settings(cache="off"):
        reason = why(t, 1)
    assert (reason.outcome, reason.code) == ("off", "switched_off")
    assert "CELLIST_CACHE=off" in str(reason)
    assert why(t, 1).outcome == "hit"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("refresh", "refresh"), ("ReadOnly", "readonly"), ("off", "off"), ("0", "off"),
        ("on", "on"), ("1", "on"), ("", "on"),
    ],
)  # fmt: skip
def test_the_variable(monkeypatch, text: str, mode: str) -> None:
    monkeypatch.setenv("CELLIST_CACHE", text)
    assert get_current_settings().cache == mode
    monkeypatch.setenv("CELLIST_CACHE", "sometimes")
    with pytest.raises(ConfigurationError, match="on, refresh, readonly, off"):
        get_current_settings()
