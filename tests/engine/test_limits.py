"""Limits as plain data: who gets slots, in which order, and that nothing is lost or exceeded."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cellist.engine.commands import Err
from cellist.engine.limits import Limits
from cellist.engine.permits import Limit, Permit
from cellist.exceptions import ConcurrencySlotAcquisitionError


class Clock:
    """Time that passes when told to, and the calls that are due then."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Any, Any]] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, callback: Any) -> Any:
        class Timer:
            cancelled = False

            def cancel(self) -> None:
                self.cancelled = True

        timer = Timer()
        self.due.append((self.now + seconds, timer, callback))
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((entry for entry in self.due if entry[0] <= end), key=lambda e: e[0]):
            entry = due[0]
            self.due.remove(entry)
            self.now = max(self.now, entry[0])
            if not entry[1].cancelled:
                entry[2]()
        self.now = end


class Asks:
    """The part of an execution that a permit looks at."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.permit: Any = None
        self.run: Any = SimpleNamespace(name="somebody", asks=self)


def ask(limits: Limits, *names: str, count: int = 1, parent: Any = None) -> Any:
    """Ask for slots as a task run would, and return its permit."""
    x: Any = Asks(parent)
    permit = Permit(limits, limits.find(names)[0], count, x, is_tagged=True)
    x.permit = permit
    limits.ask(permit)
    return permit


def inside(permit: Any) -> Any:
    """Return who holds a permit, as the parent of another who asks."""
    return permit.run.asks


def got(*permits: Any) -> list[bool]:
    return [permit.outcome is not None for permit in permits]


def limited(**most: int) -> Limits:
    limits = Limits()
    for name, number in most.items():
        limits.set(name, number)
    return limits


def test_slots_are_given_in_order() -> None:
    limits = limited(db=2)
    a, b, c, d = [ask(limits, "db") for _ in range(4)]
    assert got(a, b, c, d) == [True, True, False, False]
    limits.release(b)
    assert got(c, d) == [True, False]
    limits.release(a)
    assert got(d) == [True]


def test_all_or_nothing() -> None:
    limits = limited(a=1, b=1)
    first = ask(limits, "a")
    both = ask(limits, "a", "b")
    assert got(both) == [False]
    assert [info.in_use for info in limits.table()] == [1, 0]
    limits.release(first)
    assert got(both) == [True]
    assert [info.in_use for info in limits.table()] == [1, 1]


def test_who_needs_two_is_not_passed_by_those_who_need_one() -> None:
    limits = limited(a=1, b=1)
    first = ask(limits, "a")
    both = ask(limits, "a", "b")
    later = ask(limits, "b")
    assert got(both, later) == [False, False]
    limits.release(first)
    assert got(both, later) == [True, False]
    limits.release(both)
    assert got(later) == [True]


def test_a_wait_for_many_slots_is_not_passed_by_waits_for_few() -> None:
    limits = limited(a=2)
    one = ask(limits, "a")
    two = ask(limits, "a", count=2)
    few = ask(limits, "a")
    assert got(two, few) == [False, False]
    limits.release(one)
    assert got(two, few) == [True, False]


def test_who_is_first_elsewhere_goes_on_when_somebody_leaves_that_queue() -> None:
    limits = limited(a=1, b=2)
    first = ask(limits, "a")
    both, b = ask(limits, "a", "b"), ask(limits, "b")
    assert limits.withdraw(both)
    assert got(b) == [True]
    assert not limits.withdraw(b), "it has been granted"
    limits.release(first)


def test_an_inner_run_uses_the_slot_of_the_outer_one_one_at_a_time() -> None:
    limits = limited(db=1)
    outer = ask(limits, "db")
    one, two = [ask(limits, "db", parent=inside(outer)) for _ in range(2)]
    stranger = ask(limits, "db")
    innermost = ask(limits, "db", parent=inside(one))
    assert got(one, two, stranger, innermost) == [True, False, False, True]
    limits.release(innermost)
    limits.release(one)
    assert got(two, stranger) == [True, False]
    assert [info.in_use for info in limits.table()] == [1]
    limits.release(outer)
    assert got(stranger) == [False], "the inner run goes on with the slot"
    limits.release(two)
    assert got(stranger) == [True]


def test_an_inner_run_takes_a_free_slot_when_that_of_the_outer_one_is_used() -> None:
    limits = limited(db=2)
    outer = ask(limits, "db")
    inner = [ask(limits, "db", parent=inside(outer)) for _ in range(3)]
    assert got(*inner) == [True, True, False]
    assert [info.in_use for info in limits.table()] == [2]


def test_what_an_inner_run_needs_is_not_kept_for_who_waits_for_the_outer_one() -> None:
    """Else both would wait for ever: the stranger for `a`, the inner run for its turn at `b`."""
    limits = limited(a=1, b=1)
    outer = ask(limits, "a")
    stranger = ask(limits, "a", "b")
    inner = ask(limits, "b", parent=inside(outer))
    assert got(stranger, inner) == [False, True]
    limits.release(inner)
    limits.release(outer)
    assert got(stranger) == [True]


def test_four_that_would_wait_for_each_other_in_a_circle() -> None:
    limits = limited(x=1, y=1, v=1, z=1)
    one, two = ask(limits, "x"), ask(limits, "y")
    first, second = ask(limits, "y", "z"), ask(limits, "x", "v")
    inner = [ask(limits, "z", parent=inside(one)), ask(limits, "v", parent=inside(two))]
    assert got(*inner) == [True, True]
    for permit in (*inner, one, two):
        limits.release(permit)
    assert got(first, second) == [True, True]


def test_giving_back_twice_gives_back_once() -> None:
    limits = limited(db=1)
    a = ask(limits, "db")
    limits.release(a)
    b, c = ask(limits, "db"), ask(limits, "db")
    limits.release(a)
    assert got(b, c) == [True, False]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Limits, "_leave"),
        (Limit, "give_back"),
        (Limits, "_serve"),
        (Limits, "_grant"),
        (Permit, "can_have"),
        (Permit, "lender"),
        (Limit, "take"),
        (Limits, "_arm"),
        (Limits, "_tell"),
        (Permit, "settle"),
    ],
)
def test_an_interrupt_while_slots_are_given_back_loses_none(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, moment: str
) -> None:
    """The slot is passed on, and who gets it is told."""
    limits = limited(db=1)
    a, b = ask(limits, "db"), ask(limits, "db")
    original = getattr(owner, name)
    pressed: list[bool] = []

    def press() -> None:
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    def interrupted(*args: Any) -> Any:
        if moment == "before":
            press()
        answer = original(*args)
        press()
        return answer

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        limits.release(a)
    monkeypatch.undo()
    assert got(b) == [True]
    assert [info.in_use for info in limits.table()] == [1]
    limits.release(b)
    assert got(ask(limits, "db")) == [True]


@pytest.mark.parametrize(
    ("most", "count", "words"),
    [
        (0, 1, r"Limit 'db' is 0.*limits\.set\('db', 1\).*limits\.remove\('db'\)"),
        (2, 3, r"Limit 'db' has 2 slot\(s\), 3 were asked for.*limits\.set\('db', 3\)"),
    ],
)
def test_what_can_never_be_had_is_refused(most: int, count: int, words: str) -> None:
    limits = limited(db=most)
    with pytest.raises(ConcurrencySlotAcquisitionError, match=words):
        ask(limits, "db", count=count)
    assert [info.waiting for info in limits.table()] == [0]


def test_a_limit_that_is_changed() -> None:
    limits = limited(db=1)
    held = ask(limits, "db")
    b, c, d = [ask(limits, "db") for _ in range(3)]
    limits.set("db", 2)
    assert got(b, c, d) == [True, False, False]
    limits.set("db", 1)
    limits.release(held)
    assert got(c) == [False], "two of one are in use until one more ends"
    limits.set("db", 0)
    for refused in (c, d):
        assert isinstance(refused.outcome, Err)
        assert "Limit 'db' is 0" in str(refused.outcome.error)


def test_a_limit_that_is_taken_away_lets_everybody_go_on() -> None:
    limits = limited(a=1, b=1)
    a, b = ask(limits, "a"), ask(limits, "b")
    both = ask(limits, "a", "b")
    waiting = [ask(limits, "a") for _ in range(2)]
    assert limits.remove("a")
    assert got(both, *waiting) == [False, False, False], "they come after who still waits for b"
    limits.release(b)
    assert got(both, *waiting) == [True, True, True]
    limits.release(a)
    assert not limits.remove("a")


def test_code_that_would_wait_for_itself_is_told() -> None:
    limits = limited(db=1)
    outer = ask(limits, "db")
    x = inside(outer)
    permit = Permit(limits, limits.find(["db"])[0], 1, x)
    permit.run = outer.run  # a `with` block in the run's own code
    with pytest.raises(ConcurrencySlotAcquisitionError, match="would wait for itself"):
        limits.ask(permit)
    limits.ask(permit, for_ever=False)
    assert got(permit) == [False]


def test_what_is_waited_for_is_said() -> None:
    limits = limited(a=1, b=2, c=9)
    ask(limits, "a")
    ask(limits, "a")
    permit = ask(limits, "a", "b", "c")
    assert permit.note == "Waiting for a slot of limit 'a' (1 of 1 in use, 1 ahead)."
    permit = ask(limits, "a", "b")
    assert "'a' (1 of 1 in use, 2 ahead) and of limit 'b' (0 of 2 in use, 1 ahead)" in permit.note


def test_the_table_names_limits_in_order_with_their_holders() -> None:
    limits = limited(b=1, a=3)
    ask(limits, "b")
    ask(limits, "b")
    a, b = limits.table()
    assert (a.name, a.limit, a.in_use, a.waiting, a.held_by) == ("a", 3, 0, 0, ())
    assert (b.name, b.limit, b.in_use, b.waiting, b.held_by) == ("b", 1, 1, 1, ("somebody",))


def test_a_rate_lets_through_by_time_alone() -> None:
    clock = Clock()
    limits = Limits(clock, clock.later)
    limits.set("api", 1, per_second=2.0)
    permits = [ask(limits, "api") for _ in range(4)]
    seen = []
    for _ in range(13):
        seen.append(sum(got(*permits)))
        clock.pass_time(0.125)
    assert seen == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]
    limits.release(permits[0])
    assert limits.table()[0].in_use == 0.75


def test_a_rate_with_a_higher_limit_allows_a_burst() -> None:
    clock = Clock()
    limits = Limits(clock, clock.later)
    limits.set("api", 3, per_second=10.0)
    permits = [ask(limits, "api") for _ in range(5)]
    assert sum(got(*permits)) == 3
    clock.pass_time(0.101)
    assert sum(got(*permits)) == 4
    big = ask(limits, "api", count=3)
    clock.pass_time(0.1)
    assert sum(got(*permits)) == 5
    assert got(big) == [False]
    clock.pass_time(0.31)
    assert got(big) == [True]


def test_a_rate_and_a_number_together_take_both() -> None:
    clock = Clock()
    limits = Limits(clock, clock.later)
    limits.set("api", 1, per_second=1.0)
    limits.set("db", 1)
    first = ask(limits, "api", "db")
    second = ask(limits, "api", "db")
    clock.pass_time(5)
    assert got(first, second) == [True, False]
    limits.release(first)
    assert got(second) == [True]
    third = ask(limits, "api", "db")
    limits.release(second)
    assert got(third) == [False]
    clock.pass_time(1)
    assert got(third) == [True]


def test_a_faster_rate_is_noticed_by_who_waits() -> None:
    clock = Clock()
    limits = Limits(clock, clock.later)
    limits.set("api", 1, per_second=0.001)
    _, second = ask(limits, "api"), ask(limits, "api")
    limits.set("api", 1, per_second=10.0)
    clock.pass_time(0.11)
    assert got(second) == [True]


MOST = {"a": 1, "b": 2, "c": 3}


class Interleavings(RuleBasedStateMachine):
    """Ask, withdraw and give back in any order, nested or not."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = limited(**MOST)
        self.permits: list[Any] = []

    def open(self) -> list[Any]:
        return [p for p in self.permits if p.holds or p.outcome is None]

    @rule(names=st.sets(st.sampled_from("abc"), min_size=1), pick=st.none() | st.integers(0, 50))
    def ask(self, names: set[str], pick: int | None) -> None:
        holding = [p for p in self.permits if p.holds]
        parent = inside(holding[pick % len(holding)]) if pick is not None and holding else None
        self.permits.append(ask(self.limits, *sorted(names), parent=parent))

    @precondition(lambda self: self.open())
    @rule(pick=st.integers(0, 50))
    def leave(self, pick: int) -> None:
        self.limits.release(self.open()[pick % len(self.open())])
        self.permits = [p for p in self.permits if p in self.open() or p.outcome is not None]

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        slots = {slot for p in self.permits for slot in p.holds.values()}
        used = dict.fromkeys(MOST, 0)
        for permit in self.permits:
            for limit, slot in permit.holds.items():
                if slot in slots:
                    slots.discard(slot)
                    used[limit.name] += slot.count
        for info in self.limits.table():
            assert used[info.name] == info.in_use <= MOST[info.name]

    @invariant()
    def a_slot_has_one_run_at_its_innermost(self) -> None:
        for permit in self.permits:
            for slot in permit.holds.values():
                for outer, inner in zip(slot.users, slot.users[1:], strict=False):
                    assert outer in inner.around

    @invariant()
    def nobody_is_left_behind(self) -> None:
        """Who is first everywhere and finds room has been granted; so has nested work with room."""
        for permit in self.permits:
            if permit.outcome is None and any(permit in one.queue for one in permit.limits):
                assert not all(permit.can_have(limit) for limit in permit.limits)

    def teardown(self) -> None:
        """When all who hold slots give them back, everybody gets theirs."""
        for _ in range(len(self.permits) + 1):
            for permit in self.permits:
                if permit.holds:
                    self.limits.release(permit)
        assert [info.waiting for info in self.limits.table()] == [0, 0, 0]
        assert [info.in_use for info in self.limits.table()] == [0, 0, 0]


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


def test_threads_never_exceed_a_limit_and_all_get_through() -> None:
    limits = limited(a=2, b=1)
    lock, now, most, through = threading.Lock(), {"a": 0, "b": 0}, {"a": 0, "b": 0}, []

    def work(number: int) -> None:
        for turn in range(40):
            names = [["a"], ["b"], ["a", "b"]][(number + turn) % 3]
            permit = ask(limits, *names)
            assert permit.block(30)
            with lock:
                for name in names:
                    now[name] += 1
                    most[name] = max(most[name], now[name])
            with lock:
                for name in names:
                    now[name] -= 1
            limits.release(permit)
        through.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(through) == list(range(8))
    assert most["a"] <= 2
    assert most["b"] <= 1
