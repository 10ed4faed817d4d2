"""Arrays that share memory: on a hit they must share it again.

An output that lies within an input is made again as a view of the live input. Outputs that lie
within one block of memory are made again as views of one block, stored once, whether the array that
owns it has a name or not. Anything else that overlaps is told, and then nothing is kept.
"""

import pickle
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


class Arrays:
    """The arrays among the inputs and outputs of a cell."""

    def __init__(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self._inputs = [value for value in inputs.values() if _is_plain(value)]
        self._outputs = {name: value for name, value in outputs.items() if _is_array(value)}
        owners: dict[int, list[Any]] = {}
        for value in self._outputs.values():
            if _is_plain(value):
                owner = _owner(value)
                if _is_plain(owner):
                    owners.setdefault(id(owner), [owner]).append(value)
        self._owners = {
            key: owner
            for key, (owner, *views) in owners.items()
            if any(view is owner for view in views) or len(views) > 1
        }
        """Arrays that own memory which outputs lie in; one view alone is stored as an array."""

    def made_of(self, value: Any) -> Any:
        """Return how an array is made again, as `__reduce__` does, `None` as any array is."""
        if _is_array(value) and isinstance(value, _numpy().memmap):
            message = "an array in a file, which a copy would not be"
            raise pickle.PicklingError(message)
        if not _is_plain(value, contiguous=False):
            return None
        base = self._base(value)
        if base is None:
            return self._made_alone(value)
        if base is value:  # views of it are made after it, whatever else refers to it
            make = _owned if value.flags.writeable else _read_only
            return make, (value.dtype, value.shape, pickle.PickleBuffer(_memory(value)))
        offset = _address(value) - _address(base)
        view = (base, value.dtype, value.shape, value.strides, offset, value.flags.writeable)
        return _view, view

    def _made_alone(self, value: Any) -> Any:
        """Return how an array that shares nothing is made again, if that needs a word."""
        is_plain = value.flags.writeable and value.base is not None
        if is_plain or not value.flags.c_contiguous:
            return None
        make = _owned if value.flags.writeable else _read_only
        return make, (value.dtype, value.shape, pickle.PickleBuffer(_memory(value)))

    def _base(self, value: Any) -> Any:
        """Return the array that another one is to be a view of, itself if it owns memory."""
        first, last = _bounds(value)
        for base in self._inputs:
            low, high = _bounds(base)
            if low <= first and last <= high and first < last:
                return base
        return self._owners.get(id(_owner(value)))

    def overlap(self) -> str | None:
        """Return in words which arrays share memory in a way that would not come back."""
        names = list(self._outputs)
        for position, name in enumerate(names):
            value = self._outputs[name]
            others = [(other, self._outputs[other]) for other in names[position + 1 :]]
            others += [("an input", array) for array in self._inputs]
            for other, array in others:
                if array is value or not _numpy().may_share_memory(value, array):
                    continue
                bases = [self._base(one) if _is_plain(one, contiguous=False) else None
                         for one in (value, array)]  # fmt: skip
                if bases[0] is None or (bases[0] is not bases[1] and bases[0] is not array):
                    shown = other if other == "an input" else f"`{other}`"
                    return f"`{name}` shares memory with {shown}: take a copy, `{name}.copy()`"
        return None


def _numpy() -> Any:
    return import_module("numpy")


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_plain(value: Any, *, contiguous: bool = True) -> bool:
    """Whether a value is an array of plain memory, by itself or as a view."""
    return (
        _is_array(value)
        and type(value) is _numpy().ndarray
        and not value.dtype.hasobject
        and value.dtype.itemsize > 0
        and (value.flags.c_contiguous or not contiguous)
    )


def _owner(array: Any) -> Any:
    """Return the array that owns the memory of a view."""
    while _is_array(array.base):
        array = array.base
    return array


def _address(array: Any) -> int:
    return array.__array_interface__["data"][0]


def _bounds(array: Any) -> tuple[int, int]:
    """Return the addresses where the memory of an array begins and ends."""
    low = high = _address(array)
    if not array.size:
        return low, high
    for length, stride in zip(array.shape, array.strides, strict=True):
        reach = (length - 1) * stride
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    return low, high + array.itemsize


def _memory(array: Any) -> Any:
    """Return the bytes of an array: not every dtype goes through the buffer protocol."""
    return array.reshape(-1).view(_numpy().uint8)


def _owned(dtype: Any, shape: Any, buffer: Any) -> Any:
    """Return an array that owns its memory."""
    numpy = _numpy()
    array = numpy.empty(shape, dtype)
    _memory(array)[:] = numpy.frombuffer(buffer, numpy.uint8)
    return array


def _read_only(dtype: Any, shape: Any, buffer: Any) -> Any:
    array = _owned(dtype, shape, buffer)
    array.flags.writeable = False
    return array


def _view(base: Any, dtype: Any, shape: Any, strides: Any, offset: int, writeable: bool) -> Any:
    view = _numpy().ndarray(shape, dtype, _memory(base), offset, strides)
    if not writeable:
        view.flags.writeable = False
    return view
