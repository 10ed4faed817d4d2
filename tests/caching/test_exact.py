"""A value that pickle does not keep whole is refused, by the name of the part; see `exact`."""

import random
from typing import Any

import numpy as np
import numpy.random.mtrand as mtrand
import pytest

from cellist import task
from cellist.exceptions import SerializationError
from cellist.session import get_session
from tests.caching.faulty import back


class Unit(np.ndarray[Any, Any]):
    """An array with an attribute that `ndarray.__reduce__` knows nothing of."""

    unit: str | None

    def __array_finalize__(self, obj: Any) -> None:
        self.unit = getattr(obj, "unit", None)


class Saying(Unit):
    """The same, whose author says how it is made again."""

    def __reduce__(self) -> Any:
        return np.array, (self.tolist(),)


class Reversed(list[int]):
    def __iter__(self) -> Any:
        return reversed(list(range(len(self))))


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


class Bomb:
    loaded = 0

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> Bomb:
    Bomb.loaded += 1
    return Bomb()


def unit(text: str | None, kind: type[Unit] = Unit) -> Unit:
    array = np.arange(3.0).view(kind)
    array.unit = text
    return array


def caused() -> Exception:
    try:
        raise ValueError(1) from KeyError(2)
    except ValueError as error:
        return error


FORGOTTEN = {
    "an attribute of an array": (lambda: unit("m"), "`result.unit`"),
    "an attribute deep inside": (lambda: {"a": [Plain(unit("m"))]}, "`result['a'][0].value.unit`"),
    "a hard mask": (lambda: np.ma.array([1], hard_mask=True), "`result._hardmask`"),
    "a cause": (lambda: [caused()], "`result[0]`"),
    "what a list gives out": (lambda: Reversed([5, 6]), "Reversed"),
    "what cannot be made again": (lambda: np.finfo("f4"), "cannot be loaded again"),
}


@pytest.mark.parametrize("case", FORGOTTEN)
def test_what_pickle_forgets_is_refused(case: str) -> None:
    make, culprit = FORGOTTEN[case]
    with pytest.raises(SerializationError) as caught:
        back(make())
    assert culprit in str(caught.value)


def test_what_is_whole_is_kept() -> None:
    assert back([unit(None)])[1][0].unit is None
    assert back(np.ma.array([1], mask=[True]))[0] == "pickle"
    assert back(ValueError(1))[1].args == (1,)


def test_what_an_author_says_is_not_doubted_and_no_code_of_a_value_runs() -> None:
    Bomb.loaded = 0
    assert type(back(unit("m", Saying))[1]) is np.ndarray
    assert Bomb.loaded == 0
    from cellist.caching.formats import encode

    encode([Bomb()])
    assert Bomb.loaded == 0


@pytest.mark.parametrize("shared", [mtrand._rand, random._inst], ids=["numpy", "random"])
def test_the_generator_of_all_is_not_copied(shared: Any) -> None:
    """A distribution of scipy and a fitted model refer to it."""
    value = back({"a": Plain(shared), "other": type(shared)(1)})[1]
    assert value["a"].value is shared
    assert value["other"] is not shared


def test_arrays_that_are_read_only_stay_so() -> None:
    for size in (3, 100_000):
        array = np.arange(size * 2.0)
        array.flags.writeable = False
        assert not back({"a": array})[1]["a"].flags.writeable
        assert not back(array[::2])[1].flags.writeable
    assert not back(np.broadcast_to(1, 3))[1].flags.writeable


def test_a_task_says_so_and_runs_again() -> None:
    @task
    def measure() -> Any:
        return unit("m")

    for _ in range(2):
        state = measure(return_state=True)
        assert state.result().unit == "m"
        assert "`result.unit` would come back as another value" in str(state.why)
    assert get_session().store.entries() == []
