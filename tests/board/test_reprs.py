"""Single things as the last line of a cell: state, future, run, task, flow; text and HTML."""

import pickle
from datetime import datetime

import pytest

import cellist
from cellist import flow, task
from cellist.board.reprs import mimebundle, state_html
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE, RUN_ID
from cellist.history.records import RunRecord
from cellist.model.states import COMPLETED, FAILED, State
from tests.board.test_record import HOSTILE, Strict

TAGS = {"div", "span", "ul", "li", "b", "code"}


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


@task(retries=2, retry_delay_seconds=[1, 2], tags=["io"], cache_policy=INPUTS)
def fetch(page: int, agent="<me>", *rest, deep: bool = True):
    """Fetch <one> page."""
    return page


@task
def plain():
    return 1


@flow(timeout_seconds=9)
def crawl(pages):
    return fetch.map(pages)


def shown(value):
    """The text and the words of the HTML, whose tags are few and balanced."""
    bundle = value._repr_mimebundle_(include=None, exclude=None)
    parsed = Strict(bundle["text/html"])
    assert {tag for tag, _ in parsed.seen} <= TAGS
    return bundle["text/plain"], parsed.text


def test_a_state_is_icon_word_message_result_and_reason(recorder):
    text, words = shown(fetch(1, return_state=True))
    assert text == "Completed(message=None, type=COMPLETED, result=1)"
    assert words == "✓ completedresult: 1why: ran: never run before"


def test_runs_show_states_in_words_with_their_icons(recorder):
    @task(cache_policy=NO_CACHE)
    def fail():
        raise ValueError("<no>")

    fetch(1)
    fetch(1)
    fail(return_state=True)
    frame = cellist.runs()
    assert list(frame["state"]) == ["Failed", "Cached", "Completed"], "the data are plain"
    assert frame["duration"].dtype == "float64"
    for one in (frame, frame[["name", "state", "start"]], frame[frame["state"] != "Failed"]):
        few = one[["name", "state"]]  # pandas leaves out columns of the text of a wide frame
        for text in (repr(few), one._repr_html_()):
            assert "◆ reused" in text
            assert "✓ completed" in text
            assert ("✕ failed" in text) == (len(one) == 3)
    assert (
        f"{datetime.fromtimestamp(frame['start'][0].timestamp()).astimezone():%H:%M:%S}</td>"
        in frame._repr_html_()
    )
    assert "<no>" not in frame._repr_html_()
    pickled = pickle.loads(pickle.dumps(frame))
    assert pickled.equals(frame)
    assert "Completed" in repr(frame["state"])
    odd = frame.rename(columns={"name": "start", "start": "name"})
    assert "Completed" in odd._repr_html_(), "as pandas shows it"
    assert "count" in repr(frame.describe())


def test_a_state_shows_itself_escaped_and_bounded():
    state = State(FAILED, None, HOSTILE * 100, data=[HOSTILE] * 1_000_000)
    state.why = HOSTILE
    text, words = shown(state)
    assert "failed" in words
    assert len(words) < 900
    assert len(text) < 500
    assert not set(text) & {"\x1b", "\x00", "\n"}


@pytest.mark.parametrize("data", [Broken(), [Broken()], {"a": Broken()}])
def test_a_result_with_a_broken_repr_breaks_nothing(data):
    text, words = shown(State(COMPLETED, data=data))
    assert "Broken" in text or "list" in text or "dict" in text
    assert "completed" in words


def test_futures_alone_and_many(recorder):
    many = fetch.map(range(12))
    many.wait()
    text, words = shown(many)
    assert text == "12 futures: 12 completed"
    assert words.count("fetch ✓ completed") == 10
    assert words.endswith("… and 2 more")
    text, words = shown(many[0])
    assert text.startswith("PrefectFuture(name='fetch'")
    assert "future of fetch ✓ completed" in words
    assert "ran: never run before" in words


def test_a_run_that_failed_says_so(recorder):
    @task(cache_policy=NO_CACHE, retries=1, name=HOSTILE)
    def bad():
        raise ValueError(HOSTILE)

    bad(return_state=True)
    text, words = shown(recorder.runs[0])
    assert "state=Failed" in text
    assert "attempts: 2" in words
    assert "error: ValueError: <script>" in words


def test_tasks_and_flows_show_signature_purpose_and_their_own_options():
    text, words = shown(fetch)
    assert text == "Task('fetch')"
    assert words.startswith(
        "task fetch(page, agent='<me>', *rest, deep=True)does: Fetch <one> page."
    )
    assert "retries: 2" in words
    assert "retry_delay_seconds: [1, 2]" in words
    assert "cache_policy: INPUTS" in words
    assert words.endswith("tags: io")
    assert shown(plain)[1] == "task plain()"
    text, words = shown(crawl)
    assert (text, words) == ("Flow('crawl')", "flow crawl(pages)timeout_seconds: 9")


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (DEFAULT, "INPUTS + TASK_SOURCE"),
        (NO_CACHE, "NO_CACHE"),
        (INPUTS - "agent" - "deep", "INPUTS - 'agent' - 'deep'"),
        (INPUTS + RUN_ID, "INPUTS + RUN_ID"),
    ],
)
def test_a_policy_is_told_as_it_is_written(policy, told):
    words = shown(fetch.with_options(cache_policy=policy))[1]
    said = words.partition("cache_policy: ")[2].removesuffix("tags: io")
    assert sorted(said.split(" + ")) == sorted(told.split(" + "))


def test_a_method_that_is_a_task_shows_itself():
    broken = Broken()

    class Site:
        @task
        def fetch(self, n=broken):
            return n

    assert "fetch" in shown(Site().fetch)[1]


@pytest.mark.parametrize("ui", ["off", "text"])
def test_without_html_there_is_text(monkeypatch, ui):
    monkeypatch.setenv("CELLIST_UI", ui)
    cellist.settings.refresh()
    assert set(mimebundle(State(COMPLETED))) == {"text/plain"}


def test_a_fault_of_ours_keeps_nothing_from_being_shown(monkeypatch):
    monkeypatch.setattr("cellist.board.reprs.state_html", lambda state: 1 / 0)
    bundle = State(COMPLETED)._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert "State" in bundle["text/plain"]


def test_the_record_of_a_run_is_escaped_and_bounded():
    row = {
        "id": "0" * 32, "name": HOSTILE, "kind": "task", "definition": "f", "flow": None,
        "parent": None, "state": "Failed", "started": None, "ended": None,
        "error": ["ValueError", HOSTILE + "e" * 100_000, ""], "inputs": {HOSTILE: HOSTILE},
    }  # fmt: skip
    record = RunRecord(row, [], [])
    html = record._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html
    assert len(html) < 5_000
    assert len(repr(record)) < 3_000


def test_runs_are_a_frame_and_a_run_of_it_is_told(recorder):
    fetch(1)
    frame = cellist.runs()
    assert list(frame["name"]) == ["fetch"]
    record = cellist.run(frame["id"][0])
    assert "never run before" in record._repr_html_()
    assert "task run fetch" in repr(record)


def test_state_html_is_small():
    assert len(state_html(State(COMPLETED, data=1))) < 200
