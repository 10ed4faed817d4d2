"""Pause, resume and suspend: a flow that waits for a person or a program."""

import asyncio
import inspect
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist import (
    flow,
    pause_flow_run,
    resume_flow_run,
    suspend_flow_run,
    task,
)
from cellist.exceptions import (
    CancelledRun,
    ConfigurationError,
    FlowPauseTimeout,
    FlowRunWaitTimeout,
    NotPausedError,
    ObjectNotFound,
    PausedRun,
    UnattendedPause,
)
from cellist.flow_runs import wait_for_flow_run
from cellist.forms import InvalidInput
from cellist.input import RunInput
from cellist.settings import temporary_settings
from tests.sessions import Recorder, names

LONG = 20.0


class Approval(RunInput):
    approve: bool
    note: str = ""


@contextmanager
def answering(recorder: Recorder, *answers: Callable[[Any], object]) -> Iterator[None]:
    """Have someone else do something at each pause: called with the pause, in another thread."""
    left = list(answers)
    problems: list[BaseException] = []
    threads: list[threading.Thread] = []

    def act(pause: Any) -> None:
        try:
            left.pop(0)(pause)
        except BaseException as error:
            problems.append(error)

    def asked(pause: Any) -> None:
        threads.append(threading.Thread(target=act, args=[pause]))
        threads[-1].start()

    recorder.session.desk.show = asked
    recorder.session.desk.is_attended = lambda _: True
    yield
    for thread in threads:
        thread.join(LONG)
    assert problems == []
    assert left == []


async def paused(recorder: Recorder) -> None:
    """Wait on the loop until flow `ask` is paused."""
    seen = asyncio.Event()
    recorder.session.desk.show = lambda _: seen.set()
    await asyncio.wait_for(seen.wait(), LONG)


def resume(value: Any = None) -> Callable[[Any], None]:
    return lambda pause: resume_flow_run(pause.flow.run.id, value)


def test_the_flow_waits_and_goes_on_with_the_answer(recorder: Recorder) -> None:
    @flow
    def ask(question: str) -> Any:
        return question, pause_flow_run(wait_for_input=Approval)

    with answering(recorder, resume({"approve": "yes", "note": "fine"})):
        question, answer = ask("publish?")
    assert (question, answer) == ("publish?", Approval(approve=True, note="fine"))
    run = recorder.one("ask")
    assert names(run) == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert run.run_count == 1
    assert run.states[2].message == "Waits for input `approve`, `note`."
    assert run.states[2].state_details.pause_key == "1"
    record = cellist.run(run.id)
    assert record.inputs == {
        "question": "'publish?'",
        "pause 1 approve": "True",
        "pause 1 note": "'fine'",
    }
    assert "Resumed from code with approve=True, note='fine'." in recorder.logs()


def test_without_input_it_gives_none(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run()

    with answering(recorder, resume()):
        assert ask() is None


KINDS = [
    (int, 5, 5),
    (int, {"value": "5"}, 5),
    (str, "yes", "yes"),
    (list[int], [1, "2"], [1, 2]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (bool | None, None, None),
]


@pytest.mark.parametrize(("kind", "given", "got"), KINDS, ids=str)
def test_plain_types(recorder: Recorder, kind: Any, given: Any, got: Any) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run(wait_for_input=kind)

    wrapped = {"value": None} if given is None else given
    with answering(recorder, resume(wrapped)):
        assert ask() == got


def test_an_answer_that_does_not_fit_leaves_it_paused(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run(wait_for_input=Approval)

    def wrong_then_right(pause: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            resume_flow_run(pause.flow.run.id, {"approve": "perhaps"})
        assert list(caught.value.errors) == ["approve"]
        assert pause.flow.run.state.is_paused()
        resume_flow_run("ask", Approval(approve=False))
        with pytest.raises(NotPausedError):
            resume_flow_run(pause.flow.run.id, {"approve": True})

    with answering(recorder, wrong_then_right):
        assert ask() == Approval(approve=False)


def test_async_flows_await_and_the_loop_goes_on(recorder: Recorder) -> None:
    @flow
    async def ask() -> Any:
        coroutine: Any = pause_flow_run(wait_for_input=int)
        assert inspect.iscoroutine(coroutine)
        return await coroutine

    async def main() -> Any:
        async def answer() -> None:
            await paused(recorder)
            await resume_flow_run(recorder.one("ask").id, 3)

        return (await asyncio.gather(answer(), ask()))[1]

    assert asyncio.run(main()) == 3
    assert names(recorder.one("ask")) == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_a_sync_flow_on_a_loop_lets_the_loop_answer(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run(wait_for_input=int)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, resume_flow_run, "ask", 4)
        recorder.session.desk.is_attended = lambda _: True
        return ask()

    assert asyncio.run(main()) == 4


def test_a_pause_ends_by_its_timeout(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run(timeout=0.05)

    @flow
    async def aask() -> Any:
        return await pause_flow_run(timeout=0.05)

    for state in (ask(return_state=True), asyncio.run(aask(return_state=True))):
        assert state.is_failed()
        with pytest.raises(FlowPauseTimeout, match=r"nobody resumed it within 0\.05 seconds"):
            state.result()
    for name in ("ask", "aask"):
        assert names(recorder.one(name)) == ["Pending", "Running", "Paused", "Failed"]
        with pytest.raises(NotPausedError, match="it is not paused but Failed"):
            resume_flow_run(recorder.one(name).id)


def test_where_nobody_can_answer_it_fails_at_once_and_says_how_to(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run(wait_for_input=int, key="number")

    recorder.session.desk.is_attended = lambda _: False
    with pytest.raises(UnattendedPause, match=r'\{"ask.number": ...\}.*CELLIST_INPUTS'):
        ask()
    assert names(recorder.one("ask")) == ["Pending", "Running", "Failed"]


def test_answers_come_from_a_file(recorder: Recorder, tmp_path: Path) -> None:
    @flow
    def ask() -> Any:
        first = pause_flow_run(wait_for_input=Approval, key="approve")
        return first, pause_flow_run(wait_for_input=int), pause_flow_run()

    file = tmp_path / "answers.json"
    recorder.session.desk.is_attended = lambda _: False
    file.write_text(json.dumps({"ask.approve": {"approve": True}, "1": 7, "ask.2": None}))
    with temporary_settings(inputs=str(file)):
        assert ask() == (Approval(approve=True), 7, None)
    assert names(recorder.one("ask")).count("Paused") == 3
    assert cellist.run("ask").inputs["pause 1"] == "7"
    for text, error, says in (
        ('{"ask.approve": {"approve": "perhaps"}}', InvalidInput, "'ask.approve'.*approve: "),
        ("[1]", ConfigurationError, "a JSON object"),
        ("{", ConfigurationError, "cannot be read"),
        ("{}", UnattendedPause, "nobody is there"),
    ):
        file.write_text(text)
        with temporary_settings(inputs=str(file)), pytest.raises(error, match=says):
            ask()


def test_a_retry_is_not_asked_again_and_a_pause_takes_no_attempt(recorder: Recorder) -> None:
    tries: list[Any] = []

    @flow(retries=1)
    def ask() -> Any:
        tries.append((pause_flow_run(wait_for_input=int), pause_flow_run(wait_for_input=str)))
        if len(tries) < 2:
            raise ValueError("once more")
        return tries

    with answering(recorder, resume(1), resume("a")):
        assert ask() == [(1, "a"), (1, "a")]
    assert recorder.one("ask").run_count == 2


def test_tasks_may_pause_their_flow_one_after_the_other(recorder: Recorder) -> None:
    @task
    def ask(name: str) -> Any:
        return name, pause_flow_run(wait_for_input=str, key=name)

    @flow
    def both() -> Any:
        return ask.map(["a", "b"]).result()

    def answer(pause: Any) -> None:
        resume_flow_run(pause.flow.run.id, pause.key * 2)

    with answering(recorder, answer, answer):
        assert both() == [("a", "aa"), ("b", "bb")]
    assert names(recorder.one("both")).count("Paused") == 2
    with answering(recorder, answer, answer):  # what a person said is not in the cache
        assert both() == [("a", "aa"), ("b", "bb")]


def test_cancel_ends_a_pause(recorder: Recorder) -> None:
    @flow
    def ask() -> Any:
        return pause_flow_run()

    @flow
    async def aask() -> Any:
        return await pause_flow_run()

    def cancel(pause: Any) -> None:
        cellist.cancel(pause.flow.run.id)

    with answering(recorder, cancel, cancel):
        for call in (ask, lambda: asyncio.run(aask())):
            with pytest.raises(CancelledRun):
                call()
    for name in ("ask", "aask"):
        assert names(recorder.one(name)) == ["Pending", "Running", "Paused", "Cancelled"]


def test_outside_flows_there_is_nothing_to_pause(recorder: Recorder) -> None:
    del recorder

    @task
    def lonely() -> Any:
        return pause_flow_run()

    for call in (pause_flow_run, suspend_flow_run, lonely):
        with pytest.raises(RuntimeError, match="from inside a flow"):
            call()
    with pytest.raises(ObjectNotFound):
        resume_flow_run("nobody")


def test_drawing_a_flow_does_not_pause(recorder: Recorder) -> None:
    del recorder

    @task
    def after(note: str) -> None: ...

    @flow
    def ask() -> Any:
        pause_flow_run()
        after(pause_flow_run(wait_for_input=Approval).note)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of code that runs, told once in a process
        assert "after" in str(ask.generate_mermaid_graph())


def test_a_suspended_flow_starts_over_from_the_cache(recorder: Recorder) -> None:
    @task
    def work(n: int) -> int:
        return n * 2

    @flow
    def publish(n: int) -> Any:
        found = work(n)
        return found, suspend_flow_run(wait_for_input=str, key="ok")

    state = publish(1, return_state=True)
    assert (state.type.value, state.name) == ("PAUSED", "Suspended")
    assert state.state_details.pause_reschedule
    with pytest.raises(PausedRun):
        state.result()
    with pytest.raises(InvalidInput):
        resume_flow_run(state.state_details.flow_run_id, 3)
    with pytest.raises(PausedRun, match="Waits for input"):
        publish(2)  # another call has another answer
    resume_flow_run(state.state_details.flow_run_id, "fine")
    assert publish(1) == (2, "fine")
    assert [run.state_name for run in recorder.of("work")] == ["Completed", "Completed", "Cached"]
    with pytest.raises(PausedRun):  # an answer is for one run
        publish(1)
    with pytest.raises(PausedRun):
        publish(2)


def test_tasks_and_subflows_cannot_be_suspended(recorder: Recorder) -> None:
    del recorder

    @task
    def inner() -> Any:
        return suspend_flow_run()

    @flow
    def subflow() -> Any:
        return suspend_flow_run()

    @flow
    def outer(what: Any) -> Any:
        return what()

    for what in (inner, subflow):
        with pytest.raises(RuntimeError, match="Cannot suspend from a task or a subflow"):
            outer(what)


def test_waiting_for_a_flow_run(recorder: Recorder) -> None:
    @flow
    async def ask() -> Any:
        return await pause_flow_run(wait_for_input=int)

    async def main() -> None:
        waiting = asyncio.ensure_future(ask())
        await paused(recorder)
        run = recorder.one("ask")
        with pytest.raises(FlowRunWaitTimeout):
            await wait_for_flow_run(run.id, timeout=0.01)
        watched = asyncio.ensure_future(wait_for_flow_run(run.id))
        await asyncio.sleep(0)
        resume_flow_run(run.id, 1)
        assert (await watched) is run
        assert await waiting == 1
        assert (await wait_for_flow_run(run.id)).state == "Completed"

    asyncio.run(main())
