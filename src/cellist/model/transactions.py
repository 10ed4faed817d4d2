"""What a transaction can be in, and when it is committed."""

from enum import StrEnum


class TransactionState(StrEnum):
    """Where a transaction stands. The last two are final."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


class CommitMode(StrEnum):
    """When a transaction is committed.

    `LAZY`: with the outermost one. `EAGER`: at its own end. `OFF`: only if somebody calls
    `commit`; else it is rolled back at the end.
    """

    EAGER = "EAGER"
    LAZY = "LAZY"
    OFF = "OFF"
