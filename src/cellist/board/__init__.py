"""What is shown under a cell: the live board and the static record.

Events → `view` (what to draw: groups, rows, graph, words) → `live` (one board: messages and
record) ← `feed` (one thread per kernel, twenty frames a second at most) → `widget` (Jupyter).
A terminal has a text board instead: `terminal`, in colour by `styled`, of the words of `summary`.
Python decides words, coordinates and what is drawn; `static/` paints.
"""

from cellist.board.details import Details
from cellist.board.feed import Feed
from cellist.board.live import Board
from cellist.board.terminal import TextBoard

__all__ = ["Board", "Details", "Feed", "TextBoard"]
