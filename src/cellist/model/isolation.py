"""How far a transaction and a cached task are kept apart from others with the same key."""

from enum import StrEnum


class IsolationLevel(StrEnum):
    """What others with the same key may do meanwhile.

    `READ_COMMITTED`: go on; each sees what had been committed when it looked. `SERIALIZABLE`: wait
    until the one that holds the lock on the key has ended. A cached task without a level waits for
    another run of this process, or a lease of another one, where that cannot lead to a deadlock.
    """

    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"
