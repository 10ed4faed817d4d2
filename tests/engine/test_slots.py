"""The steps of a run with limited tags, taken one by one."""

from typing import Any

import pytest

from cellist.engine.commands import NOTHING, Err, Invoke, Ok, Sleep, Wait
from cellist.engine.execution import Execution
from cellist.engine.limits import Limits
from cellist.engine.plan import Plan
from cellist.exceptions import CancelledRun, ConcurrencySlotAcquisitionError
from cellist.model.runs import TaskRun
from cellist.model.states import PENDING
from tests.engine.test_steps_by_hand import OFF, Definition, Services, begin, end, execution
from tests.sessions import names


class Limited(Services):
    """Services with limits."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        self.limits = Limits()
        for tag, most in limits.items():
            self.limits.set(f"tag:{tag}", most)

    def in_use(self, tag: str) -> float:
        return next(one.in_use for one in self.limits.table() if one.name == f"tag:{tag}")

    def waiting(self) -> int:
        return sum(one.waiting for one in self.limits.table())


def tagged(services: Services, *tags: str, parent: Any = None, **options: Any) -> Any:
    template = execution(services=services, **options)
    definition: Any = Definition()
    run = TaskRun(definition, None, None, services.sinks, frozenset(tags))
    x = Execution(run, definition, template.plan, (), {}, parent, None, services)
    run.enter(PENDING)
    return x


def test_a_slot_is_taken_before_running_and_given_back_at_the_end() -> None:
    services = Limited(db=1)
    x = tagged(services, "db", "free")
    steps = begin(x)
    assert isinstance(steps.send(None), Invoke)
    assert services.in_use("db") == 1
    end(steps, Ok(1))
    assert services.in_use("db") == 0
    assert names(x.run) == ["Pending", "Running", "Completed"]


def test_without_a_slot_the_run_waits_and_says_for_what() -> None:
    services = Limited(db=1)
    first, second = tagged(services, "db"), tagged(services, "db")
    one, two = begin(first), begin(second)
    one.send(None)
    command = two.send(None)
    assert isinstance(command, Wait)
    state = second.run.states[-1]
    assert (state.name, state.type) == ("AwaitingConcurrencySlot", "SCHEDULED")
    assert state.message == "Waiting for a slot of limit 'tag:db' (1 of 1 in use)."
    (latch,) = command.promises
    assert latch.outcome is None
    end(one, Ok(1))
    assert latch.outcome is NOTHING
    assert isinstance(two.send(NOTHING), Invoke)
    assert names(second.run) == ["Pending", "AwaitingConcurrencySlot", "Running"]
    end(two, Ok(2))
    assert services.in_use("db") == 0


def test_a_retry_wait_holds_no_slot() -> None:
    services = Limited(db=1)
    x, other = tagged(services, "db", retries=1, delays=7.0), tagged(services, "db")
    steps, waits = begin(x), begin(other)
    steps.send(None)
    waits.send(None)
    assert isinstance(steps.send(Err(ValueError("one"))), Sleep)
    assert isinstance(waits.send(NOTHING), Invoke)
    assert isinstance(steps.send(Ok(None)), Wait)
    assert x.run.due == 0
    end(waits, Ok(1))
    assert isinstance(steps.send(NOTHING), Invoke)
    end(steps, Ok(2))
    assert services.in_use("db") == 0
    assert names(x.run) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "AwaitingConcurrencySlot",
        "Retrying",
        "Completed",
    ]


def test_a_retry_without_delay_keeps_its_slot() -> None:
    services = Limited(db=1)
    x, other = tagged(services, "db", retries=1), tagged(services, "db")
    steps, waits = begin(x), begin(other)
    steps.send(None)
    waits.send(None)
    assert isinstance(steps.send(Err(ValueError("one"))), Invoke)
    assert names(x.run) == ["Pending", "Running", "Retrying"]
    assert services.waiting() == 1


def test_a_limit_of_nothing_fails_the_run_and_names_itself() -> None:
    services = Limited(db=0)
    x = tagged(services, "db", retries=3, delays=1.0)
    outcome = end(begin(x), None)
    assert isinstance(outcome.error, ConcurrencySlotAcquisitionError)
    assert names(x.run) == ["Pending", "Failed"]
    assert "Limit 'tag:db' is 0" in (x.run.states[-1].message or "")
    assert x.run.attempts == 0


def test_a_limit_that_becomes_nothing_fails_who_waits() -> None:
    services = Limited(db=1)
    begin(tagged(services, "db")).send(None)
    holder, x = tagged(services, "db"), tagged(services, "db")
    first, steps = begin(holder), begin(x)
    first.send(None)
    steps.send(None)
    services.limits.set("tag:db", 0)
    end(first, NOTHING)
    outcome = end(steps, NOTHING)
    assert isinstance(outcome.error, ConcurrencySlotAcquisitionError)
    assert names(x.run) == ["Pending", "AwaitingConcurrencySlot", "Failed"]


@pytest.mark.parametrize(
    ("outcome", "cancelling", "last"),
    [
        (Err(CancelledRun("Cancelled.")), True, "Cancelled"),
        (NOTHING, True, "Cancelled"),
        (Err(KeyboardInterrupt()), False, "Crashed"),
    ],
)
def test_who_stops_waiting_leaves_the_queue(outcome: Any, cancelling: bool, last: str) -> None:
    services = Limited(db=1)
    first = begin(tagged(services, "db"))
    first.send(None)
    x = tagged(services, "db")
    steps = begin(x)
    steps.send(None)
    x.cancelling = cancelling
    end(steps, outcome)
    assert names(x.run) == ["Pending", "AwaitingConcurrencySlot", last]
    assert services.waiting() == 0
    assert services.in_use("db") == 1


@pytest.mark.parametrize(
    ("outcome", "last"),
    [
        (Ok(1), "Completed"),
        (Err(ValueError()), "Failed"),
        (Err(TimeoutError()), "TimedOut"),
        (Err(KeyboardInterrupt()), "Crashed"),
        (Err(CancelledRun()), "Failed"),
    ],
)
def test_every_end_gives_the_slot_back(outcome: Any, last: str) -> None:
    services = Limited(db=1)
    x = tagged(services, "db")
    steps = begin(x)
    steps.send(None)
    end(steps, outcome)
    assert names(x.run)[-1] == last
    assert services.in_use("db") == 0
    assert x.permit is None


def test_steps_that_are_closed_give_the_slot_back() -> None:
    services = Limited(db=1)
    steps = begin(tagged(services, "db"))
    steps.send(None)
    steps.close()
    assert services.in_use("db") == 0


def test_hooks_run_while_the_slot_is_held() -> None:
    services = Limited(db=1)
    held: list[float] = []

    def hook(*_: Any) -> None:
        held.append(services.in_use("db"))

    x = tagged(services, "db", hooks={"on_completion": (hook,)})
    steps = begin(x)
    steps.send(None)
    command = steps.send(Ok(1))
    command.fn()
    end(steps, NOTHING)
    assert held == [1]


def test_a_flow_takes_no_slots() -> None:
    services = Limited(db=0)
    x = tagged(services, "db")
    x.plan = Plan(x.fn, x.plan.shape, is_flow=True, cache=OFF)
    assert isinstance(begin(x).send(None), Invoke)


def test_a_run_inside_one_with_the_same_tag_does_not_wait_for_it() -> None:
    services = Limited(db=1)
    outer = tagged(services, "db")
    begin_outer = begin(outer)
    begin_outer.send(None)
    inner, second = [tagged(services, "db", parent=outer) for _ in range(2)]
    one, two = begin(inner), begin(second)
    assert isinstance(one.send(None), Invoke)
    assert isinstance(two.send(None), Wait)
    assert services.in_use("db") == 1
    end(one, Ok(1))
    assert isinstance(two.send(NOTHING), Invoke)
