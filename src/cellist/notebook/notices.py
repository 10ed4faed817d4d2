"""One small line under a cell: that it was reused, or why nothing of it is kept."""

import html
from typing import Any

from cellist import settings
from cellist.notebook.kernel import ui_for
from cellist.recording import unrecorded

_STYLE = (
    "font-size: 85%; opacity: 0.75; font-family: var(--jp-ui-font-family, sans-serif); "
    "border-left: 2px solid currentColor; padding-left: 0.6em; margin: 0.2em 0"
)


def say(shell: Any, text: str) -> None:
    """Show a line of cellist's own, in the way the front end takes it, or none if it is off."""
    ui = ui_for(shell, settings.active().ui)
    if ui == "off":
        return
    with unrecorded():
        if ui == "text":
            print(text)  # noqa: T201 - a terminal has nothing else
            return
        line = f'<div style="{_STYLE}">{_marked(text)}</div>'
        shell.display_pub.publish({"text/plain": text, "text/html": line})


def _marked(text: str) -> str:
    """Return text as HTML, what stands in backquotes as code."""
    parts = html.escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if index % 2 and index < len(parts) - 1 else part
        for index, part in enumerate(parts)
    )
