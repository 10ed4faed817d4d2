"""A returned generator becomes a list; a yielded one is handed over as it is."""

from collections.abc import Generator, Iterator

from cellist import flow, task

# %%
steps: list[str] = []


def count(limit: int) -> Iterator[int]:
    for number in range(limit):
        steps.append(f"count {number}")
        yield number


@task
def numbers(limit: int) -> Iterator[int]:
    return count(limit)


@flow
def numbers_of_a_flow(limit: int) -> Iterator[int]:
    return count(limit)


@flow
def use() -> None:
    assert numbers(2) == [0, 1]
    assert numbers.submit(3).result() == [0, 1, 2]
    state = numbers(4, return_state=True)
    assert state.result() == [0, 1, 2, 3]


use()
assert numbers_of_a_flow(2) == [0, 1]

# %%
steps.clear()


@task
def in_parts(parts: int) -> Generator[Iterator[int], None, None]:
    for part in range(1, parts + 1):
        yield count(part)


@flow
def take_parts() -> list[list[int]]:
    found = []
    for part in in_parts(2):
        assert steps == [], "nothing of it was consumed before we do so"
        found.append(list(part))
        steps.clear()
    return found


assert take_parts() == [[0], [0, 1]]


# %%
# What it yields is what comes: also values that are generators inside containers.
@task
def pairs() -> Iterator[tuple[str, Iterator[int]]]:
    yield "two", count(2)


@flow
def take_pairs() -> None:
    for name, part in pairs():
        assert name == "two"
        assert next(part) == 0
        assert next(part) == 1


take_pairs()
