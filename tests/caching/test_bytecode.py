"""What code objects say by themselves: the globals they look up."""

import dis
from types import CodeType

import pytest

from cellist.caching.bytecode import global_names

MANY = 700
"""So many names that their numbers take more than a byte."""
_CALLS = "".join(f" g{n}(a{n}.b{n})\n" for n in range(MANY))
_READS = {f"{letter}{n}" for letter in "ga" for n in range(MANY)}


def definition(text: str) -> CodeType:
    """Return the code of the only definition in a text."""
    whole = compile(text, "text", "exec")
    return next(one for one in whole.co_consts if isinstance(one, CodeType))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"def f():\n{_CALLS}", _READS),
        (f"class C:\n{_CALLS} own = a0\n own2 = own", _READS),
        (f"def f():\n{_CALLS} global last\n last = 1", _READS | {"last"}),
        (f"def f():\n{_CALLS} global last\n del last", _READS | {"last"}),
        (f"def f():\n def g():\n  def h():\n   return deep\n{_CALLS}", _READS | {"deep"}),
        ("def f(a):\n return a.b.c", set[str]()),
    ],
    ids=["function", "class body", "written", "deleted", "nested", "attributes"],
)
def test_globals_of_code_are_found_however_many_there_are(text: str, names: set[str]) -> None:
    code = definition(text)
    assert dis.EXTENDED_ARG in code.co_code[::2] or not names
    assert global_names(code) == names
