"""The one place where text becomes HTML or SVG, and where long text is cut."""

import base64
import html
import re

_NOT_PRINTABLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


def escaped(text: str) -> str:
    """Return text fit for HTML, XML and quoted attributes, without control characters."""
    return html.escape(re.sub(_NOT_PRINTABLE, "�", text), quote=True)


def clipped(text: str, limit: int) -> str:
    """Return the text on one line, shortened to `limit` characters."""
    if len(text) > 4 * limit:  # never walk through a ten-megabyte repr
        text = text[: 4 * limit]
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def data_uri(svg: str) -> str:
    """Return a picture as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
