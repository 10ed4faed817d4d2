"""What a class of the user's is made of, whatever made it: plain, dataclass, enum, pydantic, tuple.

Taken from the class object, never from its text: in a kernel a class has no source, and what
decorators and metaclasses did is only in the object. Methods that a library generated follow from
the fields and are left out; so is everything Python keeps in a class for itself.
"""

import abc
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, cast

from cellist.caching.packages import home_of_globals
from cellist.caching.reach import Part, is_function

_BOOKKEEPING = frozenset(
    {
        "__module__",
        "__qualname__",
        "__dict__",
        "__weakref__",
        "__doc__",
        "__firstlineno__",
        "__slotnames__",  # what `copyreg` leaves behind when an instance is copied
        "__static_attributes__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__abstractmethods__",
        "__parameters__",
        "__orig_bases__",
        "__type_params__",
        "__classcell__",
        "__classdictcell__",
        "__final__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__attrs_attrs__",
        "__attrs_props__",
        "__attrs_own_setattr__",
        "__protocol_attrs__",
        "__non_callable_proto_members__",
        "__callable_proto_members_only__",
        "__mutable_keys__",
        "__readonly_keys__",
        "__fields__",
        "__signature__",
        "__class_vars__",
        "__private_attributes__",
        "_abc_impl",
        "_is_protocol",
        "_is_runtime_protocol",
        "model_fields",
        "model_computed_fields",
    }
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_FIELD_FLAGS = ("init", "repr", "hash", "compare", "kw_only")
_PARAMS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")


def class_parts(cls: type[Any], *, family: bool = False) -> Iterator[Part]:
    """Yield bases, metaclass, entries and fields of a class, and with `family` its subclasses."""
    for number, base in enumerate(cls.__bases__):
        if base is not object:
            yield Part("inner", f"base {number}", base)
    if type(cls) is not type:
        yield Part("inner", "metaclass", type(cls))
    yield from _relations(cls)
    if family:
        for number, subclass in enumerate(filter(_is_current, type.__subclasses__(cls))):
            yield Part("inner", f"subclass {number}", subclass)
    yield from _entries(cls)
    yield from _annotations(cls)
    yield from _dataclass_parts(cls)
    yield from _model_parts(cls)
    yield from _attrs_parts(cls)


def _relations(cls: type[Any]) -> Iterator[Part]:
    """Yield what generic bases were given, and who was registered with an abstract class."""
    for number, base in enumerate(vars(cls).get("__orig_bases__") or ()):
        if hasattr(base, "__origin__"):
            yield Part("inner", f"base {number} as written", base)
    if vars(cls).get("_is_runtime_protocol") and cls is not typing.Protocol:
        yield Part("inner", "runtime_checkable", True)
    if isinstance(cls, abc.ABCMeta):
        if cls.__abstractmethods__:
            yield Part("inner", "abstract", tuple(sorted(cls.__abstractmethods__)))
        for number, registered in enumerate(_registered(cls)):
            yield Part("inner", f"registered {number}", registered)


def _registered(cls: type[Any]) -> list[type[Any]]:
    """Return the classes registered as virtual subclasses of an abstract one."""
    dump: Any = getattr(abc, "_get_dump", None)  # CPython only, and only for `_abc` in C
    found = [reference() for reference in dump(cls)[0]] if dump is not None else []
    current = (one for one in found if one is not None and _is_current(one))
    return sorted(current, key=lambda one: (one.__module__, one.__qualname__))


def _is_current(cls: type[Any]) -> bool:
    """Whether a class is what its name stands for, and no earlier version that still lingers."""
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        if name == "<locals>":
            return True
        found = getattr(found, name, None)
    return found is cls


def _entries(cls: type[Any]) -> Iterator[Part]:
    members: dict[str, Any] | None = None
    if isinstance(cls, enum.EnumMeta):
        members = dict(cast("Any", cls).__members__)
        for name, member in members.items():
            yield Part("global", name, member.value)
        yield Part("inner", "member order", tuple(members))
        boundary = vars(cls).get("_boundary_")
        if boundary is not None:
            yield Part("inner", "boundary", str(boundary.name))
    for name, value in sorted(vars(cls).items(), key=itemgetter(0)):
        if name in _BOOKKEEPING or name.startswith("__pydantic_"):
            continue
        if members is not None and (name in members or not _of_the_user(name, value)):
            continue
        if not _is_generated(cls, name, value):
            yield Part("global", name, value)


def _annotations(cls: type[Any]) -> Iterator[Part]:
    if sys.version_info >= (3, 14):
        try:
            found = cls.__annotations__ if "__annotate_func__" in vars(cls) else {}
        except Exception:  # they are code there, and may refer to what does not exist yet
            found = {}
    else:
        found: dict[str, Any] = vars(cls).get("__annotations__") or {}
    for name, annotation in found.items():
        yield Part("inner", f"annotation {name}", annotation)
    yield Part("inner", "annotated", tuple(found))


def _dataclass_parts(cls: type[Any]) -> Iterator[Part]:
    params = vars(cls).get("__dataclass_params__")
    if params is None:
        return
    yield Part("inner", "dataclass", tuple(bool(getattr(params, name)) for name in _PARAMS))
    for field in vars(cls)["__dataclass_fields__"].values():
        flags = tuple(getattr(field, name) is True for name in _FIELD_FLAGS)
        kind = field._field_type.name if field.hash is not False else "_NOT_HASHED"
        yield Part("inner", f"field {field.name}", (flags, kind))
        for what in ("default", "default_factory"):
            value = getattr(field, what)
            if value is not dataclasses.MISSING:
                yield Part("global", f"{field.name} {what}", value)
        if field.metadata:
            yield Part("inner", f"metadata {field.name}", dict(field.metadata))


def _model_parts(cls: type[Any]) -> Iterator[Part]:
    """Yield what pydantic read from a model's body: fields, private attributes and validators."""
    fields = vars(cls).get("__pydantic_fields__")
    if not isinstance(fields, dict):
        return
    for name, field in cast("dict[str, Any]", fields).items():
        yield Part("inner", f"type of {name}", field.annotation)
        yield Part("inner", f"metadata {name}", list(field.metadata))
        given: dict[str, Any] = getattr(field, "_attributes_set", {})
        for what, value in sorted(given.items()):
            if what != "annotation":
                yield Part("global", f"{name} {what}", value)
        if "default" not in given:
            yield Part("global", f"{name} default", _plain_default(field.default))
    privates: dict[str, Any] = vars(cls).get("__private_attributes__") or {}
    for name, private in sorted(privates.items()):
        yield Part("global", f"{name} default", _plain_default(private.default))
        yield Part("global", f"{name} default_factory", private.default_factory)
    yield from _validators(vars(cls).get("__pydantic_decorators__"))


def _validators(decorators: object) -> Iterator[Part]:
    """Yield what a model's validators and serializers apply to; their functions are entries."""
    groups = dir(decorators) if decorators is not None else []
    for group in groups:
        found: Any = None if group.startswith("_") else getattr(decorators, group)
        if not isinstance(found, dict):
            continue
        for name, entry in sorted(cast("dict[str, Any]", found).items()):
            info = entry.info
            facts = (str(getattr(info, "mode", "")), tuple(getattr(info, "fields", ())))
            yield Part("inner", f"{group} {name}", facts)


def _plain_default(value: Any) -> Any:
    """Return a pydantic default; the marker for none at all counts as its name."""
    return "undefined" if type(value).__name__ == "PydanticUndefinedType" else value


_ATTRIBUTE_FACTS = (
    *("default", "validator", "converter", "init", "kw_only", "repr", "alias", "on_setattr"),
    *("eq", "eq_key", "order", "order_key", "hash"),
)


def _attrs_parts(cls: type[Any]) -> Iterator[Part]:
    if "__attrs_attrs__" in vars(cls):
        made = (name for name, value in vars(cls).items() if _is_of_attrs(value))
        yield Part("inner", "made by attrs", tuple(sorted(made)))
    for attribute in vars(cls).get("__attrs_attrs__") or ():
        for what in _ATTRIBUTE_FACTS:
            value = getattr(attribute, what, None)
            factory = getattr(value, "factory", None)
            nothing = type(value).__name__ in {"_Nothing", "NothingType"}
            label = f"{attribute.name} {what}"
            yield Part("global", label, "nothing" if nothing else factory or value)
        if attribute.metadata:
            yield Part("inner", f"metadata {attribute.name}", dict(attribute.metadata))


def _is_of_attrs(value: Any) -> bool:
    return is_function(value) and value.__code__.co_filename.startswith("<attrs generated")


def _of_the_user(name: str, value: Any) -> bool:
    """Whether an entry of an enum was written by the user, or put there by `enum`."""
    value = getattr(value, "__func__", getattr(value, "fget", value))
    if is_function(value):
        return home_of_globals(value.__globals__).tracked
    return not name.startswith("_") and type(value).__module__ != "enum"


def _is_generated(cls: type[Any], name: str, value: Any) -> bool:
    """Whether an entry is what Python or a library derives from what is counted elsewhere."""
    if isinstance(value, _SLOTS) or type(value).__name__ == "_tuplegetter":
        return True
    function = getattr(value, "__func__", value)
    if not (is_function(function) and home_of_globals(function.__globals__).tracked):
        function = getattr(function, "__wrapped__", function)
    if not is_function(function):
        if name == "__init__" and value is object.__init__:
            return True  # put there by Protocol when the first instance is made
        return name == "__hash__" and value is None and "__eq__" in vars(cls)
    if name == "__replace__" and not home_of_globals(function.__globals__).tracked:
        return True  # from Python 3.13 on
    if _is_of_attrs(function):
        return True
    filename = function.__code__.co_filename
    if filename == "<string>" and name.startswith("__") and "__dataclass_fields__" in vars(cls):
        return True
    if "_fields" in vars(cls) and tuple in cls.__mro__:
        made = function.__globals__.get("__name__", "")
        return str(made).startswith("namedtuple_") or made in {"collections", "typing"}
    return home_of_globals(function.__globals__).package == "stdlib" and name in {
        "__subclasshook__",
        "__replace__",
        "__init__",
        "__class_getitem__",
        "__reduce_ex__",
    }
