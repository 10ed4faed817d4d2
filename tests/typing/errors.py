"""What must be reported: each ignore is one report, and one too many is an error as well.

This program is checked and never run.
"""

from cellist import Task, flow, task
from cellist.options import TaskOptions


@task
def fetch(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@task
async def fetch_async(url: str) -> bytes:
    return url.encode()


@flow(name="crawl")
def crawl(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


class Crawler:
    @task
    def fetch(self, path: str) -> bytes:
        return path.encode()

    @classmethod
    @task
    def of(cls, site: str) -> "Crawler":
        return cls()

    @task
    @staticmethod
    def size(page: bytes) -> int:
        return len(page)

    @flow
    def crawl(self, path: str) -> bytes:
        return path.encode()


# Arguments.
fetch(1)  # type: ignore[call-overload]
fetch()  # type: ignore[call-overload]
fetch("a", 2, 3)  # type: ignore[call-overload]
fetch("a", bogus=1)  # type: ignore[call-overload]
fetch("a", limit="b")  # type: ignore[call-overload]
fetch.fn(1)  # type: ignore[arg-type]
fetch.with_options(retries=1)(1)  # type: ignore[call-overload]
task(fetch.fn, retries=1)(1)  # type: ignore[call-overload]
task(len)(1)  # type: ignore[call-overload]
crawl(1)  # type: ignore[call-overload]
crawl()  # type: ignore[call-overload]
crawl.with_options(retries=1)(1)  # type: ignore[call-overload]
Crawler().fetch(1)  # type: ignore[call-overload]
Crawler().fetch()  # type: ignore[call-overload]
# mypy lets it pass: it does not tell methods of instances from those of classes.
Crawler.fetch("a")  # pyright: ignore[reportArgumentType]
Crawler.of(1)  # type: ignore[call-overload]
Crawler().of()  # type: ignore[call-overload]
Crawler.size("a")  # type: ignore[call-overload]
Crawler().size("a")  # type: ignore[call-overload]
Crawler().crawl(1)  # type: ignore[call-overload]


# Values.
text: str = fetch("a")  # type: ignore[assignment]
later: str = fetch.submit("a").result()  # type: ignore[assignment]
several: list[str] = fetch.map(["a"]).result()  # type: ignore[assignment]
state: bytes = fetch("a", return_state=True)  # type: ignore[assignment]
not_awaited: bytes = fetch_async("a")  # type: ignore[assignment]
of_method: str = Crawler().fetch("a")  # type: ignore[assignment]
wrong: Task[[str], str] = task(lambda n: 1)  # type: ignore[arg-type, return-value]


async def awaited() -> str:
    return await fetch_async("a")  # type: ignore[return-value]


# Options.
@task(retires=3)  # type: ignore[call-overload]
def misspelt() -> None: ...


@task(retries="3")  # type: ignore[call-overload]
def of_wrong_type() -> None: ...


@flow(retires=3)  # type: ignore[call-overload]
def misspelt_flow() -> None: ...


@flow(task_runner="threads")  # type: ignore[call-overload]
def of_wrong_runner() -> None: ...


task(fetch.fn, retires=3)  # type: ignore[call-overload]
task(fetch.fn, retries="3")  # type: ignore[call-overload]
task(fetch.fn, strict="yes", depends_on={1})  # type: ignore[call-overload]
flow(fetch.fn, retires=3)  # type: ignore[call-overload]
Task(fetch.fn, retires=3)  # type: ignore[call-arg]
fetch.with_options(retires=3)  # type: ignore[call-arg]
fetch.with_options(retries="3")  # type: ignore[arg-type]
crawl.with_options(retires=3)  # type: ignore[call-arg]
task("fetch")  # type: ignore[call-overload]
options: TaskOptions = {"retires": 3}  # type: ignore[typeddict-unknown-key]
fetch.bogus  # type: ignore[attr-defined]
