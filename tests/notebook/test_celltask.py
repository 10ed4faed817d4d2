"""`%%task`: a cell is run once, and from then on reused as long as nothing it reaches changed."""

import textwrap
from typing import Any

import pytest
from IPython.core.error import UsageError

from cellist.notebook.task_options import parse_task_line
from tests.shells import Shell, shell


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "text")
    with shell(tmp_path) as started:
        yield started


def run_all(notebook: Shell, *cells: str):
    ran = [notebook.run(textwrap.dedent(cell)) for cell in cells]
    assert [one.error for one in ran] == [None] * len(cells)
    return ran


BASE = """
a = [1, 2]
b = {"k": a, "deep": [{"x": a}]}
total = 0
log = []
k = 10
rule = "v > @k"
rules = [rule]
def bump(n):
    global total
    total += n
    return total
def add(n):
    log.append(n)
def scale(n):
    return n * k
def mark(f):
    f.__doc__ = "marked"
def wrapped(f):
    import functools
    @functools.wraps(f)
    def inner(*arguments): return f(*arguments)
    return inner
class Shop:
    items = [1]
class Counter:
    n = 0
def count():
    Counter.n += 1
"""

# what a cell leaves: code, and an expression over the names it leaves
KEPT = {
    "values": ("%%task\nx = sum(a)\ny = [x, x + 1]", "(x, y)"),
    "a last value": ("%%task\nx = 3\nx * 2", "(x, _)"),
    "a name that is bound to what it was": ("%%task\nsmall = 1\nsmall", "small"),
    "sharing among outputs": ("%%task\np = [1]\nq = {'p': p}", "q['p'] is p"),
    "an input": ("%%task\nv = {'a': a}\nw = a", "v['a'] is a and w is a"),
    "parts of an input": ("%%task\nv = b['deep'][0]\nw = [v]", "v is b['deep'][0] and w[0] is v"),
    "a class and its instances": (
        "%%task\nclass P:\n    def up(self): return UP\nUP = 7\np = P()",
        "isinstance(p, P) and p.up() == 7",
    ),
    "a dataclass": (
        "%%task\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nps = [P(1)]",
        "ps == [P(1)] and isinstance(ps[0], P)",
    ),
    "an enum": (
        "%%task\nimport enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ne = [E.A]",
        "e[0] is E.A",
    ),
    "a function sees what is changed later": (
        "%%task\ndef f(): return later\nlater = 1",
        "[f(), globals().__setitem__('later', 5), f()] == [1, None, 5]",
    ),
    "defaults as they were": (
        "%%task\nn = 1\nm = [0]\ndef f(x=n, *, y=m): return x, y\nn = 2",
        "f()[0] == 1 and f()[1] is m and n == 2",
    ),
    "attributes of a function": ("%%task\ndef f(): pass\nf.calls = [1]", "f.calls"),
    "a lambda with a name": ("%%task\nf = lambda v: v + k\ng = f", "f(1) == 11 and g is f"),
    "functions in values": (
        "%%task\ndef f(): return 1\nfs = {'f': f, 's': scale}",
        "fs['f'] is f and fs['s'] is scale",
    ),
    "imports": (
        "%%task\nimport json, os.path as p\nfrom math import pi as PI\nx = json.dumps([PI])",
        "(x, p.join('a', 'b'), json.loads(x))",
    ),
    "a deletion": ("%%task\nfor i in range(3):\n    j = i\ndel i\nx = j", "(x, 'i' in globals())"),
    "a deleted input": ("%%task\nn = len(log)\ndel log", "(n, 'log' in globals())"),
    "underscore names": ("%%task\n_hidden = 5\nx = 1", "(_hidden, x)"),
    "a name set by a helper": ("%%task\nbump(3)", "total"),
    "a type made by a call": (
        "%%task\nfrom collections import namedtuple\nP = namedtuple('P', 'x')\nps = [P(1)]",
        "isinstance(ps[0], P) and ps[0].x == 1",
    ),
    "a type variable": (
        "%%task\nfrom typing import TypeVar, Generic\nT = TypeVar('T')\nclass B(Generic[T]): pass",
        "B.__parameters__ == (T,)",
    ),
    "an exception of the notebook": (
        (
            "%%task\nclass E(Exception):\n    def __init__(self, n):\n        self.n = n\n"
            "        super().__init__(f'n {n}')\ne = E(3)"
        ),
        "(str(e), e.args, e.n, isinstance(e, E))",
    ),
    "a part of a class": ("%%task\nr = Shop.items\nr", "r is Shop.items and _ is r"),
    "an array that is read only": (
        "%%task\nimport numpy as np\nx = np.arange(3)\nx.flags.writeable = False",
        "(x.flags.writeable, x.tolist())",
    ),
    "an array that owns its memory": (
        "%%task\nimport numpy as np\nx = np.arange(3) + 1",
        "x.base is None and x.flags.owndata",
    ),
    "an underscore of the user": ("%%task\n_, y = 2, 3\ny", "_ == 2 and y == 3"),
    "an indented cell": ("%%task\n\n  x = 1\n  y = [x]", "(x, y)"),
    "arrays and views": (
        "%%task\nimport numpy as np\nx = np.arange(6.0)\ny = x.reshape(2, 3)[:, ::-1]",
        "(np.shares_memory(x, y), y.tolist(), x.tolist())",
    ),
    "views of a nameless array": (
        "%%task\nimport numpy as np\nx = np.arange(6.0).reshape(2, 3)\ny = x[0]\nz = [y[1:]]",
        "(np.shares_memory(x, y), np.shares_memory(y, z[0]), x.tolist(), y.tolist())",
    ),
    "arrays of dates, and empty ones": (
        "%%task\nimport numpy as np\nx = np.array(['2024'] * 2, 'M8[D]')\ny = x[1:]\ne = x[:0]",
        "(np.shares_memory(x, y), str(y[0]), e.shape)",
    ),
    "a closed file": (
        "%%task\nimport os\nwith open(os.devnull, encoding='latin-1') as fh:\n    t = fh.read()",
        "(fh.closed, type(fh).__name__, t, fh.name, fh.mode, fh.encoding)",
    ),
    "a closed file of bytes": (
        "%%task\nimport os\nwith open(os.devnull, 'rb') as fh, open(os.devnull, 'rb', 0) as f: 0",
        "[(h.closed, type(h).__name__, h.name, h.mode) for h in (fh, f)]",
    ),
    "frames": (
        "%%task\nimport pandas as pd\ndf = pd.DataFrame({'a': [1, 2]})\ndf.a.sum()",
        "(df.to_dict(), int(_))",
    ),
    "a task of cellist": (
        "%%task\nfrom cellist import task\n@task\ndef double(n): return n * 2\nx = double(4)",
        "(x, double(5))",
    ),
    "await": ("%%task\nimport asyncio\nasync def f(): return 4\nx = await f()", "x"),
    "an annotated name": ("%%task\nx: int = len(a)\nx = x + 1", "x"),
    "a text that names variables": (
        "%%task\nimport pandas as pd\nq = pd.DataFrame({'v': [5, 15]}).query('v > @k').v.tolist()",
        "q",
    ),
    "out": ("%%task --out x\nx = 1\ny = 2", "(x, 'y' in globals())"),
    "skip": (
        "%%task --skip lk\nimport threading\nlk = threading.Lock()\nx = 1",
        "(x, 'lk' in globals())",
    ),
    "own": ("%%task --own a\na.append(3)", "(a, b['k'])"),
    "a future statement": (
        "%%task\nfrom __future__ import annotations\ndef f(x: Nope): return 1\ny = f(2)",
        "(y, f.__annotations__)",
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_hit_leaves_what_the_run_left(notebook: Shell, case: str) -> None:
    code, check = KEPT[case]
    run_all(notebook, BASE)
    first = notebook.run(code)
    assert first.error is None
    assert (first.state, first.why) == ("Completed", "ran: never run before")
    expected = notebook.run(check).result
    assert expected not in (None, False)
    notebook.restart()
    run_all(notebook, BASE)
    again = notebook.run(f"{code}  # a comment, and a line\n\n")
    assert again.state == "Cached", again.why
    assert again.result == first.result or again.result is not None
    assert notebook.run(check).result == expected


NOT_KEPT = {
    "an item of a frame": ("%%task\ndf['b'] = 1", "`df` was changed in place", "df.copy()"),
    "inplace": ("%%task\ndf.rename_axis('i', inplace=True)", "`df`", "--own df"),
    "a list that grows": ("%%task\na += [3]", "`a` was changed in place", "--own a"),
    "a list that is copied afterwards": ("%%task\na.append(3)\na = list(a)", "`a` was", "--own a"),
    "a helper that appends": ("%%task\nadd(1)", "`log` was changed in place", ""),
    "a class attribute": ("%%task\ncount()", "`Counter.n` was changed in place", ""),
    "a lock": (
        "%%task\nimport threading\nlk = threading.Lock()",
        "`lk` is of the type",
        "--skip lk",
    ),
    "a lock inside": (
        "%%task\nimport threading\nd = {'x': [threading.Lock()]}",
        "`d['x'][0]`",
        "--skip d",
    ),
    "a generator": ("%%task\ng = (i for i in a)", "`g` is a generator", "--skip g"),
    "a lambda in a list": ("%%task\ng = [lambda: 1]", "lambda", "--skip g"),
    "a closure": (
        "%%task\ndef make():\n    def inner(): pass\n    return inner\ng = make()",
        "inner",
        "--skip g",
    ),
    "the environment": (
        "%%task\nimport os\nos.environ['CT_X'] = '1'",
        "environment variable CT_X",
        "--allow-effects",
    ),
    "the directory": (
        "%%task\nimport os\nos.chdir('/')",
        "the working directory",
        "--allow-effects",
    ),
    "a thread": (
        "%%task\nthreading.Thread(target=lambda: None or __import__('time').sleep(0.3)).start()",
        "a thread that runs on",
        "--allow-effects",
    ),
    "sys.path": ("%%task\nimport sys\nsys.path.append('/nowhere')", "sys.path", "--allow-effects"),
    "pandas options": (
        "%%task\npd.set_option('display.max_rows', 7)",
        "pandas option",
        "--allow-effects",
    ),
    "warnings": (
        "%%task\nimport warnings\nwarnings.simplefilter('ignore')",
        "warnings filter",
        "--allow-effects",
    ),
    "an attribute of a module": (
        "%%task\nimport json\njson.ct_x = object()",
        "it changed `json.ct_x`",
        "--allow-effects",
    ),
    "an attribute of a module that is imported late": (
        "%%task\nx = 1\nimport json as j\nj.encoder.ct_x = x",
        "it changed `j.encoder.ct_x`",
        "--allow-effects",
    ),
    "an attribute of a library's class": (
        "%%task\npd.DataFrame.ct_x = property(len)",
        "it changed `pd.DataFrame.ct_x`",
        "--allow-effects",
    ),
    "precision of decimals": (
        "%%task\nimport decimal\nwith_more = decimal.getcontext().prec = 40",
        "the decimal context",
        "--allow-effects",
    ),
    "a class that is changed": (
        "%%task\nclass A: pass\nA.x = 1",
        "`A` is changed after",
        "cell of its own",
    ),
    "a function that gets more cases": (
        "%%task\n@functools.singledispatch\ndef f(x): 1\n@f.register\ndef g(x: int): 2",
        "`f` is changed after",
        "cell of its own",
    ),
    "a class that needs values": (
        "%%task\nparts = [1]\nclass A:\n    x = parts",
        "`A` is defined with `parts`",
        "cell of its own",
    ),
    "work that goes on": (
        "%%task\ngate = threading.Event()\n@task\ndef wait(): gate.wait(60)\nwait.submit()\nNone",
        "not over",
        "",
    ),
    "an attribute of a function": (
        "%%task\ndef f(): pass\nf.lock = threading.Lock()",
        "`f",
        "",
    ),
    "a last value": ("%%task\nx = 1\nlambda: x", "its last value", "semicolon"),
    "an attribute of a function of another cell": (
        "%%task\nscale.calls = 3",
        "it changed `scale.calls`",
        "--allow-effects",
    ),
    "the defaults of a function": (
        "%%task\nscale.__defaults__ = (2,)",
        "it changed `scale.__defaults__`",
        "--allow-effects",
    ),
    "a function that is wrapped under its own name": (
        "%%task\nscale = wrapped(scale)",
        "no other name in the notebook leads to the function `scale`",
        "--skip scale",
    ),
    "a function that is wrapped by a library": (
        "%%task\nscale = functools.lru_cache(scale)",
        "no other name in the notebook leads to the _lru_cache_wrapper `scale`",
        "--skip scale",
    ),
    "an attribute that is set by its name": (
        "%%task\nvars(scale)['calls'] = 3",
        "the function `scale`",
        "--allow-effects",
    ),
    "an attribute that a helper sets": (
        "%%task\nmark(scale)",
        "the function `scale`",
        "--allow-effects",
    ),
    "a daemon": (
        (
            "%%task\ngo = threading.Event()\ndef loop(): go.wait(60)\n"
            "threading.Thread(target=loop, daemon=True).start()"
        ),
        "a thread that runs on",
        "--allow-effects",
    ),
    "overlapping views": (
        "%%task\nimport numpy as np\nx = np.asfortranarray(np.ones((2, 3)))\ny = x[:1]",
        "shares memory",
        ".copy()",
    ),
}


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("case", NOT_KEPT)
def test_what_cannot_be_kept_runs_and_says_why(notebook, case, monkeypatch, tmp_path):
    code, reason, remedy = NOT_KEPT[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CT_X", "")
    monkeypatch.delenv("CT_X")
    import decimal
    import sys
    import warnings

    import pandas as pd

    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(pd.DataFrame, "ct_x", None, raising=False)
    with (
        decimal.localcontext(),
        pd.option_context("display.max_rows", 60),
        warnings.catch_warnings(),
    ):
        run_all(notebook, BASE, "import functools, threading\nfrom cellist import task")
        run_all(notebook, "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2]})")
        ran = notebook.run(code)
        assert ran.error is None
        assert ran.state == "Completed"
        assert ran.why.startswith("ran: ")
        assert "not kept" in ran.why
        assert reason in ran.why
        assert remedy in ran.why
        assert reason in ran.out
        for gate in ("gate", "go"):
            if gate in notebook:
                notebook[gate].set()
        assert notebook.session.store.entries() == []


UNCACHED = {
    "exec": ("%%task\nexec('x = 1')", "`exec()` in line 2"),
    "a star import": ("%%task\nfrom math import *", "`import *` in line 2"),
    "a magic": ("%%task\n%time x = 1", "`%time` in line 2"),
    "a command": ("%%task\n!true", "`!true` in line 2"),
    "a lock as input": ("%%task\nwith lock:\n    x = 1", "`lock` has no stable digest"),
    "an open file": ("%%task\nx = handle.name", "`handle` has no stable digest"),
    "a lock in a helper": ("%%task\nx = locked()", "`lock` has no stable digest"),
    "a helper that asks the shell": ("%%task\nx = shell()", "has no stable digest"),
    "the shell": ("%%task\nx = ip.user_ns['lock']", "`ip` has no stable digest"),
    "the last output": ("%%task\nx = _", "reads `_`"),
    "--no-cache": ("%%task --no-cache\nx = 1", "--no-cache"),
}


@pytest.mark.filterwarnings("ignore:Task .* is not cached")
@pytest.mark.parametrize("case", UNCACHED)
def test_what_cannot_be_keyed_runs_uncached_and_says_why(notebook, case, tmp_path):
    code, reason = UNCACHED[case]
    (tmp_path / "file").write_text("")
    run_all(
        notebook,
        "ip = get_ipython()\ndef shell(): return get_ipython().user_ns['lock']",
        "import threading\nlock = threading.Lock()\ndef locked():\n    with lock: return 1",
        f"handle = open({str(tmp_path / 'file')!r})\n1",
    )
    for _ in range(2):
        ran = notebook.run(code)
        assert ran.error is None
        assert ran.state == "Completed"
        assert reason in ran.why
    assert notebook.session.store.entries() == []
    run_all(notebook, "handle.close()")


EDITS = {
    "a helper": ("%%task\nx = scale(2)", "def scale(n):\n    return n + k", "helper `scale`"),
    "what a helper reads": ("%%task\nx = scale(2)", "k = 11", "global `k`: 10 → 11"),
    "an input": ("%%task\nx = sum(a)", "a = [1, 3]", "global `a`: [1, 2] → [1, 3]"),
    "an item of an input": ("%%task\nx = sum(a)", "a[0] = 5", "global `a`"),
    "a word in a text": (
        "%%task\nimport pandas as pd\nx = len(pd.DataFrame({'v': [1]}).query('v > @k'))",
        "k = 0",
        "global `k`",
    ),
    "a word in a text of another cell": (
        "%%task\nimport pandas as pd\nx = len(pd.DataFrame({'v': [1]}).query(rule))",
        "k = 0",
        "global `k`",
    ),
    "a word in a text of the cell": (
        (
            "%%task\nimport pandas as pd\nr = 'v > @' + 'k'\n"
            "x = len(pd.DataFrame({'v': [1]}).query(r))"
        ),
        "k = 0",
        "global `k`",
    ),
    "a word in one of several texts": (
        (
            "%%task\nimport pandas as pd\nv = pd.DataFrame({'v': [1]})\n"
            "x = [v.query(r) for r in rules]"
        ),
        "k = 0",
        "global `k`",
    ),
    "a conditional binding": ("%%task\nif a[0] > 5:\n    k = 1\nx = k", "k = 11", "global `k`"),
    "a builtin that is shadowed": ("%%task\nx = len(a)", "def len(x): return 9", "`len`"),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_of_what_a_cell_reaches_is_a_miss(notebook, case):
    code, edit, reason = EDITS[case]
    run_all(notebook, BASE, code)
    assert notebook.run(code).state == "Cached"
    notebook.restart()
    run_all(notebook, BASE, edit)
    ran = notebook.run(code)
    assert ran.state == "Completed"
    assert reason in ran.why


LAST_VALUES = ["41", "42", "'a'", "'b'", "None", "41;", "..."]


def test_constants_at_the_end_count(notebook: Shell) -> None:
    for last in LAST_VALUES * 2:
        ran = notebook.run(f"%%task\n{last}")
        shown = eval(last.strip(";"))
        assert ran.out.count(f"Out[{notebook.shell.execution_count - 1}]: ") == (
            shown is not None and ";" not in last
        )
        if ";" not in last:
            assert ran.result == shown
    assert ran.state == "Cached"


def test_a_semicolon_that_is_taken_away_shows_the_value(notebook: Shell) -> None:
    run_all(notebook, "%%task\nx = [1]\nx;")
    assert "Out[" not in notebook.run("%%task\nx = [1]\nx;").out
    assert "Out[3]: [1]" in notebook.run("%%task\nx = [1]\nx").out


def test_an_edit_of_the_cell_is_a_miss_and_taking_it_back_a_hit(notebook):
    run_all(notebook, "%%task\nx = 1")
    edited = notebook.run("%%task\nx = 2")
    assert "its own source changed (line 2: `x = 2`)" in edited.why
    assert notebook["x"] == 2
    back = notebook.run("%%task renamed\n# with a comment\nx = (1)\n")
    assert back.state == "Cached"
    assert notebook["x"] == 1


def test_a_name_that_comes_to_mean_something_is_told_and_no_edit(notebook):
    cell = "%%task\ntry:\n    old\nexcept NameError as error:\n    said = str(error)\nsaid"
    run_all(notebook, cell)
    assert notebook.run(cell).why == "ran: global `said` is new"
    assert notebook.run(cell).state == "Cached"


def test_a_name_that_the_cell_binds_and_a_helper_reads_is_no_change_in_place(notebook):
    helper = "def read(): return flag"
    for start in ("flag = 1", "flag = 1\ndel flag"):
        run_all(notebook, helper, start)
        assert "not kept" not in notebook.run("%%task\nflag = [2]\nx = read()").why
        assert notebook["flag"] == [2]
        run_all(notebook, start)
        assert notebook.run("%%task\nflag = [2]\nx = read()").state == "Cached"
    run_all(notebook, "flag = [1]")
    ran = notebook.run("%%task\nflag.append(1)\nflag = [2]\nx = read()")
    assert "`flag` was changed in place" in ran.why
    assert notebook["flag"] == [2]


def test_names_that_are_not_read_do_not_count(notebook):
    run_all(notebook, BASE, "%%task\nx = sum(a)\nfor i in a:\n    y = i\nx")
    run_all(notebook, "total = 7\nx = 'other'\ny = i = None")
    assert notebook.run("%%task\nx = sum(a)\nfor i in a:\n    y = i\nx").state == "Cached"
    assert (notebook["x"], notebook["y"], notebook["i"]) == (3, 2, 2)


def test_x_equals_x_plus_1_goes_on_as_it_does_uncached(notebook):
    run_all(notebook, "x = 0")
    states = [notebook.run("%%task\nx = x + 1").state for _ in range(3)]
    assert (states, notebook["x"]) == (["Completed"] * 3, 3)
    notebook.restart()
    run_all(notebook, "x = 0")
    states = [notebook.run("%%task\nx = x + 1").state for _ in range(4)]
    assert (states, notebook["x"]) == (["Cached"] * 3 + ["Completed"], 4)


def test_a_copy_at_the_start_makes_a_cell_reusable(notebook):
    cell = "%%task\ndf = df.copy()\ndf['b'] = 1\ndf.drop(columns='a')"
    make = "import pandas as pd\ndf = original = pd.DataFrame({'a': [1, 2]})"
    run_all(notebook, make, cell)
    run_all(notebook, make)
    assert notebook.run(cell).state == "Cached"
    assert list(notebook["df"]) == ["a", "b"]
    assert list(notebook["original"]) == ["a"]


def test_views_of_an_input_are_views_of_the_live_one(notebook):
    run_all(notebook, "import numpy as np\nx = np.arange(12.0).reshape(3, 4)")
    cells = [
        "%%task\ny, z = x[1:], x.T",
        "%%task\nw = y[::-1, 1]",
        "%%task\nv = w.copy()\nv[0] = 7",
    ]
    run_all(notebook, *cells)
    notebook.restart()
    run_all(notebook, "import numpy as np\nx = np.arange(12.0).reshape(3, 4)")
    assert [notebook.run(cell).state for cell in cells] == ["Cached"] * 3
    run_all(notebook, "x[2, 1] = -5")
    assert (notebook["y"][1, 1], notebook["z"][1, 2], notebook["w"][0]) == (-5, -5, -5)
    assert notebook["v"].tolist() == [7.0, 5.0]


def test_a_failed_cell_is_not_kept_and_its_traceback_is_at_its_line(notebook):
    ran = notebook.run("%%task\nx = 1\n1 / 0")
    assert isinstance(ran.error, ZeroDivisionError)
    assert "----> 3 1 / 0" in ran.out
    assert "cellist/" not in ran.out
    assert ran.state == "Failed"
    assert notebook["x"] == 1
    assert notebook.session.store.entries() == []


def test_a_retry_begins_where_the_first_attempt_began(notebook):
    run_all(notebook, "x = 0\ntries = []")
    ran = notebook.run(
        "%%task --retries 2 --in x\nprint('try', len(tries))\nx = x + 1\nnew = 1\n"
        "tries.append(x)\nif len(tries) < 3: raise ValueError(tries)\nx"
    )
    assert ran.error is None
    assert (ran.result, notebook["tries"], ran.run.run_count) == (1, [1, 1, 1], 3)
    assert ran.out.count("try") == 3
    notebook.restart()
    run_all(notebook, "x = 0")
    again = notebook.run(
        "%%task --retries 2 --in x\nprint('try', len(tries))\nx = x + 1\nnew = 1\n"
        "tries.append(x)\nif len(tries) < 3: raise ValueError(tries)\nx"
    )
    assert again.state == "Cached"
    assert again.out.startswith("try 2\n")
    assert again.out.count("try") == 1


def test_a_time_limit_ends_a_cell(notebook):
    ran = notebook.run("%%task --timeout 0.1\nimport asyncio\nawait asyncio.sleep(30)")
    assert type(ran.error).__name__ == "TaskRunTimeoutError"
    assert ran.state == "TimedOut"


def test_expiry_and_refresh(notebook):
    run_all(notebook, "%%task --expire 1d\nx = 1")
    assert notebook.run("%%task --expire 1d\nx = 1").state == "Cached"
    refreshed = notebook.run("%%task --refresh\nx = 1")
    assert "refresh" in refreshed.why
    (entry,) = notebook.session.store.entries()
    assert entry["expires"] is None
    run_all(notebook, "%%task --expire 0.001s --refresh\nx = 1")
    notebook.session.store.flush(60)
    assert "expired" in notebook.run("%%task\nx = 1").why


def test_names_given_by_hand_make_hidden_ones_no_obstacle(notebook):
    cell = "%%task --in n --out x\nexec('x = n + 1')"
    run_all(notebook, "n = 1", cell)
    notebook.restart()
    run_all(notebook, "n = 1")
    assert notebook.run(cell).state == "Cached"
    assert notebook["x"] == 2
    run_all(notebook, "n = 2")
    assert "global `n`: 1 → 2" in notebook.run(cell).why


def test_seeds_are_sown_again_and_mere_draws_hinted_at_once(notebook):
    run_all(notebook, "import random")
    drawn = notebook.run("%%task\nx = random.random()")
    assert "global random generator" in drawn.out
    assert notebook.run("%%task\nx = random.random()").state == "Cached"
    assert "generator" not in notebook.run("%%task\ny = random.random()").out
    run_all(notebook, "%%task\nrandom.seed(3)", "z = random.random()")
    expected = notebook["z"]
    notebook.restart()
    run_all(notebook, "import random")
    assert notebook.run("%%task\nrandom.seed(3)").state == "Cached"
    run_all(notebook, "z = random.random()")
    assert notebook["z"] == expected


DOUBLE = """
from cellist import task
@task
def double(n):
    print("doubling", n)
    return 2 * n
"""


def test_tasks_inside_belong_to_the_cell(notebook):
    run_all(
        notebook,
        DOUBLE,
    )
    ran = notebook.run("%%task outer\nx = double(2)\ny = double.submit(3).result()")
    assert ran.error is None
    assert [run.parent and run.parent.name for run in notebook.runs if run.name == "double"]
    assert {run.parent.name for run in notebook.runs if run.name == "double"} == {"outer"}
    notebook.restart()
    run_all(
        notebook,
        DOUBLE,
    )
    again = notebook.run("%%task outer\nx = double(2)\ny = double.submit(3).result()")
    assert again.state == "Cached"
    assert again.out.startswith("doubling 2\ndoubling 3\n")


def test_what_a_cell_showed_is_shown_again_in_order(notebook):
    cell = (
        "%%task\nfrom IPython.display import display, HTML\nimport sys\nprint('one')\n"
        "display(HTML('<b>two</b>'))\nprint('three', file=sys.stderr)\n{'four': 4}"
    )
    first = notebook.run(cell)
    notebook.restart()
    again = notebook.run(cell)
    assert again.state == "Cached"
    for ran in (first, again):
        assert ran.out.startswith("one\nOut[1]: {'four': 4}\n")
        assert ran.err == "three\n"
        assert [one.get("text/html") for one in ran.shown] == ["<b>two</b>"]
        assert ran.result == {"four": 4}
    assert notebook["_"] == {"four": 4}
    assert notebook["Out"] == {1: {"four": 4}}


def test_a_stored_cell_of_another_key_is_not_used(notebook, monkeypatch, tmp_path):
    cell = "%%task\nx = 1\nprint('ran')"
    run_all(notebook, cell)
    notebook.session.store.flush(60)
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "another"))
    notebook.restart()
    with pytest.warns(UserWarning, match="stored result was not used"):
        assert notebook.run(cell).state == "Completed"


def test_outputs_that_cannot_be_restored_are_a_miss(notebook, monkeypatch):
    from cellist.notebook import outputs

    cell = "%%task\nx = 1\ny = [x]"
    run_all(notebook, cell)
    notebook.restart()
    monkeypatch.setattr(outputs, "FORMAT", 99)
    run_all(notebook, "x = 'before'")
    ran = notebook.run(cell)
    assert ran.state == "Completed"
    assert "could not be restored" in ran.why
    assert notebook.run(cell).state == "Cached"


def test_a_failing_restore_puts_everything_back(notebook):
    cell = "%%task\nimport json\nx = 1\ndef f(): pass\nx"
    run_all(notebook, cell)
    store = notebook.session.store
    (entry,) = store.entries()
    found = store.get(entry["key"])
    pack = {**found.value, "plan": {**found.value["plan"], "late": ["missing"]}}
    notebook.restart()
    store = notebook.session.store
    assert store.put(entry["key"], pack, dict(found.header), durable=True) is None
    run_all(notebook, "x = 'before'")
    ran = notebook.run(cell)
    assert "could not be restored" in ran.why
    assert notebook["x"] == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--bogus", "%%task: unrecognized arguments: --bogus; `%%task?` explains"),
        ("--retry 3", "unrecognized arguments: --retry, perhaps --retries was meant"),
        ("--refesh", "unrecognized arguments: --refesh, perhaps --refresh was meant; `%%task?`"),
        ("two words", "%%task: unrecognized arguments: words"),
        ("--in 1x", "list of names"),
        ("--in nothing", "no variable of this name"),
        ("--out nothing", "does not assign `nothing`"),
        ("--skip nothing", "does not assign `nothing`"),
        ("--own nothing", "does not use `nothing`"),
        ("--expire soon", "duration"),
        ("--retries -1", "whole number"),
        ("--refresh --no-cache", "exclude each other"),
        ("--out x --skip x", "--out and by --skip"),
        ("a/b", "must not contain"),
    ],
)
def test_unusable_options_are_named_and_nothing_runs(notebook, line, says):
    ran = notebook.run(f"%%task {line}\nx = 1")
    assert isinstance(ran.error, UsageError)
    assert says in str(ran.error)
    assert "x" not in notebook
    assert ran.run is None


def test_all_options_are_understood():
    options = parse_task_line(
        "fit --in a,b --out c --own a --skip d --allow-effects --retries 2 --retry-delay 1,5 "
        "--timeout 60 --expire 2h --refresh -q"
    )
    assert options.name == "fit"
    assert options.inputs == {"a", "b"}
    assert (options.outputs, options.own, options.skip) == ({"c"}, {"a"}, {"d"})
    assert options.allow_effects
    assert (options.retries, options.retry_delay, options.timeout) == (2, [1.0, 5.0], 60.0)
    assert (options.expire, options.refresh, options.quiet) == (7200.0, True, True)
    assert parse_task_line("").inputs is None


@pytest.mark.parametrize("body", ["break", "return 1", "x = = 1"])
def test_a_syntax_error_opens_no_task(notebook, body):
    ran = notebook.run(f"%%task\n{body}")
    assert isinstance(ran.error, SyntaxError)
    assert ran.run is None


def test_quiet_off_and_unload(notebook, monkeypatch):
    assert notebook.run("%%task -q\na = 1\nlist.x if False else None").out == ""
    monkeypatch.setenv("CELLIST_UI", "off")
    for _ in range(2):
        assert notebook.run("%%task\na = 2\nimport threading\nb = threading.Lock()").out == ""
    from cellist.notebook import extension

    extension.unload(notebook.shell)
    assert not hasattr(notebook.shell, "open_task")
    assert "task" not in notebook.shell.magics_manager.magics["cell"]
    assert "write" not in vars(notebook.shell.display_pub)


def test_nothing_of_the_notebook_is_held_after_a_cell(notebook):
    run_all(notebook, "class Big: pass\nbig = Big()\nimport weakref\nref = weakref.ref(big)")
    run_all(notebook, "%%task\nx = 1")
    run_all(notebook, "%%task\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    big = None")
    run_all(notebook, "%%task\nx = 1", "import gc", "gc.collect()\nNone")
    assert notebook["ref"]() is None
    assert [name for name in notebook.shell.user_ns if name.startswith("__cellist")] == []


def test_a_flow_leaves_no_names_of_its_own(notebook):
    run_all(notebook, "%%flow\nx = 1\nx")
    notebook.run("%%flow\n1 / 0")
    assert [name for name in notebook.shell.user_ns if name.startswith("__cellist")] == []
    assert notebook["_"] == 1


@pytest.mark.parametrize("magic", ["%%task load --retries 0", "%%flow load"])
def test_a_traceback_shows_the_cell_as_it_was_written(notebook, magic):
    import linecache

    ran = notebook.run(f"{magic}\nfrom __future__ import annotations\nx = 1\n1 / 0")
    assert isinstance(ran.error, ZeroDivisionError)
    traceback: Any = ran.error.__traceback__
    filename = traceback.tb_next.tb_frame.f_code.co_filename
    lines = linecache.getlines(filename)
    assert lines[0] == f"from __future__ import annotations; # {magic}\n"
    assert lines[3] == "1 / 0\n"


def test_a_quoted_name_is_a_name(notebook):
    assert notebook.run("%%task 'load all'\nx = 1").run.definition.name == "load all"


def test_functions_of_a_reused_cell_have_source(notebook):
    cell = "%%task\n\ndef f(x):\n    return x + 1\n"
    run_all(notebook, cell)
    notebook.restart()
    assert notebook.run(cell).state == "Cached"
    source = notebook.run("import inspect\ninspect.getsource(f), f.__code__.co_firstlineno").result
    assert source == ("def f(x):\n    return x + 1\n", 3)


def test_the_body_of_a_cell_runs_when_prints_are_to_be_logged(notebook, monkeypatch):
    monkeypatch.setenv("CELLIST_LOGGING_LOG_PRINTS", "1")
    run_all(notebook, "%%flow\nx = 1", "%%task\ny = 2")
    assert (notebook["x"], notebook["y"]) == (1, 2)
