"""The edits of cases 1 to 20: by the number of the case, what a notebook was and what it becomes.

A notebook is written as `tests/caching/edits.py` explains: cells parted by `# %%`, and files, each
after a line `### name`. Its task is `f`, called as `f(x)` unless it defines `call`.
"""

from tests.caching.edits import HIT, MISS, Edit, sub

BASIC = '''
LIMIT = 5
UNUSED = 1
SEEN = [1, 2]
def deep(x):
    return x - 1
def clean(x, by=2):
    return deep(x) * by
# %%
@task
def f(x, n=10):
    """Clean it."""
    return clean(x) + n + LIMIT + len(SEEN)
'''
REFORMATTED = '''
# a remark
LIMIT = 5   # and one more
UNUSED = 1
SEEN = [
    1, 2,
]
def deep(x):

    # why
    return (x - 1)


def clean(
    x, by=2,
):
    return deep(x)*by
# %%


@task
def f(x, n = 10):
    """Clean it."""
    return (clean(x)   # first
        + n + LIMIT
        + len(SEEN))
'''
REORDERED = '''
def other(x):
    return x
@task
def f(x, n=10):
    """Clean it."""
    return clean(x) + n + LIMIT + len(SEEN)
def clean(x, by=2):
    return deep(x) * by
# %%
print(end="")
# %%
def deep(x):
    return x - 1
SEEN = [1, 2]
LIMIT = 5
UNUSED = 1
'''
DOCUMENTED = '''
def prompt():
    """Say it."""
    return prompt.__doc__
@task
def f(x):
    """What I do."""
    return [x, prompt(), f.fn.__doc__]
'''
MUTUAL = """
def even(n):
    return n < 1 or odd(n - 1)
def odd(n):
    return n > 0 and even(n - 1)
@task
def f(x):
    return [x, even(x)]
"""
MODULES = """
import case10
from case10 import direct
@task
def f(x):
    import case10b
    from case10b import two as second
    return [case10.k(x), direct(x), case10b.one(x), second(x), case10.K, getattr(case10c, "k")(x)]
# %%
import case10c
### case10.py
K = 1
def k(x):
    return hidden(x)
def hidden(x):
    return x + 2
def direct(x):
    return x + 3
def unrelated(x):
    return x + 4
### case10b.py
def one(x):
    return x + 5
def two(x):
    return x + 6
def unrelated(x):
    return x + 7
### case10c.py
def k(x):
    return x + 8
"""
GLOBALS = """
import numpy as np
class Config:
    pass
cfg = Config()
cfg.a = 1
names = ["a"]
numbers = np.zeros(5)
UNUSED = 1
# %%
@task
def f(x):
    return [x, cfg.a, len(names), float(numbers.sum())]
"""
CLASSES = """
import dataclasses, enum
from pydantic import BaseModel
class Color(enum.Enum):
    RED = 1
class Base:
    def inherited(self):
        return 2
class Thing(Base):
    factor = 3
    def method(self):
        return 4
    @property
    def size(self):
        return 5
    @staticmethod
    def static():
        return 6
    @classmethod
    def made(cls):
        return 7
    def __call__(self):
        return 8
@dataclasses.dataclass
class Data:
    x: int = 9
class Model(BaseModel):
    x: int = 10
# %%
def use(t, d, m, c):
    return [t.inherited(), t.factor, t.method(), t.size, t.static(), t.made(), t(), d.x, m.x,
            c.value]
@task
def f(x):
    return [x, use(Thing(), Data(), Model(), Color.RED)]
"""
ARGUMENT = CLASSES.replace(
    "def f(x):\n    return [x, use(Thing(), Data(), Model(), Color.RED)]",
    "def f(x, t, d, m, c):\n    return [x, use(t, d, m, c)]\n"
    "call = lambda g, x, **k: g(x, Thing(), Data(), Model(), Color.RED, **k)",
)
CLOSURE = """
def make(k):
    def inner(x):
        return x * k
    return inner
@task
def f(x):
    return by(x)
# %%
by = make(3)
"""
TASK_CLOSURE = """
def make(k):
    @task
    def f(x):
        return x * k
    return f
f = make(3)
"""
WRAPPED = """
import functools
def twice(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args) * 2
    return wrapper
def below(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args) + 100
    return wrapper
@twice
def helper(x):
    return x + 1
# %%
@task
@below
def f(x):
    return helper(x)
"""
LAMBDAS = """
import functools
def power(x, by):
    return x ** by
def plus(x):
    return x + 1
one = lambda x: x + 2
listed = [lambda x: x + 3]
a, b = lambda x: x + 4, lambda x: x + 5
part = functools.partial(power, by=2)
table = {"plus": plus}
# %%
@task
def f(x):
    return [one(x), listed[0](x), a(x), b(x), part(x), table["plus"](x)]
"""
WRAPPERS = """
import contextlib, functools
import numpy as np
@functools.lru_cache(maxsize=4)
def cached(x):
    return x + 1
@functools.singledispatch
def dispatched(x):
    return x + 2
@dispatched.register
def of_int(x: int):
    return x + 3
@contextlib.contextmanager
def opened(x):
    yield x + 4
vectorized = np.vectorize(lambda x: x + 5)
# %%
@task
def f(x):
    with opened(x) as y:
        return [cached(x), dispatched(x), dispatched(float(x)), y, int(vectorized(x))]
"""
FORMAT = """
def shown(x):
    return f"{x:.2f}|{x!r}|{x}"
@task
def f(x):
    return shown(x)
"""
BUILTIN = """
def longest(x):
    return max(x, 3)
@task
def f(x):
    return longest(x)
"""
LIBRARY = """
import case20lib
@task
def f(x):
    return [x, case20lib.go(x)]
### case20lib/__init__.py
def go(x):
    return x
### case20lib-1.2.0.dist-info/METADATA
Metadata-Version: 2.1
Name: case20lib
Version: 1.2.0
"""
HANDLES = """
import logging, threading
log = logging.getLogger("case20")
@task
def f(x):
    log.debug("here")
    with lock:
        return x + 20
# %%
lock = threading.Lock()
"""


def library(text: str, version: str) -> str:
    """Return the text with another version of its library."""
    return text.replace("1.2.0", version)


EDITS: dict[int, list[Edit]] = {
    1: [Edit("nothing", HIT, BASIC, BASIC), Edit("classes", HIT, CLASSES, CLASSES)],
    2: [Edit("the place of its modules", HIT, MODULES, MODULES)],
    4: [
        Edit("as black does it", HIT, BASIC, REFORMATTED),
        sub(
            "comment in the task",
            HIT,
            BASIC,
            '"""\n    return clean',
            '"""\n\n    # !\n    return clean',
        ),
        sub("comment in a helper", HIT, BASIC, "return deep(x)", "# !\n    return deep(x)"),
    ],
    5: [
        sub("docstring", HIT, BASIC, '"""Clean it."""', '"""Clean it\n\n    well."""'),
        sub("no docstring", HIT, BASIC, '    """Clean it."""\n', ""),
        sub("docstring that is read", MISS, DOCUMENTED, "Say it.", "Say it politely."),
        sub("own docstring that is read", MISS, DOCUMENTED, "What I do.", "What I did."),
    ],
    6: [
        Edit("moved and reordered", HIT, BASIC, REORDERED),
        sub(
            "other code in its cell", HIT, BASIC, "# %%\n", "# %%\ny = 3\ndef g():\n    return y\n"
        ),
        sub("a cell of its own", HIT, BASIC, "# %%\n", "# %%\npass\n# %%\n\n\n"),
    ],
    8: [sub("helper body", MISS, BASIC, "deep(x) * by", "deep(x) * by + 1")],
    9: [
        sub("two levels deep", MISS, BASIC, "x - 1", "x - 3"),
        sub("mutual recursion, one", MISS, MUTUAL, "n < 1", "n < 2"),
        sub(
            "mutual recursion, other",
            MISS,
            MUTUAL,
            "n > 0 and even(n - 1)",
            "n > 0 and even(n - 2)",
        ),
    ],
    10: [
        sub("mod.k", MISS, MODULES, "return hidden(x)", "return hidden(x) * 2"),
        sub("inside of mod.k", MISS, MODULES, "x + 2", "x + 20"),
        sub("mod.K", MISS, MODULES, "K = 1", "K = 11"),
        sub("from mod import k", MISS, MODULES, "x + 3", "x + 30"),
        sub("import in the body", MISS, MODULES, "x + 5", "x + 50"),
        sub("from-import in the body", MISS, MODULES, "x + 6", "x + 60"),
        sub("getattr", MISS, MODULES, "x + 8", "x + 80"),
        sub("unrelated", HIT, MODULES, "x + 4", "x + 40"),
        sub("unrelated in the other", HIT, MODULES, "x + 7", "x + 70"),
    ],
    12: [
        sub("constant", MISS, BASIC, "LIMIT = 5", "LIMIT = 6"),
        sub("constant of an equal value", MISS, BASIC, "LIMIT = 5", "LIMIT = 5.0"),
        sub("append", MISS, BASIC, "# %%\n", "# %%\nSEEN.append(3)\n"),
        sub("element", MISS, GLOBALS, "UNUSED = 1", "numbers[3] = 1"),
        sub("attribute", MISS, GLOBALS, "UNUSED = 1", "cfg.a = 7"),
        sub("unused", HIT, BASIC, "UNUSED = 1", "UNUSED = 2"),
    ],
    13: [
        sub("default relied on", MISS, BASIC, "n=10", "n=11"),
        Edit(
            "default passed",
            HIT,
            BASIC + "call = lambda g, x, **k: g(x, 4, **k)",
            BASIC.replace("n=10", "n=11") + "call = lambda g, x, **k: g(x, 4, **k)",
        ),
        sub("default of a helper", MISS, BASIC, "by=2", "by=3"),
    ],
    14: [
        sub(f"{name}{how}", MISS, text, old, new)
        for text, how in ((CLASSES, ""), (ARGUMENT, " through an argument"))
        for name, old, new in (
            ("enum", "RED = 1", "RED = 91"),
            ("base", "return 2", "return 92"),
            ("attribute", "factor = 3", "factor = 93"),
            ("method", "return 4", "return 94"),
            ("property", "return 5", "return 95"),
            ("static", "return 6", "return 96"),
            ("classmethod", "return 7", "return 97"),
            ("__call__", "return 8", "return 98"),
            ("dataclass", "x: int = 9", "x: int = 99"),
            ("pydantic", "x: int = 10", "x: int = 910"),
        )
    ],
    15: [
        sub("closure of a helper", MISS, CLOSURE, "make(3)", "make(4)"),
        sub("closure of the task", MISS, TASK_CLOSURE, "make(3)", "make(4)"),
    ],
    16: [
        sub("body", MISS, WRAPPED, "x + 1", "x + 2"),
        sub("decorator", MISS, WRAPPED, "* 2", "* 3"),
        sub("no decorator", MISS, WRAPPED, "@twice\n", ""),
        sub("decorator under @task", MISS, WRAPPED, "+ 100", "+ 200"),
        sub("no decorator under @task", MISS, WRAPPED, "@below\n", ""),
        sub("retries", HIT, WRAPPED, "@task", '@task(retries=3, tags=["a"], timeout_seconds=60)'),
    ],
    17: [
        sub("lambda", MISS, LAMBDAS, "x + 2", "x + 20"),
        sub("lambda in a list", MISS, LAMBDAS, "x + 3", "x + 30"),
        sub("first of two on a line", MISS, LAMBDAS, "x + 4", "x + 40"),
        sub("second of two on a line", MISS, LAMBDAS, "x + 5", "x + 50"),
        sub("two on a line exchanged", MISS, LAMBDAS, "a, b =", "b, a ="),
        sub("partial", MISS, LAMBDAS, "by=2", "by=3"),
        sub("in a partial", MISS, LAMBDAS, "x ** by", "x ** by + 1"),
        sub("dict of functions", MISS, LAMBDAS, "x + 1", "x + 10"),
    ],
    18: [
        sub("lru_cache", MISS, WRAPPERS, "x + 1", "x + 10"),
        sub("singledispatch", MISS, WRAPPERS, "x + 2", "x + 20"),
        sub("singledispatch, registered", MISS, WRAPPERS, "x + 3", "x + 30"),
        sub("contextmanager", MISS, WRAPPERS, "x + 4", "x + 40"),
        sub("vectorize", MISS, WRAPPERS, "x + 5", "x + 50"),
    ],
    19: [
        sub("format", MISS, FORMAT, "x:.2f", "x:.3f"),
        sub("conversion", MISS, FORMAT, "x!r", "x!s"),
        Edit("builtin shadowed", MISS, BUILTIN, "def max(*a):\n    return min(a) - 1\n" + BUILTIN),
    ],
    20: [
        Edit("logger and lock", HIT, HANDLES, HANDLES),
        sub("beside a logger and a lock", MISS, HANDLES, "x + 20", "x + 21"),
    ],
}
