"""Edits of what code reads of other code and of namespaces: docstrings, names, texts of code."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

READ: list[Edit] = []
DOCS = '''
import inspect, operator
from inspect import getdoc as gd
from typing import get_type_hints as hints
def a(x):
    """doc a"""
    return x
def b(x): return x
b.__doc__ = "doc b"
class P:
    """cls"""
    @property
    def p(self):
        "prop doc"
        return 1
    q = property(lambda self: 1, doc="q doc")
def c(x: int = 1): return x
def g(x): return x
doc_of = operator.attrgetter("__doc__")
def f(x):
    return gd(a), b.__doc__, P.p.__doc__, P.q.__doc__, str(hints(c)), list(map(gd, [g]))
'''
READ += each(
    "docs",
    DOCS,
    (MISS, '"""doc a"""', '"""doc aa"""'),
    (MISS, '"doc b"', '"doc bb"'),
    (MISS, '"prop doc"', '"prop doc 2"'),
    (MISS, '"q doc"', '"q doc 2"'),
    (MISS, "x: int = 1", "x: str = 1"),
    (MISS, "def g(x): return x", "def g(x):\n    'now'\n    return x"),
)
DOCS_ALIAS = '''
from inspect import getdoc as gd
def a(x):
    """doc a"""
    return x
def f(x): return gd(a)
'''
READ += each("docs alias", DOCS_ALIAS, (MISS, '"""doc a"""', '"""doc aa"""'))
DOCS_MAPPED = '''
from inspect import getdoc
def a(x):
    """doc a"""
    return x
def f(x): return list(map(getdoc, [a]))
'''
READ += each("docs mapped", DOCS_MAPPED, (MISS, '"""doc a"""', '"""doc aa"""'))
DOCS_ATTRGETTER = '''
from operator import attrgetter
docs = attrgetter("__doc__")
def a(x):
    """doc a"""
    return x
def f(x): return docs(a)
'''
READ += each("docs attrgetter", DOCS_ATTRGETTER, (MISS, '"""doc a"""', '"""doc aa"""'))
HINTS_ALIAS = """
from typing import get_type_hints as h
def a(x: int): return x
def f(x): return str(h(a))
"""
READ += each("hints alias", HINTS_ALIAS, (MISS, "x: int", "x: str"))
HINTS_ALIAS2 = """
from inspect import signature as sig
Alias = int
def a(x: Alias): return x
def f(x): return str(sig(a))
"""
READ += each("hints alias2", HINTS_ALIAS2, (MISS, "Alias = int", "Alias = str"))
MODDOC = '''
import inspect, mod
def f(x): return inspect.getdoc(mod), mod.__doc__
### mod.py
"""Module doc."""
K = 1
'''
READ += each("moddoc", MODDOC, (MISS, "Module doc.", "Other doc."), (HIT, "K = 1", "K = 1  # c"))
QUALNAME = """
def outer():
    def inner(x): return x
    return inner
h = outer()
def f(x): return h.__qualname__
"""
READ += each(
    "qualname",
    QUALNAME,
    (
        MISS,
        "def outer():\n    def inner(x): return x\n    return inner\nh = outer()",
        "def maker():\n    def inner(x): return x\n    return inner\nh = maker()",
    ),
)
MODULE_NAME = """
from one import h, C
def f(x): return h.__module__, C.__module__
### one.py
def h(x): return x
class C: pass
"""
READ += each(
    "module name",
    MODULE_NAME,
)
READ.append(
    Edit(
        "module name read",
        MISS,
        "\nfrom one import h\ndef f(x): return h.__module__\n### one.py\ndef h(x): return x\n",
        "\nfrom two import h\ndef f(x): return h.__module__\n### two.py\ndef h(x): return x\n",
    )
)
READ.append(
    Edit(
        "module name of class read",
        MISS,
        "\nfrom one import H\ndef f(x): return H.__module__\n### one.py\nclass H: pass\n",
        "\nfrom two import H\ndef f(x): return H.__module__\n### two.py\nclass H: pass\n",
    )
)
CO_NAME = """
def h(x): return x
k = h
def f(x): return k.__code__.co_name
"""
READ += each("co_name", CO_NAME, (MISS, "def h(x): return x\nk = h", "def hh(x): return x\nk = hh"))
EXEC_TEXT = """
def helper(x): return x + 1
K = 3
def f(x):
    ns = {}
    exec("y = helper(x) + K", globals(), ns | {"x": x})
    d = {"x": x}
    exec("z = helper(x) * K", globals(), d)
    return d["z"]
"""
READ += each("exec text", EXEC_TEXT, (MISS, "x + 1", "x + 2"), (MISS, "K = 3", "K = 4"))
EXEC_TEXT_NO_GLOBALS = """
def helper(x): return x + 1
def f(x):
    out = []
    exec("out.append(helper(x))")
    return out
"""
READ += each("exec text no globals", EXEC_TEXT_NO_GLOBALS, (MISS, "x + 1", "x + 2"))
EVAL_GLOBAL_TEXT = """
def helper(x): return x + 1
FORMULA = "helper(x) * 2"
def f(x): return eval(FORMULA)
"""
READ += each("eval global text", EVAL_GLOBAL_TEXT, (MISS, "x + 1", "x + 2"), (MISS, "* 2", "* 3"))
EVAL_CODE = """
def helper(x): return x + 1
FORMULA = compile("helper(x) * 2", "<f>", "eval")
def f(x): return eval(FORMULA)
"""
READ += each("eval code", EVAL_CODE, (MISS, "x + 1", "x + 2"), (MISS, "* 2", "* 3"))
EVAL_DICT_OF_TEXTS = """
def helper(x): return x + 1
FORMULAS = {"a": "helper(x) * 2", "b": "x"}
def f(x):
    out = []
    for k, v in FORMULAS.items(): out.append(eval(v))
    return out
"""
READ += each(
    "eval dict of texts", EVAL_DICT_OF_TEXTS, (MISS, "x + 1", "x + 2"), (MISS, "* 2", "* 3")
)
EVAL_FSTRING = """
def helper(x): return x + 1
def f(x): return eval(f"helper({x})")
"""
READ += each("eval fstring", EVAL_FSTRING, (MISS, "x + 1", "x + 2"))
GLOBALS_PRIVATE = """
KIND = "a"
def _handle_a(x): return 1
def _handle_b(x): return 2
def f(x): return globals()[f"_handle_{KIND}"](x)
"""
READ += each(
    "globals private", GLOBALS_PRIVATE, (MISS, "return 1", "return 10"), (MISS, '"a"', '"b"')
)
MAIN_MODULE = """
K = 1
def h(x): return x + 5
def f(x):
    import __main__ as m
    return m.K, m.h(x)
"""
READ += each("main module", MAIN_MODULE, (MISS, "K = 1", "K = 2"), (MISS, "x + 5", "x + 6"))
F_GLOBALS = """
import sys
K = 1
def f(x): return sys._getframe().f_globals["K"]
"""
READ += each("f_globals", F_GLOBALS, (MISS, "K = 1", "K = 2"))
FN_GLOBALS = """
K = 1
def h(): pass
def f(x): return h.__globals__["K"]
"""
READ += each("fn globals", FN_GLOBALS, (MISS, "K = 1", "K = 2"))
VARS_OF_MAIN = """
import sys
K = 1
def f(x): return vars(sys.modules[__name__])["K"], sys.modules["__main__"].K
"""
READ += each("vars of main", VARS_OF_MAIN, (MISS, "K = 1", "K = 2"))
IMPORT_BY_GLOBAL_NAME = """
import importlib
NAME = "plug"
def f(x): return importlib.import_module(NAME).go(x)
### plug.py
def go(x): return 1
### plug2.py
def go(x): return 2
"""
READ += each(
    "import by global name",
    IMPORT_BY_GLOBAL_NAME,
    (MISS, 'NAME = "plug"', 'NAME = "plug2"'),
    (MISS, "return 1", "return 10"),
)
FORMAT = """
class M:
    def __format__(self, spec): return "m" + spec
    def __str__(self): return "s"
M1 = M()
LIMIT = 3
def f(x): return "{:x} {}".format(M1, M1), "%s" % M1, "{LIMIT}".format(**globals()), f"{M1:{LIMIT}}"
"""
READ += each(
    "format",
    FORMAT,
    (MISS, '"m" + spec', '"n" + spec'),
    (MISS, '"s"', '"t"'),
    (MISS, "LIMIT = 3", "LIMIT = 4"),
)
GETATTR_COMPUTED_ON_CLASS = """
class Ops:
    def do_a(self, x): return 1
    def do_b(self, x): return 2
ops = Ops()
def f(x): return getattr(ops, "do_" + "a")(x), getattr(Ops, f"do_{'b'}")(ops, x)
"""
READ += each(
    "getattr computed on class",
    GETATTR_COMPUTED_ON_CLASS,
    (MISS, "return 1", "return 10"),
    (MISS, "return 2", "return 20"),
)
METHODCALLER = """
from operator import methodcaller, attrgetter
class A:
    v = 1
    def go(self, k): return k + 5
get = attrgetter("v"); go = methodcaller("go", 2)
def f(x): return get(A()), go(A()), methodcaller("go", 3)(A())
"""
READ += each(
    "methodcaller",
    METHODCALLER,
    (MISS, "v = 1", "v = 2"),
    (MISS, "k + 5", "k + 6"),
    (MISS, '"go", 2', '"go", 4'),
)
