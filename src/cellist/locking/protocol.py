"""What a lock manager of your own must do."""

from cellist.caching.locks import LockManager

__all__ = ["LockManager"]
