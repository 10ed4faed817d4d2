"""Digest the texts of the corpus in this interpreter: JSON in on stdin, JSON out on stdout.

The argument says how cells are run: `plain` compiles each as a whole, `statements` one statement
at a time as IPython does, `wrapped` inside an `async with` as `%%flow` does, `ipython` by a shell.
"""

import ast
import asyncio
import importlib
import json
import linecache
import os
import sys
import tempfile
import traceback
import types
from pathlib import Path


def split(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the cells and the files of a text."""
    cells, *files = ("\n" + text).split("\n### ")
    named = dict(file.split("\n", 1) for file in files)
    return cells.split("# %%"), named


class Wrapping(ast.NodeTransformer):
    """Puts a cell into an `async with` block."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        wrapper = ast.parse("async with _here():\n    pass").body[0]
        assert isinstance(wrapper, ast.AsyncWith)
        wrapper.body = node.body or wrapper.body
        return ast.fix_missing_locations(ast.Module([wrapper], []))


class Here:
    """The block's context."""

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


def run(cell: str, name: str, namespace: dict[str, object], how: str) -> None:
    """Run a cell."""
    if how == "ipython":
        result = shell().run_cell(cell)
        result.raise_error()
        return
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    if "__future__" in cell:  # must come first, and holds for the cells that follow
        how = "plain"
    if how == "wrapped":
        namespace["_here"] = Here
        tree = Wrapping().visit(ast.parse(cell))
        code = compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        asyncio.run(eval(code, namespace))
        del namespace["_here"]
    elif how == "statements":
        for statement in ast.parse(cell).body:
            code = compile(ast.Module([statement], []), name, "exec")
            exec(code, namespace)
    else:
        exec(compile(cell, name, "exec"), namespace)


_shells = []


def shell():
    """Return a shell that names cells as a kernel does and works in the main namespace."""
    if not _shells:
        from ipykernel.compiler import XCachingCompiler
        from IPython.core.interactiveshell import InteractiveShell

        made = InteractiveShell(user_ns=vars(sys.modules["__main__"]))
        made.compile = XCachingCompiler()
        _shells.append(made)
    return _shells[0]


def is_in(folder: str, module: str) -> bool:
    """Whether a module, or the parts of a package without a file, lie in a folder."""
    loaded = vars(sys.modules[module])
    return folder in f"{loaded.get('__file__')} {list(loaded.get('__path__') or ())}"


def without_text() -> list[str]:
    """Return what of cells and files is known by its bytecode only, and not by its text."""
    from cellist.caching.code_text import _known

    codes = [code() for code, found in list(_known.values()) if not found.text]
    return [code.co_qualname for code in codes if code and code.co_filename[0] != "<"]


def digest(number: int, text: str, seed: str, how: str) -> dict[str, object]:
    """Return what `closure_of` says of the task `f`, or the error."""
    from cellist.caching.packages import distribution_of
    from cellist.caching.source import closure_of

    distribution_of.cache_clear()
    cells, files = split(text)
    before, before_in = set(sys.modules), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        sys.path.insert(0, folder)
        os.chdir(folder)
        importlib.invalidate_caches()
        namespace = vars(sys.modules["__main__"])
        saved = dict(namespace)
        try:
            if how == "ipython":
                shell().compile.reset_compiler_flags()  # future statements last
            for index, cell in enumerate(cells):
                run(cell, f"/tmp/ipykernel_{seed}/{number}{index}.py", namespace, how)
            closure = closure_of(namespace.get("f") or namespace["g"])
            again = closure_of(namespace.get("f") or namespace["g"])
            return {
                "digest": closure.digest,
                "again": again.digest,
                "untracked": closure.untracked,
                "notes": closure.notes,
                "bytecode": without_text(),
                "names": [f"{c.kind} {c.name} {c.digest}" for c in closure.components],
            }
        except Exception as error:
            return {"error": "".join(traceback.format_exception(error)[-4:])}
        finally:
            namespace.clear()
            namespace.update(saved)
            os.chdir(before_in)
            sys.path.remove(folder)
            for module in [one for one in set(sys.modules) - before if is_in(folder, one)]:
                del sys.modules[module]


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    _own = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")  # for cells, without names from here
    how, seed = sys.argv[1], os.environ["PYTHONHASHSEED"]
    texts = json.load(sys.stdin)
    found = [digest(number, text, seed, how) for number, text in enumerate(texts)]
    sys.stdout.write("\n" + json.dumps(found) + "\n")
