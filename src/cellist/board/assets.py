"""The front end as text: one ES module and one stylesheet, made of the readable ones in `static/`.

anywidget loads the module from a blob, so it cannot import its neighbours, and a saved widget
carries the whole text. So the modules are bundled and minified when they are changed, by
`make bundle`; a test builds them anew and compares.
"""

from functools import cache
from importlib.resources import files

_BUNDLE = files("cellist.board") / "bundle"


@cache
def board_js() -> str:
    """Return the ES module of the board."""
    return (_BUNDLE / "board.js").read_text(encoding="utf-8")


@cache
def board_css() -> str:
    """Return the stylesheet of the board."""
    return (_BUNDLE / "board.css").read_text(encoding="utf-8")
