"""Every benchmark runs through, with few items. What the figures are is nobody's test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.__main__ import NAMES
from benchmarks.measure import SIZES, Rounds, Row, at_most, installed, interleave, row, times

ROOT = Path(__file__).parent.parent

ROWS = {
    "direct": 3,
    "submit": 3,
    "async": 2,
    "grid": 3,
    "chain": 2,
    "hit": 6,
    "miss": 2,
    "array": 4,
    "arguments": 2,
    "source": 3,
    "startup": 5,
    "scale": 4,
    "store": 7,
    "runners": 4,  # without clusters
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_benchmark_runs_through(name):
    command = [sys.executable, "-m", "benchmarks", name, "--smoke", "--markdown"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    ours = [line for line in lines if not line.startswith("| pipefunc")]
    assert len(ours) == ROWS[name], done.stdout
    assert all(re.search(r"\| -?[\d,.]+( µs| B)? \|", line) for line in lines)


def test_every_benchmark_has_a_place_in_the_table():
    assert list(ROWS) == NAMES


def test_budget_on_the_ratio_is_judged_by_the_ratio():
    assert row("x", 3.0, "peer", 2.0, budget=times(1.5, "peer")).verdict == "ok"
    assert row("x", 3.1, "peer", 2.0, budget=times(1.5, "peer")).verdict == "over"
    assert row("x", 3.0, "peer", budget=times(1.5, "peer")).verdict == "no peer"


def test_budget_on_our_figure_is_judged_without_a_peer():
    assert row("x", 0.9, budget=at_most(1, "1 s")).verdict == "ok"
    assert row("x", 1.1, "peer", 50.0, budget=at_most(1, "1 s")).verdict == "over"


def test_row_without_budget_is_not_judged():
    assert row("x", 1.0, "peer", 1.0).verdict == ""


def test_ratio_is_the_median_of_the_ratios_within_rounds():
    rounds = Rounds({"cellist": [2.0, 20.0, 9.0], "peer": [1.0, 10.0, 3.0]})
    found = next(iter(rounds.rows("x", {"peer": None})))
    assert found.ratio == 2.0
    assert found.ours == 9.0


def test_missing_peer_leaves_a_row_that_says_so():
    found = next(iter(Rounds({"cellist": [1.0]}).rows("x", {"peer": times(1, "peer")})))
    assert found.peer == "peer (not installed)"
    assert found.verdict == "no peer"


def test_contenders_take_turns_and_the_first_round_is_dropped():
    seen = []

    def contender(name):
        def run():
            seen.append(name)
            return float(len(seen))

        return run

    rounds = interleave(SIZES["quick"], {name: contender(name) for name in "abc"})
    assert seen[:9] == list("abcbcacab")
    assert len(rounds.seconds["a"]) == SIZES["quick"].rounds
    assert 1.0 not in rounds.seconds["a"]


def test_what_is_not_installed_is_not_built():
    assert installed("no_such_package", lambda: 1 / 0) == {}
    assert installed("json", lambda: 1) == {"json": 1}


def test_table_shows_figures_in_microseconds():
    rows = [
        Row("call", 12.34e-6, "peer", 0.5, 2.468e-5, 1.0, "≤ 1 × peer"),
        Row("memory", 1234.5, unit="B"),
    ]
    assert table.markdown(rows).splitlines()[2:] == [
        "| call | 12.3 µs | peer | 500,000 µs | 0.00 | ≤ 1 × peer | ok |",
        "| memory | 1,234 B | - | - | - | - |  |",
    ]
    assert "over: call." in table.summary([Row("call", 1.0, "p", 1.0, 2.0, 1.0, "b")])
    assert table.plain(rows).count("\n") == 3
