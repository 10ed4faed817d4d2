"""A hundred thousand runs (quickly: twenty) against a thousand: time per run, and memory."""

import gc
from collections.abc import Iterator

import psutil

from benchmarks import subjects
from benchmarks.calls import calling_piped, ours
from benchmarks.measure import Contender, Row, Size, at_most, installed, interleave, row, times
from cellist import flow

FEW = 1000


@flow
def measured(count: int) -> int:
    """Make runs and return the bytes the process grew by, while the flow is still running."""
    process = psutil.Process()
    before = process.memory_info().rss
    for number in range(count):
        subjects.plain(number)
    return process.memory_info().rss - before


def memory(count: int) -> Iterator[Row]:
    process = psutil.Process()
    subjects.direct(FEW)
    subjects.settle()
    gc.collect()
    before = process.memory_info().rss
    grown = measured(count)
    subjects.settle()
    gc.collect()
    kept = process.memory_info().rss - before
    budget = at_most(2048, "2,048 B")
    yield row(f"memory a run, at the end of {count:,}", grown / count, budget=budget, unit="B")
    yield row("memory a run, when recorded", kept / count, budget=budget, unit="B")


def compare(size: Size, name: str, many: int, contenders: dict[str, Contender]) -> Iterator[Row]:
    rounds = interleave(size.heavy(warm=False), contenders)
    few = f"{FEW:,} runs"
    yield from rounds.rows(f"{name}, {many:,} runs", {few: times(1.2, few)})
    if "many, pipefunc" in rounds.seconds:
        peers = {f"{few}, pipefunc": None}
        yield from rounds.rows(f"pipefunc, {many:,} runs", peers, "many, pipefunc")


def scale(size: Size) -> Iterator[Row]:
    """Time and memory of many runs in one flow."""
    many = 2000 if size.tiny else 100_000 if size.share == 1 else 20_000
    yield from memory(many)
    few = f"{FEW:,} runs"
    direct = {
        few: ours(subjects.direct, FEW, items=FEW),
        "cellist": ours(subjects.direct, many, items=many),
    }
    for count, name in ((FEW, f"{few}, pipefunc"), (many, "many, pipefunc")):
        for contender in installed("pipefunc", lambda count=count: calling_piped(count)).values():
            direct[name] = contender
    yield from compare(size, "direct calls", many, direct)
    submitted = {
        few: ours(subjects.submitted, FEW, items=FEW),
        "cellist": ours(subjects.submitted, many, items=many),
    }
    yield from compare(size, "submits", many, submitted)
