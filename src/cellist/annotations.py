"""Wrappers that say how an argument is to be treated: `unmapped`, `allow_failure`, `quote`."""

from cellist.model.annotations import (
    BaseAnnotation,
    NotSet,
    allow_failure,
    freeze,
    opaque,
    quote,
    unmapped,
)

Quote = quote

__all__ = [
    "BaseAnnotation",
    "NotSet",
    "Quote",
    "allow_failure",
    "freeze",
    "opaque",
    "quote",
    "unmapped",
]
