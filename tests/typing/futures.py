"""Functions that take futures, and the wrappers of arguments."""

from typing import Any, assert_type

from cellist import State, allow_failure, opaque, quote, task, unmapped
from cellist.futures import (
    PrefectFuture,
    PrefectFutureList,
    as_completed,
    resolve_futures_to_results,
    resolve_futures_to_states,
    wait,
)


@task
def length(text: str) -> int:
    return len(text)


@task
def shout(text: str) -> str:
    return text.upper()


one, other = length.submit("a"), shout.submit("b")
futures = length.map(["a", "bc"])

ended = wait(futures)
assert_type(ended.done, set[PrefectFuture[int]])
assert_type(ended.not_done, set[PrefectFuture[int]])
done, not_done = wait([one], timeout=5)
assert_type(done, set[PrefectFuture[int]])
assert_type({future.result() for future in done}, set[int])
wait([one, other])
wait({one, other})

for future in as_completed(futures):
    assert_type(future, PrefectFuture[int])
    assert_type(future.result(), int)
for either in as_completed([one, other], timeout=5):
    either.result()

assert_type(resolve_futures_to_results(one), int)
assert_type(resolve_futures_to_results([one]), list[int])
assert_type(resolve_futures_to_results(futures), list[int])
assert_type(resolve_futures_to_results({"a": one}), dict[str, int])
resolve_futures_to_results({"a": [one, 3], "b": (other, one)})["a"][0]
assert_type(resolve_futures_to_states(one), State)
assert_type(resolve_futures_to_states([one]), list[State])
assert_type(resolve_futures_to_states(futures), list[State])
assert_type(resolve_futures_to_states({"a": one}), dict[str, State])
resolve_futures_to_states({"a": [one, 3]})["a"][0]


def seen(future: PrefectFuture[int]) -> None:
    assert_type(future.result(), int)


one.add_done_callback(seen)
one.add_done_callback(print)
assert_type(one.exception(), BaseException | None)
assert_type(one.done(), bool)
assert_type(one.cancel(), bool)
assert_type(futures.cancel(), int)
futures.wait(timeout=5)
more: PrefectFutureList[int] = PrefectFutureList([one])
more.append(one)
assert_type(futures[:1], list[PrefectFuture[int]])
wider: PrefectFuture[object] = one
anything: PrefectFuture[Any] = one

assert_type(unmapped(1), unmapped[int])
assert_type(unmapped([1])[0], list[int])
assert_type(allow_failure(one), allow_failure[PrefectFuture[int]])
assert_type(allow_failure(1).unwrap(), int)
assert_type(quote("a").unquote(), str)
assert_type(opaque("a").value, str)
