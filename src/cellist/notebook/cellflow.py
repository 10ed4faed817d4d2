"""A cell as a flow; see `cellrun`."""

from collections.abc import Callable
from typing import Any

from cellist.engine.execution import FlowExecution
from cellist.flows import Flow
from cellist.notebook.cellrun import CellRun, body
from cellist.notebook.cells import this_cell
from cellist.notebook.options import FlowOptions, parse_flow_line
from cellist.notebook.transform import show_as_written
from cellist.persistence import Keeping


class CellFlow(CellRun):
    """The flow run of one execution of a cell."""

    def __init__(self, options: FlowOptions) -> None:
        self.options = options
        self.value: Any = None
        """The value of the cell's last expression, in the end the flow's result."""
        flow = Flow(
            body,
            name=options.name or this_cell().title,
            retries=options.retries,
            retry_delay_seconds=options.retry_delay,
            timeout_seconds=options.timeout,
            task_runner=options.make_runner(),
        )
        super().__init__(flow, frozenset(options.tags))
        assert isinstance(self.execution, FlowExecution)
        if options.cache_mode is not None:
            mode = Keeping(mode=options.cache_mode)
            self.execution.keeping = mode.over(self.execution.keeping)
        self.execution.loop = self._loop

    async def gather(self, failed: bool) -> Any:
        """Return the value of the last expression."""
        return None if failed else self.value

    def ended(self, value: Any) -> None:
        """Take the flow's result: futures in the value have become what they gave."""
        self.value = value
        if self.options.output:
            this_cell().namespace[self.options.output] = value


async def open_flow(line: str, where: Callable[[], None]) -> CellFlow:
    """Open the flow of a `%%flow` cell. Called by the first line of the transformed cell."""
    show_as_written(where.__code__.co_filename, f"%%flow {line}".rstrip())
    options = parse_flow_line(line)
    this_cell().quiet = this_cell().quiet or options.quiet
    flow = CellFlow(options)
    await flow.advance(None)
    return flow
