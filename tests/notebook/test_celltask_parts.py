"""What a reused `%%task` cell took from its inputs is theirs, wherever in them it was."""

import textwrap
from typing import Any

import pytest

from tests.shells import Shell, shell


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "off")
    with shell(tmp_path) as started:
        yield started


BASE = """
import collections, copy, enum, functools
import numpy as np, pandas as pd
a = [1, 2]
P = collections.namedtuple("P", "x y")
class Obj:
    def __init__(self, v): self.v = v
class Slots:
    __slots__ = ("q",)
class Words(dict):
    pass
class Liar(list):
    def __getitem__(self, index): return "lie"
o = Obj(a)
s = Slots(); s.q = [3]
p = P([1], 2)
dd = collections.defaultdict(list, {"q": [1]})
od = collections.OrderedDict(k=[1])
dq = collections.deque([[1], [2]])
words = Words(k=[1]); words.more = [2]
liar = Liar([a])
part = functools.partial(print, [1], sep=[2])
def closing():
    cache = [5]
    def get(more=[6]): return cache, more
    return get
get = closing()
error = ValueError([4])
keyed = {frozenset([1]): [7]}
df = pd.DataFrame({"l": [a, "text"], "n": [1, 2]})
ser = pd.Series([None, a])
objects = np.array([None, None], dtype=object); objects[1] = a
"""

PARTS: dict[str, tuple[str, str]] = {
    "namespace of an object": ("x = vars(o)", "x is vars(o)"),
    "attribute by it": ("x = vars(o)['v']; y = vars(o)", "x is a and y is vars(o)"),
    "slot": ("x = s.q", "x is s.q"),
    "named tuple": ("x = p.x", "x is p.x"),
    "defaultdict": ("x = dd['q']", "x is dd['q']"),
    "OrderedDict": ("x = od['k']", "x is od['k']"),
    "deque": ("x = dq[1]", "x is dq[1]"),
    "subclass of dict": ("x = words['k']; y = words.more", "x is words['k'] and y is words.more"),
    "what a class gives otherwise": ("x = list.__getitem__(liar, 0); y = liar[0]", "x == [1, 2]"),
    "arguments of a partial": ("x = part.args[0]; y = part.keywords", "x is part.args[0]"),
    "array of objects": ("x = objects[1]; y = [x]", "x is a and y[0] is a"),
    "closure": ("x = get()[0]", "x is get()[0]"),
    "default": ("x = get()[1]", "x is get()[1]"),
    "error": ("x = error.args[0]", "x is error.args[0]"),
    "key that is a set": ("x = keyed[frozenset([1])]", "x is keyed[frozenset([1])]"),
    "cell of a frame": ("x = df.l[0]", "x is a and x is df.l[0]"),
    "cell of a series": ("x = ser[1]", "x is a"),
    "copy": ("x = copy.copy(o)", "x is not o and x.v is a and vars(x) is not vars(o)"),
}


def run_all(notebook: Shell, *cells: str) -> list[Any]:
    ran = [notebook.run(textwrap.dedent(cell)) for cell in cells]
    assert [one.error for one in ran] == [None] * len(cells)
    return ran


@pytest.mark.parametrize("case", PARTS)
def test_a_part_of_an_input_is_the_live_one(notebook: Shell, case: str) -> None:
    code, check = PARTS[case]
    run_all(notebook, BASE, f"%%task\n{code}")
    assert notebook.run(check).result is True
    notebook.restart()
    run_all(notebook, BASE)
    again = notebook.run(f"%%task\n{code}")
    assert again.state == "Cached", again.why
    assert notebook.run(check).result is True


def test_asking_for_a_combination_of_flags_does_not_change_them(notebook: Shell) -> None:
    code = "%%task\nclass E(enum.Flag):\n    A = 1\n    B = 2\nx = E.A | E.B\ny = [~E.A]"
    run_all(notebook, BASE, code)
    notebook.restart()
    run_all(notebook, BASE)
    again = notebook.run(code)
    assert again.state == "Cached", again.why
    assert notebook.run("(x is E(3), y[0] is E.B, x & E.A is E.A)").result == (True, True, True)


def test_the_handle_of_a_display_goes_on_with_what_is_shown_again(notebook: Shell) -> None:
    code = "%%task\nh = display(1, display_id=True)\ng = display(2, display_id='mine')\nh.update(3)"
    run_all(notebook, "published = get_ipython().display_pub", code)
    first = notebook["h"].display_id
    seen: list[tuple[Any, Any]] = []

    def publish(data: Any, metadata: Any = None, **kwargs: Any) -> None:
        del metadata
        seen.append((kwargs["transient"]["display_id"], data["text/plain"]))

    publisher: Any = notebook.shell.display_pub
    publisher.publish = publish
    again = notebook.run(code)
    assert again.state == "Cached", again.why
    assert notebook["h"].display_id != first
    assert seen == [(notebook["h"].display_id, "3"), ("mine", "2")]
    assert notebook["g"].display_id == "mine"


LEFT_ALONE = {
    "a branch": "%%task\nif not a:\n    mode = 'b'",
    "a loop": "%%task\nfor mode in a:\n    pass",
    "a handler": "%%task\ntry:\n    len(a)\nexcept TypeError:\n    mode = 'b'",
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_a_name_that_a_cell_left_alone_is_not_its_output(notebook: Shell, case: str) -> None:
    """What another cell gave it is not brought back when that has been edited."""
    code = LEFT_ALONE[case]
    a = "a = []" if case == "a loop" else "a = [1]"
    run_all(notebook, f"{a}\nmode = 'x'", code)
    assert notebook.run(code).state == "Cached"
    run_all(notebook, "mode = 'y'")
    ran = notebook.run(code)
    assert "`mode` is another" in ran.why
    assert notebook["mode"] == "y"
    notebook.restart()
    run_all(notebook, a, code)
    assert "mode" not in notebook
    run_all(notebook, f"{a}\nmode = 'y'")
    assert notebook.run(code).state == "Cached"
    assert notebook["mode"] == "y"


def test_an_object_that_a_cell_left_alone_stays_the_same(notebook: Shell) -> None:
    code = "%%task\nif not a:\n    items = [2]"
    run_all(notebook, "a = [1]\nitems = [1]\nalso = items", code)
    assert notebook.run(code).state == "Cached"
    assert notebook["items"] is notebook["also"]


def test_a_name_that_a_cell_may_bind_is_its_output_when_it_does(notebook: Shell) -> None:
    code = "%%task\nfor one in a:\n    last = one"
    run_all(notebook, "a = [1]", code)
    assert notebook.run(code).state == "Cached"
    notebook.restart()
    run_all(notebook, "a = [1]")
    assert notebook.run(code).state == "Cached"
    assert (notebook["one"], notebook["last"]) == (1, 1)


def test_an_index_of_a_frame_is_that_of_the_frame_on_a_hit(notebook: Shell) -> None:
    code = "%%task\nindex, columns = df.index, df.columns"
    run_all(notebook, "import pandas as pd\ndf = pd.DataFrame({'a': [1]})", code)
    assert notebook.run(code).state == "Cached"
    assert notebook.run("index is df.index and columns is df.columns").result


def test_an_output_that_pickle_forgets_a_part_of_is_named(notebook: Shell) -> None:
    base = (
        "import numpy as np\nclass Unit(np.ndarray):\n    unit = None\n"
        "def unit(text):\n    made = np.arange(3.0).view(Unit)\n    made.unit = text\n"
        "    return made"
    )
    run_all(notebook, base)
    ran = notebook.run("%%task\nx, y = 1, {'k': unit('m')}")
    assert "`y['k'].unit` would come back as another value" in ran.why
    assert "--skip y" in ran.why
    assert notebook.session.store.entries() == []


SEVERAL = {
    "the first of two branches": ("if a:\n    def g(): return 1\nelse:\n    def g(): return 2", 1),
    "a branch that is not taken": ("def g(): return 1\nif not a:\n    def g(): return 2", 1),
    "lambdas": ("if a: g = lambda: 1\nelse: g = lambda: 2", 1),
    "a case": (
        "match a:\n    case [*_]:\n        def g(): return 3\n    case _:\n        g = 1",
        3,
    ),
    "one of another cell": ("if not a:\n    def g(): return 9\nx = g()", 0),
    "a class of another cell": ("if not a:\n    class G: pass\nx = G.n\ng = lambda: G.n", 5),
    "an import that is not made": ("if not a:\n    import json as G\nx = G.n\ng = lambda: G.n", 5),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_of_several_definitions_the_one_that_was_executed_is(notebook: Shell, case: str) -> None:
    text, result = SEVERAL[case]
    base = "a = [1]\ndef g(): return 0\nclass G:\n    n = 5"
    run_all(notebook, base, f"%%task\n{text}")
    notebook.restart()
    run_all(notebook, base, "also = G")
    assert notebook.run(f"%%task\n# moved\n{text}").state == "Cached"
    assert notebook.run("g()").result == result
    assert notebook["G"] is notebook["also"]


def test_two_definitions_in_one_line_are_not_told_apart(notebook: Shell) -> None:
    ran = notebook.run("%%task\ng = lambda: 1; g = lambda: 2")
    assert "`g` is defined in several ways" in ran.why


def test_a_class_that_pickle_has_looked_at_is_not_a_changed_one(notebook: Shell) -> None:
    code = "%%task\nimport copy\nclass P: pass\np = copy.copy(P())"
    run_all(notebook, "pass", code)
    assert notebook.run(code).state == "Cached"


def test_a_class_that_keeps_its_instances_is_a_changed_one(notebook: Shell) -> None:
    code = "class P:\n    all = {}\n    def __init__(self): P.all[1] = self\np = P()"
    assert "`P` is changed after its definition" in notebook.run(f"%%task\n{code}").why
