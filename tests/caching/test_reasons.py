"""Why a call is a miss: the nearest earlier entry is found, and what differs is said."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching.declared import line_changed
from cellist.caching.memory import MAX_HEADERS, Recent
from cellist.caching.reasons import Known, compare, explain
from cellist.model.reasons import Component

OLD = "def clean(x):\n    return x.strip()"
NEW = "def clean(x):\n    return x.lower()"


def call(n: object, m: object = 0, source: str = "1", helper: str = OLD) -> list[Component]:
    return [
        Component("task", "task", "t"),
        Component("argument", "n", f"d{n}", str(n)),
        Component("argument", "m", f"d{m}", str(m)),
        Component("source", "fit", source, f"def fit(n, m): return {source}"),
        Component("function", "clean", helper, helper),
    ]


def recent(*earlier: Iterable[Any]) -> list[Known]:
    """Return what is known of entries with these components, given oldest first."""
    found = Recent()
    for number, components in enumerate(earlier):
        parts = [list(one) for one in components]  # as they come from disk
        found.add({"key": str(number), "created": float(number), "components": parts})
    return found.newest()


def test_a_first_run_has_nothing_to_be_compared_with() -> None:
    assert explain(call(1), []).code == "first_run"


def test_the_argument_that_differs_is_shown_with_both_values() -> None:
    reason = explain(call(20), recent(call(10)))
    assert reason.sentence == "ran: argument `n`: 10 → 20"
    assert reason.recorded_at == 0.0


def test_a_file_is_compared_with_itself_before_and_not_with_a_newer_entry_of_another() -> None:
    def load(name: str, content: str) -> list[Component]:
        told = f"file `{name}`\n{content}"
        return [Component("argument", "path", f"{name} {content}", told)]

    earlier = recent(load("a.csv", "12 bytes"), load("b.csv", "17 bytes"))
    told = explain(load("a.csv", "13 bytes"), earlier).sentence
    assert told == "ran: argument `path`: file `a.csv` changed (12 bytes → 13 bytes)"
    told = explain(load("c.csv", "13 bytes"), earlier).sentence
    assert told == "ran: argument `path`: file `b.csv` → file `c.csv`"


def test_a_changed_helper_is_named_with_the_line() -> None:
    reason = explain(call(1, helper=NEW), recent(call(1)))
    assert reason.sentence == "ran: helper `clean` changed (line 2: `return x.lower()`)"


@pytest.mark.parametrize(
    ("edited", "place"),
    [
        ("def clean(x):\n    # short\n    return x.lower()", "line 3: `return x.lower()`"),
        ("# first\n\ndef clean(x):\n    return x[0]  # new", "line 4: `return x[0]  # new`"),
        ("def clean(x):\n    # only this\n    return x.strip()", "line 2: `# only this`"),
    ],
)
def test_the_line_that_is_named_is_one_that_counts(edited: str, place: str) -> None:
    assert line_changed("def clean(x):\n    return x.strip()", edited, True) == f" ({place})"


def test_a_line_that_is_gone_is_named_by_its_place() -> None:
    assert line_changed("a = 1\n# b\nc = 2\nd = 3", "a = 1\nd = 3", True) == " (line 2)"


def test_an_entry_with_fewer_changes_is_nearer_than_a_newer_one() -> None:
    reason = explain(call(1, 1), recent(call(1, 2), call(3, 4, source="2")))
    assert reason.sentence == "ran: argument `m`: 2 → 1"


def test_after_an_edit_each_call_is_compared_with_itself_before_the_edit() -> None:
    earlier = [call(1), call(2), call(1, source="2")]
    reason = explain(call(2, source="2"), recent(*earlier))
    assert [change.kind for change in reason.changes] == ["source"]


def test_among_equals_the_newest_is_nearest() -> None:
    reason = explain(call(4), recent(call(1), call(2), call(3)))
    assert reason.sentence == "ran: argument `n`: 3 → 4"


def test_the_same_components_mean_that_the_result_is_gone() -> None:
    reason = explain(call(1), recent(call(1), call(2)))
    assert reason.code == "evicted"


def test_parts_that_come_and_go_are_said() -> None:
    reason = explain(call(1)[:-1], recent(call(1)))
    assert reason.sentence == "ran: helper `clean` is no longer used"
    reason = explain(call(1), recent(call(1)[:-1]))
    assert reason.sentence == "ran: helper `clean` is new"


@pytest.mark.parametrize("odd", [[["argument"]], [[["a"], {}, {}, ""]], 7])
def test_a_header_that_cannot_be_read_explains_nothing_and_raises_nothing(odd) -> None:
    strange = Known({"key": "k", "components": odd})
    assert explain(call(1), [strange, *recent(call(2))]).sentence == "ran: argument `n`: 2 → 1"


KEYS = st.builds(call, st.integers(0, 3), st.integers(0, 3), st.sampled_from("12"))


@given(KEYS, st.lists(KEYS, min_size=1, max_size=MAX_HEADERS))
def test_no_entry_is_nearer_than_the_one_compared_with(components, earlier) -> None:
    reason = explain(components, recent(*earlier))
    fewest = min(len(compare(one, components)) for one in earlier)
    assert len(reason.changes) == fewest
