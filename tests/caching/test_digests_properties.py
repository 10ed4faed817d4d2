"""Properties of digests over generated values: copies agree, one change differs."""

import copy
import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cellist.caching.digests import Digester, digest_value


class Box:
    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.dates()
    | st.datetimes()
    | st.uuids()
)
keys = st.booleans() | st.integers() | st.text() | st.binary()
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=20)
        | st.frozensets(keys, max_size=20)
        | st.lists(st.integers() | st.text(), max_size=40)
        | st.builds(Box, a=inner, b=inner)
    ),
    max_leaves=30,
)


def _places(value: Any) -> list[Any]:
    """Every list, dict and Box within a value that can be changed in place."""
    found: list[Any] = []
    if isinstance(value, Box):
        found.append(value)
        parts: Any = vars(value).values()
    elif isinstance(value, dict):
        found.append(value)
        parts = value.values()
    elif isinstance(value, list | tuple):
        found += [value] if isinstance(value, list) else []
        parts = value
    else:
        return found
    for part in parts:
        found += _places(part)
    return found


@given(values)
def test_copies_and_restored_values_agree(value: Any) -> None:
    expected = digest_value(value)
    assert digest_value(copy.deepcopy(value)) == expected
    assert digest_value(pickle.loads(pickle.dumps(value))) == expected
    assert Digester().digest([value, value]) == digest_value([value, copy.deepcopy(value)])


@given(values, st.data())
def test_one_mutation_differs(value: Any, data: st.DataObject) -> None:
    value = [value]
    before = digest_value(value)
    place = data.draw(st.sampled_from(_places(value)))
    if isinstance(place, list):
        place.insert(data.draw(st.integers(0, len(place))), ("new",))
    elif isinstance(place, dict):
        place["a new key that is there only now"] = None
    else:
        place.new = None
    assert digest_value(value) != before


@given(st.lists(atoms, min_size=1, max_size=40), st.data())
def test_one_other_atom_differs(items: list[Any], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    other = data.draw(atoms)
    changed = [*items[:index], other, *items[index + 1 :]]
    same = digest_value(items[index]) == digest_value(other)
    assert (digest_value(items) == digest_value(changed)) == same
