"""What results are known by, where they are kept, and why one was or was not found."""

from cellist.caching import source as source  # so that code has one digest from the beginning
from cellist.caching.digests import digest_value

__all__ = ["digest_value"]
