"""The front end as text: one stylesheet, and one ES module made of the modules in `static/`.

anywidget loads the module from a blob, so it cannot import its neighbours; a reader, an editor and
a test want small modules. Hence this bundler. The modules import each other only by
`import { a, b } from "./file.js"` with every name as it is exported, so making one file of them
is dropping the import lines and the word `export`; whatever else would need more is refused. It
takes a few milliseconds, so it is done when the first board is shown and there is no built file
that could be stale. Comments and indentation go, because a saved widget carries the text.
"""

import re
from functools import cache
from importlib.resources import files

_STATIC = files("cellist.board") / "static"
_MAIN = "main.js"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?!default)(?=(?:async )?(?:function|const|let|class) )", re.MULTILINE
)
_TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
_BLOCK_COMMENT = re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)


class BundleError(ValueError):
    """The modules cannot be put into one file."""


def _source(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _in_order(name: str, done: dict[str, str], path: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the modules reached from `name` with their text, the needed before the needing."""
    if name in path:
        raise BundleError(f"These modules import each other: {' → '.join((*path, name))}.")
    if name not in done:
        text = _source(name)
        for _, needed in _IMPORT.findall(text):
            _in_order(needed, done, (*path, name))
        done[name] = text
    return done


def bundle() -> str:
    """Return the modules as one. Raises `BundleError` where dropping imports would change them."""
    modules = _in_order(_MAIN, {})
    seen: dict[str, str] = {}
    parts: list[str] = []
    for name, text in modules.items():
        for top in _TOP_LEVEL.findall(text):
            if top in seen:
                raise BundleError(f"{name} and {seen[top]} both define {top}.")
            seen[top] = name
        body = _EXPORT.sub("", _IMPORT.sub("", text))
        body = _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", body))
        if re.search(r"^\s*import\b|^export (?!default)", body, re.MULTILINE):
            raise BundleError(f"{name} has an import or export this bundler does not know.")
        lines = (line.strip() for line in body.splitlines())
        parts.append("\n".join(line for line in lines if line))
    return "\n".join(parts) + "\n"


@cache
def board_js() -> str:
    """Return the ES module of the board."""
    return bundle()


@cache
def board_css() -> str:
    """Return the stylesheet of the board."""
    return (_STATIC / "board.css").read_text(encoding="utf-8")
