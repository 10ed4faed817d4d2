"""Serializers a user may choose for results: how a value becomes bytes, and back.

Without one, results are kept in the exact formats of `formats`. A serializer replaces them: what
is read back is what its `loads` makes of the bytes. The record of a result names its serializer,
so that results written with an earlier choice can still be read. Bytes reach `loads` only after
their signature was checked.
"""

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, cast

from cellist.caching import pickles
from cellist.exceptions import SerializationError

_PLAIN = (str, int, float, bool, type(None))


class Serializer(ABC):
    """Base of all serializers. A subclass defines `dumps(obj) -> bytes` and `loads(blob)`.

    `type` is the name that records keep; by default that of the class. Options that are plain
    data, set as attributes, are kept beside it and set again when a result is read.
    """

    type: str = ""
    _known: ClassVar[dict[str, "type[Serializer]"]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("type"):
            cls.type = cls.__name__
        Serializer._known[cls.type] = cls

    @abstractmethod
    def dumps(self, obj: Any) -> bytes:
        """Return the object as bytes."""

    @abstractmethod
    def loads(self, blob: bytes) -> Any:
        """Return the object that the bytes stand for."""

    def spec(self) -> dict[str, Any]:
        """Return what a record keeps of the serializer: its type and its plain options."""
        options = {name: value for name, value in vars(self).items() if _is_plain(value)}
        return {**options, "type": self.type}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Serializer":
        """Return the serializer a record names.

        Raises `SerializationError` if this session defines none of that type.
        """
        kind = cls._known.get(str(spec.get("type")))
        if kind is None:
            message = f"it was written with the serializer {spec.get('type')!r}, not defined here"
            raise SerializationError(message)
        return kind._made_from({name: spec[name] for name in spec if name != "type"})

    @classmethod
    def _made_from(cls, options: dict[str, Any]) -> "Serializer":
        made = cls.__new__(cls)
        vars(made).update(options)
        return made

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return all(isinstance(key, str) and _is_plain(entries[key]) for key in entries)
    if isinstance(value, list):
        return all(map(_is_plain, cast("list[Any]", value)))
    return isinstance(value, _PLAIN)


class PickleSerializer(Serializer):
    """Pickles. `picklelib` names another module with `dumps` and `loads`, such as `cloudpickle`.

    By default functions and classes of a notebook are referred to by name: a class pickled by
    value would come back as another class, a function with a private copy of its globals.
    """

    type = "pickle"

    def __init__(self, picklelib: str = "pickle") -> None:
        _library(picklelib, "picklelib", ("dumps", "loads"))
        self.picklelib = picklelib

    def dumps(self, obj: Any) -> bytes:
        """Return the pickle. Raises `SerializationError` naming the part that has none."""
        if self.picklelib == "pickle":
            return pickles.dump_whole(obj)
        return import_module(self.picklelib).dumps(obj)

    def loads(self, blob: bytes) -> Any:
        """Return the object. The bytes run code: give only what you or your own store wrote."""
        if self.picklelib == "pickle":
            return pickle.loads(blob)  # noqa: S301 - a store gives only bytes whose signature fits
        return import_module(self.picklelib).loads(blob)


class JSONSerializer(Serializer):
    """JSON: what is read back is what JSON says, a list for a tuple, text for a number as key.

    `object_encoder` is called for objects JSON does not know and returns something it does;
    `object_decoder` is called with each object read back. Both are functions of a module or
    notebook, or dotted paths to some: records keep their names. `dumps_kwargs` and
    `loads_kwargs` go to the functions of the `json` module.
    """

    type = "json"

    def __init__(
        self,
        object_encoder: str | Callable[[Any], Any] | None = None,
        object_decoder: str | Callable[[dict[str, Any]], Any] | None = None,
        dumps_kwargs: dict[str, Any] | None = None,
        loads_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.dumps_kwargs = dict(dumps_kwargs or {})
        self.loads_kwargs = dict(loads_kwargs or {})
        for name, option, given in (
            ("default", "object_encoder", self.dumps_kwargs),
            ("object_hook", "object_decoder", self.loads_kwargs),
        ):
            if name in given:
                message = f"`{name}` cannot be among the keywords: use `{option}` instead."
                raise ValueError(message)
        self.object_encoder = object_encoder
        self.object_decoder = object_decoder

    def dumps(self, obj: Any) -> bytes:
        """Return the object as JSON. Raises `SerializationError` if JSON has no form for it."""
        try:
            return json.dumps(
                obj, default=_function(self.object_encoder), **self.dumps_kwargs
            ).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError) as error:
            message = f"it has no form in JSON ({error})"
            raise SerializationError(message) from error

    def spec(self) -> dict[str, Any]:
        """Return the options, functions by name. Raises `SerializationError` for a nameless one."""
        functions = {
            name: _path(getattr(self, name)) for name in ("object_encoder", "object_decoder")
        }
        return {**super().spec(), **functions}

    def loads(self, blob: bytes) -> Any:
        """Return what the JSON says."""
        text = str(blob, "utf-8", "surrogatepass")
        return json.loads(text, object_hook=_function(self.object_decoder), **self.loads_kwargs)


class CompressedSerializer(Serializer):
    """Another serializer's bytes, compressed. `compressionlib` is a module such as `lzma`.

    The module needs `compress` and `decompress`. `serializer` is a serializer or its name.
    """

    type = "compressed"

    def __init__(self, serializer: Serializer | str, compressionlib: str = "lzma") -> None:
        _library(compressionlib, "compressionlib", ("compress", "decompress"))
        self.serializer = serializer_of(serializer)
        self.compressionlib = compressionlib

    def dumps(self, obj: Any) -> bytes:
        """Return the compressed bytes."""
        return import_module(self.compressionlib).compress(self.serializer.dumps(obj))

    def loads(self, blob: bytes) -> Any:
        """Return the object that the compressed bytes stand for."""
        return self.serializer.loads(import_module(self.compressionlib).decompress(blob))

    def spec(self) -> dict[str, Any]:
        """Return the type, the library and the spec of the serializer inside."""
        return {**super().spec(), "serializer": self.serializer.spec()}

    @classmethod
    def _made_from(cls, options: dict[str, Any]) -> Serializer:
        inner = Serializer.from_spec(options["serializer"])
        return super()._made_from({**options, "serializer": inner})


class CompressedPickleSerializer(CompressedSerializer):
    """Compressed pickles."""

    type = "compressed/pickle"

    def __init__(
        self, serializer: Serializer | str | None = None, compressionlib: str = "lzma"
    ) -> None:
        super().__init__(serializer or PickleSerializer(), compressionlib)


class CompressedJSONSerializer(CompressedSerializer):
    """Compressed JSON."""

    type = "compressed/json"

    def __init__(
        self, serializer: Serializer | str | None = None, compressionlib: str = "lzma"
    ) -> None:
        super().__init__(serializer or JSONSerializer(), compressionlib)


def _library(name: object, option: str, needed: tuple[str, ...]) -> None:
    """Raise `ValueError` unless the name is that of a module with these functions."""
    if not isinstance(name, str):
        message = f"`{option}` must be the name of a module, got {name!r}."
        raise ValueError(message)  # noqa: TRY004 - one class for all that can be wrong with it
    try:
        module = import_module(name)
    except ImportError as error:
        message = f"`{option}` names the module {name!r}, which cannot be imported: {error}."
        raise ValueError(message) from error
    missing = [function for function in needed if not callable(getattr(module, function, None))]
    if missing:
        message = f"The module {name!r} given as `{option}` has no `{missing[0]}`."
        raise ValueError(message)


def _function(given: str | Callable[..., Any] | None) -> Callable[..., Any] | None:
    if not isinstance(given, str):
        return given
    module, _, name = given.rpartition(".")
    return getattr(import_module(module), name)


def _path(given: Any) -> str | None:
    """Return the dotted path of a function."""
    if given is None or isinstance(given, str):
        return given
    path = f"{given.__module__}.{given.__qualname__}"
    if "<" in path:
        message = f"the function {path} of its serializer has no name it could be found by"
        raise SerializationError(message)
    return path


def serializer_of(given: Any, owner: str = "") -> Serializer:
    """Return a serializer from itself, its class, or the name of one.

    Raises `ValueError` for an unknown name and `TypeError` for anything else, naming `owner`.
    """
    of = f" of {owner}" if owner else ""
    if isinstance(given, Serializer):
        return given
    if isinstance(given, str):
        kind = Serializer._known.get(given)  # pyright: ignore[reportPrivateUsage] - of this module
        if kind is None:
            known = ", ".join(sorted(Serializer._known))  # pyright: ignore[reportPrivateUsage] - as above
            message = f"`result_serializer`{of} is {given!r}; the names are {known}."
            raise ValueError(message)
        given = kind
    if isinstance(given, type) and issubclass(given, Serializer):
        return given()
    message = (
        f"`result_serializer`{of} must be a serializer or the name of one, such as 'json', "
        f"got {given!r:.60}."
    )
    raise TypeError(message)
