"""A reason whose fields are made when they are read is like any other."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cellist.model.reasons import Change, Reason

FULL = Reason(
    "miss",
    "changed",
    "ran: `n` changed",
    (Change("argument", "n", "1", "2", "n"),),
    1.0,
    2.0,
    ("a",),
)
READ: dict[str, Callable[[Reason], Any]] = {
    "outcome": lambda reason: reason.outcome,
    "notes": lambda reason: reason.notes,
    "str": str,
    "repr": repr,
    "hash": hash,
    "dict": lambda reason: reason.as_dict(),
    "equal": lambda reason: reason == FULL,
    "pickled": lambda reason: pickle.loads(pickle.dumps(reason)),
    "copied": copy.copy,
    "copied deep": copy.deepcopy,
    "replaced": lambda reason: dataclasses.replace(reason, code="x"),
}


def _itself(told: Reason) -> Reason:
    return told


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_a_reason_made_later_reads_like_the_one_it_becomes(read: Callable[[Reason], Any]) -> None:
    assert read(Reason.later(_itself, FULL)) == read(FULL)


def test_it_is_made_once_and_only_if_somebody_reads_it() -> None:
    made: list[Reason] = []

    def make(told: Reason) -> Reason:
        made.append(told)
        return told

    reason = Reason.later(make, FULL)
    assert not made
    assert (reason.code, reason.sentence, reason.saved) == ("changed", "ran: `n` changed", 2.0)
    assert len(made) == 1


def test_it_cannot_be_changed_and_has_no_other_attributes() -> None:
    reason = Reason.later(_itself, FULL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        reason.code = "x"  # type: ignore[misc] - that is what is tested
    with pytest.raises(AttributeError, match="nothing"):
        reason.nothing


def test_threads_that_read_it_at_once_see_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            reason = Reason.later(_itself, FULL)
            found = list(pool.map(lambda _, one=reason: one.sentence, range(8)))
            assert set(found) == {FULL.sentence}
