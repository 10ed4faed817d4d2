"""The history is written between bursts of runs rather than in them."""

from cellist.history.pace import Pace


def look(pace: Pace, waiting: int, *, in_haste: bool = False) -> bool:
    return pace.look(waiting, not waiting, in_haste)


def test_few_events_are_written_at_once():
    pace = Pace()
    assert [look(pace, waiting) for waiting in (3, 120, 0, 250)] == [True] * 4


def test_a_burst_is_written_when_it_is_over():
    pace = Pace()
    assert not look(pace, 1000)
    assert not look(pace, 2500)
    assert look(pace, 2510)


def test_a_burst_that_lasts_is_put_off_for_half_a_second_only():
    pace = Pace()
    seen = [look(pace, 1000 * number) for number in range(1, 7)]
    assert seen == [False] * 5 + [True]
    assert pace.pause * seen.count(False) == 0.5
    assert not look(pace, 1000), "and the next one again"


def test_nobody_who_waits_for_the_history_waits_for_a_burst():
    pace = Pace()
    assert not look(pace, 1000)
    assert look(pace, 5000, in_haste=True)


def test_looks_become_rarer_when_nothing_happens():
    pace = Pace()
    before = pace.pause
    for _ in range(200):
        look(pace, 0)
    assert pace.pause > before
    look(pace, 1)
    assert pace.pause == before


def test_rests_for_longer_than_it_works_but_not_when_far_behind():
    pace = Pace()
    assert pace.rest(0.01, 100) == 0.08
    assert pace.rest(1.0, 100) == 0.2
    assert pace.rest(0.01, 1_000_000) == 0.0
