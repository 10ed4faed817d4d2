"""Time contenders in turns, and judge a figure by its budget.

A contender is a function that does some work and returns the seconds it took per item. In each
round all contenders run, first one and then another beginning; the first round warms up and is
dropped. A ratio is the median of the ratios within each round, so that a slow minute of the
machine, which slows both sides, cancels out.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

Contender = Callable[[], float]
OURS = "cellist"


@dataclass(frozen=True)
class Size:
    """How much work a benchmark does: rounds, and the share of its usual number of items."""

    rounds: int
    share: float
    warm: bool = True
    """Whether a first round, which warms up, is dropped."""

    @property
    def tiny(self) -> bool:
        """Whether the figures do not matter, only that all runs through."""
        return self.share < 0.1

    def heavy(self, *, warm: bool = True) -> "Size":
        """Return the size for a benchmark whose rounds take seconds: a quarter of the rounds."""
        return Size(self.rounds // 4 + 1, self.share, warm and self.warm)

    def items(self, usual: int, least: int = 10) -> int:
        """Return the number of items for a benchmark that usually takes `usual` of them."""
        return max(min(least, usual), int(usual * self.share))


SIZES = {"full": Size(11, 1.0), "quick": Size(7, 0.3), "smoke": Size(1, 0.002, warm=False)}


@dataclass(frozen=True)
class Budget:
    """The bound of the design: on the ratio to the peer, or on our own figure."""

    limit: float
    text: str
    on_ratio: bool = True


def times(limit: float, peer: str) -> Budget:
    """Return the budget of at most `limit` times what the peer takes."""
    return Budget(limit, f"≤ {limit:g} × {peer}")


def at_most(limit: float, text: str) -> Budget:
    """Return a budget for our own figure, in its unit, worded by `text`."""
    return Budget(limit, f"≤ {text}", on_ratio=False)


@dataclass(frozen=True)
class Row:
    """One line of the table. Times are seconds; other figures have a `unit`."""

    name: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    limit: float | None = None
    budget: str = ""
    on_ratio: bool = True
    unit: str = "s"

    @property
    def verdict(self) -> str:
        """`ok` or `over`; empty without a budget, `no peer` where the peer is not installed."""
        judged = self.ratio if self.on_ratio else self.ours
        if self.limit is None:
            return ""
        if judged is None:
            return "no peer"
        return "ok" if judged <= self.limit else "over"


def row(
    name: str,
    ours: float,
    peer: str = "",
    theirs: float | None = None,
    ratio: float | None = None,
    budget: Budget | None = None,
    unit: str = "s",
) -> Row:
    """Return a row; the ratio is that of the two figures unless it is given."""
    if ratio is None and theirs:
        ratio = ours / theirs
    if budget is None:
        return Row(name, ours, peer, theirs, ratio, unit=unit)
    return Row(name, ours, peer, theirs, ratio, budget.limit, budget.text, budget.on_ratio, unit)


@dataclass
class Rounds:
    """The seconds per item of each contender in each round."""

    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def median(self, name: str) -> float:
        """Return a contender's median."""
        return statistics.median(self.seconds[name])

    def ratio(self, mine: str, other: str) -> float:
        """Return the median of the ratios within each round."""
        pairs = zip(self.seconds[mine], self.seconds[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def rows(
        self, name: str, peers: Mapping[str, Budget | None], ours: str = OURS
    ) -> Iterator[Row]:
        """Yield one row for each peer."""
        for peer, budget in peers.items():
            if peer in self.seconds:
                ratio = self.ratio(ours, peer)
                yield row(name, self.median(ours), peer, self.median(peer), ratio, budget)
            else:
                yield row(name, self.median(ours), f"{peer} (not installed)", budget=budget)


def interleave(size: Size, contenders: Mapping[str, Contender]) -> Rounds:
    """Run all contenders in turns, `size.rounds` times after a round to warm up."""
    rounds = Rounds({name: [] for name in contenders})
    order = list(contenders)
    for number in range(0 if size.warm else 1, size.rounds + 1):
        for name in order:
            gc.collect()  # nobody pays for what another one left behind
            seconds = contenders[name]()
            if number:
                rounds.seconds[name].append(seconds)
        order.append(order.pop(0))
    return rounds


def installed(package: str, build: Callable[[], Any]) -> dict[str, Any]:
    """Return what `build` makes under the package's name, or nothing where it is not installed."""
    return {package: build()} if find_spec(package) else {}


def timed(work: Callable[..., object], *arguments: Any, items: int = 1) -> float:
    """Call a function and return the seconds it took per item."""
    start = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - start) / items


def each(call: Callable[[int], object], count: int) -> float:
    """Call a function with 0, 1, 2 and so on, and return the seconds per call."""
    start = time.perf_counter()
    for number in range(count):
        call(number)
    return (time.perf_counter() - start) / count


def paired(name: str, peer: str, pairs: list[tuple[float, float]], budget: Budget | None) -> Row:
    """Return the row of times taken in pairs, ours first."""
    ours, theirs = zip(*pairs, strict=True)
    mine, base = statistics.median(ours), statistics.median(theirs)
    return row(name, mine, peer, base, None, budget)
