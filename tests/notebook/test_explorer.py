"""`cellist.show`: the board of a run of the history, as it was."""

import pytest

import cellist
from cellist import flow, task
from cellist.board.past import past_runs, show_past
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import ObjectNotFound
from cellist.notebook import explorer
from tests.board.fakes import Screen
from tests.shells import shell


@task(retries=1, cache_policy=NO_CACHE)
def fetch(n):
    if n == 2:
        raise ValueError("<no> page")
    return n


@task(cache_policy=NO_CACHE)
def outer(n):
    return fetch(n)


@flow
def inner():
    return fetch(3)


@flow
def crawl():
    outer(1)
    inner()
    fetch(2, return_state=True)


def told(run):
    return [(state.type, state.name, state.message, state.at) for state in run.states]


def rows_of(session, which):
    session.history.flush(60)
    return session.history.family(session.history.run(which))


def test_past_runs_are_what_they_were(recorder):
    crawl()
    kept = {run.number: run for run in recorder.runs}
    past = past_runs(rows_of(recorder.session, "crawl"))
    assert len(past) == len(kept) == 6
    for run in past:
        was = kept[run.number]
        assert (run.name, run.kind, run.attempts) == (was.name, was.kind, was.attempts)
        assert told(run) == told(was)
        assert (run.state_type, run.ended, run.total_run_time) == (
            was.state_type, was.ended, was.total_run_time,
        )  # fmt: skip
        assert (run.error, run.inputs or {}, run.upstream) == (was.error, was.inputs, was.upstream)
        assert str(run.why) == str(was.why)
        assert (run.parent and run.parent.number) == (was.parent and was.parent.number)
        assert (run.flow and run.flow.number) == (was.flow and was.flow.number)


def test_what_a_task_outside_flows_called_is_shown_with_it(recorder):
    outer(1)
    outer(5)
    assert [row["name"] for row in rows_of(recorder.session, "outer")] == ["outer", "fetch"]


def test_the_board_of_a_past_run_answers_as_a_closed_one(recorder):
    crawl()
    screen = Screen()
    rows = rows_of(recorder.session, "crawl")
    show_past(rows, ui="widget", control=lambda *_: None, screen=screen)
    assert "<small>Began 20" in screen.records[-1]
    assert "ValueError: &lt;no&gt; page" in screen.records[-1]
    assert screen.is_retired
    assert screen.receive is not None
    screen.receive({"kind": "hello"})
    snapshot = screen.of_kind("snapshot")[-1]
    assert snapshot["closed"] is True
    assert [group["name"] for group in snapshot["groups"]] == [
        "crawl", "outer", "fetch", "inner", "fetch", "fetch",
    ]  # fmt: skip


def test_show_takes_a_name_an_id_a_state_and_by_default_the_latest(recorder, capsys):
    crawl()
    state = fetch(1, return_state=True)
    number = recorder.one("crawl").id
    for which in ("crawl", number, str(number)[:20], recorder.one("crawl")):
        cellist.show(which)
        assert "fetch" in capsys.readouterr().out
    cellist.show(state)
    assert capsys.readouterr().out.startswith("fetch: ✓ completed in ")
    cellist.show()
    assert capsys.readouterr().out.startswith("fetch: ✓ completed in ")
    with pytest.raises(ObjectNotFound, match="Near to it: crawl"):
        cellist.show("crawll")


def test_what_failed_in_a_past_run_is_run_again_by_a_command(recorder, monkeypatch):
    given = {}
    monkeypatch.setattr(explorer, "show_past", lambda rows, **how: given.update(how))
    crawl()
    cellist.show("crawl")
    run = recorder.runs[0].id.hex
    assert given["control"]("retry_failed", run).endswith(f"%cellist retry {run}")


def test_nothing_to_show_is_said(recorder):
    with pytest.raises(ObjectNotFound, match="There is no run to show yet"):
        cellist.show()


@pytest.mark.parametrize(
    ("ui", "kinds"),
    [("widget", 2), ("html", 1), ("text", 0), ("off", 0)],
)
def test_in_a_shell_it_is_shown_as_asked(tmp_path, monkeypatch, ui, kinds):
    monkeypatch.setenv("CELLIST_UI", "off")
    with shell(tmp_path) as notebook:
        notebook.run("%load_ext cellist\nfrom cellist import task, show\n@task\ndef f(n): return n")
        notebook.run("f(1)")
        monkeypatch.setenv("CELLIST_UI", ui)
        for line in ("show('f')", "%cellist board f", "%cellist board"):
            ran = notebook.run(line)
            assert ran.error is None
            assert len([one for one in ran.shown if "update" not in one]) == kinds
            assert ("f: ✓ completed in" in ran.out) == (ui == "text")
