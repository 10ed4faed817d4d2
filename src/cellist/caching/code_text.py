"""The text of a code object, found and verified: is it really what was loaded?

`linecache` shows a file as it is now, which need not be what runs. So the text found is compiled
and compared with the loaded code: instructions, names and constants, recursively and with types.
A definition counts as found if it equals the loaded code when compiled as its top-level statement
or as part of the whole file: IPython compiles a cell statement by statement, a module is compiled
as one, and from Python 3.12 the code of `mod.f(x)` depends on whether `import mod` stands in the
same unit. Earlier versions of a file are remembered, for code that is older than its file.

Code without verified text is described by its instructions, which hold for one minor version of
Python only. What is found is kept as long as the code object lives.
"""

import __future__

import ast
import linecache
import re
import sys
import textwrap
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from cellist.caching.bytecode import CO_NESTED, global_names, nested, same_code, shape_of_code
from cellist.caching.parsing import parse
from cellist.caching.syntax import Shape, shape_of
from cellist.caching.timed_cells import TIMED, timed_cells
from cellist.caching.tree_parts import Definition

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _futures() -> int:
    """Return the flags of all `from __future__` imports; code is compiled under its own."""
    flags = 0
    for name in __future__.all_feature_names:
        flags |= getattr(__future__, name).compiler_flag
    return flags & ~CO_NESTED


_FUTURES = _futures()
_VERSIONS_KEPT = 3
_FILES_KEPT = 32
_SHORT = 50
_TRIES = 12
_WHOLE, _IMPORTS = 0, -1
"""In the place of a line: all statements, and the imports at the margin."""
_BEGINS = re.compile(r"(?!(?:else|elif|except|finally)\b)[^\s#)\]}]")
"""What a line at the margin begins with, unless it goes on with the statement above it."""
_IMPORT = re.compile(r"(?m)^(?:from|import)\b[^\n(\\]*(?:\([^)]*\))?")
_RELOADER = "IPython.extensions.deduperreload.deduperreload"
"""What `%autoreload` puts new code into old functions with: it compiles each definition by itself,
so that its code knows the file but not its place in there."""
_RELOADED_LINES = 10
"""The last line it may begin at: there are decorators and a class around it."""


class CodeText(NamedTuple):
    """What is known of a code object. `text` is empty and `note` may say why if none was found."""

    shape: Shape
    text: str
    global_names: frozenset[str]
    note: str = ""


_Codes = dict[tuple[int, str], list[CodeType]]
"""The code of definitions, by its first line and name."""

_known: dict[int, tuple["weakref.ref[CodeType]", CodeText]] = {}
_files: dict[str, list["_File"]] = {}


def text_of(code: CodeType, namespace: Mapping[str, Any]) -> CodeText:
    """Return shape and text of a function's code; `namespace` is the function's globals."""
    known = _known.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    found = _find(code, namespace)
    number = id(code)
    # By identity: equal code objects may have different texts, such as other annotations.
    _known[number] = (weakref.ref(code, lambda _: _known.pop(number, None)), found)
    return found


def _find(code: CodeType, namespace: Mapping[str, Any]) -> CodeText:
    names = frozenset(global_names(code))
    filename = code.co_filename
    ways = [_File.definition_of]
    if _RELOADER in sys.modules and code.co_firstlineno <= _RELOADED_LINES:
        ways.append(_File.reloaded_as)
        if filename == "<string>":  # what properties do now, and definitions that are new
            filename = str(namespace.get("__file__", filename))
    versions = _versions(filename, namespace)
    for find in ways:
        for file in versions:
            node = find(file, code)
            if node is not None:
                return CodeText(file.shape_at(node), file.text_of(node), names)
    note = ""
    file = Path(code.co_filename)
    if file.exists() and "@pytest_ar" not in namespace:  # pytest rewrites what asserts
        note = f"{file.name} changed on disk and was not reloaded"
    return CodeText(shape_of_code(code), "", names, note)


def _versions(filename: str, namespace: Mapping[str, Any]) -> list["_File"]:
    """Return the versions of a file seen so far, newest first."""
    if filename == TIMED:
        return [one for name, lines in timed_cells() for one in _remembered(name, lines)]
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) > 2 and entry[1] is not None:  # cells have no time
        linecache.checkcache(filename)
    lines = linecache.getlines(filename, dict(namespace) if entry is None else None)
    return _remembered(filename, lines)


def _remembered(filename: str, lines: list[str]) -> list["_File"]:
    versions = _files.get(filename, [])
    if lines and not any(version.lines == lines for version in versions):
        versions = [_File(filename, lines), *versions][:_VERSIONS_KEPT]
        _files[filename] = versions
        while len(_files) > _FILES_KEPT:
            del _files[next(iter(_files))]
    return versions


class _File:
    """One version of a file or cell; its statements are parsed and compiled when asked for.

    In a long file most definitions lie in a statement that the margin alone tells from others. It
    is parsed by itself, so that a task does not wait for the rest of its module. That can give no
    wrong text: whatever way a definition is found, it counts only if it compiles to what is loaded.
    """

    def __init__(self, filename: str, lines: list[str]) -> None:
        self.filename = filename
        self.lines = lines
        self._is_short = len(lines) <= _SHORT  # then to parse it once is cheaper
        self._shapes: dict[int, Shape] = {}
        self._trees: dict[int, list[ast.stmt]] = {}
        """Statements by the line they begin at. They stay: shapes and units go by their ids."""
        self._units: dict[tuple[int, int, int], _Codes] = {}

    def definition_of(self, code: CodeType) -> Definition | None:
        """Return the definition that compiles to `code`, None if there is none."""
        line = code.co_firstlineno
        part = self._part_at(line)
        if part:
            node = self._match(code, part, part) or self._match(code, part, part, self._imports())
            if node is not None:
                return node
        statements, whole = self._around(line), self._whole()
        units = [whole, *([one] for one in statements)]
        for unit in units if self._is_short else reversed(units):
            node = self._match(code, statements, unit)
            if node is not None:
                return node
        return None

    def _part_at(self, line: int) -> list[ast.stmt]:
        """Return the statement that a line lies in, nothing if the margin does not tell it."""
        number = -1 if self._is_short else bisect_right(self._margins, line) - 1
        if number < 0:
            return []
        first = self._margins[number]
        if first not in self._trees:
            part: list[ast.stmt] = []
            for last in self._ends(number):
                part = part or self._parsed(first, last)
            self._trees.setdefault(first, part)  # unless another thread was faster
        return self._trees[first]

    @cached_property
    def _margins(self) -> list[int]:
        """Lines at which statements begin; some go on at the margin, in a text or after `@`."""
        lines = enumerate(self.lines, 1)
        return [number for number, line in lines if line[:1] > " " and _BEGINS.match(line)]

    def _ends(self, number: int) -> Iterator[int]:
        """Yield the lines at which what begins at a margin, by its number, may end."""
        begins = self._margins[number : number + _TRIES]
        others = self._margins[number + 1 : number + 1 + _TRIES]
        for here, after in zip(begins, [*others, len(self.lines) + 1], strict=False):
            if not self.lines[here - 1].startswith("@"):
                yield after - 1

    def _parsed(self, first: int, last: int) -> list[ast.stmt]:
        """Return the statements of some lines, none if they are half-edited or half of a text."""
        return _statements("\n" * (first - 1) + "".join(self.lines[first - 1 : last]))

    def _whole(self) -> list[ast.stmt]:
        """Return all statements; if there are none, an earlier version may be the one."""
        if _WHOLE not in self._trees:
            self._trees.setdefault(_WHOLE, self._parsed(1, len(self.lines)))
        return self._trees[_WHOLE]

    def _imports(self) -> list[ast.stmt]:
        """Return the imports at the margin, which may have a say in how calls are compiled."""
        if _IMPORTS not in self._trees:
            texts = _IMPORT.findall("".join(self.lines))
            self._trees.setdefault(_IMPORTS, _statements("\n".join(texts)))
        return self._trees[_IMPORTS]

    def reloaded_as(self, code: CodeType) -> Definition | None:
        """Return the definition that `code` was compiled from by itself, away from its place."""
        found: dict[str, Definition] = {}
        whole = self._whole()
        for unit in (whole, *([one] for one in whole)):
            codes = self._compiled(unit, (), code.co_flags & _FUTURES) if unit else {}
            for (line, name), others in codes.items():
                for other in others if name == code.co_name else ():
                    if same_code(code, other):
                        nodes = _definitions_at(self._around(line), other)
                        found.update((self.shape_at(node).digest, node) for node in nodes)
            if found:
                break
        return next(iter(found.values())) if len(found) == 1 else None

    def _around(self, line: int) -> list[ast.stmt]:
        """Return the statements of the whole file that a line lies in."""
        return [one for first, last, one in self._spans if first <= line <= last]

    @cached_property
    def _spans(self) -> list[tuple[int, int, ast.stmt]]:
        return [(_first_line(one), one.end_lineno or 0, one) for one in self._whole()]

    def _match(
        self,
        code: CodeType,
        statements: list[ast.stmt],
        unit: list[ast.stmt],
        imports: Sequence[ast.stmt] = (),
    ) -> Definition | None:
        if not statements:
            return None
        codes = self._compiled(unit, imports, code.co_flags & _FUTURES)
        candidates = codes.get((code.co_firstlineno, code.co_name), ())
        same = [other for other in candidates if code == other]  # most are, and this is fast
        same = same or [other for other in candidates if same_code(code, other)]
        exact = [other for other in same if other.co_linetable == code.co_linetable]
        if not same:
            return None
        nodes = list(_definitions_at(statements, exact[0] if exact else same[0]))
        if len(nodes) > 1 and len({shape_of(node).digest for node in nodes}) > 1:
            return None
        return nodes[0] if nodes else None

    def _compiled(self, unit: list[ast.stmt], imports: Sequence[ast.stmt], flags: int) -> "_Codes":
        key = (id(unit[0]), len(imports) + len(unit), flags)
        found = self._units.get(key)
        if found is None:
            found = self._compile(ast.Module([*imports, *unit], []), flags)
            if found is None:  # a text may be nested deeper than a tree
                found = self._compile("".join(self.lines), flags)
            found = self._units[key] = found or {}
        return found

    def _compile(self, source: Any, flags: int) -> "_Codes | None":
        """Return the code of all definitions in a source, `None` if it does not compile."""
        codes: _Codes = {}
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # a cell may await; definitions do not care
        try:
            compiled = compile(source, self.filename, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        for code in nested(compiled):
            codes.setdefault((code.co_firstlineno, code.co_name), []).append(code)
        return codes

    def shape_at(self, node: Definition) -> Shape:
        """Return the shape of a definition; a cell that is run again defines the same ones."""
        found = self._shapes.get(id(node))
        if found is None:
            found = self._shapes[id(node)] = shape_of(node)
        return found

    def text_of(self, node: Definition) -> str:
        """Return the text of a definition without its decorators, dedented."""
        last = node.end_lineno or node.lineno
        if not isinstance(node, ast.Lambda):
            return _dedented("".join(self.lines[node.lineno - 1 : last]))
        return ast.get_source_segment("".join(self.lines), node) or ""

    def class_text(self, line: int, name: str) -> str:
        """Return the text of the innermost class of this name around a line."""
        found: ast.ClassDef | None = None
        for statement in self._part_at(line) or self._around(line):
            for node in ast.walk(statement):
                if isinstance(node, ast.ClassDef) and node.name == name:
                    found = node if node.lineno <= line else found
        if found is None:
            return ""
        return textwrap.dedent("".join(self.lines[found.lineno - 1 : found.end_lineno]))


def _statements(text: str) -> list[ast.stmt]:
    try:
        return parse(text).body
    except SyntaxError:
        return []


def _dedented(text: str) -> str:
    """Return what `textwrap.dedent` does; of text that has no indent only blank lines change."""
    return textwrap.dedent(text) if text[:1].isspace() else _BLANK.sub("\n", text)


_BLANK = re.compile(r"(?m)\n[ \t]+$")


def class_text(code: CodeType, name: str) -> str:
    """Return the text of the class `name` that a method's code stands in, empty if not found."""
    for file in _files.get(code.co_filename, []):
        text = file.class_text(code.co_firstlineno, name)
        if text:
            return text
    return ""


def _first_line(node: ast.AST) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else getattr(node, "lineno", 0)


def _definitions_at(statements: list[ast.stmt], code: CodeType) -> Iterator[Definition]:
    """Yield the definitions a code object of the same text can come from."""
    wanted = code.co_firstlineno
    name = code.co_name
    lambdas: list[ast.Lambda] = []
    for statement in statements:
        if isinstance(statement, _NAMED) and (_first_line(statement), statement.name) == (
            wanted,
            name,
        ):
            yield statement
            continue
        for node in ast.walk(statement):
            if not isinstance(node, _DEFINITIONS) or _first_line(node) != wanted:
                continue
            if not isinstance(node, ast.Lambda):
                if node.name == name:
                    yield node
            elif name == "<lambda>":
                lambdas.append(node)
    yield from _lambdas_of(lambdas, code) if len(lambdas) > 1 else lambdas


def _lambdas_of(nodes: list[ast.Lambda], code: CodeType) -> list[ast.Lambda]:
    """Return which of the lambdas that begin on a line a code object can come from.

    Code knows where its instructions stand: in the body of the lambda, and in those around it.
    """
    places: set[Any] = {place for place in code.co_positions() if None not in place}
    places = {place for place in places if place[2:] != (0, 0)}  # where the function begins
    if not places:  # it does nothing but return a constant, or Python was told to forget columns
        return [node for node in nodes if _compiles_to(node, code)] or nodes
    within = [node for node in nodes if all(_is_within(node.body, *place) for place in places)]
    return [min(within, key=_extent)] if within else []


def _is_within(node: ast.expr, line: int, last: int, column: int, end: int) -> bool:
    begins, ends = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    return begins <= (line, column) and (last, end) <= ends


def _extent(node: ast.Lambda) -> tuple[int, int]:
    """Return how far a body extends; of bodies within each other the innermost is the least."""
    body = node.body
    return (body.end_lineno or 0) - body.lineno, (body.end_col_offset or 0) - body.col_offset


def _compiles_to(node: ast.Lambda, code: CodeType) -> bool:
    flags = code.co_flags & _FUTURES
    found = nested(compile(ast.Expression(node), "<lambda>", "eval", flags, dont_inherit=True))
    return any(same_code(code, other) for other in found)
