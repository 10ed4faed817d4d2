"""Locks among all processes that can reach a directory."""

from cellist.caching.leases import FileSystemLockManager

__all__ = ["FileSystemLockManager"]
