"""The text board: lines that come and go on a terminal, and a summary that stays."""

import builtins
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cellist.board.region import Region
from cellist.board.summary import status_line, summary_lines
from cellist.board.terminal import TextBoard
from cellist.board.view import View
from cellist.model.progress import Bar, begin
from cellist.model.reasons import Reason
from cellist.model.states import COMPLETED
from tests.board.fakes import Story
from tests.board.test_record import HOSTILE

CODES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]")


class Terminal(io.StringIO):
    """A terminal that can be read: what is on it, and what was on it before each erasure."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    @property
    def frames(self) -> list[list[str]]:
        return _played(self.getvalue())

    @property
    def lines(self) -> list[str]:
        return self.frames[-1]


def _played(text: str) -> list[list[str]]:
    """Play what was written on a screen; return it before each erasure, and at the end."""
    rows: list[list[str]] = [[]]
    row = column = 0
    frames: list[list[str]] = []
    for found in CODES.finditer(text):
        sign, number, code = found[0], found[1], found[2]
        if sign == "\n":
            row, column = row + 1, 0
        elif sign == "\r":
            column = 0
        elif code == "A":
            row = max(0, row - int(number or 1))
        elif code == "J":
            frames.append(["".join(line) for line in rows])
            del rows[row + 1 :]
            rows[row] = rows[row][:column]
        elif code is None:
            line = rows[row]
            line[column:] = [*(" " * (column - len(line))), sign, *line[column + 1 :]]
            column += 1
        while len(rows) <= row:
            rows.append([])
    return [*frames, ["".join(line).rstrip() for line in rows]]


@pytest.fixture
def view():
    return View("crawl")


@pytest.fixture
def story(view):
    return Story(view.apply)


def crawl(story):
    flow = story.begin(story.flow(), 0)
    first = story.task("read_list", flow)
    first.why = Reason("hit", "reused", "reused from 14:02, saved 3.0 s", saved=3.0)
    story.complete(first, 0, 1, "Cached")
    for number in range(3):
        run = story.task("fetch", flow, upstream=[first])
        run.why = Reason("miss", "first_run", "ran: never run before")
        story.complete(run, 1, 2 + number)
    story.fail(story.task("clean", flow), 3, 5, "bad page")
    return flow


def test_a_summary_has_counts_times_and_reasons(view, story):
    story.enter(crawl(story), 6, COMPLETED)
    assert summary_lines(view, 100) == [
        "crawl: ✓ completed in 6.0 s · 5 runs: 1 failed, 3 completed, 1 reused · reuse saved 3.0 s",
        "    read_list  ◆ reused       999 ms  reused from 14:02, saved 3.0 s",
        "    fetch ×3   ✓ completed     3.0 s  ran: never run before (×3)",
        "    clean      ✕ failed        2.0 s  ValueError: bad page",
    ]


def test_a_lone_run_is_one_line_with_its_reason_in_full(view, story):
    run = story.task("fetch")
    run.why = Reason("miss", "changed", "ran: " + "long " * 30)
    story.complete(run, 0, 1)
    (line,) = summary_lines(view, 40)
    assert line.startswith("crawl: ✓ completed in 1.0 s · ran: long long")
    assert len(line) > 150


def test_lines_are_clipped_many_groups_are_counted_and_hostile_text_is_text(view, story):
    flow = story.begin(story.flow(HOSTILE), 0)
    for number in range(40):
        story.fail(story.task(f"{HOSTILE} {number}", flow), 1, 2, f"\x1b[2J\n{HOSTILE}" * 9)
    lines = summary_lines(view, 60)
    assert len(lines) == 18
    assert lines[-1] == "  … and 24 more"
    assert all(len(line) <= 60 for line in lines[1:])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "".join(lines))


def test_a_status_line_tells_what_runs_and_how_far(view, story):
    flow = crawl(story)
    run = story.begin(story.task("train", flow), 5)
    bar = Bar(10, "epochs")
    begin(run, bar)
    bar.done = 3
    view.read()
    told = status_line(view, 120)
    assert told == "crawl: ► running · 5 of 6 runs over · train ███░░░░░░░ epochs: 3 of 10"


def test_what_others_write_stays_and_the_lines_come_back_below():
    terminal = Terminal()
    region = Region(terminal)
    region.draw(["one", "two"])
    terminal.write("printed\n")
    region.draw(["three", "four"])
    assert terminal.lines == ["printed", "three", "four", ""]
    terminal.write("half a ")
    region.draw(["never over half a line"])
    terminal.write("line\n")
    region.draw(["five"])
    assert terminal.lines == ["printed", "half a line", "five", ""]
    region.close()
    assert terminal.lines == ["printed", "half a line", ""]
    assert "write" not in vars(terminal)
    region.draw(["late"])
    assert "late" not in terminal.lines


def test_a_question_takes_the_lines_away_until_it_is_answered(monkeypatch):
    terminal = Terminal()
    asked = []
    monkeypatch.setattr(builtins, "input", lambda prompt: asked.append(terminal.lines) or "yes")
    plain = builtins.input
    region = Region(terminal)
    region.draw(["one"])
    assert builtins.input("well? ") == "yes"
    assert asked == [[""]]
    region.close()
    assert builtins.input is plain


def test_a_stream_that_was_tapped_by_somebody_else_meanwhile_keeps_that():
    terminal = Terminal()
    region = Region(terminal)
    ours = terminal.write
    seen = []
    terminal.write = lambda text: seen.append(text) or ours(text)
    region.close()
    terminal.write("later\n")
    assert seen == ["later\n"]
    assert terminal.lines == ["later", ""]


@pytest.fixture(params=["rich", "plain"])
def terminal(request, monkeypatch):
    """A terminal, with rich and without."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    made = Terminal()
    made.name = request.param
    return made


def on(terminal, monkeypatch):
    """A board that draws at once."""
    for name in ("PATIENCE", "REDRAW", "TELL_FIRST", "TELL_EVERY"):
        monkeypatch.setattr(f"cellist.board.terminal.{name}", 0.0)
    return TextBoard("crawl", lambda: terminal, is_live=True)


def test_lines_while_runs_go_on_and_a_summary_in_the_end(terminal, monkeypatch):
    board = on(terminal, monkeypatch)
    story = Story(lambda event: board.apply([event]))
    flow = crawl(story)
    board.frame()
    assert any("running" in line for line in terminal.lines)
    assert board.due_in() == 0.0
    terminal.write("printed\n")
    board.frame()
    story.enter(flow, 6, COMPLETED)
    board.close()
    assert board.is_released
    kept = terminal.lines
    assert kept.count("printed") == 1
    assert sum("✓ completed in 6.0 s" in line for line in kept) == 1
    assert kept[-2].split()[:3] == ["clean", "✕", "failed"]
    if terminal.name == "rich":
        assert not any("running" in line for line in kept), "what was drawn is gone"
        assert "\x1b[32m" in terminal.getvalue(), "in colour"
    else:
        assert "\x1b" not in terminal.getvalue()
        assert kept[0].startswith("crawl: ► running · 5 of 5 runs over")


def test_no_color_has_no_colour(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    board = on(terminal, monkeypatch)
    story = Story(lambda event: board.apply([event]))
    story.enter(crawl(story), 6, COMPLETED)
    board.close()
    assert "✓ completed in 6.0 s" in terminal.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.getvalue())


def test_a_dumb_terminal_is_not_drawn_on(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    board = on(terminal, monkeypatch)
    story = Story(lambda event: board.apply([event]))
    crawl(story)
    board.frame()
    assert "\x1b[" not in terminal.getvalue()


def test_a_terminal_without_unicode_gets_question_marks(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    board = TextBoard("crawl", lambda: stream, is_live=False)
    story = Story(lambda event: board.apply([event]))
    story.complete(story.task("fetch"), 0, 1)
    board.close()
    assert raw.getvalue().startswith(b"crawl: ? completed in 1.0 s")


def test_released_it_writes_nothing(terminal, monkeypatch):
    board = on(terminal, monkeypatch)
    story = Story(lambda event: board.apply([event]))
    crawl(story)
    board.release()
    board.close()
    assert terminal.getvalue() == ""


SCRIPT = """\
import cellist, time
from cellist import flow, task

@task
def double(n):
    print("doubling", n)
    time.sleep(0.01)
    return 2 * n

@flow
def numbers():
    return [double(1), double(2)]

double(3)
numbers()
numbers()
"""


def run_script(directory: Path, ui: str | None, *, terminal: bool) -> tuple[str, str]:
    """Run the script and return its stdout and stderr; of a terminal all there is as stdout."""
    file = directory / "script.py"
    file.write_text(SCRIPT)
    env = {**os.environ, "CELLIST_LOGGING_LEVEL": "ERROR", "TERM": "xterm", "COLUMNS": "100"}
    if ui is not None:
        env["CELLIST_UI"] = ui
    command = [sys.executable, str(file)]
    if not terminal:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr
    pty = pytest.importorskip("pty", reason="only on POSIX: a pseudo-terminal")
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        found = b""
        while True:
            try:
                found += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not found:
                break
    os.close(ours)
    return "\n".join(_played(found.decode())[-1]), ""


PRINTED = ["doubling 3", "doubling 1", "doubling 2"]


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("ui", [None, "auto", "widget", "html", "text", "off"])
def test_a_script_tells_of_its_flows_on_a_terminal_or_when_asked(tmp_path, ui, terminal):
    out, err = run_script(tmp_path, ui, terminal=terminal)
    told = [line for line in (out + err).splitlines() if line and line not in PRINTED]
    assert [line for line in out.splitlines() if line in PRINTED] == PRINTED
    if ui == "off" or (ui != "text" and not terminal):
        assert told == []
        return
    assert [line.split(" in ")[0] for line in told if line.startswith("numbers")] == [
        "numbers: ✓ completed",
        "numbers: ✓ completed",
    ]
    assert sum("ran: argument `n` changed (×2)" in line for line in told) == 1
    assert sum("double ×2  ◆ reused" in line for line in told) == 1
    assert not any(line.startswith("double") for line in told), "a task alone has no summary"
    assert bool(err) == (not terminal), "stdout is the script's own"
