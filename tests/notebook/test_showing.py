"""What is shown is recorded in order while it is shown, and shown again."""

import sys
import threading
from typing import Any

import pytest
from IPython.core.display import HTML
from IPython.core.display_functions import clear_output
from IPython.core.display_functions import display as ipython_display

from cellist import recording as recordings
from cellist.caching.shown import pack, unpack
from cellist.notebook.showing import recording, replay
from cellist.recording import unrecorded
from tests.shells import shell

display: Any = ipython_display  # its handle is None only without an id


@pytest.fixture
def ipython(tmp_path):
    with shell(tmp_path) as started:
        inner: Any = started.shell
        inner.display_pub.shown = []
        with inner.builtin_trap, inner.display_trap:
            yield inner


def streams(events):
    return [(one["name"], one["text"]) for one in events if one["kind"] == "stream"]


def kinds(events):
    return [one["kind"] for one in events]


def bundles(events):
    return [one["data"] for one in events if "data" in one]


def test_outputs_are_recorded_in_order_and_still_shown(ipython, capsys):
    with recording(ipython) as recorder:
        print("one")
        print("two", file=sys.stderr)
        display(HTML("<b>3</b>"))
        print("four", end="")
        sys.displayhook(5)
    print("after")
    events = recorder.events()
    assert kinds(events) == ["stream", "stream", "display", "stream", "result"]
    assert streams(events) == [("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "four")]
    assert bundles(events)[0]["text/html"] == "<b>3</b>"
    assert bundles(events)[1] == {"text/plain": "5"}
    seen = capsys.readouterr()
    assert seen.out.startswith("one\nfour")
    assert seen.out.endswith("after\n")
    assert seen.err == "two\n"
    assert unpack(pack(events)) == events


def test_nothing_stays_tapped(ipython):
    before = {name: dict(vars(getattr(sys, name))) for name in ("stdout", "stderr")}
    with recording(ipython), recording(ipython):
        assert "write" in vars(sys.stdout)
    assert {name: dict(vars(getattr(sys, name))) for name in before} == before
    assert not {"publish", "clear_output"} & set(vars(ipython.display_pub))
    assert not {"write_format_data"} & set(vars(ipython.displayhook))


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (["a\rb"], "b"),
        (["abc\rx"], "xbc"),
        (["10%", "\r20%", "\r", "30%", "\ndone\n"], "30%\ndone\n"),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["\r1\r2\n\r3\r4"], "2\n4"),
        (["long line\r\r", "x\n"], "xong line\n"),
    ],
)
def test_what_a_carriage_return_overwrote_is_gone(ipython, pieces, kept):
    with recording(ipython) as recorder:
        for piece in pieces:
            sys.stdout.write(piece)
    assert streams(recorder.events()) == [("stdout", kept)]


def test_a_progress_bar_costs_no_more_than_its_line(ipython):
    with recording(ipython) as recorder:
        for step in range(20_000):
            sys.stdout.write(f"\r{step:06d} {'#' * 100}")
    assert streams(recorder.events())[0][1].startswith("019999")
    assert not recorder.is_cut


def test_updates_replace_and_cleared_output_is_gone(ipython):
    with recording(ipython) as recorder:
        print("old")
        clear_output(wait=True)
        handle = display(HTML("first"), display_id=True)
        handle.update(HTML("second"))
        display(HTML("third"), display_id=handle.display_id)
        handle.update(HTML("last"))
    events = recorder.events()
    assert [one["text/html"] for one in bundles(events)] == ["last", "last"]
    with recording(ipython) as recorder:
        print("old")
        clear_output()
        print("new")
    assert streams(recorder.events()) == [("stdout", "new\n")]


def test_a_display_of_another_cell_is_updated_again(ipython):
    handle = display(HTML("here"), display_id="elsewhere")
    with recording(ipython) as recorder:
        handle.update(HTML("there"))
    ipython.display_pub.shown.clear()
    replay(ipython, recorder.events())
    (shown,) = ipython.display_pub.shown
    assert (shown["text/html"], shown["update"]) == ("there", True)


def test_widgets_fall_back_to_text(ipython):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    with recording(ipython) as recorder:
        display({**view, "text/plain": "IntSlider()"}, raw=True)
        display(view, raw=True)
    note = "[a widget, which lived no longer than its kernel]"
    shown = [{"text/plain": f"IntSlider()\n{note}"}, {"text/plain": note}]
    assert bundles(recorder.events()) == shown


def test_there_is_an_end_to_what_is_kept(ipython, monkeypatch):
    monkeypatch.setattr(recordings, "MOST_BYTES", 1000)
    with recording(ipython) as recorder:
        print("first")
        display(HTML("x" * 2000))
        print("later")
    events = recorder.events()
    assert streams(events)[0] == ("stdout", "first\n")
    assert "kept the first" in streams(events)[-1][1]
    assert kinds(events) == ["stream", "stream"]


def test_data_that_is_not_plain_is_shown_as_text(ipython):
    with recording(ipython) as recorder:
        display({"text/plain": "t", "application/x": threading.Lock()}, raw=True)
    assert bundles(recorder.events()) == [{"text/plain": "t"}]


def test_threads_are_recorded_and_redirected_or_muted_output_is_not(ipython, capsys):
    import contextlib
    import io

    with recording(ipython) as recorder:
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()
        with contextlib.redirect_stdout(io.StringIO()):
            print("redirected")
        with unrecorded():
            print("of our own")
    assert streams(recorder.events()) == [("stdout", "from a thread\n")]
    assert "of our own" in capsys.readouterr().out


def test_replaying_shows_the_same_and_gives_the_last_value(ipython, capsys):
    with recording(ipython) as recorder:
        print("one")
        display(HTML("two"))
        print("three", file=sys.stderr)
        sys.displayhook([4])
    events = unpack(pack(recorder.events()))
    ipython.user_ns.pop("_", None)
    first = ipython.display_pub.shown[:]
    ipython.display_pub.shown.clear()
    live = capsys.readouterr()
    value = [4]
    replay(ipython, events, value)
    again = capsys.readouterr()
    assert (again.out, again.err) == (live.out, live.err)
    assert ipython.display_pub.shown == first
    assert ipython.user_ns["_"] is value
    ipython.user_ns["_"] = "before"
    replay(ipython, events)
    assert ipython.user_ns["_"] == "before"
    assert capsys.readouterr().out == live.out
