"""What code objects say by themselves.

Which code they hold, whether two of them do the same, which globals they look up, and what stands
for code that has no text.
"""

import dis
import hashlib
import re
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, cast

from cellist.caching.syntax import Shape
from cellist.caching.tree_parts import Chain

CO_NESTED = 0x10
"""The flag of code that stands in a function."""


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield all code objects within one, at any depth."""
    pending = [code]
    while pending:
        current = pending.pop()
        for constant in current.co_consts:
            if isinstance(constant, CodeType):
                pending.append(constant)
                yield constant


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand and whatever they are called."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_argcount == other.co_argcount
        and one.co_posonlyargcount == other.co_posonlyargcount
        and one.co_kwonlyargcount == other.co_kwonlyargcount
        and (one.co_flags | CO_NESTED) == (other.co_flags | CO_NESTED)
        and one.co_exceptiontable == other.co_exceptiontable
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return one.co_name == other.co_name and same_code(one, other)
    if isinstance(one, tuple):
        ours, theirs = cast("tuple[Any, ...]", one), cast("tuple[Any, ...]", other)
        return len(ours) == len(theirs) and all(map(_same_constant, ours, theirs))
    if isinstance(one, frozenset):
        return _members(one) == _members(other)
    if isinstance(one, (float, complex)):
        return repr(one) == repr(other)  # 0.0 is not -0.0, and nan is nan
    return one == other


def _members(value: Any) -> list[str]:
    return sorted(map(_typed, value))


def _typed(value: object) -> str:
    return f"{type(value).__name__}:{value!r}"


_LOAD_GLOBAL = dis.opmap["LOAD_GLOBAL"]
_OTHER_READS = frozenset(
    dis.opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in dis.opmap
)
_GLOBAL_WRITES = frozenset({dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]})
_STORE_NAME = dis.opmap["STORE_NAME"]
_ON_NAMES = re.compile(
    b"[%b]" % re.escape(bytes([_LOAD_GLOBAL, *_OTHER_READS, *_GLOBAL_WRITES, _STORE_NAME]))
)
"""Instructions that name a global or the like."""
_SET_UP = frozenset({"__name__", "__annotations__"})
"""Names a class body reads of its own accord: for `__module__`, and for what it annotates."""


def global_names(code: CodeType) -> set[str]:
    """Return the names the code and the code nested in it look up as globals."""
    found: set[str] = set()
    for current in (code, *nested(code)):
        names = current.co_names
        if not names:
            continue
        raw = current.co_code
        operations, arguments = raw[::2], raw[1::2]
        stored: set[str] = set()
        read: set[str] = set()
        for match in _ON_NAMES.finditer(operations):
            place = first = match.start()
            argument = arguments[place]
            while first and operations[first - 1] == dis.EXTENDED_ARG:  # it extends the argument
                first -= 1
                argument |= arguments[first] << 8 * (place - first)
            operation = operations[place]
            if operation == _LOAD_GLOBAL:  # its lowest bit says that a null is pushed
                found.add(names[argument >> 1])
            elif operation in _OTHER_READS:
                read.add(names[argument])
            elif operation in _GLOBAL_WRITES:
                found.add(names[argument])
            else:
                stored.add(names[argument])
        found |= read - stored - _SET_UP
    return found


def shape_of_code(code: CodeType) -> Shape:
    """Return the shape of code that has no text: its instructions, under this Python only."""
    chains: set[Chain] = set()
    reads: set[str] = set()
    for current in (code, *nested(code)):
        chain: tuple[str, ...] = ()
        for instruction in dis.get_instructions(current):
            name = instruction.opname
            if name in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"}:
                chains.add(chain)
                chain = (str(instruction.argval),)
            elif chain and name in {"LOAD_ATTR", "LOAD_METHOD"}:
                chain += (str(instruction.argval),)
            elif name not in {"PUSH_NULL", "PRECALL", "CACHE"}:
                chains.add(chain)
                chain = ()
        reads.update(current.co_names)
    digest = hashlib.sha256(_instructions(code).encode("utf-8", "surrogatepass")).hexdigest()
    nothing: frozenset[Chain] = frozenset()
    return Shape(digest, (), frozenset(chains - {()}), nothing, (), nothing, frozenset(reads))


def _instructions(code: CodeType) -> str:
    constants: list[str] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_instructions(constant))
        elif isinstance(constant, frozenset):
            constants.append(f"frozenset:{_members(constant)}")
        else:
            constants.append(_typed(constant))
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    parts = (sys.version_info[:2], code.co_code.hex(), constants, arguments, names)
    return repr(parts)
