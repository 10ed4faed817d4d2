"""What a user decides over the cache, as the history keeps it."""

from typing import NamedTuple


class Decision(NamedTuple):
    """One decision. `kind` is refresh, accept or undo; `at` is nanoseconds since the epoch.

    `results` is how many stored results it is about.
    """

    at: int
    kind: str
    task: str
    because: str = ""
    results: int = 0
    who: str = ""
