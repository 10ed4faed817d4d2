"""The code of a task cell, as it was written and as it is understood."""

import ast
import linecache
from typing import Any

from cellist.notebook.analysis import names_of
from cellist.notebook.expressions import CellNames
from cellist.notebook.preparing import InNotebook, import_first


class Code:
    """The code of a task cell: what it is made of, and the file it is compiled as."""

    def __init__(self, statements: list[ast.stmt], filename: str, shell: Any) -> None:
        self.body = statements
        self.filename = filename
        self.shell = shell
        lines = linecache.getlines(filename)[1:]
        self.text = "".join(["%%task\n", *lines])
        self.is_quiet = _ends_quietly(shell, "".join(lines))
        """Whether a semicolon keeps the last value from being shown."""
        self.known = InNotebook(shell.user_ns, import_first(statements))
        self.names: CellNames = names_of(ast.Module(statements, []), self.known)

    def execute(self, statement: ast.stmt) -> None:
        """Execute one of the statements in the notebook, as of its place in the cell."""
        code = self.shell.compile(ast.Module([statement], []), self.filename, "exec")
        exec(code, self.shell.user_global_ns, self.shell.user_ns)  # noqa: S102 - the cell's own code


def _ends_quietly(shell: Any, text: str) -> bool:
    try:
        return bool(shell.displayhook.semicolon_at_end_of_expression(text))
    except Exception:  # of the tokenizer
        return False
