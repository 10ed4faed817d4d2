"""The benchmarks by name, in the order of the table. Importing this imports cellist."""

from collections.abc import Callable, Iterator

from benchmarks import calls, results, runners, scale, source, startup, store
from benchmarks.measure import Row, Size

BENCHMARKS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "direct": calls.direct,
    "submit": calls.submit,
    "async": calls.coroutines,
    "grid": calls.grid,
    "chain": calls.chain,
    "hit": results.hit,
    "miss": results.miss,
    "array": results.array,
    "arguments": results.arguments,
    "source": source.source,
    "startup": startup.startup,
    "scale": scale.scale,
    "store": store.store,
    "runners": runners.runners,
}
