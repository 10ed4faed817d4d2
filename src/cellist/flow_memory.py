"""What a flow run remembers of the runs inside it, from its beginning on."""

from typing import Any

from cellist.attempts import Attempts
from cellist.engine.execution import FlowExecution
from cellist.spares import Spares
from cellist.unfinished import take_continued


def inherit(x: FlowExecution) -> None:
    """Give a flow a memory of what its runs gave: its attempts', or one for a retry by hand."""
    flow, continued = x.flow, take_continued(x)
    outer: Any = flow.attempts if flow is not None else None
    before = continued.attempts if continued is not None else None
    only = continued.only if continued is not None else None
    if continued is not None:
        x.flow_run.resumed_from = continued.run_id
        x.services.unfinished.follow(continued.run_id, x.run)
    if x.plan.retries or before is not None or only is not None:
        x.attempts = Attempts(x.run, outer, before, only)
    else:
        x.attempts = outer
        if flow is None:
            x.spares = Spares(x.services.unfinished.epoch)
        elif outer is None:
            x.spares = flow.spares
