"""Loops of tqdm in tasks count without a change; outside they are left alone."""

import io
import subprocess
import sys
import threading

import pytest
import tqdm
import tqdm.auto
import tqdm.notebook
import tqdm.std

import cellist
from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.model.progress import Bar


def last(run):
    (glance,) = run.progress.look(run.attempts)
    return glance


@pytest.mark.parametrize("kind", [tqdm.tqdm, tqdm.std.tqdm, tqdm.auto.tqdm], ids=repr)
def test_a_loop_in_a_task_is_picked_up(kind, recorder):
    out = io.StringIO()

    @task(cache_policy=NO_CACHE)
    def work():
        return sum(kind(range(1000), desc="adding", unit="number", file=out))

    assert work() == 499_500
    glance = last(recorder.one("work"))
    assert glance.description == "adding"
    assert (glance.done, glance.total, glance.unit, glance.is_over) == (1000, 1000, "number", True)
    assert "100%" in out.getvalue(), "tqdm prints as ever"


def test_a_loop_of_the_notebook_kind_is_picked_up(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        return sum(tqdm.notebook.tqdm(range(10), desc="rows", display=False))

    assert work() == 45
    assert (last(recorder.one("work")).done, last(recorder.one("work")).description) == (10, "rows")


def test_how_far_it_is_shows_meanwhile(recorder):
    seen = []

    @task(cache_policy=NO_CACHE)
    def work():
        with tqdm.tqdm(total=10, file=io.StringIO()) as bar:
            for _ in range(10):
                seen.append(last(recorder.one("work")).done)
                bar.update()
            bar.set_description("nearly")
            assert last(recorder.one("work")).description == "nearly"

    work()
    assert seen == list(range(10))


def test_a_bar_that_is_switched_off_shows_nothing(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        return list(tqdm.tqdm(range(3), disable=True))

    assert work() == [0, 1, 2]
    assert recorder.one("work").progress is None


def test_outside_tasks_and_in_other_threads_nothing_is_noted(recorder):
    made = []

    @task(cache_policy=NO_CACHE)
    def work():
        thread = threading.Thread(
            target=lambda: made.append(tqdm.tqdm(range(2), file=io.StringIO()))
        )
        thread.start()
        thread.join()

    work()
    bar = tqdm.tqdm(range(2), file=io.StringIO())
    assert list(bar) == [0, 1]
    for one in [bar, *made]:
        one.close()
        assert "_cellist_bar" not in vars(one)


def test_a_fault_of_ours_costs_the_loop_nothing(recorder, monkeypatch):
    monkeypatch.setattr(Bar, "__init__", lambda *_: 1 / 0)

    @task(cache_policy=NO_CACHE)
    def work():
        return list(tqdm.tqdm(range(3), file=io.StringIO()))

    assert work() == [0, 1, 2]


PROGRAM = """
import io, sys
import cellist
from cellist.session import get_session

assert "tqdm" not in sys.modules

@cellist.task(cache_policy=cellist.cache_policies.NO_CACHE)
def first():
    from tqdm.auto import tqdm
    return sum(tqdm(range(100), file=io.StringIO()))

runs = []
get_session().sinks.append(lambda event: runs.append(event.run))
assert "tqdm" not in sys.modules, "a session does not import it"
before = len(sys.meta_path)
first()
assert len(sys.meta_path) == before - 1, "the hook is gone"
print(runs[0].progress.look(1)[0].done)
"""


def test_a_tqdm_that_a_task_imports_first_is_picked_up():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "100\n"), done.stderr


def test_cellist_and_tqdm_side_by_side(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        run = recorder.one("work")
        for _ in cellist.progress(range(2), description="ours"):
            for _ in tqdm.tqdm(range(2), desc="theirs", file=io.StringIO()):
                seen = [one.description for one in run.progress.look(1)]
        return seen

    assert work() == ["ours", "theirs"]
