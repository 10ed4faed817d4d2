"""Whether a function returns anything, as far as its code tells."""

import dis
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any


def gives_result(fn: Any) -> bool:
    """Whether a function may return something other than `None`, as far as its code tells.

    True as well for code that returns nothing at all because it always raises.
    """
    while isinstance(fn, partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    return code is None or _returns_something(code)


@lru_cache(maxsize=1024)
def _returns_something(code: Any) -> bool:
    ends = False
    for before, last in pairwise(dis.get_instructions(code)):
        ends = ends or last.opname in {"RETURN_CONST", "RETURN_VALUE"}
        if last.opname == "RETURN_CONST" and last.argval is not None:
            return True
        if last.opname == "RETURN_VALUE":
            is_none = before.opname == "LOAD_CONST" and before.argval is None
            if not is_none:
                return True
    return not ends


__all__ = ["gives_result"]
