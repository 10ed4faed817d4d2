"""Turn a `%%flow` or `%%task` cell into an ordinary cell whose body runs inside a run.

Two steps, both IPython's own. An input transformer replaces only line 1, by an assignment that
awaits; so the cell keeps its line numbers, its top-level await, its magics and its tracebacks. Then
an AST transformer puts the statements that follow into an `async with`, inside an `async for` that
goes round once per attempt, and takes the value of a last expression:

    %%flow crawl --retries 2        __cellist_flow__ = await get_ipython().open_flow("crawl …")
    pages = fetch.map(urls)         async for _ in __cellist_flow__:
    pages                               async with __cellist_flow__:
                                            pages = fetch.map(urls)
                                            __cellist_flow__.value = pages
                                    __cellist_flow__.value

A task that finds its outputs goes round no time, so its body is skipped. Its last value is shown
within, where what is shown is recorded: `__cellist_task__.show(pages)`.

The body of a flow in the background is not part of its cell: it is kept, and executed as a module
of its own by the task that runs it.

A magic that runs the body itself was tried and rejected: results and tracebacks show twice and
lines are off. The body stays at module level, so the names it assigns are the user's.
"""

import ast
import inspect
import itertools
import linecache
import re
from typing import Any

from IPython.core import inputtransformer2

from cellist.notebook.trees import copy_of

FLOW_NAME = "__cellist_flow__"
TASK_NAME = "__cellist_task__"
ATTEMPT_NAME = "__cellist_attempt__"
NAMES = (FLOW_NAME, TASK_NAME, ATTEMPT_NAME)
"""What carries the run of a cell, in the notebook for as long as the cell runs."""
_MAGIC = re.compile(r"%%(?P<kind>flow|task)(?P<options>(\s.*)?)$")
_FUTURE = re.compile(r"from\s+__future__\s+import\s+[\w ,]+$")
_OPENINGS = {
    # the functions tell which file the cell is compiled as
    "flow": f"{FLOW_NAME} = await get_ipython().open_flow({{!r}}, lambda: None)\n",
    "task": f"{TASK_NAME} = await get_ipython().open_task({{!r}}, lambda: None)\n",
    "background": f"{FLOW_NAME} = await get_ipython().start_flow({{!r}}, lambda: None)\n",
}
_BACKGROUND = re.compile(r"(^|\s)--bg?(\s|$)")
_OPENED = re.compile(rf"(?:{FLOW_NAME}|{TASK_NAME}) = await .*")
_MOST_BODIES = 8
_untyped: Any = inputtransformer2  # IPython does not say its types
_CLEANING: list[Any] = [
    _untyped.leading_indent,
    _untyped.classic_prompt,
    _untyped.ipython_prompt,
]
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def replace_first_line(lines: list[str]) -> list[str]:
    """Replace a `%%flow` or `%%task` line by the statement that opens the run.

    Other cells are not touched.
    """
    if not lines:
        return lines
    match = _MAGIC.match(lines[0].rstrip())
    if match is None or _inside_another_magic():
        return lines
    options = (match["options"] or "").strip()
    body = _cleaned(lines[1:])
    futures = [line.strip() for line in body if _FUTURE.match(line)]
    if futures:  # these stand before anything else, or Python refuses them
        body = ["\n" if _FUTURE.match(line) else line for line in body]
    kind = match["kind"]
    if kind == "flow" and _BACKGROUND.search(options):
        kind = "background"
    return ["; ".join([*futures, _OPENINGS[kind].format(options)]), *body]


def _cleaned(body: list[str]) -> list[str]:
    """Take away a common indent and prompts, as IPython does where a cell has no such line."""
    blank = sum(1 for _ in itertools.takewhile(lambda line: not line.strip(), body))
    lines = body[blank:]
    for clean in _CLEANING:
        lines = clean(lines)
    return [*body[:blank], *lines]


def show_as_written(filename: str, line: str) -> None:
    """Let tracebacks show the magic that the user wrote and not the statement in its place.

    It stands there as a comment, for tools that parse the text of a cell.
    """
    entry = linecache.cache.get(filename)
    if entry is not None and len(entry) == 4 and entry[2]:
        first, *rest = entry[2]
        shown = _OPENED.sub(lambda _: f"# {line}", first)
        linecache.cache[filename] = (entry[0], entry[1], [shown, *rest], entry[3])


def _inside_another_magic() -> bool:
    """Whether a cell magic such as `%%time` asks for its body; it could not await the run."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "run_cell_magic":
            return True
        frame = frame.f_back
    return False


class WrapBody(ast.NodeTransformer):
    """Puts what follows the opening statement of a flow or task cell into the run."""

    def __init__(self) -> None:
        self.interactivity = "last_expr"
        """IPython's `ast_node_interactivity`: which expressions are displayed."""
        self.bodies: dict[int, list[ast.stmt]] = {}
        """The bodies of task cells and of background flows as they were, by the number that the
        opening statement gives."""
        self._numbers = itertools.count(1)

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Wrap the body if the module is a flow or a task cell."""
        futures = list(itertools.takewhile(_is_future, node.body))
        opening, *body = node.body[len(futures) :] or [ast.Pass()]
        name = _opened(opening)
        if name is None:
            return node
        wrong = _not_allowed(body)
        if wrong is not None:  # left alone, it is refused by Python, and no run is opened
            node.body = [wrong]
            return node
        if _is_background(opening):  # what is kept is executed later, by who opens the flow
            self._keep([*futures, *body], opening)
            node.body = [*futures, opening]
        elif name == TASK_NAME:
            self._keep([*futures, *body], opening)
            node.body = [*futures, opening, _wrap(name, self._task_body(body), opening)]
        else:
            node.body = [*futures, opening, *self._flow_body(body, opening)]
        return ast.fix_missing_locations(node)

    def _flow_body(self, body: list[ast.stmt], opening: ast.stmt) -> list[ast.stmt]:
        last = body[-1] if body else None
        if not self.interactivity.startswith("last_expr") or not isinstance(last, ast.Expr):
            return [_wrap(FLOW_NAME, body, opening)]
        value = ast.Attribute(ast.Name(FLOW_NAME, ast.Load()), "value", ast.Store())
        assigned = ast.copy_location(ast.Assign([value], last.value), last)
        shown = ast.Expr(ast.Attribute(ast.Name(FLOW_NAME, ast.Load()), "value", ast.Load()))
        wrapped = _wrap(FLOW_NAME, [*body[:-1], assigned], opening)
        return [wrapped, ast.copy_location(shown, last)]

    def _keep(self, body: list[ast.stmt], opening: ast.stmt) -> None:
        """Keep the body for who opens the task, and have the opening say which it is."""
        number = next(self._numbers)
        self.bodies[number] = copy_of(body)
        for old in list(self.bodies)[:-_MOST_BODIES]:  # of cells that were never executed
            del self.bodies[old]
        match opening:
            case ast.Assign(value=ast.Await(value=ast.Call(args=arguments))):
                arguments.append(ast.Constant(number))
            case _:
                pass

    def _task_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Return the body with calls that show values and note definitions."""
        found: list[ast.stmt] = []
        for position, statement in enumerate(body):
            is_last = position == len(body) - 1
            if isinstance(statement, ast.Expr) and self._is_shown(is_last):
                found.append(_call(statement, "show", statement.value))
                continue
            found.append(statement)
            if isinstance(statement, ast.ClassDef) or getattr(statement, "decorator_list", None):
                assert isinstance(statement, _DEFINITIONS)
                name = ast.Name(statement.name, ast.Load())
                found.append(_call(statement, "note", ast.Constant(statement.name), name))
            elif is_last and self.interactivity == "last_expr_or_assign":
                found += _shown_target(statement)
        return found

    def _is_shown(self, is_last: bool) -> bool:
        return self.interactivity == "all" or (
            is_last and self.interactivity in {"last", "last_expr", "last_expr_or_assign"}
        )


def _shown_target(statement: ast.stmt) -> list[ast.stmt]:
    """Return a call that shows the name a last assignment binds, if it binds one."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            pass
        case ast.AugAssign(target=ast.Name(id=name)) | ast.AnnAssign(target=ast.Name(id=name)):
            pass
        case _:
            return []
    return [_call(statement, "show", ast.Name(name, ast.Load()))]


def _call(place: ast.stmt, method: str, *arguments: ast.expr) -> ast.stmt:
    """Return a call of a method of the task, at the place of a statement."""
    function = ast.Attribute(ast.Name(TASK_NAME, ast.Load()), method, ast.Load())
    call = ast.Expr(ast.Call(function, list(arguments), []))
    for node in (call, call.value, function, function.value, *arguments):
        if not hasattr(node, "lineno"):
            ast.copy_location(node, place)
    return call


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


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


def _opened(statement: ast.stmt) -> str | None:
    """Return the name of the run a statement opens, `None` for any other statement."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await()):
            return name if name in {FLOW_NAME, TASK_NAME} else None
        case _:
            return None


def _is_background(statement: ast.stmt) -> bool:
    """Whether the statement starts a flow in the background."""
    match statement:
        case ast.Assign(value=ast.Await(value=ast.Call(func=ast.Attribute(attr="start_flow")))):
            return True
        case _:
            return False


def _wrap(name: str, body: list[ast.stmt], opening: ast.stmt) -> ast.stmt:
    run = ast.Name(name, ast.Load())
    attempt = ast.AsyncWith(items=[ast.withitem(context_expr=run)], body=body or [ast.Pass()])
    loop = ast.AsyncFor(
        target=ast.Name(id=ATTEMPT_NAME, ctx=ast.Store()),
        iter=ast.Name(name, ast.Load()),
        body=[attempt],
        orelse=[],
    )
    ast.copy_location(attempt, opening)
    return ast.copy_location(loop, opening)
