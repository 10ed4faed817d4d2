"""Which results to give up when the store outgrows its budget.

What is cheap to compute again, large, and long unused goes first. Results used in this session
stay: a notebook that needs more than the budget would otherwise push out, on every run, exactly
what the next run needs. So does what other kernels used that are still there.
"""

import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from cellist.caching.listing import Listed

MOST = 10 * 2**30
"""Bytes of the default budget, or less on a small disk."""
_SHARE = 10  # of the disk: a tenth
_HOUR = 3600.0
_RECENT = 86_400.0
_LOW_WATER = 0.9


def worth(entry: Listed, now: float) -> float:
    """Return how much it is worth to keep the entry: seconds saved per byte, fading with time."""
    unused = max(0.0, now - max(entry.used, entry.created))
    return (entry.tag.seconds + 0.05) / (entry.size + 4096) / (1 + unused / _HOUR)


def victims(
    entries: Iterable[Listed],
    pinned: Container[str],
    pinned_by_others: Container[str],
    excess: int,
    now: float,
) -> Iterator[Listed]:
    """Yield entries to delete, least worth first, until `excess` bytes are found.

    What other kernels have used counts as pinned for a day: they may have been left open.
    """

    def stays(entry: Listed) -> bool:
        is_recent = now - max(entry.used, entry.created) < _RECENT
        return entry.key in pinned or (is_recent and entry.key in pinned_by_others)

    candidates = [entry for entry in entries if not stays(entry)]
    candidates.sort(key=lambda entry: worth(entry, now))
    for entry in candidates:
        if excess <= 0:
            return
        excess -= entry.size
        yield entry


def default_budget(directory: Path) -> int:
    """Return how many bytes the results in a directory may take. Raises `OSError`."""
    return min(MOST, shutil.disk_usage(directory).total // _SHARE)


def excess_bytes(used: int, budget: int) -> int:
    """Return how many bytes must go: down to nine tenths, so that not every write collects."""
    return used - int(budget * _LOW_WATER) if used > budget else 0
