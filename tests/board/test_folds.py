"""The record's timeline folds what the live one folds."""

import re
from itertools import pairwise

import pytest

from cellist.board.folds import WIDTH, Scale
from cellist.board.picture import picture
from cellist.board.view import View
from cellist.model.states import COMPLETED, RUNNING
from tests.board.fakes import Story

HOUR = 3_600_000


def test_without_gaps_time_is_even():
    scale = Scale(0, 1_000, [], 100, 500)
    assert [scale.x(at) for at in (0, 500, 1_000)] == [100, 350, 600]
    assert scale.folds == []


def test_a_gap_takes_a_fixed_width_and_work_the_rest():
    scale = Scale(0, HOUR + 2_000, [(1_000, HOUR + 1_000)], 0, 640)
    (fold,) = scale.folds
    assert (fold.x, fold.text) == (300, "+1 h 00 min")
    places = [scale.x(at) for at in (0, 1_000, 1_000 + HOUR // 2, HOUR + 1_000, HOUR + 2_000)]
    assert places == pytest.approx([0, 300, 300 + WIDTH / 2, 300 + WIDTH, 640])


def test_a_gap_that_goes_on_ends_now_and_nothing_ever_goes_back():
    scale = Scale(500, 90_000, [(0, 5_000), (20_000, 60_000), (70_000, None)], 10, 600)
    places = [scale.x(at) for at in range(500, 90_001, 500)]
    assert all(a <= b for a, b in pairwise(places))
    assert (places[0], places[-1]) == pytest.approx((10, 610))


def test_many_gaps_leave_room_for_the_work():
    gaps = [(at, at + 9_000) for at in range(0, 1_000_000, 10_000)]
    scale = Scale(0, 1_000_000, gaps, 0, 600)
    assert len(scale.folds) * WIDTH <= 200
    assert scale.x(1_000_000) == pytest.approx(600)


def test_the_picture_of_a_night_of_waiting_shows_the_work():
    view = View("crawl")
    story = Story(view.apply)
    run = story.wait_for_retry(story.task("fetch", retries=1), 0, 2, due=8 * 3600)
    story.enter(run, 8 * 3600, RUNNING, "Retrying")
    story.enter(run, 8 * 3600 + 2, COMPLETED)
    view.read()
    svg = picture(view)
    assert svg is not None
    assert "8 h 00 min</text>" in svg
    widths = [float(width) for width in re.findall(r"M[\d.]+ \d+h([\d.]+)v", svg)]
    assert len(widths) == 2
    assert min(widths) > 250, "each attempt of two seconds takes its half of the picture"
