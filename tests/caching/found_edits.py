"""Edits of code that is found at run time: imports by computed names, accessors, made classes."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

IMPORTED = """
from app import runner
def f(x):
    found = runner.run_all(x), runner.by_env(x), runner.discover(x)
    return found, runner.one("gamma", x), runner.entry("app.steps.delta:go", x)
### app/__init__.py
# app
### app/settings.py
PLUGINS = ["app.steps.alpha", "app.steps.beta"]
BACKEND = "mem"
### app/runner.py
import importlib, pkgutil
from importlib import import_module
from .settings import PLUGINS, BACKEND
from . import settings, steps
def run_all(x):
    return [importlib.import_module(name).go(x) for name in settings.PLUGINS]
def by_env(x):
    module = import_module(f"app.backends.{BACKEND}")
    return module.Store().get(x)
def discover(x):
    found = []
    for info in sorted(pkgutil.iter_modules(steps.__path__), key=lambda i: i.name):
        found.append(import_module(f"{steps.__name__}.{info.name}").go(x))
    return found
def one(name, x):
    return import_module("." + name, package="app.steps").go(x)
def entry(spec, x):
    module, _, attr = spec.partition(":")
    return getattr(import_module(module), attr)(x)
### app/steps/__init__.py
# s
### app/steps/alpha.py
def go(x):
    return ("alpha", x + 1)
### app/steps/beta.py
from . import alpha
def go(x):
    return ("beta", alpha.go(x))
### app/steps/gamma.py
def go(x):
    return ("gamma", x)
### app/steps/delta.py
def go(x):
    return ("delta", x)
### app/backends/__init__.py
# b
### app/backends/mem.py
class Store:
    data = {3: "three"}
    def get(self, x):
        return self.data[x]
### app/backends/disk.py
class Store:
    def get(self, x):
        return None
"""
FOUND: list[Edit] = each(
    "imported",
    IMPORTED,
    (MISS, '("alpha", x + 1)', '("alpha", x + 2)'),
    (MISS, '("beta", alpha.go(x))', '("beta", 2)'),
    (MISS, 'return ("gamma", x)', 'return ("gamma", -x)'),
    (MISS, 'return ("delta", x)', 'return ("delta", -x)'),
    (MISS, 'BACKEND = "mem"', 'BACKEND = "disk"'),
    (MISS, '"three"', '"3"'),
    (HIT, "return None", "return 1"),
    (MISS, '"app.steps.alpha", "app', '"app.steps.gamma", "app'),
    (HIT, "# app\n", "# the app\n"),
)
TABLES = """
import importlib
PLUGINS = {"one": "plug_one", "two": "plugs.two.Two", "three": "plugs.three:run"}
def load(kind):
    module, _, name = PLUGINS[kind].replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), name)
def each():
    for name in ["plug_four"]:
        yield importlib.import_module(name).go
def by_path(path):
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)
def f(x):
    return load("two"), load("three"), [go(x) for go in each()], by_path("plugs.five.Five")(x)
### plug_one.py
def go(x): return 1
### plugs/__init__.py
HERE = 0
### plugs/two.py
class Two:
    k = 2
### plugs/three.py
def run(x): return 3
### plug_four.py
def go(x): return 4
### plugs/five.py
class Five:
    def __init__(self, x): self.x = 5
### plugs/six.py
def go(x): return 6
### train.py
raise SystemExit("a text such as train.py names no module")
"""
FOUND += each(
    "tables",
    TABLES.replace("def f(x):", "NAME = 'train.py'\ndef f(x, name=NAME):\n    assert NAME"),
    (MISS, "return 1", "return 10"),
    (MISS, "k = 2", "k = 20"),
    (MISS, "return 3", "return 30"),
    (MISS, "return 4", "return 40"),
    (MISS, "self.x = 5", "self.x = 50"),
    (HIT, "return 6", "return 60"),
    (HIT, "HERE = 0", "HERE = 1"),
)
RELATIVE = """
from shapes import make, names
def f(x): return make("circle"), [make(n) for n in names()]
### shapes/__init__.py
import importlib, pkgutil
KINDS = ("circle",)
def make(kind): return importlib.import_module(f".{kind}", __package__).area
def names(): return [n for n in KINDS if importlib.import_module("." + n, package=__name__).on]
### shapes/circle.py
on = True
def area(): return 1
### shapes/square.py
on = True
def area(): return 2
"""
FOUND += each(
    "relative",
    RELATIVE,
    (MISS, "return 1", "return 10"),
    (HIT, "return 2", "return 20"),
    (MISS, '("circle",)', '("circle", "square")'),
)
ACCESSORS = """
import pandas as pd, numpy as np
import geo
from geo.est import Scaler, Clip
from sklearn.pipeline import Pipeline, FeatureUnion
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer
DF = pd.DataFrame({"a": [1.0, 2.0, 30.0], "g": ["x", "y", "x"]})
SHIFT = FunctionTransformer(geo.shift, kw_args={"by": 3})
PIPE = Pipeline([("scale", Scaler(factor=2)), ("clip", Clip(10)), ("fn", SHIFT)])
def f(x):
    out = DF.geo.center(x), DF.geo.label, DF.a.stats.spread(), DF.pipe(geo.tagged, tag="t")
    out += PIPE.fit_transform(DF[["a"]].to_numpy()), DF.groupby("g").a.agg(geo.REDUCERS)
    return out, DF.a.map(geo.LOOKUP), DF.apply(geo.row, axis=1), DF.eval(geo.EXPR)
### geo/__init__.py
import pandas as pd
from . import accessors
from .est import shift
REDUCERS = ["sum", "max"]
LOOKUP = {1.0: "one", 2.0: "two"}
EXPR = "a * 2"
def tagged(df, *, tag):
    return df.assign(**{tag: df.a + PAD})
PAD = 5
def row(r):
    return f"{r.g}:{r.a:.1f}"
### geo/accessors.py
import pandas as pd
from .mathx import middle
@pd.api.extensions.register_dataframe_accessor("geo")
class Geo:
    def __init__(self, df):
        self._df = df
    def center(self, k):
        return middle(self._df["a"]) + k
    @property
    def label(self):
        return LABEL
LABEL = "geo!"
@pd.api.extensions.register_series_accessor("stats")
class Stats:
    def __init__(self, s):
        self._s = s
    def spread(self):
        return self._s.max() - self._s.min() + EXTRA
EXTRA = 1
### geo/mathx.py
def middle(values):
    return float(values.mean()) + 0.5
### geo/est.py
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
class Base(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_ = len(X)
        return self
class Scaler(Base):
    def __init__(self, factor=1):
        self.factor = factor
    def transform(self, X):
        return X * self.factor + self.n_
class Clip(Base):
    def __init__(self, top):
        self.top = top
    def transform(self, X):
        return np.minimum(X, self.top)
def shift(X, by=0):
    return X + by
"""
FOUND += each(
    "accessors",
    ACCESSORS,
    (MISS, '["a"]) + k', '["a"]) - k'),
    (MISS, "return LABEL", 'return LABEL + "!"'),
    (MISS, 'LABEL = "geo!"', 'LABEL = "geo?"'),
    (MISS, "EXTRA = 1", "EXTRA = 2"),
    (MISS, "mean()) + 0.5", "mean()) + 0.25"),
    (MISS, "@property\n    def label", "def label"),
    (MISS, '["sum", "max"]', '["max", "sum"]'),
    (MISS, 'EXPR = "a * 2"', 'EXPR = "a * 3"'),
    (MISS, "X * self.factor + self.n_", "X * self.factor - self.n_"),
    (MISS, "self.n_ = len(X)", "self.n_ = 0"),
    (MISS, 'kw_args={"by": 3}', 'kw_args={"by": 4}'),
    (MISS, "np.minimum", "np.maximum"),
)
POLARS = """
import polars as pl, pandas as pd, pathlib
from cellist import task
@pl.api.register_dataframe_namespace("tally")
class Tally:
    def __init__(self, df): self._df = df
    def up(self): return 1
def cleaned(self): return 2
pd.DataFrame.cleaned = cleaned
pathlib.Path.lines = property(lambda self: 3)
pathlib.Path.unread = lambda self: 4
@task
def f(df, path): return df.tally.up(), read(df).cleaned(), path.lines
def read(df): return df
"""
FOUND += each(
    "added",
    POLARS,
    (MISS, "return 1", "return 10"),
    (MISS, "return 2", "return 20"),
    (MISS, "self: 3", "self: 30"),
    (HIT, "self: 4", "self: 40"),
)
MADE = r"""
import lib
from lib import Color, Pt, api, impl, tool, Made, box
lib.config.options["b"] = 2
lib.setup(level=3)
CASES = [(lib.fast, 1), (lib.slow, 2)]
def f(x):
    out = [fn(x) * n for fn, n in CASES]
    out.append(impl(x))
    out.append([c.value for c in Color])
    out.append(Pt(1, 2).norm())
    out.append(api.call("get", x))
    out.append(tool.run(x))
    out.append(Made(q=1).twice())
    out.append(sorted(lib.config.options.items()))
    out.append(box.size + box.nested["k"].size)
    out.append(lib.gen_fn(x))
    with lib.guard(), lib.Stack() as st:
        st.push(x)
        raise lib.Small("s")
    out.append(st.items)
    out.append(lib.version_info())
    return out
### lib/__init__.py
from .core import fast, slow, impl, guard, Stack, Small, gen_fn
from .kinds import Color, Pt, Made
from . import config
from .config import setup
from .dyn import api, tool, box
def version_info():
    return ".".join(map(str, _VERSION[:2]))
_VERSION = (1, 2, 3)
### lib/config.py
options = {"a": 1}
_level = 0
def setup(*, level=0, **kw):
    global _level
    _level = level
    options.update(kw)
def get_level():
    return _level
### lib/core.py
import contextlib
from . import config
FAST = True
def fast(x):
    return x + config.get_level()
def slow(x):
    return x - 1
if FAST:
    impl = fast
else:
    impl = slow
class Small(Exception):
    quiet = True
class Big(Small):
    quiet = False
@contextlib.contextmanager
def guard(kind=Small):
    try:
        yield
    except kind as error:
        if not error.quiet:
            raise
class Stack:
    def __init__(self):
        self.items = []
    def __enter__(self):
        return self
    def __exit__(self, kind, error, tb):
        self.items.append(kind.__name__)
        return kind is Big
    def push(self, x):
        self.items.append(x)
_ns = {}
exec("def gen_fn(x):\n    return x * 4\n", _ns)
gen_fn = _ns["gen_fn"]
### lib/kinds.py
from enum import Enum, unique
from dataclasses import dataclass, make_dataclass, field
from collections import namedtuple
Color = Enum("Color", "RED GREEN BLUE")
class Mixin:
    def norm(self):
        return self._scale() * self.x
    def _scale(self):
        return 1
@dataclass(frozen=True, slots=True)
class Pt(Mixin):
    x: int
    y: int = 0
    def _scale(self):
        return Mixin._scale(self) + self.y
FIELDS = [("q", int), ("r", int, field(default=6))]
Made = make_dataclass("Made", FIELDS, namespace={"twice": lambda self: (self.q, self.r) * 2})
Row = namedtuple("Row", "a b")
### lib/dyn.py
import functools
class Endpoint:
    def __init__(self, fn):
        self.fn = fn
        functools.update_wrapper(self, fn)
    def __get__(self, obj, owner=None):
        return functools.partial(self.fn, obj, prefix=self.prefix)
    prefix = "p"
class Proxy:
    def __init__(self, target):
        self._target = target
    def __getattr__(self, name):
        return getattr(self._target, "do_" + name)
class Target:
    unit = 3
    @Endpoint
    def do_get(self, x, *, prefix):
        return f"{prefix}{x * self.unit}"
    def do_call(self, verb, x):
        return getattr(self, f"do_{verb}")(x)
api = Proxy(Target())
def steps(*names):
    def wrap(cls):
        for name in names:
            def method(self, x, _name=name):
                return [_name, x, self.base]
            setattr(cls, name, method)
        cls.run = lambda self, x: [getattr(self, n)(x) for n in names]
        return cls
    return wrap
@steps("a", "b")
class Tool:
    base = 9
tool = Tool()
class Box:
    def __init__(self, size, **nested):
        self.size = size
        self.nested = nested
box = Box(1, k=Box(2))
"""
FOUND += each(
    "made",
    MADE,
    (MISS, "lib.setup(level=3)", "lib.setup(level=4)"),
    (MISS, 'options["b"] = 2', 'options["c"] = 2'),
    (MISS, "(lib.slow, 2)", "(lib.fast, 2)"),
    (MISS, "FAST = True", "FAST = False"),
    (MISS, "kind=Small", "kind=Big"),
    (MISS, "quiet = True", "quiet = None"),
    (MISS, "return kind is Big", "return kind is Small"),
    (MISS, "RED GREEN BLUE", "GREEN RED BLUE"),
    (MISS, "x * 4", "x * 5"),
    (MISS, "self.y\n", "self.x\n"),
    (MISS, "field(default=6)", "field(default=7)"),
    (MISS, "self.r) * 2", "self.r) * 3"),
    (MISS, 'prefix = "p"', 'prefix = "q"'),
    (MISS, '"do_" + name', '"go_" + name'),
    (MISS, '@steps("a", "b")', '@steps("b", "a")'),
    (MISS, "k=Box(2)", "k=Box(3)"),
    (MISS, "_VERSION[:2]", "_VERSION[:3]"),
    (HIT, '        return f"{prefix}', '        "Get it."\n        return f"{prefix}'),
    (HIT, 'Row = namedtuple("Row", "a b")', 'Row = namedtuple("Row", "a b c")'),
)
TIDIED = """
import dataclasses
from typing import List, Optional, Union
@dataclasses.dataclass
class Row:
    a: Optional[int] = None
    b: Union[int, "Row"] = 1
    c: List[int] = dataclasses.field(default_factory=list)
def f(x):
    import sys
    import json
    from os import path, sep
    from collections import (
        Counter,
    )
    if x:
        from json import loads as go
        from json import dumps as go
    return Row(), sys, json, path, Counter, go, sep
"""
FOUND += each(
    "tidied",
    TIDIED,
    (HIT, "a: Optional[int]", "a: int | None"),
    (HIT, 'b: Union[int, "Row"]', "b: Union[int, 'Row']"),
    (HIT, "c: List[int]", "c: list[int]"),
    (HIT, "    import sys\n    import json\n", "    import json\n    import sys\n"),
    (
        MISS,
        "loads as go\n        from json import dumps as go",
        "dumps as go\n        from json import loads as go",
    ),
    (
        MISS,
        "    from os import path, sep\n    from coll",
        "    from os import sep as path\n    from coll",
    ),
)
