"""Records of runs and their states, for annotations of hooks and of code that looks at runs."""

from cellist.model.facts import RunInput, RunPolicy
from cellist.model.runs import FlowRun, TaskRun
from cellist.model.states import TERMINAL_STATES, State, StateDetails, StateType

FlowRunPolicy = TaskRunPolicy = RunPolicy

__all__ = [
    "TERMINAL_STATES",
    "FlowRun",
    "FlowRunPolicy",
    "RunInput",
    "State",
    "StateDetails",
    "StateType",
    "TaskRun",
    "TaskRunPolicy",
]
