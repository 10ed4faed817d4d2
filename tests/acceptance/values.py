"""The values of cases 21 to 28 and 30, as expressions over the names that `SETUP` makes.

Two processes with other hash seeds evaluate them: of a pair that agrees, the first value has in one
process the digest that the second has in the other; of a pair that differs, it has not.
"""

AGREE, DIFFER = "agree", "differ"
Pair = tuple[str, str, str]

SETUP = """
import collections, dataclasses, datetime, decimal, enum, functools, io, itertools, logging, math
import pathlib, pickle, re, sqlite3, sys, tempfile, threading
import numpy as np, pandas as pd, pyarrow as pa, pydantic

P = collections.namedtuple("P", "x y")
Q = collections.namedtuple("Q", "x y")
class L(list): pass
class D(dict): pass
@dataclasses.dataclass
class Data:
    x: int
@dataclasses.dataclass
class Other:
    x: int
class Model(pydantic.BaseModel):
    x: int
class Another(pydantic.BaseModel):
    x: int
class Red(enum.Enum):
    A = 1
class Blue(enum.Enum):
    A = 1
class Plain:
    def __init__(self, x):
        self.x = x
class Bare:
    def __init__(self, x):
        self.x = x
class Slots:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x
class Holder:
    pass
def plus(x):
    return x + 1
def cyclic(last):
    made = [1, last]
    made.append(made)
    return made
def deep(levels, leaf=0):
    made = [leaf]
    for _ in range(levels):
        made = [made, made]
    return made
def shared():
    one = [1, 2]
    return [one, one]
def structs(fill):
    raw = np.full(32, fill, np.uint8)
    made = raw.view(np.dtype({"names": ["a", "b"], "formats": ["u1", "<f8"], "offsets": [0, 8],
                              "itemsize": 16}))
    made["a"], made["b"] = 1, 2.0
    return made
def mapped(values):
    file = tempfile.NamedTemporaryFile()
    made = np.memmap(file, values.dtype, "w+", shape=values.shape)
    made[:] = values
    return made
def but(size, index):
    made = np.zeros(size)
    made[index] = 1
    return made
def named(frame, **attributes):
    for name, value in attributes.items():
        setattr(frame, name, value)
    return frame
def split(frame):
    made = frame[["a"]].copy()
    made["b"] = frame["b"]
    return made
def fitted(n=20, model="LinearRegression", **options):
    from sklearn import ensemble, linear_model
    kind = getattr(linear_model, model, None) or getattr(ensemble, model)
    return kind(**options).fit(np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 3)
def restored(value):
    return pickle.loads(pickle.dumps(value))
def figure():
    from matplotlib.figure import Figure
    return Figure()
def deep_in(name, value):
    made = Holder()
    setattr(made, name, value)
    return {"db": [made]}
frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
table = pa.table({"t": [1, 2, 3, 4]})
square = np.arange(9.0).reshape(3, 3)
"""


def all_differ(*values: str) -> list[Pair]:
    """Return each pair of the values, which differ."""
    return [(a, DIFFER, b) for i, a in enumerate(values) for b in values[:i]]


PAIRS: dict[int, list[Pair]] = {
    21: [
        *all_differ("1", "True", "1.0", "'1'", "np.float64(1)", "b'1'", "1 + 0j", "np.int64(1)"),
        ("0.0", DIFFER, "-0.0"),
        ("math.nan", AGREE, "-float('nan')"),
    ],
    22: [
        *all_differ("[1, 2]", "(1, 2)", "P(1, 2)", "Q(1, 2)", "L([1, 2])", "{1, 2}"),
        *all_differ("['a', 'b']", "['ab']", "['astr:b']", "[['a'], 'b']", "['a', ['b']]"),
        ("{'a': 1, 'b': 2}", DIFFER, "{'b': 2, 'a': 1}"),
        ("{}", DIFFER, "D()"),
        ("{'a', 'b', 'c'}", AGREE, "set(['c', 'a', 'b'])"),
        ("{1, 'a'}", AGREE, "{'a', 1}"),
        ("{frozenset('ab'), frozenset('cd')}", AGREE, "{frozenset('dc'), frozenset('ba')}"),
        ("{'a'}", DIFFER, "frozenset({'a'})"),
    ],
    23: [
        ("shared()", AGREE, "[[1, 2], [1, 2]]"),
        ("['ab', 'ab']", AGREE, "['ab', ''.join('ab')]"),
        ("cyclic(3)", AGREE, "restored(cyclic(3))"),
        ("cyclic(3)", DIFFER, "cyclic(4)"),
        ("deep(60)", DIFFER, "deep(61)"),
        ("deep(8)", AGREE, "restored(deep(8))"),
    ],
    25: [
        ("np.zeros((2, 3))", DIFFER, "np.zeros((3, 2))"),
        ("np.zeros(8, 'u1')", DIFFER, "np.zeros(1, 'f8')"),
        ("square", DIFFER, "square.T"),
        ("square[0]", DIFFER, "square[1]"),
        ("square[:, 0]", DIFFER, "square[0]"),
        ("square", AGREE, "np.asfortranarray(square)"),
        ("square[1:]", AGREE, "square[1:].copy()"),
        ("square[:, ::2]", AGREE, "np.ascontiguousarray(square[:, ::2])"),
        ("square", AGREE, "mapped(square)"),
        ("structs(0)", AGREE, "structs(255)"),
        ("np.array(['a' * 99, 'b'], np.dtypes.StringDType())", AGREE,
         "np.array(['a' * 99, ''.join('b')], np.dtypes.StringDType())"),
        ("np.array(['a' * 99, 'b'], np.dtypes.StringDType())", DIFFER,
         "np.array(['c' * 99, 'b'], np.dtypes.StringDType())"),
        ("np.array([[1], 'a'], object)", AGREE, "restored(np.array([[1], 'a'], object))"),
        ("np.array(['a', (1,)], object)", DIFFER, "np.array(['a', (2,)], object)"),
        ("but(600_000, 300_001)", DIFFER, "but(600_000, 300_002)"),
        ("but(600_000, 300_001)", AGREE, "but(600_000, 300_001)"),
    ],
    26: [
        ("frame", DIFFER, "frame.rename(columns={'a': 'c'})"),
        ("frame", DIFFER, "frame[['b', 'a']]"),
        ("frame", DIFFER, "frame.rename_axis('i')"),
        ("pd.DataFrame({'a': [1, 0]})", DIFFER, "pd.DataFrame({'a': [True, False]})"),
        ("frame", DIFFER, "named(frame.copy(), attrs={'unit': 'm'})"),
        ("pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b']))", DIFFER,
         "pd.Series(['a'], dtype=pd.CategoricalDtype(['b', 'a']))"),
        ("pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b']))", DIFFER,
         "pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b'], ordered=True))"),
        ("pd.MultiIndex.from_tuples([(1, 2)], names=['a', 'b'])", DIFFER,
         "pd.MultiIndex.from_tuples([(1, 2)], names=['a', 'c'])"),
        ("pd.Series([1], name='a')", DIFFER, "pd.Series([1], name='b')"),
        ("frame", AGREE, "split(frame)"),
        ("frame", AGREE, "pd.concat([frame, frame]).iloc[:2].reset_index(drop=True)"),
        ("frame", AGREE, "restored(frame)"),
        ("frame.iloc[1:]", AGREE, "frame.iloc[1:].copy()"),
        ("table[0:2]", DIFFER, "table[1:3]"),
        ("table[1:3]", AGREE, "pa.table({'t': [2, 3]})"),
        ("table['t'].chunk(0)[1:3]", AGREE, "pa.array([2, 3])"),
    ],
    27: [
        ("Data(1)", DIFFER, "Other(1)"),
        ("Model(x=1)", DIFFER, "Another(x=1)"),
        ("Red.A", DIFFER, "Blue.A"),
        ("Plain(1)", DIFFER, "Bare(1)"),
        ("Plain(1)", DIFFER, "Plain(2)"),
        ("Slots(1)", DIFFER, "Slots(2)"),
        ("Data(1)", AGREE, "restored(Data(1))"),
        ("fitted()", AGREE, "restored(fitted())"),
        ("fitted()", DIFFER, "fitted(19)"),
        ("fitted()", DIFFER, "fitted(fit_intercept=False)"),
        ("fitted(model='RandomForestClassifier', random_state=0, n_estimators=3)", AGREE,
         "restored(fitted(model='RandomForestClassifier', random_state=0, n_estimators=3))"),
    ],
}  # fmt: skip

REFUSED = {
    "lock": "threading.Lock()",
    "file": "open(sys.executable, 'rb')",
    "generator": "(i for i in range(3))",
    "iterator": "map(str, [1])",
    "connection": "sqlite3.connect(':memory:')",
    "figure": "figure()",
    "object": "object()",
}

EVERY_TYPE = [
    "None", "True", "7", "2**70", "-0.0", "math.nan", "1 + 2j", "'text'", "b'bytes'",
    "bytearray(b'a')", "[1, [2]]", "(1, 2)", "{'b': 1, 'a': [2]}", "{1, 'a', (2, 'b')}",
    "frozenset('abc')", "range(3)", "slice(1, 2)", "P(1, 2)", "L([1])", "D(a=1)",
    "collections.OrderedDict(b=1, a=2)", "collections.Counter('aab')", "collections.deque([1], 3)",
    "collections.defaultdict(list, a=[1])", "datetime.datetime(2024, 1, 2, 3)",
    "datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)", "datetime.timedelta(3)",
    "decimal.Decimal('1.00')", "pathlib.PurePosixPath('a/b')", "re.compile('a', re.I)",
    "Data(1)", "Model(x=1)", "Red.A", "Plain([1])", "Slots(1)", "cyclic(3)", "shared()", "deep(5)",
    "functools.partial(int, base=2)", "plus", "Plain", "math.sqrt", "Data(1).__eq__",
    "np.float32(1)", "np.datetime64('2024-01-02')", "square.T", "structs(3)", "but(70_000, 3)[::2]",
    "np.array(['a', 'bc'], np.dtypes.StringDType())", "np.array([[1], 'a'], object)",
    "np.ma.array([1, 2], mask=[0, 1])", "np.random.default_rng(3)", "np.dtype('<f4')",
    "frame", "frame.iloc[1:]", "split(frame)", "named(frame.copy(), attrs={'unit': 'm'})",
    "pd.Series(['a', None])", "pd.Series(['a', 'b'], dtype='category')",
    "pd.date_range('2024', periods=3, freq='D')", "pd.MultiIndex.from_tuples([(1, 'b')])",
    "pd.Timestamp('2024', tz='Europe/Berlin')", "pd.Series([1, None], dtype='Int64')",
    "table[1:3]", "table['t']", "fitted()",
    "fitted(model='RandomForestClassifier', random_state=0, n_estimators=3)",
]  # fmt: skip
