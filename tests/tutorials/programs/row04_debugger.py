"""Direct calls run in the calling thread, so debuggers and tracers see the code of tasks."""

import io
import pdb  # noqa: T100 - the debugger is what this is about
import re
import sys
import threading
from types import FrameType
from typing import Any

from cellist import flow, task

# %%
script = io.StringIO("p price * 2\nnext\np total\nwhere\ncontinue\n")
transcript = io.StringIO()
debugger = pdb.Pdb(stdin=script, stdout=transcript, nosigint=True, readrc=False)


@task
def pay(price: int) -> int:
    debugger.set_trace()
    total = price + 1
    return total  # noqa: RET504 - a line to stop at


@flow
def shop(order: str) -> int:
    price = len(order)
    return pay(price)


assert shop("bread") == 6
said = re.sub(r"\x1b\[[0-9;]*m", "", transcript.getvalue())  # a notebook's debugger uses colour
assert "total = price + 1" in said  # where it stopped
answers = re.findall(r"db[>)] (\d+)\n", said)
assert answers == ["10", "6"]  # price * 2; total, after a step
assert "shop(" in said  # further up, the flow
assert 'shop("bread")' in said  # and who called it

# %%
# `breakpoint()` calls its hook in the frame of the task, on the main thread.
stops: list[tuple[str, bool]] = []


def note(*_: Any) -> None:
    caller = sys._getframe(1)
    here = threading.current_thread() is threading.main_thread()
    stops.append((caller.f_code.co_name, here))


@task
def stop_here(x: int) -> int:
    breakpoint()  # noqa: T100 - likewise
    return x


@flow
def stop_twice() -> None:
    stop_here(1)
    stop_here(2)


old_hook, sys.breakpointhook = sys.breakpointhook, note
try:
    stop_twice()
finally:
    sys.breakpointhook = old_hook
assert stops == [("stop_here", True)] * 2

# %%
# A trace function sees each line of the body.
lines: list[int] = []


@task
def three_lines(x: int) -> int:
    y = x + 1
    z = y + 1
    return y + z


def trace(frame: FrameType, event: str, arg: Any) -> Any:
    if frame.f_code is three_lines.fn.__code__ and event == "line":
        lines.append(frame.f_lineno - frame.f_code.co_firstlineno)
    return trace


old_trace = sys.gettrace()
sys.settrace(trace)
try:
    result = three_lines(1)
finally:
    sys.settrace(old_trace)
assert result == 5
assert lines == [2, 3, 4]  # counted from the decorator


# %%
# A post-mortem finds the variables of the frame that failed.
@task
def divide(amount: int, people: int) -> float:
    share = amount / people
    return share  # noqa: RET504 - a line to stop at


@flow
def split(people: int) -> float:
    return divide(100, people)


try:
    split(0)
except ZeroDivisionError as error:
    post_mortem = pdb.Pdb(stdin=io.StringIO("p amount, people\nq\n"), stdout=transcript)
    post_mortem.reset()
    post_mortem.interaction(None, error.__traceback__)
assert "(100, 0)\n" in transcript.getvalue()
