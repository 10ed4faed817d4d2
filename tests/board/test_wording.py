"""Words: durations, states, attempts, errors, reasons."""

from types import SimpleNamespace
from typing import Any

import pytest

from cellist.board import wording
from cellist.board.palette import LOOKS
from cellist.model.reasons import Change, Reason
from cellist.model.runs import ErrorInfo
from cellist.model.states import FAILED, PAUSED, PENDING, RUNNING, State, StateType
from tests.board.fakes import Story


@pytest.mark.parametrize(
    ("seconds", "took", "text"),
    [
        ([], None, None),
        ([252.0], None, "took 4 min last time"),
        ([240, 250, 260, 270, 300, 350, 360, 900], None, "usually 4–6 min, last 8 runs"),
        ([61, 100], None, "usually 1–2 min, last 2 runs"),
        ([30, 100], None, "usually 0.5–2 min, last 2 runs"),
        ([1.21, 1.9, 2.3], None, "usually 1.2–2.3 s, last 3 runs"),
        ([0.3, 12], None, "usually 300 ms–12 s, last 2 runs"),
        ([0.040, 0.041, 0.047], None, "usually 40–47 ms, last 3 runs"),
        ([12, 12.2], None, "usually 12 s, last 2 runs"),
        ([7200, 9000], None, "usually 2–2.5 h, last 2 runs"),
        ([10, 12], 14.0, None),
        ([10, 12], 16.0, "longer than usual (10–12 s)"),
        ([0.010, 0.012], 0.5, None),
    ],
)
def test_what_is_usual_in_words(seconds, took, text):
    assert wording.usual_text(seconds, took) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0126, "13 ms"),
        (0.9991, "999 ms"),
        (0.9996, "1.0 s"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize("kind", StateType)
def test_every_state_type_has_a_look_and_a_word(kind):
    state = State(kind)
    assert wording.look_of(state) in LOOKS
    assert wording.word_of(state)


@pytest.mark.parametrize(
    ("kind", "name", "look", "word"),
    [
        ("COMPLETED", "Cached", "cached", "reused"),
        ("SCHEDULED", "AwaitingRetry", "waiting", "waiting to retry"),
        ("SCHEDULED", "AwaitingConcurrencySlot", "scheduled", "waiting for a free slot"),
        ("RUNNING", "Retrying", "running", "retrying"),
        ("FAILED", "TimedOut", "failed", "timed out"),
        ("COMPLETED", "RolledBack", "completed", "rolled back"),
        ("COMPLETED", "Nothing to do", "completed", "completed"),
    ],
)
def test_named_states(kind, name, look, word):
    state = State(kind, name)
    assert (wording.look_of(state), wording.word_of(state)) == (look, word)


def test_a_run_without_a_state_is_pending():
    assert wording.look_of(None) == "pending"
    assert wording.word_of(None) == "pending"


def test_attempts_are_only_mentioned_where_there_can_be_several():
    story = Story()
    once = story.begin(story.task("once"), 0)
    assert wording.attempt_text(once, "running") is None
    often = story.begin(story.task("often", retries=3), 0)
    assert wording.attempt_text(often, "running") == "attempt 1 of 4"
    story.enter(often, 1, RUNNING, "Retrying")
    assert wording.attempt_text(often, "running") == "attempt 2 of 4"


def test_a_definition_without_retries_is_fine():
    story = Story()
    run = story.begin(story.flow(), 0)
    delattr(run.definition, "retries")
    story.enter(run, 1, RUNNING)
    assert wording.attempt_text(run, "running") == "attempt 2 of 2"


def test_an_error_is_one_line():
    run = Story().task("fetch")
    run.error = ErrorInfo("json.JSONDecodeError", "Expecting value:\nline 2", "")
    assert wording.error_line(run) == "JSONDecodeError: Expecting value:"
    run.error = ErrorInfo("KeyError", "", "")
    assert wording.error_line(run) == "KeyError"
    run.error = ErrorInfo("ValueError", "x" * 10_000_000, "")
    assert len(wording.error_line(run) or "") == wording.ERROR_LIMIT


def test_a_failure_without_an_exception_shows_its_message():
    story = Story()
    run = story.begin(story.task("fetch"), 0)
    assert wording.error_line(run) is None
    story.enter(run, 1, FAILED, None, "returned a failed state")
    assert wording.error_line(run) == "returned a failed state"


def test_what_a_paused_run_waits_for_and_how_it_was_resumed_is_no_failure():
    story = Story()
    run = story.begin(story.flow("publish"), 0)
    story.enter(run, 1, PAUSED, None, "Waits for input `approve`.")
    assert wording.error_line(run) is None
    assert wording.why_line(run, 300) == "Waits for input `approve`."
    story.enter(run, 2, RUNNING, None, "Resumed on the board with approve=True.")
    assert wording.error_line(run) is None
    assert wording.why_line(run, 300) is None


def test_reasons_name_the_commonest_first():
    reasons = {"same inputs": 3, "never run before": 40, "a": 1, "b": 1}
    assert wording.reasons_text(reasons) == (
        "never run before (×40); same inputs (×3); and 2 other reasons"
    )
    assert wording.reasons_text({"never run before": 16, "n: 1 → 2": 1, "n: 1 → 3": 1}) == (
        "never run before (×16); and 2 other reasons"
    )
    assert wording.reasons_text({"same inputs": 1}) == "same inputs"
    assert wording.reasons_text({}) == ""


@pytest.mark.parametrize(
    ("counts", "look"),
    [
        ({"failed": 3, "running": 1}, "running"),
        ({"failed": 3, "waiting": 1}, "waiting"),
        ({"completed": 3, "pending": 1}, "running"),
        ({"pending": 2}, "pending"),
        ({"completed": 3, "failed": 1}, "failed"),
        ({"completed": 3, "cached": 9}, "completed"),
        ({"cached": 9, "completed": 0}, "cached"),
        ({}, "pending"),
    ],
)
def test_one_look_stands_for_many(counts, look):
    assert wording.look_of_many(counts) == look


def test_not_ready_is_over():
    run = Story().task("after")
    run.enter(PENDING, "NotReady")
    assert LOOKS[wording.look_of(run.state)].is_over


def test_a_diff_keeps_its_lines_and_ends_where_it_must():
    change = Change(
        "function", "helper", "def h():\n    return 1", "def h():\n    return 2", "changed"
    )
    run: Any = SimpleNamespace(why=Reason("miss", "changed", "ran: it changed", (change,)))
    lines = wording.diffs(run).splitlines()
    assert lines[0] == "helper"
    assert {"-    return 1", "+    return 2"} <= set(lines)
    long = Change("function", "f", "\n".join(map(str, range(9000))), "x", "changed")
    run.why = Reason("miss", "changed", "ran: it changed", (long,))
    assert len(wording.diffs(run)) == wording.DIFF_LIMIT + 1
    run.why = None
    assert wording.diffs(run) == ""
