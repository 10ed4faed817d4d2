"""The files that a cell names count with their content, though no analysis can see them read.

A cell that says `read_csv("flights.csv")` would otherwise be reused after the file has changed. Any
text in the cell or in the functions of the notebook that it reaches, and any input that is a text
or a path, counts as the file it names, if there is one; so do texts with `*` and the parts of a
path put together (`Path(folder) / "x.csv"`). Files that are named in other ways are not seen.

Names stay the texts they are, so this uses `os.path` where the linter would have `Path`.
"""

import ast
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from cellist.caching.contents import file_digest
from cellist.caching.parsing import parse
from cellist.model.reasons import CODE_KINDS, Component

_MOST = 1000
"""Files that are looked at for one cell."""
_LONGEST = 1024
_PATTERN = re.compile(r"\*[^*]*[./]\w|[/\\][^/\\]*\*")
"""What looks like a pattern of files; a lone `*` stands for many other things."""


def named_files(parts: Iterable[Component], namespace: Mapping[str, Any]) -> list[Component]:
    """Return one component for each file that code or inputs name, by its name as it is there."""
    texts = list(dict.fromkeys(_texts(parts, namespace)))
    folders = [text for text in texts if os.path.isdir(text)]  # noqa: PTH112 - texts as they are
    found: dict[str, Component] = {}
    for text in _candidates(texts, folders):
        component = None if text in found else _component(text)
        if component is not None:
            found[text] = component
        if len(found) == _MOST:
            break
    return [found[text] for text in sorted(found)]


def _texts(parts: Iterable[Component], namespace: Mapping[str, Any]) -> Iterator[str]:
    for part in parts:
        if part.kind in CODE_KINDS:
            yield from _literals(part.text)
        value = namespace.get(part.name) if part.kind == "global" else None
        if isinstance(value, (str, PurePath)) and _may_be_path(str(value)):
            yield str(value)


@lru_cache(maxsize=256)
def _literals(code: str) -> tuple[str, ...]:
    """Return the texts that code holds and that may name a file."""
    try:
        tree = parse(code)
    except SyntaxError:
        return ()
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return tuple(text for text in values if isinstance(text, str) and _may_be_path(text))


def _may_be_path(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable() and text.strip(" .") != ""


def _candidates(texts: list[str], folders: list[str]) -> Iterator[str]:
    for text in texts:
        if _PATTERN.search(text):
            matches = glob.iglob(text, recursive=True)  # noqa: PTH207 - names as they are there
            yield from sorted(itertools.islice(matches, _MOST))
        yield text
        for folder in folders:
            if not os.path.isabs(text):  # noqa: PTH117 - texts as they are
                yield os.path.join(folder, text)  # noqa: PTH118 - texts as they are
            elif text.startswith("/"):  # the end of an f-string such as f"{folder}/x.csv"
                yield folder.rstrip("/") + text


def _component(text: str) -> Component | None:
    """Return the component of a file, `None` if there is none by this name that can be read."""
    try:
        digest = file_digest(text)
        size = os.stat(text).st_size  # noqa: PTH116 - texts as they are
    except (OSError, ValueError):
        return None
    return Component("file", text, digest, f"{size:,} bytes")
