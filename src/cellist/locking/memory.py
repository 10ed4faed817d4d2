"""Locks among the threads and event loops of one process."""

from cellist.caching.locks import MemoryLockManager

__all__ = ["MemoryLockManager"]
