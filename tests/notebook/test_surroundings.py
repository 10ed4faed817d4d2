"""What a `%%task` cell depends on besides names: settings, generators, variables, contexts."""

import logging
import string
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from tests.shells import Shell, shell

SHARED: ContextVar[int] = ContextVar("shared", default=0)


@pytest.fixture
def notebook(tmp_path, monkeypatch) -> Iterator[Shell]:
    monkeypatch.setenv("CELLIST_UI", "text")
    monkeypatch.chdir(tmp_path)
    with shell(tmp_path / "session") as started:
        yield started


def run(notebook: Shell, code: str):
    ran = notebook.run(code)
    assert ran.error is None, ran.error
    return ran


# a cell before, that cell edited, and a cell that depends on it with its result, before and after
SET_ELSEWHERE = {
    "a seed": (
        "import random\nrandom.seed(1)",
        "import random\nrandom.seed(2)",
        "x = random.random()",
        "generator of `random` is in another state",
    ),
    "a variable": (
        "import os\nos.environ['CT_MODE'] = 'a'",
        "import os\nos.environ['CT_MODE'] = 'b'",
        "x = os.environ.get('CT_MODE')",
        "environment variable `CT_MODE`: a → b",
    ),
    "a variable by a computed name": (
        "import os\nos.environ['CT_MODE'] = 'a'",
        "import os\nos.environ['CT_MODE'] = 'b'",
        "x = os.environ['CT_' + 'MODE']",
        "environment variable `*`",
    ),
    "the level of a logger": (
        "import logging\nlog = logging.getLogger('ct.app')\nlog.setLevel(10)",
        "import logging\nlog = logging.getLogger('ct.app')\nlog.setLevel(40)",
        "x = log.isEnabledFor(20)",
        "the logger ct.app changed",
    ),
    "how frames are shown": (
        "import pandas as pd\npd.set_option('display.max_rows', 7)",
        "import pandas as pd\npd.set_option('display.max_rows', 8)",
        "x = pd.get_option('display.max_rows')",
        "pandas option display.max_rows changed: 7 → 8",
    ),
    "how arrays are shown": (
        "import numpy as np\nnp.set_printoptions(precision=2)",
        "import numpy as np\nnp.set_printoptions(precision=3)",
        "x = str(np.array([1.23456]))",
        "numpy option precision changed: 2 → 3",
    ),
    "how plots are drawn": (
        "import matplotlib as mpl\nmpl.rcParams['lines.linewidth'] = 3",
        "import matplotlib as mpl\nmpl.rcParams['lines.linewidth'] = 4",
        "x = mpl.rcParams['lines.linewidth']",
        "rcParams lines.linewidth changed: 3.0 → 4.0",
    ),
    "the precision of decimals": (
        "import decimal\ndecimal.getcontext().prec = 5",
        "import decimal\ndecimal.getcontext().prec = 6",
        "x = decimal.Decimal(1) / 3",
        "the decimal context changed",
    ),
}


@pytest.fixture
def unchanged(monkeypatch):
    """Settings that come back after the test."""
    import decimal

    import matplotlib as mpl
    import numpy as np
    import pandas as pd

    monkeypatch.setenv("CT_MODE", "")
    with (
        decimal.localcontext(),
        pd.option_context("display.max_rows", 60),
        np.printoptions(precision=8),
        mpl.rc_context(),
    ):
        yield
    logging.getLogger("ct.app").setLevel(0)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("what", SET_ELSEWHERE)
def test_what_another_cell_sets_counts(notebook: Shell, what: str) -> None:
    before, edited, cell, reason = SET_ELSEWHERE[what]
    cell = f"%%task\n{cell}"
    run(notebook, before)
    assert run(notebook, cell).state == "Completed"
    first = notebook["x"]
    run(notebook, before)
    assert run(notebook, cell).state == "Cached"
    run(notebook, edited)
    other = run(notebook, cell)
    assert other.state == "Completed", other.why
    assert reason in other.why
    assert "deterministic" not in other.why
    assert notebook["x"] != first
    second = notebook["x"]
    for setting, value in ((before, first), (edited, second)):  # both results are there now
        run(notebook, setting)
        again = run(notebook, cell)
        assert again.state == "Cached", again.why
        assert notebook["x"] == value


def test_draws_go_on_where_the_cells_before_left_the_generator(notebook: Shell) -> None:
    cells = ["import random\nrandom.seed(5)", "a = random.random()", "b = random.random()"]
    for cell in cells:
        run(notebook, f"%%task\n{cell}")
    expected = notebook["a"], notebook["b"], notebook.run("random.random()").result
    notebook.restart()
    states = [run(notebook, f"%%task\n{cell}").state for cell in cells]
    assert states == ["Cached"] * 3
    assert (notebook["a"], notebook["b"], notebook.run("random.random()").result) == expected
    assert len(set(expected)) == 3


def test_a_setting_that_is_set_again_is_set_in_a_new_kernel_too(notebook: Shell) -> None:
    cell = "%%task\nimport string\nstring.ct_flag = 7"
    try:
        assert "not kept" in run(notebook, cell).why
        run(notebook, cell)  # it is so already
        del string.ct_flag  # pyright: ignore[reportAttributeAccessIssue] - the cell's own
        assert run(notebook, cell).state == "Completed"
        assert vars(string)["ct_flag"] == 7
    finally:
        string.__dict__.pop("ct_flag", None)


def test_context_variables_that_a_cell_sets_are_set_in_the_next(notebook: Shell) -> None:
    run(notebook, f"from {__name__} import SHARED")
    run(notebook, "%%task\nSHARED.set(3)\nNone")
    assert run(notebook, "SHARED.get()").result == 3
    run(notebook, "%%flow\nSHARED.set(4)\nNone")
    assert run(notebook, "SHARED.get()").result == 4
    SHARED.set(0)


def test_a_module_that_is_reloaded_is_reloaded_each_time(notebook: Shell) -> None:
    cell = "%%task\nimport importlib, string\nNone if importlib.reload(string) else 1"
    assert "by `reload`" in run(notebook, cell).why
    assert run(notebook, cell).state == "Completed"


def test_a_cell_says_nothing_in_logs_of_the_user(notebook: Shell) -> None:
    seen: list[str] = []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    root, handler = logging.getLogger(), Seen()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        run(notebook, "%%task\nx = 1")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert not [text for text in seen if "state" in text]


def test_a_value_without_a_digest_is_told_once_and_warned_of_nowhere(notebook: Shell) -> None:
    run(notebook, "import threading\nlock = threading.Lock()")
    ran = run(notebook, "%%task\nx = lock.locked()")  # a warning would be an error here
    assert "`lock` has no stable digest" in ran.why
    assert ran.err == ""
