"""Small pieces of HTML for the record."""

from collections.abc import Iterable, Sequence

from cellist.board.palette import LOOKS
from cellist.drawing.markup import escaped, prose


def stateful(look: str, word: str) -> str:
    """Return a state: icon and word, in its colour where colours survive."""
    shown = LOOKS[look]
    return f'<span style="color:{shown.ink}">{shown.icon}</span> {escaped(word)}'


def item(name: str, text: str) -> str:
    """Return a list item, or nothing where there is nothing to say."""
    return f"<li>{name}: {prose(text)}</li>" if text else ""


def _cell(content: str) -> str:
    """Return a cell; Jupyter aligns cells to the right, which suits numbers only."""
    return f'<td style="text-align:left">{content}</td>'


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], note: str | None) -> str:
    """Return a table of cells that are HTML already; `note` goes below.

    The words stand apart even where all tags are taken away.
    """
    head = " ".join(f'<th style="text-align:left">{name}</th>' for name in heads)
    body = "\n".join(f"<tr>{' '.join(map(_cell, line))}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>" + (
        f"<p>{escaped(note)}</p>" if note else ""
    )
