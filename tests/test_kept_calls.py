"""What of a call is kept, so that another kernel can make it again."""

import pickle
from typing import Any

import pytest

from cellist.kept_calls import pickled


class Counted:
    """An element that counts how often one like it is pickled."""

    count = 0

    def __reduce__(self) -> Any:
        Counted.count += 1
        return Counted, ()


@pytest.mark.parametrize(
    "items", [[True] * 300_000, tuple(range(30_000)), ["x"] * 100_000], ids=lambda it: repr(it[:2])
)
def test_long_lists_of_little_are_kept(items: Any) -> None:
    assert pickle.loads(pickled(items)) == items


def test_a_list_that_is_too_large_is_refused_by_a_sample_of_it() -> None:
    Counted.count = 0
    items = [(number, Counted()) for number in range(300_000)]
    with pytest.raises(Exception, match="larger than 1 MB"):
        pickled(items)
    assert Counted.count < 1000


def test_a_list_that_only_its_sample_shows_small_is_refused_too() -> None:
    items: list[Any] = [None] * 100_000
    items[1::2] = range(10**15, 10**15 + 50_000)  # the sample takes each 200th, from the first
    items += [bytes(2**20)]
    with pytest.raises(Exception, match="larger than 1 MB"):
        pickled(items)
