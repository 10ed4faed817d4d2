"""Tasks that worker processes of the tests serve; they note each time they begin."""

import os
import time
from pathlib import Path

from cellist import task
from cellist.cache_policies import NO_CACHE


def note(folder: str, text: object) -> None:
    """Append a line to the file of this process, at once."""
    with Path(folder, f"{os.getpid()}.txt").open("a") as file:
        file.write(f"{text}\n")


@task(cache_policy=NO_CACHE)
def mark(folder, number, seconds=0.0):
    note(folder, number)
    time.sleep(seconds)
    return number


@task(cache_policy=NO_CACHE)
def hold(folder, number):
    """Last until there is a file `go`."""
    note(folder, number)
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    return number


@task(cache_policy=NO_CACHE)
async def amark(folder, number):
    note(folder, number)
    return number


def helper():
    return "theirs"


@task(cache_policy=NO_CACHE)
def say():
    return helper()


def noted(folder):
    """All lines of all processes."""
    return [int(line) for path in Path(folder).glob("*.txt") for line in path.read_text().split()]
