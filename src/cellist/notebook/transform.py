"""Turn a `%%flow` cell into an ordinary cell whose body runs inside a flow.

Two steps, both IPython's own. An input transformer replaces only line 1, by an assignment that
awaits; so the cell keeps its line numbers, its top-level await, its magics and its tracebacks. Then
an AST transformer puts the statements that follow into an `async with`, inside an `async for` if
the flow has retries, and takes the value of a last expression:

    %%flow crawl --retries 2        __cellist_flow__ = await get_ipython().open_flow("crawl …")
    pages = fetch.map(urls)         async for _ in __cellist_flow__:
    pages                               async with __cellist_flow__:
                                            pages = fetch.map(urls)
                                            __cellist_flow__.value = pages
                                    __cellist_flow__.value

A magic that runs the body itself was tried and rejected: results and tracebacks show twice and
lines are off. The body stays at module level, so the names it assigns are the user's.
"""

import ast
import inspect
import re

FLOW_NAME = "__cellist_flow__"
_MAGIC = re.compile(r"%%flow(?P<options>(\s.*)?)$")
_OPEN = f"{FLOW_NAME} = await get_ipython().open_flow"


def replace_first_line(lines: list[str]) -> list[str]:
    """Replace a `%%flow` line by the statement that opens the flow; other cells are not touched."""
    if not lines:
        return lines
    match = _MAGIC.match(lines[0].rstrip())
    if match is None or _inside_another_magic():
        return lines
    options = (match["options"] or "").strip()
    return [f"{_OPEN}({options!r})\n", *lines[1:]]


def _inside_another_magic() -> bool:
    """Whether a cell magic such as `%%time` asks for its body; it could not await the flow."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "run_cell_magic":
            return True
        frame = frame.f_back
    return False


class WrapFlowBody(ast.NodeTransformer):
    """Puts what follows the opening statement of a flow cell into the flow."""

    def __init__(self) -> None:
        self.interactivity = "last_expr"
        """IPython's `ast_node_interactivity`: which expressions are displayed."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Wrap the body if the module is a flow cell."""
        if not node.body or not _opens_flow(node.body[0]):
            return node
        opening, body = node.body[0], node.body[1:]
        wrong = _not_allowed(body)
        if wrong is not None:  # left alone, it is refused by Python, and no flow is opened
            node.body = [wrong]
            return node
        shows_value = self.interactivity.startswith("last_expr") and bool(body)
        shows_value = shows_value and isinstance(body[-1], ast.Expr)
        if shows_value:
            body = [*body[:-1], _assign_value(body[-1])]
        wrapped = _wrap(body or [ast.Pass()], opening)
        tail = [_show_value(node.body[-1])] if shows_value else []
        node.body = [opening, wrapped, *tail]
        return ast.fix_missing_locations(node)


def _not_allowed(body: list[ast.stmt]) -> ast.stmt | None:
    """Return a statement that Python refuses at the top level, such as a lone `break`.

    Inside our loop it would become legal.
    """
    for statement in body:
        module = ast.Module(body=[statement], type_ignores=[])
        try:
            compile(module, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError:
            return statement
    return None


def _opens_flow(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await()):
            return name == FLOW_NAME
        case _:
            return False


def _flow(context: ast.expr_context | None = None) -> ast.Name:
    return ast.Name(id=FLOW_NAME, ctx=context or ast.Load())


def _assign_value(statement: ast.stmt) -> ast.stmt:
    assert isinstance(statement, ast.Expr)
    target = ast.Attribute(value=_flow(), attr="value", ctx=ast.Store())
    return ast.copy_location(ast.Assign(targets=[target], value=statement.value), statement)


def _show_value(statement: ast.stmt) -> ast.stmt:
    value = ast.Attribute(value=_flow(), attr="value", ctx=ast.Load())
    return ast.copy_location(ast.Expr(value=value), statement)


def _wrap(body: list[ast.stmt], opening: ast.stmt) -> ast.stmt:
    attempt = ast.AsyncWith(items=[ast.withitem(context_expr=_flow())], body=body)
    loop = ast.AsyncFor(
        target=ast.Name(id="__cellist_attempt__", ctx=ast.Store()),
        iter=_flow(),
        body=[attempt],
        orelse=[],
    )
    ast.copy_location(attempt, opening)
    return ast.copy_location(loop, opening)
