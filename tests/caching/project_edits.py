"""Edits of small projects as people have them: packages that reach into one another."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

SHOP = r'''
import shop
from shop import price, Order, parse_order
from shop.config import settings
QTY = 3
def f(x):
    order = parse_order({"sku": "a1", "qty": QTY, "country": "DE"})
    out = [price(order), settings.currency, order.total_weight, str(order)]
    with shop.discount("summer") as d:
        out.append(price(order, extra=d))
    out.append(shop.render(order))
    out.append([shop.pricing.vat_for(c) for c in shop.countries()])
    return out, x
### shop/__init__.py
"""Shop."""
from .models import Order, Line
from .pricing import price, discount
from .parsing import parse as parse_order
from . import pricing
from .views import *
__all__ = ["Order", "price", "discount", "parse_order", "countries", "render"]
UNUSED_VERSION = "1.0"
def countries():
    return sorted(pricing.VAT)
### shop/config.py
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
@dataclass(frozen=True)
class Settings:
    currency: str = "EUR"
    precision: int = 2
    rates: dict = field(default_factory=lambda: {"EUR": 1.0, "USD": 1.1})
    folder: Path = Path("data") / "in"
    @property
    def rate(self):
        return self.rates[self.currency]
_defaults = Settings()
settings = replace(_defaults, currency="USD")
DEBUG = False
def unused_loader(path):
    return path.read_text()
### shop/constants.py
from enum import Enum, IntEnum, auto
class Country(str, Enum):
    DE = "DE"
    FR = "FR"
    @property
    def vat(self):
        return _VAT[self.name]
    @classmethod
    def parse(cls, text):
        try:
            return cls(text.strip().upper())
        except ValueError:
            return cls.FR
class Level(IntEnum):
    LOW = auto()
    HIGH = auto()
_VAT = {"DE": 0.19, "FR": 0.20}
BASE_WEIGHT = 0.25
BOX = BASE_WEIGHT * 2
MAX_LINES = 10
UNUSED_LIMIT = 99
### shop/models.py
from __future__ import annotations
from dataclasses import dataclass, field
from functools import cached_property, total_ordering
from typing import TYPE_CHECKING, ClassVar
from .constants import BOX, Country, Level
if TYPE_CHECKING:
    from .config import Settings
@total_ordering
@dataclass(eq=False)
class Line:
    sku: str
    qty: int = 1
    weight: float = 0.5
    kind: ClassVar[str] = "line"
    def __lt__(self, other):
        return (self.qty, self.sku) < (other.qty, other.sku)
    def __eq__(self, other):
        return self.sku == other.sku
    def __hash__(self):
        return hash(self.sku)
    def __iter__(self):
        yield self.sku
        yield self.qty
class Base:
    sep = "; "
    def __str__(self):
        return self.sep.join(self._parts())
    def _parts(self):
        return [type(self).__name__.lower()]
class Weighted:
    factor = 1.5
    def _parts(self):
        return [f"{self.total_weight:.2f}kg", *super()._parts()]
@dataclass
class Order(Weighted, Base):
    lines: list[Line]
    country: Country = Country.DE
    level: Level = Level.LOW
    tags: list[str] = field(default_factory=lambda: ["new"])
    def __post_init__(self):
        self.lines = sorted(self.lines)
    @cached_property
    def total_weight(self):
        return sum(line.qty * line.weight for line in self.lines) * self.factor + BOX
    def __len__(self):
        return len(self.lines)
    __str__ = Base.__str__
### shop/pricing.py
import contextlib
import functools
from .config import settings
from .constants import _VAT as VAT, Country, Level
PRICES = {"a1": 10.0, "b2": 7.5}
_RULES = []
def rule(*, priority=0):
    def mark(fn):
        _RULES.append((priority, fn))
        _RULES.sort(key=lambda pair: pair[0])
        return fn
    return mark
@rule(priority=2)
def add_vat(amount, order):
    return amount * (1 + vat_for(order.country))
@rule(priority=1)
def bulk(amount, order):
    return amount - 1 if len(order) > 1 else amount
@rule()
def level(amount, order):
    return amount * 0.9 if order.level is Level.LOW else amount
def vat_for(country):
    return Country.parse(country).vat
@functools.lru_cache(maxsize=None)
def base_price(sku):
    return PRICES.get(sku, 1.0)
def rounded(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        return round(fn(*args, **kwargs), settings.precision)
    return inner
@rounded
def price(order, *, extra=0.0):
    amount = sum(base_price(sku) * qty for sku, qty in order.lines)
    for _, apply in _RULES:
        amount = apply(amount, order)
    return amount * settings.rate - extra
@contextlib.contextmanager
def discount(name):
    yield _DISCOUNTS.get(name, 0)
_DISCOUNTS = {"summer": 2, "winter": 3}
def unused_rule(amount, order):
    return amount * 2
### shop/parsing.py
import re
from functools import singledispatch, partial
from .models import Line, Order
from .constants import Country
SKU = re.compile(r"^(?P<letter>[a-z])(?P<digit>\d)$")
@singledispatch
def parse(raw):
    raise TypeError(type(raw).__name__)
@parse.register
def _(raw: dict):
    return parse([raw])
@parse.register(list)
def _parse_list(raw):
    lines = [line for item in raw if (line := _line(item)) is not None]
    lines.append(_default_line())
    return Order(lines, Country.parse(raw[0].get("country", "FR")))
def _line(item):
    match item:
        case {"sku": str() as sku, "qty": int() as qty} if SKU.match(sku):
            return Line(sku, qty)
        case {"sku": sku}:
            return Line(sku)
        case _:
            return None
_default_line = partial(Line, "b2", weight=0.75)
### shop/views.py
from string import Template
__all__ = ["render"]
TEMPLATE = Template("$n lines in $country: $body")
SQL = """
select * from orders
where id = {id}
"""
def render(order):
    text = TEMPLATE.substitute(n=len(order), country=order.country.value, body=_body(order))
    return text + SQL.format(id=len(order))
def _body(order):
    return ", ".join(f"{sku!r:>5}x{qty:02d}" for sku, qty in order.lines)
def hidden(order):
    return "hidden"
'''
PROJECTS: list[Edit] = each(
    "shop",
    SHOP,
    (MISS, "QTY = 3", "QTY = 4"),
    (MISS, 'currency="USD"', 'currency="EUR"'),
    (MISS, "precision: int = 2", "precision: int = 1"),
    (MISS, '"USD": 1.1', '"USD": 1.2'),
    (HIT, "DEBUG = False", "DEBUG = True"),
    (HIT, "return path.read_text()", "return path.read_bytes()"),
    (MISS, "return cls.FR", "return cls.DE"),
    (MISS, "LOW = auto()\n    HIGH = auto()", "HIGH = auto()\n    LOW = auto()"),
    (MISS, "BASE_WEIGHT = 0.25", "BASE_WEIGHT = 0.5"),
    (HIT, "BASE_WEIGHT * 2", "2 * BASE_WEIGHT"),
    (HIT, "MAX_LINES = 10", "MAX_LINES = 11"),
    (MISS, "weight: float = 0.5", "weight: float = 0.6"),
    (MISS, "return self.sku == other.sku", "return self is other"),
    (
        MISS,
        "        yield self.sku\n        yield self.qty",
        "        yield self.qty\n        yield self.sku",
    ),
    (MISS, "class Order(Weighted, Base)", "class Order(Base, Weighted)"),
    (MISS, "@cached_property\n    def total", "@property\n    def total"),
    (MISS, "__str__ = Base.__str__", "__repr__ = Base.__str__"),
    (MISS, "@rule(priority=2)", "@rule(priority=0)"),
    (MISS, "@rule()\n", ""),
    (HIT, "PRICES = {", "PRICES: dict[str, float] = {"),
    (MISS, 'b2": 7.5', 'b2": 7.25'),
    (MISS, "@rounded\n", ""),
    (MISS, '"summer": 2', '"summer": 1'),
    (MISS, "@parse.register(list)\n", ""),
    (MISS, "[a-z])", "[a-c])"),
    (MISS, "weight=0.75", "weight=0.5"),
    (MISS, " if SKU.match(sku)", ""),
    (MISS, "select *", "select id"),
    (MISS, "qty:02d", "qty:03d"),
    (HIT, 'return "hidden"', 'return "shown"'),
    (
        HIT,
        "from .models import Order, Line\nfrom .pricing",
        "from .models import (\n    Line,\n    Order,\n)\nfrom .pricing",
    ),
    (
        HIT,
        "    TYPE_CHECKING:\n    from .config import Settings".strip(),
        "TYPE_CHECKING:\n    from .config import Settings as S",
    ),
)
PLUGINS = """
import plug
from plug.base import Registry, run_all
from plug import steps, extra
THRESHOLD = 2
def score(v, *, scale=3, offset=lambda: 4):
    return v * scale + offset()
def f(x):
    reg = Registry.current()
    found = run_all(reg, [x, x + 1, "t"]), score(x), plug.load("late")(x), plug.lazy_value
    return found, [h.__name__ for h in plug.HOOKS], THRESHOLD, extra.TABLE["k"](x)
### plug/__init__.py
import importlib
from .base import Plugin, Registry
HOOKS = []
def hook(fn):
    HOOKS.append(fn)
    return fn
_MODULES = {"late": "plug.late", "never": "plug.never"}
def load(name):
    module = importlib.import_module(_MODULES[name])
    return module.go
def __getattr__(name):
    if name == "lazy_value":
        from .late import CONST
        return CONST * 2
    raise AttributeError(name)
@hook
def before(x):
    return x
@hook
def after(x):
    return x
### plug/base.py
import abc
import functools
class RegistryMeta(type):
    def __len__(cls):
        return len(cls._items)
    def __iter__(cls):
        return iter(sorted(cls._items.items()))
    def __contains__(cls, name):
        return name.lower() in cls._items
class Registry(metaclass=RegistryMeta):
    _items = {}
    _current = None
    @classmethod
    def add(cls, name, **options):
        def mark(plugin):
            cls._items[name] = (plugin, options)
            return plugin
        return mark
    @classmethod
    def current(cls):
        return cls
class Positive:
    def __init__(self, default=1):
        self.default = default
    def __set_name__(self, owner, name):
        self.name = f"_{name}"
    def __get__(self, obj, owner=None):
        if obj is None:
            return self
        return vars(obj).get(self.name, self.default)
    def __set__(self, obj, value):
        if value < 0:
            value = 0
        setattr(obj, self.name, value)
class Plugin(abc.ABC):
    order = 5
    weight = Positive(2)
    known = []
    def __init_subclass__(cls, /, alias=None, **kw):
        super().__init_subclass__(**kw)
        cls.alias = alias or cls.__name__.lower()
        Plugin.known.append(cls)
    @abc.abstractmethod
    def apply(self, value): ...
    def __call__(self, value):
        return self.finish(self.apply(value))
    def finish(self, value):
        return [value, self.alias, self.order, self.weight]
    @property
    def label(self):
        return self.alias.upper()
    @staticmethod
    def clamp(value):
        return min(value, 100)
def run_all(registry, values):
    out = []
    for name, (plugin, options) in registry:
        made = plugin()
        for key, item in options.items():
            setattr(made, key, item)
        for value in values:
            try:
                out.append((name, made(value), made.label))
            except TypeError as error:
                out.append((name, type(error).__name__))
    out.append(len(registry))
    out.append("DOUBLE" in registry)
    return out
### plug/steps.py
from .base import Plugin, Registry
class Logged:
    def finish(self, value):
        return ["logged", *super().finish(value)]
class Twice:
    times = 2
    def apply(self, value):
        return value * self.times
@Registry.add("double", weight=7)
class Double(Logged, Twice, Plugin, alias="dbl"):
    pass
@Registry.add("shift")
class Shift(Plugin):
    order = 9
    by = 1
    def apply(self, value):
        return self.clamp(value + self.by)
class Loose(Plugin):
    def apply(self, value):
        return None
### plug/extra.py
from . import steps
from .steps import Double as _D
def _run(x):
    return _D().apply(x) + OFFSET
OFFSET = 11
TABLE = {"k": _run, "j": lambda x: x}
def make_counter(start=0):
    count = start
    def step():
        nonlocal count
        count += 1
        return count
    return step
counter = make_counter(5)
### plug/late.py
from .extra import TABLE, counter
CONST = 21
def go(x):
    return TABLE["k"](x) + CONST + _inner(x)
def _inner(x, _memo={}):
    return 1
def unused_go(x):
    return 2
### plug/never.py
def go(x):
    return 3
"""
PROJECTS += each(
    "plugins",
    PLUGINS,
    (MISS, "offset=lambda: 4", "offset=lambda: 5"),
    (MISS, "@hook\ndef after", "def after"),
    (MISS, "return CONST * 2", "return CONST * 3"),
    (MISS, "sorted(cls._items.items())", "cls._items.items()"),
    (MISS, "name.lower() in", "name in"),
    (MISS, "value = 0", "value = 1"),
    (MISS, "Positive(2)", "Positive(3)"),
    (MISS, "alias or cls.__name__.lower()", "alias or cls.__name__"),
    (MISS, "@property\n    def label", "def label"),
    (MISS, "min(value, 100)", "min(value, 3)"),
    (MISS, "except TypeError", "except ValueError"),
    (MISS, "class Double(Logged, Twice, Plugin,", "class Double(Twice, Logged, Plugin,"),
    (MISS, ', alias="dbl"', ""),
    (MISS, "weight=7", "weight=8"),
    (MISS, "order = 9", "order = 1"),
    (MISS, "OFFSET = 11", "OFFSET = 12"),
    (MISS, "return 1\n", "return 10\n"),
    (MISS, "CONST = 21", "CONST = 22"),
    (HIT, "from . import steps\n", ""),
    (HIT, "class Shift(Plugin):\n", "class Shift(Plugin):\n    # by one\n"),
)
