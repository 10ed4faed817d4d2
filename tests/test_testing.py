"""The harness that keeps tests away from one's own cache and history."""

import os
from pathlib import Path

import pytest

from cellist import flow, runs, task
from cellist.session import get_session
from cellist.testing import cellist_test_harness, prefect_test_harness


@task
def double(n):
    return 2 * n


def kinds(n):
    """The names of the final states of two calls: the second one is reused, if not both."""
    return [double(n, return_state=True).name for _ in range(2)]


NEW, REUSED = ["Completed", "Cached"], ["Cached", "Cached"]


@pytest.fixture
def harness():
    with prefect_test_harness(server_startup_timeout=30):
        yield


@pytest.mark.parametrize("again", [False, True])
def test_a_fixture_gives_each_test_an_empty_place(harness, again):
    assert kinds(1) == NEW


def test_nothing_is_left(own_home: Path):
    outer = get_session()
    before = dict(os.environ)
    with cellist_test_harness():
        assert get_session() is not outer
        home = Path(os.environ["CELLIST_HOME"])
        assert double.submit(2).result() == 4
        assert kinds(2) == REUSED
        assert home.exists()
        assert get_session().pools
        inner = get_session()
    assert get_session() is outer
    assert dict(os.environ) == before
    assert not home.parent.exists()
    assert not inner.pools
    assert kinds(2) == NEW


def test_harnesses_nest():
    with cellist_test_harness():
        assert kinds(3) == NEW
        with cellist_test_harness():
            assert kinds(3) == NEW
        assert kinds(3) == REUSED


def test_an_error_goes_through_and_the_place_is_removed():
    places = []

    def fail():
        with cellist_test_harness():
            places.append(Path(os.environ["CELLIST_HOME"]))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not places[0].parent.exists()


def test_history_is_apart():
    @flow
    def one():
        return 1

    with cellist_test_harness():
        one()
        assert list(runs().definition) == ["one"]
    with cellist_test_harness():
        assert list(runs().definition) == []
