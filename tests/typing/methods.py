"""Methods: through an instance and through the class, in both orders of decorators."""

import asyncio
from typing import Generic, TypeVar, assert_type

from cellist import State, flow, task
from cellist.futures import PrefectFuture

T = TypeVar("T")


class Crawler:
    def __init__(self, site: str = "a") -> None:
        self.site = site

    @task
    def fetch(self, path: str, limit: int = 1) -> bytes:
        return (self.site + path).encode() * limit

    @task(retries=1)
    async def fetch_async(self, path: str) -> bytes:
        return (self.site + path).encode()

    @classmethod
    @task
    def of(cls, site: str) -> "Crawler":
        return cls(site)

    @task
    @classmethod
    def of_too(cls, site: str) -> "Crawler":
        return cls(site)

    @staticmethod
    @task
    def size(page: bytes, at_least: int = 0) -> int:
        return max(len(page), at_least)

    @task(name="size")
    @staticmethod
    def size_too(page: bytes, at_least: int = 0) -> int:
        return max(len(page), at_least)

    @flow
    def crawl(self, paths: list[str]) -> int:
        return len(self.fetch.map(paths).result())

    @classmethod
    @flow
    def crawl_all(cls, sites: list[str]) -> int:
        return sum(cls(site).crawl(["/"]) for site in sites)

    @flow
    @staticmethod
    def crawl_some(n: int) -> int:
        return n

    def inside(self) -> None:
        assert_type(self.fetch("/"), bytes)
        assert_type(self.fetch.submit("/").result(), bytes)
        assert_type(self.of("/"), Crawler)


class Polite(Crawler):
    pass


class Box(Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content

    @task
    def open(self, default: T) -> list[T]:
        return [self.content, default]


crawler = Crawler()

assert_type(crawler.fetch("/"), bytes)
assert_type(crawler.fetch("/", limit=2), bytes)
assert_type(crawler.fetch(path="/"), bytes)
assert_type(crawler.fetch("/", return_state=True), State)
assert_type(crawler.fetch("/", wait_for=[]), bytes)
assert_type(crawler.fetch.submit("/", limit=2), PrefectFuture[bytes])
assert_type(crawler.fetch.map(["/", "/a"]).result(), list[bytes])
assert_type(crawler.fetch.with_options(retries=1)("/", limit=2), bytes)
assert_type(Crawler.fetch(crawler, "/", limit=2), bytes)
assert_type(Crawler.fetch.submit(crawler, "/").result(), bytes)
assert_type(Crawler.fetch.with_options(retries=1)(crawler, "/"), bytes)
assert_type(Polite().fetch("/"), bytes)
assert_type(Polite.fetch(Polite(), "/"), bytes)
crawler.inside()


async def fetch_both() -> None:
    assert_type(await crawler.fetch_async("/"), bytes)
    assert_type(await Crawler.fetch_async(crawler, path="/"), bytes)
    assert_type(await crawler.fetch_async("/", return_state=True), State)
    assert_type(await crawler.fetch_async.submit("/"), bytes)


asyncio.run(fetch_both())

assert_type(crawler.of("b"), Crawler)
assert_type(Crawler.of("b"), Crawler)
assert_type(Crawler.of(site="b"), Crawler)
assert_type(Crawler.of.submit("b").result(), Crawler)
assert_type(Polite.of.submit("b").result(), Crawler)
assert_type(crawler.of_too("b"), Crawler)
assert_type(Crawler.of_too("b"), Crawler)
assert_type(Crawler.of_too.submit("b").result(), Crawler)

assert_type(crawler.size(b"a"), int)
assert_type(Crawler.size(b"a", at_least=1), int)
assert_type(crawler.size.submit(b"a").result(), int)
assert_type(Crawler.size.submit(b"a").result(), int)
assert_type(crawler.size_too(b"a"), int)
assert_type(Crawler.size_too(b"a", at_least=1), int)
assert_type(crawler.size_too.submit(b"a").result(), int)
assert_type(Crawler.size_too.submit(b"a").result(), int)

assert_type(crawler.crawl(["/"]), int)
assert_type(Crawler.crawl(crawler, ["/"]), int)
assert_type(crawler.crawl(["/"], return_state=True), State)
assert_type(crawler.crawl.with_options(retries=1)(["/"]), int)
assert_type(Crawler.crawl_all(["a", "b"]), int)
assert_type(crawler.crawl_all(["a", "b"]), int)
assert_type(crawler.crawl_some(1), int)
assert_type(Crawler.crawl_some(1), int)

assert_type(Box(1).open(2), list[int])
assert_type(Box("a").open.submit("b").result(), list[str])


class Bare:
    """Unannotated methods are left in peace."""

    @task
    def method(self, x):
        return [x]

    @staticmethod
    @task
    def static(x):
        return [x]

    @classmethod
    @task
    def of(cls, x):
        return [cls, x]


Bare().method(1)
Bare.method(Bare(), 1)
Bare().static(1)
Bare.static(1)
Bare().of(1)
Bare.of(1)
Bare().static.submit(1).wait()
