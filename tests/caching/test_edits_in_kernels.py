"""Edits as they happen in a living kernel: cells run again, modules edited, reloaded, magics."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

HELPER = "def helper(x):\n    return x\n"
TASK = "from cellist import task\n@task\ndef f(x):\n    return helper(x)\n"
CALL = "print(f(2, return_state=True).name)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernel")


@pytest.fixture(scope="module")
def started(place: Path) -> Iterator[Kernel]:
    env = {
        "CELLIST_HOME": str(place / "home"),
        "CELLIST_SECRET_DIR": str(place / "secret"),
        "CELLIST_UI": "off",
    }
    (place / "mod.py").write_text("def helper(x):\n    return x + 1\n")
    with kernel(env, str(place)) as running:
        running.run(f"{HELPER}\n{TASK}\n{CALL}")
        yield running


def outcome(running: Kernel, *cells: str) -> str:
    for code in cells:
        cell = running.run(code)
        assert cell.error is None, cell.traceback
    return running.run(CALL).stdout.strip()


@pytest.mark.parametrize(
    "cell",
    [
        HELPER,
        f"%%time\n{HELPER}",
        f"%%time\n\n{HELPER}\nhelper(1)",
        f"%%time\n{HELPER.replace('return', '# as it is' + chr(10) + '    return')}",
        f"%%capture seen\n{HELPER}",
        f"%time 1\nimport os\n{HELPER}",
    ],
)
def test_a_cell_that_says_the_same_is_the_same(started: Kernel, cell: str) -> None:
    assert outcome(started, cell) == "Cached"


def test_another_helper_and_back(started: Kernel) -> None:
    other = "%%time\n" + HELPER.replace("x\n", "-x\n")
    assert outcome(started, other) == "Completed"
    assert outcome(started, HELPER) == "Cached"


def test_names_put_together_at_run_time(started: Kernel) -> None:
    """Any name of the notebook may be meant then."""
    text = "def helper_2(x): return 1\ndef helper(x): return globals()[f'helper_{x}'](x)\n"
    assert outcome(started, text) == "Completed"
    assert outcome(started, text) == "Cached"
    assert outcome(started, text.replace("return 1", "return 2")) == "Completed"


def test_a_module_counts_as_it_is_loaded(started: Kernel, place: Path) -> None:
    assert outcome(started, "import mod, importlib\nfrom mod import helper") == "Completed"
    (place / "mod.py").write_text("# more\n\n\ndef helper(x):\n    return x + 20\n")
    assert outcome(started) == "Cached"
    assert outcome(started, TASK) == "Cached"
    reloaded = "importlib.reload(mod)\nfrom mod import helper"
    assert outcome(started, reloaded) == "Completed"
    (place / "mod.py").write_text("def helper(x):\n    return x + 1\n")
    assert outcome(started, "%load_ext autoreload\n%autoreload 2") == "Cached"


def test_what_autoreload_puts_in_place_is_known_by_its_text(started: Kernel, place: Path) -> None:
    """It is compiled by itself, so that its code does not know its place in the file."""
    file = place / "living.py"
    text = (
        "LIMIT = 1\n\n\nclass Tool:\n    def go(self, x):\n        return x\n\n"
        "    @property\n    def wide(self):\n        return 1\n"
    )
    file.write_text(text)
    cells = (
        "%load_ext autoreload\n%autoreload 2",
        "import living",
        "def helper(x): return TOOL.go(x) + TOOL.wide + (TOOL.more() if MORE else 0)",
    )
    outcome(started, *cells, "TOOL = living.Tool(); MORE = False")
    edited = text.replace("return x", "return -x").replace("return 1", "return 2")
    file.write_text(f"{edited}\n    def more(self):\n        return 3\n")
    os.utime(file, (time.time() + 9, time.time() + 9))
    assert outcome(started, "MORE = True") == "Completed"
    said = started.run("why = f(3, return_state=True).why; print(why.sentence, why.notes)").stdout
    assert "not reloaded" not in said
    known = "from cellist.caching.source import closure_of\n"
    known += "print([one.name for one in closure_of(f).components if one.kind == 'function'"
    assert started.run(f"{known} and not one.text])").stdout.strip() == "[]"
    asked = "from cellist.caching.source import closure_of\nprint(closure_of(f).digest)"
    reloaded = started.run(asked).stdout
    again = "import importlib; importlib.reload(living); TOOL = living.Tool()"
    assert started.run(f"{again}\n{asked}").stdout == reloaded
