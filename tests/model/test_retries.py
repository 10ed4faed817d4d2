"""Delays before retries."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.model.retries import delay_before, exponential_backoff


def test_last_of_several_delays_repeats() -> None:
    assert [delay_before(n, [1.0, 4.0], None) for n in range(4)] == [1.0, 4.0, 4.0, 4.0]
    assert delay_before(3, 2.0, None) == 2.0
    assert delay_before(0, [], None) == 0.0


def test_backoff() -> None:
    assert exponential_backoff(10)(3) == [10, 20, 40]
    assert len(exponential_backoff(1)(80)) == 50
    assert exponential_backoff(1)(0) == []


@given(delay=st.floats(0.001, 1e4), factor=st.floats(0.01, 100))
def test_jitter_keeps_its_bounds(delay: float, factor: float) -> None:
    state = random.getstate()
    drawn = delay_before(0, delay, factor)
    assert random.getstate() == state
    assert 0 <= drawn <= delay * (1 + factor) * (1 + 1e-9)


@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0])
def test_jitter_keeps_the_mean(factor: float) -> None:
    draws = [delay_before(0, 10.0, factor) for _ in range(20_000)]
    assert 8.5 < sum(draws) / len(draws) < 11.5
    assert max(draws) <= 10 * (1 + factor)
    assert min(draws) < 10
    assert len(set(draws)) > 10_000


def test_no_jitter_without_delay_or_factor() -> None:
    assert delay_before(0, 0.0, 0.5) == 0.0
    assert delay_before(0, 3.0, 0.0) == 3.0
