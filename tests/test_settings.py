"""Settings: sources, order, text, and what is wrong with them."""

import re
from pathlib import Path
from typing import Any

import pytest

from cellist import flow, settings, task
from cellist.cache_policies import NO_CACHE
from cellist.caching.stores import Place
from cellist.exceptions import ConfigurationError
from cellist.session import Session, use_session
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


BAD = {
    "CELLIST_TASKS_REFRESH_CACHE": ("perhaps", "expected one of 1, 0, true"),
    "CELLIST_TASKS_DEFAULT_RETRIES": ("x", "expected a whole number of 0 or more"),
    "CELLIST_TASKS_MAX_DELIVERIES": ("-1", "expected a whole number of 0 or more"),
    "CELLIST_TASKS_DEFAULT_RETRY_DELAY_SECONDS": ("1,soon", "expected seconds, as a number"),
    "CELLIST_WORKER_LEASE_SECONDS": ("nan", "expected seconds, as a number of 0 or more"),
    "CELLIST_TASKS_DELIVERY": ("twice", "expected one of at_least_once, at_most_once"),
    "CELLIST_CACHE": ("of", "expected one of on, refresh, readonly, off"),
    "CELLIST_UI": ("fancy", "expected one of auto, widget, html, text, off"),
    "CELLIST_REPLAY": ("maybe", "expected one of auto, on, off"),
    "CELLIST_STORE": ("sqlite", "expected one of auto, index, files"),
    "CELLIST_RESULTS_BUDGET": ("much", "expected a size such as 500MB"),
    "CELLIST_LOGGING_LEVEL": ("loud", "expected a level such as DEBUG"),
}


@pytest.mark.parametrize("variable", BAD)
def test_a_bad_variable_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    text, allowed = BAD[variable]
    monkeypatch.setenv(variable, text)
    message = f"The environment variable {variable}={text!r} is not usable: {allowed}"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        get_current_settings()
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigurationError, match=f"setting '{variable}' cannot be {text!r}"):
        temporary_settings({variable: text}).__enter__()


def test_a_bad_variable_is_told_at_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_UI", "fancy")
    with pytest.raises(ConfigurationError, match="CELLIST_UI='fancy' is not usable"):
        task(lambda: 1)()


@pytest.mark.parametrize("text", ["", " "])
def test_what_is_empty_is_the_default(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    for name in ("UI", "STORE", "REPLAY", "CACHE", "RESULTS_BUDGET", "TASKS_DELIVERY"):
        monkeypatch.setenv(f"CELLIST_{name}", text)
    now = get_current_settings()
    assert now == settings.Settings()


@pytest.mark.parametrize(
    ("text", "value"),
    [("500", 500), ("1.5kB", 1500), ("20 GB", 20 * 10**9), ("2MiB", 2**21), ("3Gi", 3 * 2**30)],
)
def test_sizes(monkeypatch: pytest.MonkeyPatch, text: str, value: int) -> None:
    monkeypatch.setenv("CELLIST_RESULTS_BUDGET", text)
    assert get_current_settings().results_budget == value


@pytest.mark.parametrize("text", ["much", "-1", "5 XB", "1.2.3"])
def test_bad_sizes(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CELLIST_RESULTS_BUDGET", text)
    with pytest.raises(ConfigurationError, match="expected a size"):
        get_current_settings()


def test_words_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_STORE", "Files")
    assert get_current_settings().store == "files"


def test_a_budget_set_in_a_later_cell_counts_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @task(persist_result=True)
    def f(n: int) -> bytes:
        return bytes(n)

    with use_session(Session(tmp_path)) as session:
        assert f(50_000, return_state=True).name == "Completed"
        monkeypatch.setenv("CELLIST_RESULTS_BUDGET", "10kB")
        with pytest.warns(UserWarning, match="the store may have 10,000"):
            f(50_001)
        elsewhere = session.stores.at(Place(tmp_path / "elsewhere"))
        assert elsewhere.budget == 10_000
        monkeypatch.setenv("CELLIST_RESULTS_BUDGET", "1GB")
        f(50_002)
        assert elsewhere.budget == 10**9
        assert f(50_002, return_state=True).name == "Cached"


def test_the_choice_of_a_store_reaches_results_and_leases(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @task
    def f(n: int) -> int:
        return n + 1

    monkeypatch.setenv("CELLIST_STORE", "files")
    with use_session(Session(tmp_path)) as session:
        f(1)
        session.stores.locks_of(session.store).acquire_lock("k", "me")
        session.stores.flush()
        names = {path.suffix for path in (tmp_path / "results").rglob("*.*")}
    assert {".cle", ".lease"} <= names
    assert not {".db", ".sqlite"} & names


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


@pytest.mark.parametrize(
    ("variable", "name", "value"),
    [
        ("PREFECT_TASK_DEFAULT_RETRIES", "tasks_default_retries", 3),
        ("PREFECT_FLOW_DEFAULT_RETRIES", "flows_default_retries", 3),
        ("PREFECT_FLOW_DEFAULT_RETRY_DELAY_SECONDS", "flows_default_retry_delay_seconds", 3.0),
        (
            "PREFECT_TASK_RUNNER_THREAD_POOL_MAX_WORKERS",
            "tasks_runner_thread_pool_max_workers",
            3,
        ),
    ],
)
def test_older_names(monkeypatch: pytest.MonkeyPatch, variable: str, name: str, value: Any) -> None:
    monkeypatch.setenv(variable, "3")
    assert getattr(get_current_settings(), name) == value
    with temporary_settings({variable: "4"}):
        assert getattr(get_current_settings(), name) == value + 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOGGING_LEVEL", "DEBUG"),
        ("LOGGING_LOG_PRINTS", True),
        ("LOGGING_EXTRA_LOGGERS", ("a", "b.c")),
        ("DEBUG_MODE", True),
        ("TASKS_DEFAULT_NO_CACHE", True),
        ("TASKS_DISABLE_CACHING", True),
        ("TASKS_DEFAULT_PERSIST_RESULT", True),
        ("TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS", 2),
    ],
)
def test_rows_of_the_table(monkeypatch: pytest.MonkeyPatch, variable: str, value: Any) -> None:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    for prefix in ("PREFECT_", "CELLIST_"):
        with monkeypatch.context() as patch:
            patch.setenv(prefix + variable, text)
            assert getattr(get_current_settings(), variable.lower()) == value


def test_settings_of_our_own_have_no_name_of_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UI", "HISTORY", "TASKS_REQUIRE_FLOW_FOR_SUBMIT"):
        monkeypatch.setenv(f"PREFECT_{name}", "off")
    now = get_current_settings()
    assert (now.ui, now.history, now.tasks_require_flow_for_submit) == ("auto", True, False)


def test_a_level_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_LOGGING_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"CELLIST_LOGGING_LEVEL='LOUD'.*such as DEBUG"):
        get_current_settings()


def test_sections_read_as_in_prefect() -> None:
    with temporary_settings(tasks_default_retries=2, logging_level="debug"):
        now: Any = get_current_settings()
        assert now.tasks.default_retries == 2
        assert now.tasks.runner.thread_pool_max_workers is None
        assert now.logging.level == "DEBUG"
        assert now.flows.default_retries == 0
        assert "default_retries" in dir(now.tasks)
    for section in (now, now.tasks):
        with pytest.raises(AttributeError, match=r"There is no setting '(tasks_)?nothing'"):
            print(section.nothing)
    assert not hasattr(now, "__len__")


def test_a_name_knows_its_value() -> None:
    name: Any = settings.PREFECT_TASKS_REFRESH_CACHE
    assert (name, name.name, name.value()) == (*["PREFECT_TASKS_REFRESH_CACHE"] * 2, False)
    with temporary_settings({name: True}):
        assert name.value() is True


def test_defaults_can_be_set_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "3")
    retries: Any = settings.CELLIST_TASKS_DEFAULT_RETRIES
    delay: Any = settings.CELLIST_TASKS_DEFAULT_RETRY_DELAY_SECONDS
    with temporary_settings(set_defaults={retries: 7, delay: 7}) as now:
        assert (now.tasks_default_retries, now.tasks_default_retry_delay_seconds) == (3, 7)
    with temporary_settings(restore_defaults={retries}) as now:
        assert now.tasks_default_retries == 0
    with temporary_settings({retries: 5}), temporary_settings(restore_defaults=[retries]) as now:
        assert now.tasks_default_retries == 0
    with temporary_settings({delay: 5}, {retries: 6}, [retries]) as now:
        assert (now.tasks_default_retries, now.tasks_default_retry_delay_seconds) == (6, 5)
    assert get_current_settings().tasks_default_retries == 3


def test_who_listens_hears_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    def listener(now: settings.Settings) -> None:
        heard.append(now.tasks_default_retries)

    settings.refresh()
    monkeypatch.setattr("cellist.settings._Cache.listeners", ())
    settings.on_change(listener)
    with temporary_settings(tasks_default_retries=2):
        settings.refresh()
    assert heard == [0, 2, 0]


def test_an_environment_without_a_dictionary_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"CELLIST_TASKS_DEFAULT_RETRIES": "3"})
    assert get_current_settings().tasks_default_retries == 3
    monkeypatch.undo()
    assert get_current_settings().tasks_default_retries == 0


def test_submitting_may_require_a_flow() -> None:
    @task(cache_policy=NO_CACHE)
    def work(x: int = 1) -> int:
        return x

    @task(cache_policy=NO_CACHE)
    def submitting() -> int:
        return work.submit(2).result()

    @flow
    def whole() -> Any:
        return submitting(), work.submit(3).result(), work.map([4]).result()

    assert submitting() == 2
    with temporary_settings(tasks_require_flow_for_submit=True):
        for attempt in (work.submit, lambda: work.map([1]), submitting):
            with pytest.raises(RuntimeError, match="'work' cannot be submitted outside"):
                attempt()
        assert whole() == (2, 3, [4])
