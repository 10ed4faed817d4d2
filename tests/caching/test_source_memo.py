"""A closure found once is given again, unless anything it was made from has changed."""

import builtins
import copy
import functools
import gc
import importlib
import linecache
import sys
import time
import types
import weakref
from typing import Any

import numpy as np
import pytest

from cellist.caching import closures
from cellist.caching.digests import digest_value
from cellist.caching.source import closure_of
from cellist.exceptions import HashError

_cells = iter(range(10_000))


def cell(text, namespace: Any = None) -> dict[str, Any]:
    """Run a text as a cell and return its namespace."""
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    name = f"<cell {next(_cells)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), namespace)
    return namespace


TEXT = """
import functools
TH = 0.5
NAMES = ["a"]
TABLE = {"k": {"deep": [1]}}
class Model:
    rate = 1
    tags = []
    def go(self):
        return self.rate
    @property
    def p(self):
        return 1
    @staticmethod
    def s():
        return 2
def make(k):
    def inner(x, scale=1, *, mode="a"):
        return x * k
    return inner
inner = make([3])
def clean(x, sep=","):
    return x
cached = functools.lru_cache(clean)
OPS = {"c": clean}
ITEM = (1, [2])
def f(x, n=1):
    both = TABLE["k"] + OPS
    return clean(x) + TH + len(NAMES) + inner(x) + Model().go() + cached(1) + ITEM + both
"""


def swap_code(ns):
    ns["clean"].__code__ = (lambda x, sep=",": x + 1).__code__


def swap_code_of_task(ns):
    ns["f"].__code__ = (lambda x, n=1: x + 1).__code__


CHANGES = {
    "helper redefined": lambda ns: cell("def clean(x, sep=','):\n    return -x\n", ns),
    "helper's code": swap_code,
    "own code": swap_code_of_task,
    "helper's defaults": lambda ns: setattr(ns["clean"], "__defaults__", (";",)),
    "helper's default gone": lambda ns: setattr(ns["clean"], "__defaults__", None),
    "default added": lambda ns: setattr(ns["inner"], "__defaults__", (2,)),
    "keyword default": lambda ns: setattr(ns["inner"], "__kwdefaults__", {"mode": "b"}),
    "keyword default in place": lambda ns: ns["inner"].__kwdefaults__.update(mode="c"),
    "cell contents": lambda ns: setattr(ns["inner"].__closure__[0], "cell_contents", [4]),
    "cell contents in place": lambda ns: ns["inner"].__closure__[0].cell_contents.append(4),
    "constant": lambda ns: ns.update(TH=0.6),
    "constant of another type": lambda ns: ns.update(TH=np.float64(0.5)),
    "constant gone": lambda ns: ns.pop("TH"),
    "list mutated": lambda ns: ns["NAMES"].append("b"),
    "dict mutated": lambda ns: ns["TABLE"]["k"]["deep"].append(2),
    "tuple mutated within": lambda ns: ns["ITEM"][1].append(2),
    "class attribute": lambda ns: setattr(ns["Model"], "rate", 2),
    "class attribute in place": lambda ns: ns["Model"].tags.append(1),
    "class attribute added": lambda ns: setattr(ns["Model"], "more", 2),
    "class attribute gone": lambda ns: delattr(ns["Model"], "rate"),
    "method": lambda ns: setattr(ns["Model"], "go", lambda self: 3),
    "property": lambda ns: setattr(ns["Model"], "p", property(lambda self: 3)),
    "static method": lambda ns: setattr(ns["Model"], "s", staticmethod(lambda: 3)),
    "class redefined": lambda ns: cell("class Model:\n    def go(self):\n        return 1\n", ns),
    "function in a dict": lambda ns: ns["OPS"].update(c=lambda x: 0),
    "function added to a dict": lambda ns: ns["OPS"].update(d=lambda x: 0),
    "builtin shadowed": lambda ns: ns.update(len=lambda x: 0),
    "function attribute": lambda ns: setattr(ns["clean"], "mark", 1),
    "own attribute": lambda ns: setattr(ns["f"], "mark", 1),
    "cached function": lambda ns: ns.update(cached=functools.lru_cache(lambda x: 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(change):
    namespace = cell(TEXT)
    before = closure_of(namespace["f"])
    assert closure_of(namespace["f"]) is before
    CHANGES[change](namespace)
    after = closure_of(namespace["f"])
    assert after.digest != before.digest
    assert closure_of(namespace["f"]).digest == after.digest
    if "in place" not in change and "gone" not in change:
        assert set(after.components) != set(before.components)


def test_the_same_code_again_is_the_same():
    namespace = cell(TEXT)
    before = closure_of(namespace["f"])
    cell("# moved\n\n" + TEXT, namespace)
    assert closure_of(namespace["f"]).digest == before.digest


def test_a_change_taken_back_is_no_change():
    namespace = cell(TEXT)
    before = closure_of(namespace["f"])
    namespace["NAMES"].append("b")
    assert closure_of(namespace["f"]).digest != before.digest
    namespace["NAMES"].pop()
    assert closure_of(namespace["f"]).digest == before.digest


def test_own_default_does_not_count_but_a_helpers_does():
    namespace = cell(TEXT)
    before = closure_of(namespace["f"])
    namespace["f"].__defaults__ = (2,)
    assert closure_of(namespace["f"]).digest == before.digest
    one = digest_value(namespace["f"])
    namespace["f"].__defaults__ = (3,)
    assert digest_value(namespace["f"]) != one


def test_globals_are_resolved_when_asked():
    namespace = cell("def f(x):\n    return later(x)\n")
    before = closure_of(namespace["f"])
    cell("def later(x):\n    return 1\n", namespace)
    assert closure_of(namespace["f"]).digest != before.digest


def test_array_mutated_in_place():
    namespace = cell(
        "def f(x):\n    return x + ARR.sum()\n", {"ARR": np.zeros(1000), "__name__": "__main__"}
    )
    before = closure_of(namespace["f"])
    assert closure_of(namespace["f"]) is before
    namespace["ARR"][500] = 1
    assert closure_of(namespace["f"]).digest != before.digest


def test_equal_text_with_different_closures():
    namespace = cell(
        "def make(k):\n    def g(x):\n        return x * k\n    return g\n"
        "a, b, c = make(1), make(2), make(1)\n"
    )
    one, two, three = (closure_of(namespace[name]).digest for name in "abc")
    assert one != two
    assert one == three


LONG = "".join(f"def filler{number}():\n    return {number}\n" for number in range(40))


@pytest.fixture(params=["", LONG], ids=["short", "long"])
def module(tmp_path, monkeypatch, request):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "watched_module.py"
    path.write_text(
        "K = 1\ndef k(x):\n    return x * K\ndef free(x):\n    return 1\n" + request.param
    )
    yield path
    sys.modules.pop("watched_module", None)


def test_module_reloaded_or_patched(module):
    namespace = cell("import watched_module as m\ndef f(x):\n    return m.k(x)\n")
    first = closure_of(namespace["f"])
    watched = namespace["m"]
    watched.free = None
    assert closure_of(namespace["f"]) is first
    watched.K = 2
    second = closure_of(namespace["f"])
    assert second.digest != first.digest
    watched.K = 1
    watched.k = lambda x: x
    assert closure_of(namespace["f"]).digest not in {first.digest, second.digest}
    importlib.reload(watched)
    assert closure_of(namespace["f"]).digest == first.digest


def test_module_changed_on_disk_counts_only_when_reloaded(module):
    namespace = cell("import watched_module as m\ndef f(x):\n    return m.k(x)\n")
    text = module.read_text()
    first = closure_of(namespace["f"])
    module.write_text("\n\n" + text.replace("x * K", "x + K + 100"))
    assert closure_of(namespace["f"]) is first
    assert not first.notes
    importlib.reload(namespace["m"])
    assert closure_of(namespace["f"]).digest != first.digest
    assert not closure_of(namespace["f"]).notes


def test_module_changed_before_it_was_first_looked_at(module):
    namespace = cell("import watched_module as m\ndef f(x):\n    return m.k(x)\n")
    text = module.read_text()
    module.write_text(text.replace("x * K", "x + 100 * K"))
    loaded = closure_of(namespace["f"])
    assert loaded.notes == ("watched_module.py changed on disk and was not reloaded",)
    importlib.reload(namespace["m"])
    reloaded = closure_of(namespace["f"])
    assert not reloaded.notes
    assert reloaded.digest != loaded.digest


def test_comment_on_disk_needs_no_reload(module):
    namespace = cell("import watched_module as m\ndef f(x):\n    return m.k(x)\n")
    module.write_text(module.read_text().replace("x * K", "x * K  # times"))
    assert not closure_of(namespace["f"]).notes


def test_escaped_module_is_watched(module):
    namespace = cell(
        "import watched_module as m\ndef f(x):\n    return g(m)\ndef g(m):\n    return m.k(1)\n"
    )
    first = closure_of(namespace["f"])
    assert closure_of(namespace["f"]) is first
    namespace["m"].added = 1
    assert closure_of(namespace["f"]).digest != first.digest


def test_nothing_is_kept_alive():
    class Big:
        """Something a task reads."""

    namespace = cell(TEXT)
    namespace["BIG"] = Big()
    cell(
        "def f(x):\n    return clean(x) + len(NAMES) + Model().go() + str(BIG) + inner(x) + OPS\n",
        namespace,
    )
    closure_of(namespace["f"])
    big = weakref.ref(namespace["BIG"])
    del namespace["BIG"]
    gc.collect()
    assert big() is None
    task = weakref.ref(namespace["f"])
    helper = weakref.ref(namespace["clean"])
    digest_value(namespace["Model"])
    namespace.clear()
    del namespace
    gc.collect()
    assert task() is None
    assert helper() is None


def test_strict_and_untracked():
    namespace = cell(
        "import threading\nlock = threading.Lock()\ndef f(x):\n    with lock:\n        return x\n"
    )
    closure = closure_of(namespace["f"])
    assert closure.untracked == ("lock",)
    assert [(c.name, c.text) for c in closure.components if c.kind == "untracked"] == [
        ("lock", "lock")
    ]
    namespace["lock"] = __import__("threading").Lock()
    assert closure_of(namespace["f"]).digest == closure.digest
    with pytest.raises(HashError) as caught:
        closure_of(namespace["f"], strict=True)
    assert caught.value.path == "lock"


def test_versions_and_unknown_policy():
    namespace = cell("import numpy as np\ndef f(x):\n    return np.sum(x)\n")
    by_policy = {
        v: closure_of(namespace["f"], versions=v) for v in ("minor", "exact", "major", "off")
    }
    assert len({c.digest for c in by_policy.values()}) == 4
    package = next(c for c in by_policy["minor"].components if c.kind == "package")
    assert (package.name, package.text) == ("numpy", np.__version__)
    with pytest.raises(ValueError, match="'newest'"):
        closure_of(namespace["f"], versions="newest")


def test_depends_on():
    namespace = cell("P = {'a': 1}\ndef other(x):\n    return 1\ndef f(x):\n    return x\n")
    plain = closure_of(namespace["f"]).digest
    depends = (namespace["other"], namespace["P"], types, 3)
    first = closure_of(namespace["f"], depends_on=depends)
    assert first.digest != plain
    assert closure_of(namespace["f"], depends_on=depends) is first
    namespace["P"]["a"] = 2
    second = closure_of(namespace["f"], depends_on=depends)
    assert second.digest != first.digest
    assert closure_of(namespace["f"], depends_on=(*depends[:3], 4)).digest != second.digest
    assert closure_of(namespace["f"]).digest == plain


def test_components_have_the_names_a_user_knows(module):
    namespace = cell(
        "import watched_module as helpers\nfrom watched_module import free\nTH = 1\n"
        "def make(k):\n    def clean(x, sep=','):\n        return x * k\n"
        "    return clean\nclean = make(2)\n"
        "class Model:\n    rate = 1\n    def go(self):\n        return 1\n"
        "# %%\ndef f(x):\n    # why\n"
        "    return clean(x) + helpers.k(x) + free(x) + TH + Model().go()\n"
    )
    closure = closure_of(namespace["f"])
    known = {(c.kind, c.name): c for c in closure.components}
    assert set(known) == {
        ("source", "f"),
        ("function", "clean"),
        ("function", "helpers.k"),
        ("function", "free"),
        ("closure", "clean.k"),
        ("default", "clean(sep)"),
        ("global", "TH"),
        ("global", "watched_module.K"),
        ("class", "Model"),
        ("global", "Model.rate"),
        ("function", "Model.go"),
    }
    assert known["source", "f"].text.startswith("def f(x):\n    # why\n")
    assert known["function", "clean"].text == "def clean(x, sep=','):\n    return x * k\n"
    assert known["class", "Model"].text.startswith("class Model:\n    rate = 1")
    assert known["global", "TH"].text == "1"
    for component in closure.components:
        assert int(component.digest, 16) >= 0


def test_code_without_text_is_told_by_its_instructions():
    def digest(text):
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        return closure_of(namespace["f"])

    one = digest(
        "import os\nK = 1\ndef g(x): return x + 1\ndef f(x): return g(x) + K + os.path.sep"
    )
    assert [c.text for c in one.components if c.kind == "source"] == [""]
    assert (
        one.digest
        == digest(
            "import os\n\nK = 1\ndef g(x):\n  return x + 1\ndef f(x): return g(x) + K + os.path.sep"
        ).digest
    )
    assert (
        one.digest
        != digest(
            "import os\nK = 2\ndef g(x): return x + 1\ndef f(x): return g(x) + K + os.path.sep"
        ).digest
    )
    assert (
        one.digest
        != digest(
            "import os\nK = 1\ndef g(x): return x + 100\ndef f(x): return g(x) + K + os.path.sep"
        ).digest
    )


def test_text_that_is_not_the_code_is_not_taken():
    text = "def f(x):\n    return x + 1\n"
    namespace = cell(text)
    name = namespace["f"].__code__.co_filename
    wrong = text.replace("1", "100")
    cache: Any = linecache.cache
    cache[name] = (len(wrong), None, wrong.splitlines(keepends=True), name)
    (source,) = closure_of(namespace["f"]).components
    assert source.text == ""


def test_builtins_and_odd_callables():
    for callable_ in (len, "x".join, functools.partial(int, base=2), int, str.upper, print):
        assert closure_of(callable_).digest == closure_of(callable_).digest
    assert closure_of(len).digest != closure_of(sum).digest
    assert closure_of("x".join).digest != closure_of("y".join).digest
    assert (
        closure_of(functools.partial(int, base=2)).digest
        != closure_of(functools.partial(int, base=3)).digest
    )


def test_code_inside_values_counts():
    namespace = cell(
        "def a(x):\n    return 1\nclass C:\n"
        "    def __init__(self): self.v = 1\n    def go(self): return 1\n"
    )
    before = digest_value({"f": namespace["a"], "c": namespace["C"]()})
    again = cell(
        "def a(x):\n    return 1\nclass C:\n"
        "    def __init__(self): self.v = 1\n    def go(self): return 1\n"
    )
    assert digest_value({"f": again["a"], "c": again["C"]()}) == before
    other = cell(
        "def a(x):\n    return 1\nclass C:\n"
        "    def __init__(self): self.v = 1\n    def go(self): return 2\n"
    )
    assert digest_value({"f": again["a"], "c": other["C"]()}) != before
    other = cell("def a(x):\n    return 2\n")
    assert digest_value({"f": other["a"], "c": again["C"]()}) != before


def test_copying_an_instance_changes_no_class():
    namespace = cell("class C:\n    def __init__(self): self.v = 1\ndef f(x):\n    return C()\n")
    before = closure_of(namespace["f"]).digest
    copy.copy(namespace["C"]())
    assert "__slotnames__" in vars(namespace["C"])
    assert closure_of(namespace["f"]).digest == before


def test_the_first_instance_changes_no_class():
    namespace = cell(
        "from typing import Protocol\nclass P(Protocol):\n    def go(self): return 1\n"
        "class C(P):\n    a = 1\ndef f(x):\n    return C()\n"
    )
    before = closure_of(namespace["f"]).digest
    namespace["f"](1)
    assert closure_of(namespace["f"]).digest == before


def test_a_task_counts_as_its_function(monkeypatch):
    class Task:
        """What a task is to a source digest."""

        def __init__(self, fn, retries):
            self.fn = fn
            self.retries = retries

        def __call__(self, x):
            return self.fn(x)

    Task.__module__ = "cellist.tasks"
    namespace = cell("def clean(x):\n    return x\ndef f(x):\n    return clean(x)\n")
    namespace["clean"] = Task(namespace["clean"], 1)
    first = closure_of(namespace["f"])
    assert [c.name for c in first.components if c.kind == "function"] == ["clean"]
    assert closure_of(namespace["f"]) is first
    namespace["clean"] = Task(namespace["clean"].fn, 2)
    assert closure_of(namespace["f"]).digest == first.digest
    namespace["clean"].fn = lambda x: x + 1
    assert closure_of(namespace["f"]).digest != first.digest


def test_things_of_cellist_count_as_nothing_or_by_their_key():
    class File:
        def __init__(self, content):
            self.content = content

        def __cellist_key__(self):
            return self.content

    class Setting:
        pass

    File.__module__ = Setting.__module__ = "cellist.sources"
    namespace = cell("def f(x):\n    return x, S\n")
    namespace["S"] = Setting()
    file = File("a")
    first = closure_of(namespace["f"], depends_on=(file,))
    assert not first.untracked
    namespace["S"] = Setting()
    assert closure_of(namespace["f"], depends_on=(file,)).digest == first.digest
    file.content = "b"
    assert closure_of(namespace["f"], depends_on=(file,)).digest != first.digest


def test_an_unchanged_closure_costs_little():
    namespace = cell(
        "TH = 0.5\nNAMES = ['a', 'b']\ndef a(x):\n    return x.strip()\n"
        "def b(x):\n    return a(x) * TH\n"
        "def c(x, sep=','):\n    return b(x) + len(NAMES)\ndef f(x, n=1):\n"
        "    return a(x) + b(x) + c(x)\n"
    )
    task = namespace["f"]
    closure_of(task)
    built = []
    original = closures.Builder.build
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(200):
            closure_of(task)
        best = min(best, (time.perf_counter() - start) / 200)
    assert not built
    assert original is closures.Builder.build
    assert best < 100e-6, f"{best * 1e6:.1f} µs"  # 20 µs on a quiet machine


SAID = '''
import inspect, types
def helper(x):
    """Before."""
    return x
class Thing:
    """Before."""
def f(x): return len(x), helper.__doc__, inspect.getdoc(Thing), helper.__module__
'''


@pytest.mark.parametrize("name", ["helper", "Thing"])
@pytest.mark.parametrize("attribute", ["__doc__", "__module__"])
def test_what_is_said_of_code_counts_where_it_is_read(name, attribute):
    namespace = cell(SAID)
    before = closure_of(namespace["f"])
    assert closure_of(namespace["f"]) is before
    setattr(namespace[name], attribute, "after")
    assert closure_of(namespace["f"]).digest != before.digest


def test_a_builtin_that_is_replaced_for_all(monkeypatch):
    namespace = cell(SAID)
    before = closure_of(namespace["f"])
    replaced = cell("def len(x): return 3\n")["len"]
    monkeypatch.setattr(builtins, "len", replaced)
    after = closure_of(namespace["f"])
    monkeypatch.undo()
    assert after.digest != before.digest
    assert closure_of(namespace["f"]).digest == before.digest
