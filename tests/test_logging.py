"""Loggers that know their run, and prints that become log records."""

import asyncio
import builtins
import logging

import pytest

from cellist import flow, get_run_logger, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import MissingContextError
from cellist.session import get_session


@pytest.fixture
def kept():
    """Collect what runs log."""
    found: list[tuple[str, int, str]] = []

    def sink(event) -> None:
        if hasattr(event, "message"):
            found.append((event.run.definition.name, event.level, event.message))

    session = get_session()
    session.sinks.append(sink)
    yield found
    session.sinks.remove(sink)


@task(cache_policy=NO_CACHE, log_prints=True)
def talk(n: int) -> None:
    print("number", n, sep="=", end="\n\n")


def test_prints_become_records_and_nothing_is_printed(kept, capsys) -> None:
    plain = builtins.print
    talk(1)
    assert kept == [("talk", logging.INFO, "number=1")]
    assert capsys.readouterr().out == ""
    assert builtins.print is plain


def test_prints_of_others_are_left_alone(kept, capsys) -> None:
    @task(cache_policy=NO_CACHE)
    def quiet() -> None:
        print("to the page")

    @task(cache_policy=NO_CACHE, log_prints=True)
    def outer() -> None:
        quiet.with_options(log_prints=False)()
        print("to the log")

    outer()
    assert capsys.readouterr().out == "to the page\n"
    assert [message for _, _, message in kept] == ["to the log"]


def test_a_print_into_a_file_of_ones_own_goes_there(kept, tmp_path) -> None:
    @task(cache_policy=NO_CACHE, log_prints=True)
    def write() -> None:
        with (tmp_path / "out").open("w") as file:
            print("kept", file=file)

    write()
    assert (tmp_path / "out").read_text() == "kept\n"
    assert kept == []


def test_tasks_inherit_from_their_flow(kept) -> None:
    @task(cache_policy=NO_CACHE)
    def inner() -> None:
        print("inside")

    @flow(log_prints=True)
    def outer() -> None:
        inner()
        inner.submit().result()
        print("outside")

    outer()
    assert [(name, text) for name, _, text in kept] == [
        ("inner", "inside"),
        ("inner", "inside"),
        ("outer", "outside"),
    ]


def test_twenty_at_once_land_in_their_own_runs(kept) -> None:
    plain = builtins.print

    @task(cache_policy=NO_CACHE, log_prints=True, task_run_name="talk-{n}")
    async def speak(n: int) -> None:
        await asyncio.sleep(0)
        print(n)

    @flow
    async def crowd() -> None:
        await asyncio.gather(*(speak(n) for n in range(20)))
        for future in talk.map(range(20)):
            future.result()

    asyncio.run(crowd())
    assert builtins.print is plain
    spoken = [message for name, _, message in kept if name == "speak"]
    assert sorted(spoken, key=int) == [str(n) for n in range(20)]
    assert len(kept) == 40


def test_a_run_logger_writes_to_the_run_and_to_the_standard_logger(kept, caplog) -> None:
    @task(cache_policy=NO_CACHE)
    def work() -> None:
        get_run_logger().info("got %d rows", 3)
        get_run_logger().debug("too much")

    with caplog.at_level(logging.INFO, "cellist"):
        work()
    assert kept == [("work", logging.INFO, "got 3 rows")]
    (record,) = caplog.records
    assert record.name == "cellist.task_runs"
    assert record.run_name == "work"


def test_there_is_no_run_logger_outside_runs() -> None:
    with pytest.raises(MissingContextError):
        get_run_logger()
