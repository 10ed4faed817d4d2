"""`flow.visualize()`: what it gives, shows, says of errors, and leaves alone."""

import asyncio
import threading
import warnings
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import cellist.visualize
from cellist import flow, get_run_logger, runtime, task
from cellist.exceptions import FlowVisualizationError
from tests.kernels import kernel


def never(x=None, y=None, z=None) -> Any:
    raise AssertionError("a task ran while its flow was drawn")


load, clean, score = (task(never, name=n) for n in ("load", "clean", "score"))


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Let the warning that comes once in a process have come."""
    monkeypatch.setattr(cellist.visualize, "_warned", True)


def raised_by(body):
    with pytest.raises(Exception) as caught:
        flow(body).visualize()
    return caught.value, "\n".join(getattr(caught.value, "__notes__", ()))


@pytest.mark.parametrize(
    "use",
    [
        bool,
        len,
        int,
        float,
        complex,
        range,
        lambda x: 1 in x,
        lambda x: x == 1 and 2,
        lambda x: [1][x],
    ],
)
def test_what_needs_the_value_says_which_call_has_none_and_the_remedy(use):
    error, _ = raised_by(lambda: use(load(clean()).rows[0]))
    assert isinstance(error, FlowVisualizationError)
    assert "load-0.rows[0]" in str(error)
    assert "viz_return_value" in str(error)


def test_another_error_names_the_placeholder_that_the_code_held():
    def f():
        clean()
        page = load()
        return page.upper() + "x".join(page)

    error, note = raised_by(f)
    assert type(error) is TypeError
    assert "load-0 gave a placeholder" in note
    assert "viz_return_value" in note
    assert "clean-0" not in note


def test_an_unpacking_says_what_to_do():
    def f():
        _train, _test = load()

    error, note = raised_by(f)
    assert type(error) is ValueError
    assert "load-0" in note


def test_an_error_that_has_nothing_to_do_with_placeholders_comes_through_as_it_is():
    boom = ValueError("mine")

    def f():
        task(never, viz_return_value=1)()
        raise boom

    error, note = raised_by(f)
    assert error is boom
    assert note == ""


def test_the_traceback_is_the_users():
    error, _ = raised_by(lambda: [][load()])
    files = []
    step = error.__traceback__
    while step:
        files.append(step.tb_frame.f_code.co_filename)
        step = step.tb_next
    assert files[-1] == __file__


def test_nothing_is_recorded_cached_hooked_or_shown(recorder, capsys):
    hooked = []
    hooks: Any = {"on_running": [hooked.append], "on_completion": [hooked.append]}

    @flow(**hooks, on_failure=[hooked.append], log_prints=True)
    def f():
        task(never, **hooks)()
        load.submit().result()
        get_run_logger().info("said")
        assert runtime.flow_run.name == "f"
        print("printed")

    f.visualize()
    with pytest.raises(ZeroDivisionError):
        flow(lambda: 1 / 0, **hooks).visualize()
    assert (recorder.events, recorder.session.live, hooked) == ([], {}, [])
    assert capsys.readouterr().out == "printed\n"


def test_no_store_is_made(own_home):
    flow(lambda: clean.map(load())).visualize()
    assert not own_home.exists()


def test_a_flow_that_is_drawn_does_not_touch_runs_around_it_or_elsewhere(recorder):
    ran = []
    work = task(ran.append, name="work")
    inside, outside = threading.Event(), threading.Event()

    def elsewhere():
        inside.wait(60)
        flow(lambda: work("elsewhere"))()
        outside.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()

    def drawn():
        work("drawn")
        inside.set()
        assert outside.wait(60)

    @flow
    def real():
        work("before")
        flow(drawn).visualize()
        work("after")

    real()
    thread.join()
    assert ran == ["before", "elsewhere", "after"]
    assert len(recorder.of("work")) == 3


def test_a_flow_may_draw_another(recorder):
    @flow
    def outer():
        inner = flow(lambda: load(1)).visualize()
        assert [node.name for node in inner.nodes] == ["load-0"]
        clean()

    assert [node.name for node in outer.visualize().nodes] == ["clean-0"]


def test_the_warning_comes_once_and_points_at_the_users_line(monkeypatch):
    for draw in (
        lambda: flow(lambda: None).visualize(),
        lambda: flow(lambda: None).generate_mermaid_graph(),
        lambda: asyncio.run(awaited()),
    ):
        monkeypatch.setattr(cellist.visualize, "_warned", False)
        with pytest.warns(UserWarning, match="runs the code of the flow itself") as caught:
            draw()
        assert [one.filename for one in caught] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw()


async def awaited():
    return await flow(lambda: None).avisualize()


def crawl():
    pages = load()
    rows = clean.map(pages)
    part(rows)
    score.submit(wait_for=[rows])


@flow
def part(rows):
    never()


MERMAID = """\
flowchart TD
    load-0["load-0"]
    clean-0["clean-0 ×?"]
    part-0[["part-0"]]
    score-0["score-0"]
    load-0 --> clean-0
    clean-0 --> part-0
    clean-0 -.->|wait_for| score-0"""


def test_mermaid():
    assert flow(crawl).generate_mermaid_graph() == MERMAID
    assert type(asyncio.run(flow(crawl).agenerate_mermaid_graph())) is str
    assert flow(lambda: None).generate_mermaid_graph() == "flowchart TD"


def test_the_picture_is_saved_as_its_ending_says(tmp_path):
    drawn = flow(crawl).visualize()
    svg = drawn.save(tmp_path / "graph.svg")
    ET.parse(svg)
    assert "<svg" in drawn.save(tmp_path / "graph.html").read_text("utf-8")
    assert drawn.save(tmp_path / "graph.mmd").read_text("utf-8") == drawn.mermaid + "\n"
    assert drawn.mermaid in drawn.save(str(tmp_path / "graph.MD")).read_text("utf-8")
    with pytest.raises(ValueError, match=r"\.svg, \.html, \.mmd, \.md.*'graph\.png'"):
        drawn.save(tmp_path / "graph.png")


def test_the_reprs_of_the_graph():
    drawn = flow(crawl, name="crawl").visualize()
    assert repr(drawn) == "<Flow 'crawl': 4 nodes, 3 edges>"
    bundle = drawn._repr_mimebundle_()
    assert bundle["text/plain"] == repr(drawn)
    assert bundle["image/svg+xml"] == drawn._repr_svg_()
    assert bundle["text/html"] == drawn._repr_html_()


class Shell:
    """What a graph asks of the IPython it is shown in."""

    execution_count = 1

    def __init__(self, monkeypatch, kernel):
        self.kernel = kernel
        self.shown = []
        monkeypatch.setattr("IPython.get_ipython", lambda: self)
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, bundle, raw):
        assert raw
        self.shown.append(bundle["text/plain"])


def test_a_notebook_shows_the_graph_once_in_the_cell_and_again_where_asked(monkeypatch):
    shell = Shell(monkeypatch, kernel=object())
    drawn = flow(crawl, name="crawl").visualize()
    assert shell.shown == [repr(drawn)]
    drawn._ipython_display_()  # the value of the cell
    assert shell.shown == [repr(drawn)]
    drawn._ipython_display_()  # asked for
    assert shell.shown == [repr(drawn)] * 2
    asyncio.run(flow(crawl, name="crawl").avisualize())
    assert len(shell.shown) == 3
    drawn = flow(crawl, name="crawl").visualize()
    shell.execution_count = 2
    drawn._ipython_display_()
    assert len(shell.shown) == 5


@pytest.mark.parametrize(("kernel", "ui"), [(None, "auto"), (object(), "off"), (object(), "text")])
def test_nothing_is_shown_in_a_terminal_or_where_it_is_not_wanted(monkeypatch, kernel, ui):
    monkeypatch.setenv("CELLIST_UI", ui)
    shell = Shell(monkeypatch, kernel)
    drawn = flow(crawl).visualize()
    assert flow(crawl).generate_mermaid_graph() == drawn.mermaid
    assert shell.shown == []
    drawn._ipython_display_()
    assert len(shell.shown) == 1


CELL = """
from cellist import flow, task

@task
async def load(): ...

@task
def clean(page): ...

@flow
async def crawl():
    clean(await load())

%s
"""


@pytest.mark.kernel
def test_a_cell_shows_the_graph_once_whether_it_is_awaited_or_not(tmp_path):
    with kernel(cwd=str(tmp_path)) as k:
        for call in ("crawl.visualize()", "await crawl.visualize()", "await crawl.avisualize()"):
            cell = k.run(CELL % call)
            assert (cell.error, cell.result) == (None, None)
            (bundle,) = cell.shown
            assert bundle["text/plain"] == "<Flow 'crawl': 2 nodes, 1 edge>"
            assert "<svg" in bundle["text/html"]
        assert "load-0 --> clean-0" in k.run("print(await crawl.generate_mermaid_graph())").stdout
        failed = k.run("@flow\ndef f():\n    page = clean(1)\n    {}[page.x]\nf.visualize()")
        assert failed.error is not None
        assert "viz_return_value" in failed.traceback
