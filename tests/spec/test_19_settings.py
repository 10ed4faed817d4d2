"""SPEC 19 and Q33: settings count from when they are set, the place of results among them."""

from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.settings import get_current_settings, temporary_settings
from tests.spec.observe import Calls


@pytest.fixture
def checked() -> None:
    """Use the session that everybody gets, not one of the test's own."""


@pytest.mark.usefixtures("checked")
def test_results_and_history_go_where_the_variable_says_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @task
    def t(x: int) -> int:
        return x + 1

    seen: list[Any] = []
    for place in ("one", "two", "one"):
        monkeypatch.setenv("CELLIST_HOME", str(tmp_path / place))
        seen.append((t(1, return_state=True).name, len(cellist.runs())))
    assert seen == [("Completed", 1), ("Completed", 1), ("Cached", 2)]
    assert (tmp_path / "two" / "history.sqlite").exists()


def test_not_while_a_run_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def t(x: int) -> int:
        return x + 1

    @flow
    def f() -> Any:
        t(1)
        monkeypatch.setenv("CELLIST_HOME", str(tmp_path / "elsewhere"))
        return [t(1, return_state=True).name]

    assert f() == ["Cached"]


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("TASKS_DEFAULT_RETRIES", "3", "tasks_default_retries", 3),
        (
            "TASKS_DEFAULT_RETRY_DELAY_SECONDS",
            "1,10,100",
            "tasks_default_retry_delay_seconds",
            [1.0, 10.0, 100.0],
        ),
        ("TASKS_DEFAULT_RETRY_DELAY_SECONDS", "5", "tasks_default_retry_delay_seconds", 5.0),
        ("TASKS_REFRESH_CACHE", "true", "tasks_refresh_cache", True),
        ("TASKS_DISABLE_CACHING", "1", "tasks_disable_caching", True),
        ("FLOWS_DEFAULT_RETRIES", "2", "flows_default_retries", 2),
        ("LOGGING_LOG_PRINTS", "yes", "logging_log_prints", True),
        ("TASK_DEFAULT_RETRIES", "4", "tasks_default_retries", 4),
    ],
)
def test_variables(
    variable: str, text: str, field: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PREFECT_{variable}", text)
    assert getattr(get_current_settings(), field) == value


def test_our_own_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_TASKS_DEFAULT_RETRIES", "3")
    monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "1")
    assert get_current_settings().tasks_default_retries == 1


def test_temporary_settings() -> None:
    from cellist.settings import PREFECT_TASKS_DEFAULT_RETRIES

    calls = Calls()

    @task(cache_policy=NO_CACHE)
    def t() -> None:
        calls()
        raise ValueError

    with temporary_settings({PREFECT_TASKS_DEFAULT_RETRIES: 2}):
        assert t.retries == 2
        t(return_state=True)
    assert len(calls) == 3
    assert t.retries == 0
    t(return_state=True)
    assert len(calls) == 4
