"""The front end as text: one stylesheet and one ES module made of the files in `static/src`.

anywidget loads the module from a blob, so it cannot import its neighbours; a browser's test or an
editor wants small modules. Hence this bundler: the modules import each other only by
`import { a, b } from "./file.js"` with every name spelled as it is exported, so putting them into
one file is dropping the import lines and the word `export`. Comments and indentation go too,
because a saved widget carries the text. `python -m cellist.board.assets` writes
`static/board.js`; a test checks that it is fresh.
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
    return (_STATIC / "src" / name).read_text(encoding="utf-8")


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
    notice = "// Made from static/src by `python -m cellist.board.assets`; edit there.\n"
    return notice + "\n".join(parts) + "\n"


@cache
def board_js() -> str:
    """Return the ES module of the board."""
    return (_STATIC / "board.js").read_text(encoding="utf-8")


@cache
def board_css() -> str:
    """Return the stylesheet of the board."""
    return (_STATIC / "board.css").read_text(encoding="utf-8")


def write_bundle() -> None:
    """Write `static/board.js` anew."""
    from pathlib import Path

    Path(str(_STATIC / "board.js")).write_text(bundle(), encoding="utf-8")


if __name__ == "__main__":
    write_bundle()
