"""Which results to give up when the store outgrows its budget.

What is cheap to compute again, large, and long unused goes first. Results used in this session
stay: a notebook that needs more than the budget would otherwise push out, on every run, exactly
what the next run needs.
"""

from collections.abc import Container, Iterable, Iterator

from cellist.caching.index import Listed

_HOUR = 3600.0
_LOW_WATER = 0.9


def worth(entry: Listed, now: float) -> float:
    """Return how much it is worth to keep the entry: seconds saved per byte, fading with time."""
    unused = max(0.0, now - max(entry.used, entry.created))
    return (entry.tag.seconds + 0.05) / (entry.size + 4096) / (1 + unused / _HOUR)


def victims(
    entries: Iterable[Listed], pinned: Container[str], excess: int, now: float
) -> Iterator[Listed]:
    """Yield entries to delete, least worth first, until `excess` bytes are found."""
    candidates = [entry for entry in entries if entry.key not in pinned]
    candidates.sort(key=lambda entry: worth(entry, now))
    for entry in candidates:
        if excess <= 0:
            return
        excess -= entry.size
        yield entry


def excess_bytes(used: int, budget: int) -> int:
    """Return how many bytes must go: down to nine tenths, so that not every write collects."""
    return used - int(budget * _LOW_WATER) if used > budget else 0
