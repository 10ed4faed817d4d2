"""How results become bytes: choose one with `result_serializer=`, by name or as an object.

    @task(result_serializer="json")
    @task(result_serializer=CompressedSerializer("json", compressionlib="zlib"))

The names are "pickle", "json", "compressed/pickle" and "compressed/json". One of your own is a
subclass of `Serializer` with `dumps` and `loads`.
"""

from cellist.caching.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)

__all__ = [
    "CompressedJSONSerializer",
    "CompressedPickleSerializer",
    "CompressedSerializer",
    "JSONSerializer",
    "PickleSerializer",
    "Serializer",
]
