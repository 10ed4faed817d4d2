"""Describe the namespace and the state of a kernel as plain data; executed inside the kernel.

It is run by its text, with `shell` and `target` given, so that it leaves nothing behind and the
notebook cannot see it. Objects are numbered in the order they are met, so two descriptions are
equal when values, types, and what is the same object as what are equal.
"""

import hashlib
import inspect
import logging
import os
import pathlib
import random
import sys
import types
import warnings

IPYTHONS = {"In", "Out", "exit", "quit", "get_ipython", "open"}
ATOMS = (int, float, complex, bool, str, bytes, type(None), type(Ellipsis))
OWN = "cellist"
DEEPEST = 40


def digest(data):
    return hashlib.sha256(data).hexdigest()[:12]


class Describer:
    """Describes one namespace; an object met before is told by the way it was first met."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.met = {}
        self.alive = []

    def type_name(self, kind):
        live = ""
        if kind.__module__ == "__main__" and "<locals>" not in kind.__qualname__:
            found = self.namespace.get(kind.__qualname__.partition(".")[0])
            for part in kind.__qualname__.split(".")[1:]:
                found = getattr(found, part, None)
            live = " live" if found is kind else " stale"
        return f"{kind.__module__}.{kind.__qualname__}{live}"

    def describe(self, value, path):
        """Return plain data that says what a value is."""
        if type(value) in ATOMS:
            return f"{type(value).__name__} {value!r}"
        if path.count(" ") > DEEPEST:
            return "deep"
        met = self.met.get(id(value))
        if met is not None:
            return f"= {met}"
        self.met[id(value)] = path
        self.alive.append(value)
        return [self.type_name(type(value)), *self.parts(value, path)]

    def parts(self, value, path):
        kind, root = type(value), type(value).__module__.partition(".")[0]
        if isinstance(value, types.ModuleType):
            return [value.__name__]
        if isinstance(value, types.FunctionType):
            return self.function(value, path)
        if isinstance(value, type):
            return self.klass(value, path)
        if isinstance(value, (dict, types.MappingProxyType)):
            found = [
                [self.describe(key, f"{path} key{n}"), self.describe(part, f"{path} [{n}]")]
                for n, (key, part) in enumerate(list(value.items()))
            ]
            return [found, *self.state(value, path)]
        if isinstance(value, (set, frozenset)):
            return [sorted(map(repr, value))]
        if isinstance(value, (list, tuple)) or kind.__name__ == "deque":
            found = [self.describe(part, f"{path} [{n}]") for n, part in enumerate(value)]
            return [found, *self.state(value, path)]
        if root == "numpy":
            return self.numpy(value, path)
        if root == "pandas":
            return self.pandas(value, path)
        if root == "polars":
            return [repr(value)]
        if isinstance(value, types.MethodType):
            return [
                self.describe(value.__func__, path + " f"),
                self.describe(value.__self__, path + " self"),
            ]
        if isinstance(value, types.GeneratorType):
            return [value.__qualname__, value.gi_frame is None]
        if root in ("ipywidgets", "traitlets", "comm", "ipykernel"):
            return []
        if root == "PIL" and hasattr(value, "tobytes"):
            return [value.mode, value.size, digest(value.tobytes())]
        if root in (
            "matplotlib",
            "mpl_toolkits",
            "threading",
            "_thread",
            "asyncio",
            "sqlite3",
            "logging",
        ):
            return [getattr(value, "name", None) if root == "logging" else None]
        if root in (
            "functools",
            "re",
            "datetime",
            "pathlib",
            "decimal",
            "fractions",
            "zoneinfo",
            "builtins",
        ):
            return [plain(repr(value)), *self.state(value, path)]
        if isinstance(value, BaseException):
            return [repr(value), *self.state(value, path)]
        return self.state(value, path)

    def state(self, value, path):
        own = getattr(value, "__dict__", None)
        found = []
        if type(own) is dict and own:
            parts = sorted(own.items(), key=str)
            found.append({name: self.describe(part, f"{path} .{name}") for name, part in parts})
        slots = getattr(type(value), "__slots__", ())
        if type(value).__module__ == "__main__" and not isinstance(slots, str):
            found += [[n, self.describe(getattr(value, n, None), f"{path} .{n}")] for n in slots]
        return found

    def function(self, value, path):
        found = [value.__module__, value.__qualname__]
        if value.__module__ == "__main__":
            cells = []
            for n, cell in enumerate(value.__closure__ or ()):
                try:
                    cells.append(self.describe(cell.cell_contents, f"{path} cell{n}"))
                except ValueError:
                    cells.append("empty")
            try:
                source = inspect.getsource(value)
            except OSError as error:
                source = repr(error)
            found += [
                self.code(value.__code__),
                value.__doc__,
                value.__globals__ is self.namespace,
                self.describe(value.__defaults__, path + " defaults"),
                self.describe(value.__kwdefaults__, path + " kwdefaults"),
                self.describe(dict(value.__dict__), path + " dict"),
                plain(repr(getattr(value, "__annotations__", None))),
                cells,
                source,
            ]
        return found

    def code(self, code):
        inner = [
            self.code(one) if isinstance(one, types.CodeType) else repr(one)
            for one in code.co_consts
        ]
        return digest(repr((code.co_code, inner, code.co_names, code.co_varnames)).encode())

    def klass(self, value, path):
        if value.__module__ != "__main__":
            return [f"{value.__module__}.{value.__qualname__}"]
        if hasattr(value, "__members__"):
            return [value.__qualname__, {k: repr(v.value) for k, v in value.__members__.items()}]
        skipped = {
            "__dict__",
            "__weakref__",
            "__module__",
            "_abc_impl",
            "__firstlineno__",
            "__slotnames__",
        }
        parts = {k: v for k, v in vars(value).items() if k not in skipped and "annotat" not in k}
        bases = [self.type_name(base) for base in value.__bases__]
        told = {k: self.describe(v, f"{path} .{k}") for k, v in sorted(parts.items())}
        return [value.__qualname__, bases, told]

    def numpy(self, value, path):
        import numpy as np

        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                return [
                    str(value.dtype),
                    value.shape,
                    self.describe(value.tolist(), path + " items"),
                ]
            base = value
            while isinstance(base.base, np.ndarray):
                base = base.base
            shared = self.owner(base, path)
            content = digest(np.ascontiguousarray(value).tobytes())
            return [str(value.dtype), value.shape, bool(value.flags.writeable), content, shared]
        if type(value).__name__ == "Generator":
            return [repr(value.bit_generator.state)]
        if type(value).__name__ == "RandomState":
            return [digest(repr(value.get_state()).encode())]
        return [plain(repr(value))]

    def owner(self, array, path):
        """Return which array was the first to lie in this memory."""
        self.alive.append(array)
        return self.met.setdefault(("memory", array.__array_interface__["data"][0]), path)

    def pandas(self, value, path):
        import pandas as pd

        if isinstance(value, pd.DataFrame):
            return [
                digest(value.to_csv().encode()),
                plain(repr(value.dtypes.tolist())),
                self.describe(value.index, path + " index"),
                repr(value.columns),
                self.describe(value.attrs, path + " attrs"),
            ]
        if isinstance(value, pd.Series):
            return [
                repr(value.tolist()),
                str(value.dtype),
                repr(value.name),
                self.describe(value.index, path + " index"),
            ]
        return [plain(repr(value))]


def plain(text):
    import re

    return re.sub(r"0x[0-9a-f]+", "0x", text)


def settings():
    """Return what cells change besides names."""
    found = {
        "cwd": str(pathlib.Path.cwd()),
        "environ": {
            k: v for k, v in os.environ.items() if not k.startswith(("CELLIST", "JPY", "MPL"))
        },
        "path": list(sys.path),
        "random": digest(repr(random.getstate()).encode()),
        "warnings": [repr(one) for one in warnings.filters],
        "root": [
            logging.getLogger().level,
            [type(h).__name__ for h in logging.getLogger().handlers],
        ],
        "loggers": {
            name: [one.level, one.disabled, len(one.handlers)]
            for name, one in sorted(logging.Logger.manager.loggerDict.items())
            if isinstance(one, logging.Logger)
            and (one.level or one.handlers)
            and not name.startswith(OWN)
        },
        "recursion": sys.getrecursionlimit(),
        "files": files(pathlib.Path()),
    }
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        found["numpy random"] = digest(repr(numpy.random.get_state()).encode())
        found["numpy options"] = repr(numpy.get_printoptions()) + repr(numpy.geterr())
    pandas = sys.modules.get("pandas._config.config")
    if pandas is not None:
        found["pandas"] = digest(repr(pandas._global_config).encode())
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        rc = dict.items(sys.modules["matplotlib"].rcParams)
        found["rc"] = digest(
            repr(sorted((k, repr(v)) for k, v in rc if "backend" not in k)).encode()
        )
        found["figures"] = plt.get_fignums()
    return found


def files(folder):
    found = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith((".", "__pycache__")):
            found[path.name] = files(path) if path.is_dir() else digest(path.read_bytes())
    return found


def names_of(namespace):
    for name in sorted(namespace):
        value = namespace[name]
        if name.startswith(("_i", "__")) and name != "__":
            continue
        if (
            name in IPYTHONS
            or (name.startswith("_") and name[1:].isdigit())
            or name in ("_oh", "_dh", "_exit_code")
        ):
            continue
        yield name, value


def state():
    namespace = shell.user_ns  # noqa: F821 # pyright: ignore[reportUndefinedVariable] - given by who runs this
    describer = Describer(namespace)
    found = {}
    for name, value in names_of(namespace):
        try:
            found[name] = describer.describe(value, name)
        except Exception as error:
            found[name] = f"failed {type(error).__name__} {error}"
    outs = {str(k): describer.describe(v, f"Out{k}") for k, v in namespace["Out"].items()}
    return {"names": found, "Out": outs, "settings": settings(), "runs": runs()}


def runs():
    """Return the task runs of cells that have ended since the last time."""
    extension = sys.modules.get("cellist.notebook.extension")
    if extension is None or not extension._loaded:
        return []
    from cellist.session import get_session

    session = get_session()
    facts = vars(session)
    seen = facts.get("_probe_seen")
    if seen is None:
        seen = facts["_probe_seen"] = []

        def sink(event):
            run = event.run
            if run.parent is None and run.kind == "task" and run not in seen:
                seen.append(run)

        session.sinks.append(sink)
    told = [[run.state_name, str(run.why)] for run in seen]
    seen.clear()
    return told


pathlib.Path(target).write_text(repr(state()))  # noqa: F821 # pyright: ignore[reportUndefinedVariable] - as above
