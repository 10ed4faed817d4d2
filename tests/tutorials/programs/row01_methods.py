"""Methods as tasks: of instances, of classes, static ones; the decorators in both orders."""

from collections.abc import Iterator

from cellist import flow, runtime, task


# %%
class Shop:
    rate = 3

    def __init__(self, price: int) -> None:
        self.price = price

    @task
    def cost(self, count: int) -> int:
        return self.price * count

    @classmethod
    @task
    def rated(cls, count: int) -> int:
        return cls.rate * count

    @task
    @classmethod
    def rated_too(cls, count: int) -> int:
        return cls.rate * count + 1

    @staticmethod
    @task
    def plain(count: int) -> int:
        return count

    @task
    @staticmethod
    def plain_too(count: int) -> int:
        return count + 1


class Empty(Shop):
    """An instance that counts as false is an instance all the same."""

    rate = 4

    def __len__(self) -> int:
        return 0


# %%
cheap, dear, empty = Shop(1), Shop(100), Empty(5)
first, second = cheap.cost, dear.cost
assert (first(2), second(2), empty.cost(2)) == (2, 200, 10)  # each is bound to its own
assert Shop.cost(dear, 3) == 300

for holder in (Shop, cheap):
    assert holder.rated(2) == 6
    assert holder.rated_too(2) == 7
    assert holder.plain(2) == 2
    assert holder.plain_too(2) == 3
assert (Empty.rated(2), empty.rated_too(2)) == (8, 9)


# %%
@flow
def bill() -> list[int]:
    futures = [
        dear.cost.submit(2),
        Shop.rated.submit(2),
        cheap.rated_too.submit(2),
        Shop.plain.submit(2),
        cheap.plain_too.submit(2),
    ]
    return [future.result() for future in futures]


assert bill() == [200, 6, 7, 2, 3]


# %%
@flow
def bills() -> list[int]:
    return dear.cost.map([1, 2, 3]).result()


assert bills() == [100, 200, 300]


# %%
# Async methods, generators, and a name for the run that reads the instance.
class Stall(Shop):
    @task
    async def haggle(self, offer: int) -> int:
        return max(self.price - 1, offer)

    @task
    def sell(self, count: int) -> Iterator[int]:
        for number in range(count):
            yield number * self.price

    @task(task_run_name="weigh-at-{self.price}")
    def weigh(self) -> str | None:
        return runtime.task_run.name


@flow
def market() -> tuple[int, list[int], str | None]:
    stall = Stall(7)
    return stall.haggle.submit(2).result(), list(stall.sell(3)), stall.weigh()


assert market() == (6, [0, 7, 14], "weigh-at-7")
