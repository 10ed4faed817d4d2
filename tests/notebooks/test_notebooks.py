"""The example notebooks and the demo: they run, the second run reuses, edits run what they must."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
DEMO = NOTEBOOKS / "run_demo.py"
RUNS = """
import cellist, sys
cellist.runs().to_pickle(sys.argv[1])
"""
A_PATH = re.compile(r"(?<![\w.])/(?:root|home|Users|tmp|work|usr|opt)/[\w.-]+|[A-Z]:\\\\")
STUDY = {"month_summary": 12, "season_table": 1, "fit_and_score": 11, "score_table": 1}


@dataclass
class Demo:
    """What `run_demo.py` did: its exit code and words, the copies it left, the history."""

    code: int
    said: str
    errors: str
    folder: Path

    def notebook(self, number):
        (path,) = self.folder.glob(f"*-run{number}.ipynb")
        return nbformat.read(path, as_version=4)

    def runs(self):
        """Return the history the kernels wrote, read by a process of its own."""
        target = self.folder / "runs.pickle"
        env = {**os.environ, "CELLIST_HOME": str(self.folder / ".cellist")}
        subprocess.run([sys.executable, "-c", RUNS, target], env=env, check=True)
        return pd.read_pickle(target)


def demonstrate(notebook, folder, *options):
    """Run the demo on a notebook in a folder of its own, with a signing key of its own."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CELLIST_")},
        "CELLIST_SECRET_DIR": str(folder.parent / "secret"),
        "IPYTHONDIR": str(folder.parent / "ipython"),
    }
    command = [sys.executable, DEMO, "--notebook", notebook, "--output", folder, *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return Demo(done.returncode, done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """The demos, begun at once: two at a time take little longer than one."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                demonstrate, NOTEBOOKS / f"{name}.ipynb", tmp_path_factory.mktemp(name) / "out"
            )
            for name in ("flights", "quickstart", "background")
        }


@pytest.fixture(scope="module")
def flights(demos):
    return demos["flights"].result()


@pytest.fixture(scope="module")
def background(demos):
    return demos["background"].result()


@pytest.fixture(scope="module")
def quickstart(demos):
    return demos["quickstart"].result()


def printed(notebook, cell_id):
    """Return what the cell printed."""
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def flow_runs(runs, flow):
    """Return the task runs of each run of a flow, oldest first."""
    flows = runs[(runs["kind"] == "flow") & (runs["definition"] == flow)].sort_values("id")
    tasks = runs[runs["kind"] == "task"]
    return [tasks[tasks["flow_run"] == name] for name in flows["name"]]


def counts(task_runs):
    """Return which tasks there were, and how often."""
    return dict(Counter(task_runs["definition"]))


def ran(task_runs):
    """Return which tasks really ran, and how often."""
    return counts(task_runs[~task_runs["reused"]])


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(900)
class TestFlights:
    def test_runs_twice_and_the_second_reuses_everything(self, flights):
        assert flights.code == 0, flights.said + flights.errors
        assert "The second run, in a new kernel, reused all" in flights.said
        (sentence,) = re.findall(r"^  .*task runs: .*$", flights.said, re.MULTILINE)[1:]
        assert sentence.endswith(" 0 ran")

    def test_an_edit_runs_what_depends_on_it_and_nothing_else(self, flights):
        studies = flow_runs(flights.runs(), "study")
        months = {"month_summary": 12, "season_table": 1}
        models = {"fit_and_score": 11, "score_table": 1}
        assert [ran(study) for study in studies[:4]] == [STUDY, {}, months, models]
        assert [ran(study) for study in studies[4:]] == [{}] * 4
        assert all(counts(study) == STUDY for study in studies)

    def test_the_reasons_name_the_helper(self, flights):
        _, _, months, models, *_ = flow_runs(flights.runs(), "study")
        why = months[months["definition"] == "month_summary"]["why"]
        assert why.str.contains("helper `late` changed").all()
        why = models[models["definition"] == "fit_and_score"]["why"]
        assert why.str.contains("helper `features` changed").all()
        assert "helper `late` changed" in printed(flights.notebook(1), "why-3")
        assert "helper `features` changed" in printed(flights.notebook(1), "why-4")

    def test_the_server_failed_some_requests_and_is_not_asked_again(self, flights):
        first, second = flow_runs(flights.runs(), "airlines")
        assert sorted(first["attempts"]) == [1] * 10 + [2] * 6
        assert second["reused"].all()
        assert "16 airlines, 22 requests" in printed(flights.notebook(1), "fetch")
        assert "16 airlines, 0 requests" in printed(flights.notebook(2), "fetch")

    def test_shows_progress_and_where_the_copies_lie(self, flights):
        lines = flights.said.splitlines()
        cells = [line for line in lines if line.strip().startswith("cell ")]
        code = [cell for cell in flights.notebook(1).cells if cell.cell_type == "code"]
        assert len(cells) == 2 * len(code)
        assert all(re.search(r"\d+\.\d s$", line) for line in cells)
        assert any(line.endswith("flights-run2.ipynb") for line in lines)
        assert "-m jupyterlab --notebook-dir=" in flights.said


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(900)
class TestQuickstart:
    def test_runs_twice_and_the_second_reuses(self, quickstart):
        assert quickstart.code == 0, quickstart.said + quickstart.errors

    def test_the_edit_of_a_helper_runs_the_task_and_says_why(self, quickstart):
        first = quickstart.notebook(1)
        assert printed(first, "again").splitlines()[:2] == ["5", "Cached"]
        assert printed(first, "edited").splitlines()[:2] == ["4", "Completed"]
        assert "helper `tidy` changed" in printed(first, "edited")
        assert printed(quickstart.notebook(2), "edited").splitlines()[:2] == ["4", "Cached"]

    def test_a_retry_a_timeout_and_a_refresh(self, quickstart):
        runs = quickstart.runs()
        assert set(runs[runs["definition"] == "phone"]["attempts"]) == {3}
        assert printed(quickstart.notebook(1), "timeout").startswith("TimedOut(")
        (again, _) = flow_runs(runs, "again")
        assert ran(again) == {"count_words": 1}


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(900)
class TestBackground:
    def test_what_was_handed_over_is_done_and_reused(self, background):
        assert background.code == 0, background.said + background.errors
        first = background.notebook(1)
        assert "11 queued, 0 taken" in printed(first, "queue")
        assert printed(first, "kill") == "11 done, 0 lost\n"
        assert printed(first, "entries").splitlines()[-1] == "0 dead letters"
        runs = background.runs()
        deferred = runs[runs["definition"] == "median_interval"]
        assert set(deferred["state"]) == {"Completed", "Cached"}
        assert ran(deferred) == {"median_interval": 22}


@pytest.mark.parametrize("name", ["quickstart", "flights", "background"])
class TestCommitted:
    """What is committed was executed, shows its records and nothing of the machine."""

    @pytest.fixture
    def notebook(self, name):
        return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)

    def test_was_executed_from_top_to_bottom_without_errors(self, notebook):
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        kinds = {out.output_type for cell in cells for out in cell.outputs}
        assert "error" not in kinds

    def test_each_flow_shows_its_record(self, notebook):
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.source.startswith("%%flow"):
                html = "".join(out.get("data", {}).get("text/html", "") for out in cell.outputs)
                assert "data-cellist-static" in html, cell.source

    def test_shows_no_path_and_keeps_no_widget_state(self, notebook):
        outputs = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
        assert A_PATH.findall(outputs) == []
        assert "widgets" not in notebook.metadata

    def test_has_ids_of_its_own_and_any_python3(self, notebook):
        ids = [cell.id for cell in notebook.cells]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z0-9-]+", ident) for ident in ids)
        assert notebook.metadata.kernelspec.name == "python3"


@pytest.fixture
def make(tmp_path):
    def made(*sources):
        path = tmp_path / "made.ipynb"
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return made


@pytest.mark.slow
@pytest.mark.kernel
class TestDemo:
    def test_a_failing_cell_is_named_and_the_copy_is_kept(self, make, tmp_path):
        demo = demonstrate(make("1 + 1", "int('four')"), tmp_path / "out")
        assert demo.code == 1
        assert "cell  2/2  int('four')" in demo.errors
        assert "ValueError: invalid literal" in demo.errors
        assert demo.notebook(1).cells[0].outputs[0].data["text/plain"] == "2"

    def test_a_second_run_that_computes_again_is_a_failure(self, make, tmp_path):
        notebook = make(
            "%load_ext cellist\nimport time\nfrom cellist import task",
            "@task\ndef now(at):\n    return at\n\nnow(1)\nnow(time.time())",
        )
        demo = demonstrate(notebook, tmp_path / "out")
        assert demo.code == 3
        assert "computed 1 results again without need: now" in demo.said
        assert "1 × other arguments: at" in demo.said

    def test_the_store_is_kept_unless_fresh_is_asked_for(self, make, tmp_path):
        notebook = make(
            "%load_ext cellist\nfrom cellist import task",
            "@task\ndef double(x):\n    return 2 * x\n\ndouble(4)",
        )
        reused = [
            re.findall(r"(\d+) reused", demonstrate(notebook, tmp_path / "out", *options).said)[:2]
            for options in ([], [], ["--fresh"])
        ]
        assert reused == [["0", "1"], ["1", "1"], ["0", "1"]]


def test_a_notebook_that_is_not_there_is_a_clear_error(tmp_path):
    demo = demonstrate(tmp_path / "none.ipynb", tmp_path / "out")
    assert demo.code == 2
    assert "there is no notebook" in demo.errors
    assert not (tmp_path / "out").exists()
