"""Where text becomes fit for HTML or SVG, and where long text is cut."""

import base64

from cellist.model.markup import escaped, printable, prose


def clipped(text: str, limit: int) -> str:
    """Return the text on one line, shortened to `limit` characters."""
    if len(text) > 4 * limit:  # never walk through a ten-megabyte repr
        text = text[: 4 * limit]
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def data_uri(svg: str) -> str:
    """Return a picture as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


__all__ = ["clipped", "data_uri", "escaped", "printable", "prose"]
