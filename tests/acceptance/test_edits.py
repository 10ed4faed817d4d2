"""Cases 1 to 20: an edit, a fresh kernel with another hash seed, and whether the task runs.

Each edit is tried in one pair of kernels (see `conftest.py`). Whatever is expected, the value must
be the one that the function gives; and a miss must say why.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Outcome
from tests.acceptance.edits import EDITS
from tests.caching.edits import HIT

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
Outcomes = dict[tuple[int, str], Outcome]


def edits_of(case: int) -> Callable[[Any], Any]:
    names = [edit.name for edit in EDITS[case]]
    return pytest.mark.parametrize("name", names)


def check(outcomes: Outcomes, case: int, name: str) -> Outcome:
    """Fail unless the edit has the outcome that it should have, and return it."""
    (want,) = [edit.want for edit in EDITS[case] if edit.name == name]
    outcome = outcomes[case, name]
    before, after, back = outcome
    assert before.state == "Completed", before
    assert before.value == before.right
    assert after.value == after.right, f"a stale result: {after}"
    if want == HIT:
        assert after.state == "Cached", after
        assert after.why.startswith("reused")
        return outcome
    assert after.state == "Completed", after
    assert after.why.startswith("ran: ")
    assert "never run before" not in after.why
    assert back is not None
    assert back.state == "Cached", back
    assert back.value == back.right
    return outcome


@edits_of(1)
def test_case_01_unchanged(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 1, name)


@edits_of(2)
def test_case_02_elsewhere_as_another_user(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 2, name)


@edits_of(4)
def test_case_04_comments_and_layout(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 4, name)


@edits_of(5)
def test_case_05_docstrings(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 5, name)


@edits_of(6)
def test_case_06_moved_code(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 6, name)


@edits_of(8)
def test_case_08_helper(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 8, name)


@edits_of(9)
def test_case_09_deep_and_recursive_helpers(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 9, name)


@edits_of(10)
def test_case_10_modules(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 10, name)


@edits_of(12)
def test_case_12_globals(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 12, name)


@edits_of(13)
def test_case_13_defaults(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 13, name)


@edits_of(14)
def test_case_14_classes(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 14, name)


@edits_of(15)
def test_case_15_closures(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 15, name)


@edits_of(16)
def test_case_16_decorators(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 16, name)


@edits_of(17)
def test_case_17_lambdas_and_tables(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 17, name)


@edits_of(18)
def test_case_18_wrapped_helpers(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 18, name)


@edits_of(19)
def test_case_19_formats_and_builtins(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 19, name)


@edits_of(20)
def test_case_20_libraries_and_handles(outcomes: Outcomes, name: str) -> None:
    check(outcomes, 20, name)
