"""Tests in several processes: who goes where, and who runs alone."""

import threading

import pytest

parallel = pytest.importorskip("tests.parallel", reason="pytest-xdist is not installed")
SECONDS = 60


@pytest.mark.parametrize(
    ("test", "goes_with"),
    [
        ("tests/test_a.py::test_b[c::d/e.py]", "tests/test_a.py"),
        ("tests/spec/test_a.py::TestB::test_c", "tests/spec/test_a.py"),
        ("tests/runners/test_ray.py::test_a", "tests/runners"),
        ("tests/acceptance/test_edits.py::test_a", "tests/acceptance"),
    ],
)
def test_files_and_some_folders_go_to_one_process(pytestconfig, test, goes_with):
    scheduler = parallel.Scheduler.__new__(parallel.Scheduler)
    assert scheduler._split_scope(test) == goes_with
    assert all((pytestconfig.rootpath / folder).is_dir() for folder in parallel.TOGETHER)


@pytest.fixture
def enter(tmp_path):
    """Go in on a thread of one's own; return what says that one is in, and what lets one out."""
    for name in ("conftest.py", "chromium.py"):
        (tmp_path / name).touch()
    began = []

    def enter(alone: bool) -> tuple[threading.Event, threading.Event]:
        inside, out = threading.Event(), threading.Event()

        def stay() -> None:
            with parallel.admitted(alone=alone, folder=tmp_path):
                inside.set()
                out.wait(SECONDS)

        began.append((threading.Thread(target=stay), out))
        began[-1][0].start()
        return inside, out

    yield enter
    for _, out in began:
        out.set()
    for thread, _ in began:
        thread.join(SECONDS)


def test_tests_run_beside_each_other(enter):
    first, second = enter(alone=False), enter(alone=False)
    assert first[0].wait(SECONDS)
    assert second[0].wait(SECONDS)


@pytest.mark.parametrize("other", [True, False])
def test_who_is_alone_keeps_others_out(enter, other):
    inside, out = enter(alone=True)
    assert inside.wait(SECONDS)
    late, _ = enter(alone=other)
    assert not late.wait(0.2)
    out.set()
    assert late.wait(SECONDS)


def test_who_waits_to_be_alone_goes_before_those_who_come_later(enter):
    inside, out = enter(alone=False)
    assert inside.wait(SECONDS)
    alone, alone_out = enter(alone=True)
    assert not alone.wait(0.2), "somebody is in"
    late, _ = enter(alone=False)
    assert not late.wait(0.2)
    out.set()
    assert alone.wait(SECONDS)
    assert not late.wait(0.2)
    alone_out.set()
    assert late.wait(SECONDS)
