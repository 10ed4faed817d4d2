"""What is told of one run: sections of plain data, and previews that no value can break."""

import ast
import json
import time
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import cellist
from cellist import flow, get_run_logger, task
from cellist.board import previews
from cellist.board.bounded import within
from cellist.board.details import Details, snippet, variable
from cellist.board.previews import preview
from cellist.board.tracebacks import frames_of
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import ObjectNotFound
from cellist.model.ids import as_hex
from cellist.recording import untap
from cellist.session import get_session
from cellist.settings import temporary_settings
from tests.sessions import Recorder

HOSTILE = "<img src=x onerror=alert(1)>"


@task
def load(n):
    print("reading", n)
    return pd.DataFrame({"a": range(n), "b": [HOSTILE] * n})


@task
def parse(frame, strict):
    get_run_logger().warning("odd: %s", HOSTILE)
    return int(frame["b"][0])


def told(run):
    details = Details(get_session)
    number = as_hex(run.number)
    facts = details.facts(number)
    json.dumps(facts)
    return facts, details.values(number), {one["title"]: one for one in facts["sections"]}


def test_a_failed_run_is_told_whole(recorder: Recorder):
    @flow
    def crawl():
        parse(load(3), strict=True)

    crawl(return_state=True)
    facts, values, sections = told(recorder.one("parse"))
    assert facts["look"] == "failed"
    assert facts["what"] == "task run of parse"
    trace = sections["Traceback"]
    assert trace["head"].startswith("ValueError: invalid literal")
    last = trace["frames"][-1]
    assert (last["name"], last["source"]) == ("parse", 'return int(frame["b"][0])')
    assert last["own"]
    assert sections["Log"]["lines"][0][1:] == ["warning", f"odd: {HOSTILE}"]
    assert [row[3] for row in sections["States"]["rows"]] == ["pending", "running", "failed"]
    assert sections["Upstream"]["runs"][0]["name"].startswith("load")
    assert sections["Part of"]["runs"][0]["look"] == "failed"
    assert "ran: never run before" in sections["Cache"]["sentence"]
    frame, _ = sections["Inputs"]["items"]
    assert (frame["name"], frame["from"][0]["name"][:4]) == ("frame", "load")
    assert values["input frame"]["table"]["rows"][0] == ["0", HOSTILE]
    assert values["input strict"]["text"] == "True"
    assert 'run.load("frame")' in values["inputs"]["code"]


def test_a_completed_run_shows_result_output_and_what_came_of_it(recorder: Recorder):
    @flow
    def crawl():
        frame = load(300)
        parse(frame, strict=False, return_state=True)

    with temporary_settings(replay="on"):
        crawl()
    untap()
    _, values, sections = told(recorder.one("load"))
    assert values["result"]["type"] == "DataFrame 300×2"
    assert values["result"]["table"]["more"] == "… 290 more rows"
    assert values["result"]["origin"] == "from the cache"
    assert sections["Printed and displayed"]["items"] == [
        {"stream": "stdout", "text": "reading 300\n"}
    ]
    assert [one["name"][:5] for one in sections["Downstream"]["runs"]] == ["parse"]
    flow_sections = told(recorder.one("crawl"))[2]
    inside = [one["name"][:4] for one in flow_sections["Runs inside"]["runs"]]
    assert inside == ["pars", "load"], "failures first"


def test_attempts_are_told_one_by_one(recorder: Recorder):
    calls = []

    @task(retries=2, cache_policy=NO_CACHE)
    def flaky():
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("503")
        return 1

    flaky()
    facts, _, sections = told(recorder.one("flaky"))
    assert facts["what"] == "task run of flaky, after 3 attempts"
    words = [row[3] for row in sections["States"]["rows"]]
    assert [word for word in words if "attempt" in word] == ["attempt 1", "attempt 2", "attempt 3"]
    assert "Traceback" not in sections
    assert sections["Attempt 1"]["head"] == "ConnectionError: 503"
    assert [one["name"] for one in sections["Attempt 2"]["frames"]] == ["flaky"]


def test_each_attempt_keeps_its_traceback(recorder: Recorder):
    calls = []

    @task(retries=12, cache_policy=NO_CACHE)
    def flaky():
        calls.append(1)
        raise ConnectionError(str(len(calls)))

    flaky(return_state=True)
    _, _, sections = told(recorder.one("flaky"))
    assert sections["Traceback"]["head"] == "ConnectionError: 13"
    heads = [one["head"] for title, one in sections.items() if title.startswith("Attempt")]
    kept = (1, 2, 7, 8, 9, 10, 11, 12)
    assert heads == [f"ConnectionError: {number}" for number in kept]
    record = cellist.run(recorder.one("flaky").id)
    assert [attempt.error is not None for attempt in record.attempts] == [
        number in (*kept, 13) for number in range(1, 14)
    ]


def test_code_that_loads_values_runs(recorder: Recorder):
    load(4)
    _, values, _ = told(recorder.one("load"))
    namespace: dict[str, object] = {}
    exec(values["result"]["code"], namespace)
    exec(values["inputs"]["code"], namespace)
    assert len(namespace["result"]) == 4  # type: ignore[arg-type] - a list by then
    assert namespace["n"] == 4


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("url", "url"),
        ("args[0]", "args_0"),
        ("run", "run_"),
        ("0", "value_0"),
        ("class", "class_"),
        ("{}", "value"),
    ],
)
def test_variables_have_names(name, target):
    assert variable(name) == target
    ast.parse(f"{variable(name)} = 1")


def test_a_snippet_is_code():
    code = snippet("ab" * 16, {None: "result", "it's": "it_s"})
    compile(code, "cell", "exec")
    assert code.splitlines()[-1] == 'it_s = run.load("it\'s")'


def test_an_unknown_run_is_not_found(recorder: Recorder):
    with pytest.raises(ObjectNotFound):
        Details(get_session).facts("ab" * 16)


# -- previews --


class Loops:
    def __repr__(self):
        while True:
            pass


class Raises:
    def __repr__(self):
        raise RuntimeError(HOSTILE)


class Huge:
    def __repr__(self):
        return "x" * 10_000_000


class Plain:
    def __init__(self):
        self.host, self.port = "localhost", 80


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (5, {"type": "int", "text": "5"}),
        (None, {"type": "None", "text": "None"}),
        ([1, 2, 3, 4, 5], {"type": "list, 5 items", "text": "1, 2, 3, 4, 5"}),
        ({"a": [1, 2]}, {"text": "a: [1, 2]"}),
        (
            {"a": {"b": [7, 7, 7, 7]}},
            {"text": "a: dict of 1\n  b: list of 4\n    7\n    7\n    7\n    7"},
        ),
        (
            [{"x": 1}, {"x": 2}],
            {
                "table": {
                    "columns": [["x", ""]],
                    "index": ["0", "1"],
                    "rows": [["1"], ["2"]],
                    "more": None,
                }
            },
        ),
        (
            pd.Series([1.5], name="t"),
            {
                "table": {
                    "columns": [["t", "float64"]],
                    "index": ["0"],
                    "rows": [["1.5"]],
                    "more": None,
                }
            },
        ),
        (pd.Timestamp("2024-01-02"), {"text": "Timestamp('2024-01-02 00:00:00')"}),
        (np.arange(3), {"text": "[0 1 2]"}),
        (Plain(), {"text": "host: 'localhost'\nport: 80"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_look_like_what_they_are(value, part):
    found = preview(value)
    assert {key: found[key] for key in part} == part


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        b"x" * 10_000_000,
        list(range(1_000_000)),
        dict.fromkeys(range(10000), "y" * 1000),
        [[["deep"] * 1000] * 1000] * 1000,
        pd.DataFrame(np.zeros((10_000, 500))),
        pd.DataFrame({"a": ["z" * 100_000] * 100}),
        np.zeros((4000, 4000)),
        np.zeros((30, 30, 30, 30)),
        Huge(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_makes_a_large_or_a_slow_preview(value):
    begin = time.thread_time()
    size = len(json.dumps(preview(value)))
    assert size < 120_000
    assert time.thread_time() - begin < 2


def test_an_array_like_a_picture_is_a_picture():
    for shape in [(64, 64), (500, 300, 3), (40, 40, 4), (9, 9, 1)]:
        found = preview(np.random.default_rng(1).random(shape))
        assert found["picture"]["src"].startswith("data:image/png;base64,")
    assert "picture" not in preview(np.zeros((1000, 4)))


def test_pictures_are_what_they_should_be():
    image = import_module("PIL.Image")
    import base64
    import io

    src = preview(np.eye(16, dtype=bool))["picture"]["src"]
    back = image.open(io.BytesIO(base64.b64decode(src.partition(",")[2])))
    assert back.size == (96, 96)
    assert (back.getpixel((0, 0)), back.getpixel((95, 0))) == (255, 0)
    drawn = preview(image.new("RGB", (900, 300), "red"))["picture"]["src"]
    again = image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2])))
    assert again.size == (240, 80)


def test_a_figure_is_drawn_and_stays_as_it_was():
    figures = import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(4, 3), dpi=77)
    figure.subplots().set_title("Heat")
    found = preview(figure)
    assert found["picture"]["alt"] == "figure: Heat"
    assert (figure.dpi, type(figure.canvas).__name__) == (77, "FigureCanvasBase")


def test_a_look_at_a_figure_does_not_open_it_again(recorder: Recorder):
    pyplot = import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")

    @task
    def draw():
        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        return figure

    draw()
    pyplot.close("all")
    assert "picture" in told(recorder.one("draw"))[1]["result"]
    assert pyplot.get_fignums() == []


def test_hostile_values_cost_a_sentence(recorder: Recorder, monkeypatch):
    monkeypatch.setattr("cellist.board.details.PATIENCE", 0.3)

    @task(persist_result=True)
    def give(kind):
        return {"loops": Loops, "raises": Raises}[kind]()

    kept = []

    @flow
    def crawl():
        kept.extend([give("loops"), give("raises")])

    crawl()
    loops, raises = (told(run)[1]["result"] for run in recorder.of("give"))
    assert loops["problem"] == "To look at it took longer than 0.3 s, so it was left."
    assert raises["problem"] == f"It cannot be shown: RuntimeError: {HOSTILE}"
    time.sleep(0.1)
    begin = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - begin < 0.1, "the loop was stopped"


def test_within_returns_raises_and_gives_up():
    assert within(1, lambda: 5) == 5
    with pytest.raises(KeyError):
        within(1, lambda: {}["a"])
    with pytest.raises(TimeoutError, match=r"longer than 0.05 s"):
        within(0.05, lambda: time.sleep(0.2))


# -- tracebacks --

CHAINED = """\
Traceback (most recent call last):
  File "/tmp/ipykernel_77/123.py", line 4, in parse
    return int(text)
           ~~~^^^^^^
ValueError: no

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/pandas/core.py", line 9, in get
    raise KeyError(key)
  File "<frozen runpy>", line 1, in run
KeyError: 'a'
a note: <b>
"""


def test_frames_say_where_and_show_the_line():
    first, between, pandas, frozen, note = frames_of(CHAINED, lambda name: "In[3]")
    assert first == {
        "place": "Cell In[3]",
        "line": 4,
        "name": "parse",
        "own": True,
        "source": "return int(text)",
        "marks": "       ~~~^^^^^^",
    }
    assert between["text"].startswith("ValueError: no\nThe above exception")
    assert pandas["source"] == "raise KeyError(key)"
    assert not frozen["own"]
    assert note == {"text": "a note: <b>"}
    assert frames_of(CHAINED)[0]["place"] == "a cell"


def test_a_deep_recursion_is_cut():
    frame = '  File "a.py", line 1, in f\n    f()\n'
    found = frames_of("Traceback (most recent call last):\n" + frame * 500 + "RecursionError: deep")
    assert len(found) == 61
    assert found[30] == {"text": "… 440 more frames …"}


def test_texts_that_are_no_traceback_stay_text():
    assert frames_of("something <b> else\nmore") == [{"text": "more"}]
    assert previews.TEXT == 4_000
