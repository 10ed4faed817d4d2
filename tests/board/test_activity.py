"""Idle gaps and pace: what the timeline folds, and what it draws of ten thousand runs."""

from itertools import pairwise
from random import Random

import pytest

from cellist.board.activity import MOST_BINS, Activity, Pace, Spans


def test_spans_are_a_union_whatever_the_order():
    random = Random(7)
    for _ in range(50):
        spans, moments = Spans(), set()
        for _ in range(30):
            begin = random.randrange(200)
            end = begin + random.randrange(1, 15)
            spans.add(begin, end)
            moments |= set(range(begin, end))
        pairs = list(zip(spans.begins, spans.ends, strict=True))
        assert {at for begin, end in pairs for at in range(begin, end)} == moments
        assert all(a[1] < b[0] for a, b in pairwise(pairs))


def test_spans_without_others():
    random = Random(8)
    for _ in range(50):
        one, two = Spans(), Spans()
        for spans in (one, two):
            for _ in range(12):
                begin = random.randrange(100)
                spans.add(begin, begin + random.randrange(1, 15))
        inside = {at for b, e in zip(one.begins, one.ends, strict=True) for at in range(b, e)}
        outside = {at for b, e in zip(two.begins, two.ends, strict=True) for at in range(b, e)}
        left = {at for begin, end in one.without(two) for at in range(begin, end)}
        assert left == inside - outside


S = 1000


@pytest.mark.parametrize(
    ("runs", "gaps"),
    [
        (
            [[("failed", 0, S), ("waiting", S, 50 * S), ("completed", 50 * S, 51 * S)]],
            [(S, 50 * S)],
        ),
        ([[("failed", 0, S), ("waiting", S, 50 * S)], [("completed", 0, 51 * S)]], []),
        ([[("failed", 0, S), ("waiting", S, 50 * S)], [("running", 20 * S, None)]], []),
        ([[("failed", 0, 9 * S), ("waiting", 9 * S, 11 * S)]], []),
        ([[("failed", 0, S), ("waiting", S, None)]], [(S, None)]),
        ([[("failed", 0, S), ("waiting", S, None)], [("completed", 0, 4 * S)]], [(4 * S, None)]),
        ([[("failed", 0, S), ("waiting", S, None)], [("running", 0, None)]], []),
        ([[("completed", 0, S)], [("completed", 90 * S, 91 * S)]], []),
        ([[("paused", S, 3600 * S)], [("waiting", 9 * S, 40 * S)]], [(S, 3600 * S)]),
    ],
    ids=[
        "all waits",
        "another one runs on",
        "another one runs still",
        "short beside the work",
        "waits still",
        "waits since the other one ended",
        "waits while another one runs",
        "nothing waits: the body of the flow is at work",
        "a pause around a wait",
    ],
)
def test_gaps_are_where_everything_waits(runs, gaps):
    activity = Activity()
    for _ in range(2):  # told again, nothing changes
        for number, bars in enumerate(runs):
            activity.note(number, bars)
    assert activity.gaps() == gaps


def test_a_wait_that_ends_is_a_gap_with_an_end():
    activity = Activity()
    activity.note(1, [("failed", 0, S), ("waiting", S, None)])
    activity.note(1, [("failed", 0, S), ("waiting", S, 9 * S), ("running", 9 * S, None)])
    assert activity.gaps() == [(S, 9 * S)]


def test_a_pace_counts_all_in_few_columns():
    pace = Pace()
    for at in range(0, 10_000_000, 1_000):
        pace.note("failed" if at % 10_000 == 0 else "completed", 5_000_000 + at)
    drawn = pace.as_dict()
    assert max(place for place, _, _ in drawn["parts"]) < MOST_BINS
    assert drawn["width"] * MOST_BINS >= 10_000_000 - 1_000
    assert [look for _, look, _ in drawn["parts"][:2]] == ["failed", "completed"], "worst first"
    totals = {"failed": 0, "completed": 0}
    for _, look, number in drawn["parts"]:
        totals[look] += number
    assert totals == {"failed": 1_000, "completed": 9_000}


def test_an_end_told_late_counts_in_the_first_column():
    pace = Pace()
    pace.note("completed", 9_000)
    pace.note("completed", 3_000)
    assert pace.as_dict()["parts"] == [[0, "completed", 2]]


def test_of_a_pace_only_what_changed_is_told_until_its_columns_move():
    pace = Pace()
    pace.note("completed", 5_000)
    assert pace.changes() == {"begin": 5_000, "width": 50, "parts": [[0, "completed", 1]]}
    assert not pace.is_stale
    pace.note("completed", 5_060)
    pace.note("failed", 5_070)
    assert pace.is_stale
    changed = [[1, "failed", 1], [1, "completed", 1]]
    assert pace.changes() == {"begin": 5_000, "width": 50, "changed": changed}
    pace.note("completed", 5_000 + 50 * MOST_BINS)
    told = pace.changes()
    assert told["width"] == 100
    assert told["parts"] == [[0, "failed", 1], [0, "completed", 2], [48, "completed", 1]]
