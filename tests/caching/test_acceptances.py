"""The files of acceptances: what goes in comes back, and without any there is nothing to read."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checks
from hypothesis import strategies as st

from cellist.caching import acceptances
from cellist.caching.acceptances import Acceptance, Acceptances

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)


@checks(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(),
    st.lists(hexes, min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(st.tuples(hexes), min_size=1, max_size=3).map(tuple),
    st.text(),
)
def test_what_was_accepted_comes_back(tmp_path, key, now, former, because) -> None:
    one = Acceptance(key, now, former, because, 1.5, "me")
    Acceptances(tmp_path / "accepted", pytest.fail).add(one)
    other = Acceptances(tmp_path / "accepted", pytest.fail)
    assert other.of(key, now) == one
    assert other.of(key + "x", now) is None
    assert other.of(key, (*now, "0")) is None
    assert other.of_task(key) == [one]
    assert other.withdraw(key) == 1
    assert other.of(key, now) is None


def test_without_acceptances_a_miss_touches_no_file(monkeypatch, tmp_path) -> None:
    none = Acceptances(tmp_path / "accepted", pytest.fail)
    assert none.of("t", ("a",)) is None
    monkeypatch.setattr(acceptances.Path, "stat", lambda *_: pytest.fail("a look at the disk"))
    monkeypatch.setattr(acceptances.Path, "open", lambda *_: pytest.fail("a look at the disk"))
    for source in ("a", "b"):
        assert none.of("t", (source,)) is None
