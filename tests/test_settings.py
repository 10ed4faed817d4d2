"""Settings: sources, order, text, and what is wrong with them."""

from typing import Any

import pytest

from cellist import settings
from cellist.exceptions import ConfigurationError
from cellist.settings import get_current_settings, temporary_settings


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("TASKS_DEFAULT_RETRIES", "3", 3),
        ("TASKS_DEFAULT_RETRY_DELAY_SECONDS", "1,10,100", [1.0, 10.0, 100.0]),
        ("TASKS_DEFAULT_RETRY_DELAY_SECONDS", "2.5", 2.5),
        ("TASKS_DEFAULT_RETRY_DELAY_SECONDS", "[1, 2]", [1.0, 2.0]),
        ("TASKS_REFRESH_CACHE", "true", True),
        ("TASKS_DISABLE_CACHING", "0", False),
        ("FLOWS_DEFAULT_RETRIES", "1", 1),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any) -> None:
    for prefix in ("PREFECT_", "CELLIST_"):
        with monkeypatch.context() as patch:
            patch.setenv(prefix + name, text)
            assert getattr(get_current_settings(), name.lower()) == value
    assert getattr(get_current_settings(), name.lower()) != value or not value


def test_own_variable_wins_and_old_names_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_TASK_DEFAULT_RETRIES", "1")
    assert get_current_settings().tasks_default_retries == 1
    monkeypatch.setenv("PREFECT_TASKS_DEFAULT_RETRIES", "2")
    assert get_current_settings().tasks_default_retries == 2
    monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "3")
    assert get_current_settings().tasks_default_retries == 3


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CELLIST_TASKS_REFRESH_CACHE", "perhaps"),
        ("CELLIST_TASKS_DEFAULT_RETRIES", "x"),
    ],
)
def test_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=f"{variable}='{text}'"):
        get_current_settings()


def test_a_bad_ui_warns_and_keeps_nobody_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_UI", "fancy")
    with pytest.warns(UserWarning, match="CELLIST_UI='fancy' is not one of auto"):
        assert get_current_settings().ui == "auto"


def test_temporary_settings_nest_and_end() -> None:
    retries: Any = settings.CELLIST_TASKS_DEFAULT_RETRIES
    with temporary_settings({retries: 1}):
        with temporary_settings({"PREFECT_TASKS_REFRESH_CACHE": "yes"}) as now:
            assert (now.tasks_default_retries, now.tasks_refresh_cache) == (1, True)
        assert not get_current_settings().tasks_refresh_cache
        assert get_current_settings().tasks_default_retries == 1
    assert get_current_settings().tasks_default_retries == 0


def test_temporary_settings_refuse_what_they_do_not_know() -> None:
    with (
        pytest.raises(ConfigurationError, match="no setting 'CELLIST_NOTHING'"),
        temporary_settings({"CELLIST_NOTHING": 1}),
    ):
        pass
    with (
        pytest.raises(ConfigurationError, match=r"tasks_default_retries.*cannot be 'x'"),
        temporary_settings(tasks_default_retries="x"),
    ):
        pass
    with pytest.raises(AttributeError, match="no setting 'CELLIST_NOTHING'"):
        print(settings.CELLIST_NOTHING)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        print(settings.nothing)
