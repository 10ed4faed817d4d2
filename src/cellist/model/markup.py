"""Text that becomes part of HTML, of XML or of what a terminal shows."""

import re
from typing import TYPE_CHECKING

from cellist.model.later import later

if TYPE_CHECKING:
    import html
else:
    html = later("html", globals())

_NOT_PRINTABLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


def escaped(text: str) -> str:
    """Return text fit for HTML, XML and quoted attributes, without control characters."""
    return html.escape(re.sub(_NOT_PRINTABLE, "�", text), quote=True)


def printable(text: str) -> str:
    """Return text fit for a terminal: on one line, without what would steer it."""
    return re.sub(_NOT_PRINTABLE, "�", " ".join(text.split()))


def prose(text: str) -> str:
    """Return a sentence as HTML: what it has between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped(text))
