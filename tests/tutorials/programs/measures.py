"""Tasks that a program imports."""

from cellist import task


@task
def to_fahrenheit(celsius: float) -> float:
    return celsius * 9 / 5 + 32


@task
async def average(values: list[float]) -> float:
    return sum(values) / len(values)
