"""Small pieces of HTML for the record, and the one place where text becomes HTML."""

import html
import re
from collections.abc import Iterable, Sequence

from cellist.board.palette import LOOKS

_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escaped(text: str) -> str:
    """Return text fit for HTML, XML and quoted attributes, without control characters."""
    return html.escape(_NOT_PRINTABLE.sub("�", text), quote=True)


def stateful(look: str, word: str) -> str:
    """Return a state: icon and word, in its colour where colours survive."""
    shown = LOOKS[look]
    return f'<span style="color:{shown.ink}">{shown.icon}</span> {escaped(word)}'


def item(name: str, text: str) -> str:
    """Return a list item, or nothing where there is nothing to say."""
    return f"<li>{name}: {escaped(text)}</li>" if text else ""


def _cell(content: str) -> str:
    """Return a cell; Jupyter aligns cells to the right, which suits numbers only."""
    return f'<td style="text-align:left">{content}</td>'


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], note: str | None) -> str:
    """Return a table of cells that are HTML already; `note` goes below."""
    head = "".join(f'<th style="text-align:left">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(map(_cell, line))}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
        f"<p>{escaped(note)}</p>" if note else ""
    )
